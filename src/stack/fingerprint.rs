//! Which stacks are the same error: by what stays the same in another build.
//!
//! Of a frame that is its package, as far as the workspace is known, its file from `src` on, and the last
//! part of its function's name: in a build whose debug information is line tables alone, names have no
//! path, and inlined functions have no name but that. A closure, and the body of an `async fn`, has no
//! name of its own there; it has its column, and its task: the `async fn` that whoever polls it is
//! generic over. Where names have paths, it has the function that it stands in.

use super::{Frame, path, trace::is_of_a_foreign_crate};
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
    pub(crate) fn of_frames(
        type_name: &str,
        frames: &[Frame],
        workspace: Option<&str>,
    ) -> Option<Self> {
        let has_paths = frames.iter().all(has_path);
        let own: Vec<_> = frames.iter().filter(|frame| frame.in_app).collect();
        // A macro's closure stands where the macro stands, and may be inlined or not.
        let is_of_macro = |at: usize| {
            let (frame, outer) = (own[at], own.get(at + 1));
            let place = |frame: &Frame| (frame.file.clone(), frame.line, frame.column);
            outer.is_some_and(|outer| place(outer) == place(frame))
        };
        let places = own.iter().enumerate();
        let places =
            places.filter_map(|(at, frame)| Some((at, Place::of(frame, workspace, has_paths)?)));
        let places = places.filter(|(at, place)| !place.is_closure || !is_of_macro(*at));
        let mut places: Vec<_> = places.map(|(_, place)| place).collect();
        // Recursion is as deep as it happens to be.
        places.dedup();
        places.truncate(MOST_FRAMES);
        if places.is_empty() {
            return None;
        }
        let mut hash = Hash::new();
        hash.word(&without_generics(type_name));
        let is_nameless = places.iter().any(|place| place.name == CLOSURE);
        for place in places {
            place.package.iter().for_each(|package| hash.word(package));
            hash.word(&place.file);
            hash.word(&place.name);
            hash.bytes(&place.column.to_le_bytes());
        }
        if let Some(task) = task(frames).filter(|_| is_nameless) {
            hash.word(task);
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
    /// Its folder, where it is a member of the workspace; the workspace's own has none.
    package: Option<String>,
    /// Within its package.
    file: String,
    /// Of a closure, that of the function around it, where it is known.
    name: String,
    is_closure: bool,
    /// Of closures; else 0.
    column: u32,
}

const CLOSURE: &str = "{closure}";

impl Place {
    fn of(frame: &Frame, workspace: Option<&str>, has_paths: bool) -> Option<Self> {
        let function = without_generics(frame.function.as_deref()?);
        let parts = || function.rsplit("::").filter(|part| is_name(part));
        let is_closure = parts().next().is_some_and(|part| part.starts_with('{'));
        let named = parts().find(|part| !part.starts_with('{'));
        let name = match is_closure {
            true => named.filter(|_| has_paths).unwrap_or(CLOSURE),
            false => named.unwrap_or(&function),
        };
        let file = frame.file.as_deref()?;
        Some(Self {
            package: workspace.and_then(|workspace| {
                let member = file.strip_prefix(workspace).unwrap_or(file);
                path::package(member).map(str::to_owned)
            }),
            file: path::in_package(file),
            column: match is_closure {
                true => frame.column.unwrap_or_default(),
                false => 0,
            },
            name: name.to_owned(),
            is_closure,
        })
    }
}

/// Not so of the hash that ends some.
fn is_name(part: &str) -> bool {
    let digits = part.strip_prefix('h').unwrap_or_default();
    let is_hash = digits.len() == 16 && digits.bytes().all(|c| c.is_ascii_hexdigit());
    !part.is_empty() && !is_hash
}

/// Whether a function of Rust's is named with its path, or nothing is known of it. Where line tables are
/// all there is, some are and some are not, as it happens.
fn has_path(frame: &Frame) -> bool {
    let is_rust = frame
        .file
        .as_deref()
        .is_some_and(|file| file.ends_with(".rs"));
    let name = frame.function.as_deref().filter(|_| is_rust);
    name.is_none_or(|name| without_generics(name).contains("::") || name.starts_with('<'))
}

/// `orders::place` of `poll<orders::place::{async_fn_env#0}, …>`: the application's future that is polled,
/// by the innermost function outside the first of the application's own that is generic over one.
fn task(frames: &[Frame]) -> Option<&str> {
    let own = frames.iter().position(|frame| frame.in_app)?;
    let names = frames
        .iter()
        .skip(own)
        .filter_map(|f| f.function.as_deref());
    names
        .flat_map(futures)
        .find(|future| !is_of_a_foreign_crate(future))
}

/// The functions whose futures a name is generic over.
fn futures(name: &str) -> impl Iterator<Item = &str> {
    let marks = ["::{async_fn_env#", "::{async_block_env#"];
    let ends = marks
        .into_iter()
        .flat_map(move |mark| name.match_indices(mark));
    let mut ends: Vec<_> = ends.map(|(at, _)| at).collect();
    ends.sort_unstable();
    ends.into_iter().map(move |end| {
        let is_of_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '{' | '}' | '#');
        let before = &name[..end];
        let begin = before.rfind(|c| !is_of_path(c)).map_or(0, |at| {
            at + before[at..].chars().next().map_or(0, char::len_utf8)
        });
        &before[begin..]
    })
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
        Fingerprint::of_frames("orders::Failed", frames, None).unwrap()
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
            // Where line tables are all there is, some function on the stack has its short name.
            let caller = || frame("main", "src/main.rs", 5);
            let [one, other] = same.map(|name| of(&[frame(name, "src/pay.rs", 9), caller()]));
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
    fn the_same_name_in_the_same_file_of_two_packages_is_two_and_one_wherever_they_lie() {
        let of = |root: &str, package: &str| {
            let file = format!("{root}{package}src/db.rs");
            let frames = [frame("look_up", &file, 5)];
            Fingerprint::of_frames("T", &frames, Some(root)).unwrap()
        };
        let packages = ["crates/menus/", "crates/users/", ""];
        let [menus, users, root] = packages.map(|package| of("/srv/shop/", package));
        assert!(menus != users && menus != root && users != root);
        for elsewhere in ["/builds/17/", "/usr/src/app/"] {
            let there = packages.map(|package| of(elsewhere, package));
            assert_eq!(there, [menus, users, root], "{elsewhere}");
        }
        let windows = [frame("look_up", "C:\\shop\\crates\\menus\\src\\db.rs", 5)];
        let windows = Fingerprint::of_frames("T", &windows, Some("C:\\shop\\"));
        assert_eq!(windows, Some(menus));
    }

    #[test]
    fn async_functions_of_one_file_and_column_are_told_apart_by_their_names_or_their_tasks() {
        let poll = |name: &str| {
            let mut poll = frame(
                name,
                "/cargo/registry/src/x-1949cf8c6b5b557f/tokio-1.48.0/src/lib.rs",
                5,
            );
            poll.in_app = false;
            poll
        };
        let whole = |name: &str| of(&[frame(name, "src/pay.rs", 5), poll("tokio::task::poll")]);
        assert_ne!(
            whole("orders::charge::{{closure}}"),
            whole("orders::refund::{{closure}}")
        );
        let numbers = ["orders::charge::{{closure}}", "orders::charge::{closure#3}"];
        let [one, other] = numbers.map(whole);
        assert_eq!(one, other);
        let short = |own: &str, name: &str| of(&[frame(own, "src/pay.rs", 5), poll(name)]);
        let of_charge = short("{async_fn#0}", "poll<orders::charge::{async_fn_env#0}, S>");
        assert_ne!(
            of_charge,
            short("{async_fn#0}", "poll<orders::refund::{async_fn_env#0}, S>")
        );
        // Another function that polls it, and one whose name has its path by chance.
        for (own, polls) in [
            (
                "{async_fn#0}",
                "with<tokio::task::{closure_env#0}<orders::charge::{async_fn_env#0}>>",
            ),
            (
                "orders::charge::{{closure}}",
                "poll<orders::charge::{async_fn_env#0}, S>",
            ),
            (
                "{async_fn#1}",
                "poll<tower::call::{async_block_env#0}<orders::charge::{async_fn_env#2}>>",
            ),
        ] {
            assert_eq!(of_charge, short(own, polls), "{own} {polls}");
        }
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
        assert_eq!(
            Fingerprint::of_frames("T", &[foreign, nameless], None),
            None
        );
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
        let of_type = |name| Fingerprint::of_frames(name, &[frame("pay", "src/pay.rs", 5)], None);
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
