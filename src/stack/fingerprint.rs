//! Which stacks are the same error: by what stays the same in another build.
//!
//! Of a frame that is its file from `src` on, and the last part of its function's name: in a build
//! whose debug information is line tables alone, names have no path, and inlined functions have no
//! name but that. A closure, and the body of an `async fn`, has no name of its own there; it has its
//! column.

use super::{Frame, path};
use std::{fmt, num::ParseIntError, str::FromStr};

/// Frames that count, the innermost of the application's own.
const MOST_FRAMES: usize = 5;

/// What is one to whoever acts on errors: the same in every process, build and release as long as the
/// code that leads there has the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of_words(words: &[&str]) -> Self {
        let mut hash = Hash::new();
        words.iter().for_each(|word| hash.word(word));
        Self(hash.0)
    }

    /// Of an error of a type that was raised in that line of that file, as the compiler told the place:
    /// relative to the workspace, absolute for packages beyond it.
    pub(crate) fn of_place(type_name: &str, file: &str, line: i64) -> Self {
        let package = path::package(file).unwrap_or_default();
        let within = path::in_package(file);
        Self::of_words(&[type_name, package, &within, &line.to_string()])
    }

    /// Of an error of a type that was raised there; `None`: no frame is both the application's own
    /// and known by its line.
    pub(crate) fn of_frames(type_name: &str, frames: &[Frame]) -> Option<Self> {
        let own: Vec<_> = frames.iter().filter(|frame| frame.in_app).collect();
        // A macro's closure stands where the macro stands, and may be inlined or not.
        let is_of_macro = |at: usize| {
            let (frame, outer) = (own[at], own.get(at + 1));
            let place = |frame: &Frame| (frame.file.clone(), frame.line, frame.column);
            outer.is_some_and(|outer| place(outer) == place(frame))
        };
        let places = own.iter().enumerate();
        let places = places.filter_map(|(at, frame)| Some((at, Place::of(frame)?)));
        let places = places.filter(|(at, place)| place.name != CLOSURE || !is_of_macro(*at));
        let mut places: Vec<_> = places.map(|(_, place)| place).collect();
        // Recursion is as deep as it happens to be.
        places.dedup();
        places.truncate(MOST_FRAMES);
        if places.is_empty() {
            return None;
        }
        let mut hash = Hash::new();
        hash.word(&without_generics(type_name));
        for Place { file, name, column } in places {
            hash.word(&file);
            hash.word(&name);
            hash.bytes(&column.to_le_bytes());
        }
        Some(Self(hash.0))
    }
}

/// As `orderscope.error.fingerprint` has it: 16 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// What of a frame is the same in every build.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Within its package.
    file: String,
    name: String,
    /// Of closures; else 0.
    column: u32,
}

const CLOSURE: &str = "{closure}";

impl Place {
    fn of(frame: &Frame) -> Option<Self> {
        let name = last_part(frame.function.as_deref()?);
        Some(Self {
            file: path::in_package(frame.file.as_deref()?),
            column: match name == CLOSURE {
                true => frame.column.unwrap_or_default(),
                false => 0,
            },
            name,
        })
    }
}

/// `charge` of `<orders::Card<T> as orders::Pay>::charge::<u8>`, and one word for all that have no
/// name of their own.
fn last_part(function: &str) -> String {
    let bare = without_generics(function);
    let mut parts = bare.rsplit("::").filter(|part| !part.is_empty());
    let is_hash = |part: &str| {
        let digits = part.strip_prefix('h').unwrap_or_default();
        digits.len() == 16 && digits.bytes().all(|c| c.is_ascii_hexdigit())
    };
    let part = parts.find(|part| !is_hash(part)).unwrap_or(&bare);
    match part.starts_with('{') {
        true => CLOSURE.to_owned(),
        false => part.to_owned(),
    }
}

/// Leaves out what stands in angle brackets, and what tells crates of one name apart.
fn without_generics(path: &str) -> String {
    let (mut bare, mut depth, mut before) = (String::with_capacity(path.len()), 0_usize, ' ');
    for c in path.chars() {
        match c {
            '<' | '[' => depth += 1,
            // Of an arrow: `fn(u8) -> u8`.
            '>' if before == '-' => {}
            '>' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(c),
            _ => {}
        }
        before = c;
    }
    bare
}

/// FNV-1a over 64 bits: the same everywhere, for ever.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// With an end, so that two words are not one.
    fn word(&mut self, word: &str) {
        self.bytes(word.as_bytes());
        self.bytes(&[0xff]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str, column: u32) -> Frame {
        Frame {
            function: Some(function.into()),
            file: Some(file.into()),
            line: Some(17),
            column: Some(column),
            module: None,
            in_app: true,
        }
    }

    #[track_caller]
    fn of(frames: &[Frame]) -> Fingerprint {
        Fingerprint::of_frames("orders::Failed", frames).unwrap()
    }

    #[test]
    fn names_differ_by_the_build_and_mean_the_same() {
        for same in [
            [
                "charge",
                "<orders::pay::Card as orders::pay::Charge>::charge",
            ],
            ["refund<alloc::vec::Vec<i32>>", "orders::pay::Card::refund"],
            ["refund", "orders::pay::refund::<fn(u8) -> u8>"],
            ["{closure#3}", "orders::main::{{closure}}"],
            [
                "{async_fn#0}",
                "orders::later::{{closure}}::h0123456789abcdef",
            ],
            ["pay", "orders[8f3a0123]::pay"],
            ["handle_pay_orders", "orders::pay::handle_pay_orders"],
        ] {
            let [one, other] = same.map(|name| of(&[frame(name, "src/pay.rs", 9)]));
            assert_eq!(one, other, "{same:?}");
        }
    }

    #[test]
    fn where_it_was_built_and_in_which_line_it_stands_says_nothing() {
        let here = of(&[frame("pay", "/srv/orders/src/pay.rs", 5)]);
        let mut there = frame("pay", "/builds/17/src/pay.rs", 9);
        there.line = Some(99);
        assert_eq!(here, of(&[there]));
        for elsewhere in [
            "src/pay.rs",
            "C:\\orders\\src\\pay.rs",
            "/usr/src/app/src/pay.rs",
        ] {
            assert_eq!(here, of(&[frame("pay", elsewhere, 5)]), "{elsewhere}");
        }
        assert_ne!(here, of(&[frame("pay", "/srv/orders/src/refund.rs", 5)]));
        assert_ne!(here, of(&[frame("refund", "/srv/orders/src/pay.rs", 5)]));
    }

    #[test]
    fn without_frames_a_place_is_the_same_wherever_its_package_lies() {
        let of = |file| Fingerprint::of_place("panic", file, 17);
        let here = of("crates/menus/src/lib.rs");
        for same in [
            "menus\\src\\lib.rs",
            "/srv/platform/menus/src/lib.rs",
            "/cargo/registry/src/mirror-1949cf8c6b5b557f/menus-1.2.3/src/lib.rs",
        ] {
            assert_eq!(here, of(same), "{same}");
        }
        for other in [
            "crates/orders/src/lib.rs",
            "crates/menus/src/main.rs",
            "src/lib.rs",
        ] {
            assert_ne!(here, of(other), "{other}");
        }
        assert_ne!(
            here,
            Fingerprint::of_place("panic", "crates/menus/src/lib.rs", 18)
        );
        assert_ne!(
            here,
            Fingerprint::of_place("T", "crates/menus/src/lib.rs", 17)
        );
    }

    #[test]
    fn closures_are_told_apart_by_their_columns_and_ways_by_those_who_called() {
        let closure = |column| of(&[frame("{closure#0}", "src/pay.rs", column)]);
        assert_ne!(closure(5), closure(9));
        let helper = || frame("look_up", "src/db.rs", 5);
        let by = |caller| of(&[helper(), frame(caller, "src/orders.rs", 5)]);
        assert_ne!(by("place"), by("cancel"));
    }

    #[test]
    fn what_is_not_the_application_s_own_or_has_no_line_does_not_count() {
        let mut foreign = frame("unwrap_failed", "/rustc/1/library/core/src/result.rs", 5);
        foreign.in_app = false;
        let own = frame("pay", "src/pay.rs", 5);
        assert_eq!(
            of(&[foreign.clone(), own.clone()]),
            of(std::slice::from_ref(&own))
        );
        let mut nameless = own.clone();
        nameless.file = None;
        assert_eq!(of(&[nameless.clone(), own.clone()]), of(&[own]));
        assert_eq!(Fingerprint::of_frames("T", &[foreign, nameless]), None);
    }

    #[test]
    fn the_closure_of_a_macro_is_no_frame_of_its_own() {
        let (closure, own) = (
            frame("{closure#0}", "src/pay.rs", 5),
            frame("pay", "src/pay.rs", 5),
        );
        assert_eq!(of(&[closure, own.clone()]), of(&[own]));
    }

    #[test]
    fn recursion_is_one_error_however_deep() {
        let deep = |depth: usize| {
            let mut frames = vec![frame("walk", "src/tree.rs", 5); depth];
            frames.push(frame("main", "src/main.rs", 5));
            of(&frames)
        };
        assert_eq!(deep(1), deep(40));
    }

    #[test]
    fn a_type_s_arguments_are_no_part_of_it_and_the_type_is() {
        let of_type = |name| Fingerprint::of_frames(name, &[frame("pay", "src/pay.rs", 5)]);
        assert_eq!(
            of_type("orders::Failed<u8>"),
            of_type("orders::Failed<u16>")
        );
        assert_ne!(of_type("orders::Failed"), of_type("orders::Refused"));
    }

    #[test]
    fn a_fingerprint_is_the_same_for_ever() {
        let words = Fingerprint::of_words(&["orders::Failed", "src/pay.rs:17"]);
        assert_eq!(words.to_string(), "010fcca23fe654fd");
        assert_ne!(
            words,
            Fingerprint::of_words(&["orders::Failedsrc/pay.rs:17"])
        );
        let frames = of(&[
            frame("pay", "src/pay.rs", 5),
            frame("main", "src/main.rs", 5),
        ]);
        assert_eq!(frames.to_string(), "3353b7cbc6f83b4e");
        assert_eq!(frames.to_string().parse(), Ok(frames));
    }
}
