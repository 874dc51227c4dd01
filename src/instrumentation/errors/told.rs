//! What an error says of itself. Its `Display`, `Debug` and `source` are the host's code: they run
//! with no lock held, may panic, may never come to an end of their causes, and may capture errors
//! themselves.

use super::kinds;
use crate::{
    mutation::{self, Mutation},
    records::Limits,
    redaction,
};
use std::{
    cell::Cell,
    error::Error,
    fmt::{self, Write as _},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// How many causes are told; errors that are their own cause have no last one.
const MOST_CAUSES: usize = 16;
/// Errors that are captured while another is told, and while such a one is: those beyond are not
/// asked, or one that captures itself would never end.
const DEEPEST: u8 = 2;
const NOT_ASKED: &str = "captured while other errors were being told; not asked for its message";
const PANICKED: &str = "(its Display panicked)";
const MORE_CAUSES: &str = ": …";
/// The type of what has none to tell.
const OF_ANY_TYPE: &str = "dyn Error";
/// What `Debug` begins with where somebody put words around an error, as `anyhow` does: the error
/// within tells more.
const WRAPPED: &str = "Error";

/// What an error says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// Its message and those of its causes.
    pub(super) message: &'a str,
    /// Its causes, one a line: `type: message`.
    pub(super) causes: &'a str,
}

pub(super) struct Told<'a> {
    error: &'a (dyn Error + 'a),
    type_name: &'static str,
}

impl<'a> Told<'a> {
    pub(super) fn new(error: &'a (dyn Error + 'a), type_name: &'static str) -> Self {
        let type_name = without_pointers(type_name);
        Self { error, type_name }
    }

    /// Of one whose type can be asked for.
    pub(super) fn of_any(error: &'a (dyn Error + 'static)) -> Self {
        let type_name = kinds::known(error).unwrap_or("dyn core::error::Error");
        Self { error, type_name }
    }

    /// `exception.type`.
    pub(super) fn with_type<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        if !self.type_name.starts_with("dyn ") {
            return read(self.type_name);
        }
        let Some(telling) = Telling::enter() else {
            return read(OF_ANY_TYPE);
        };
        let mut begin = LeadingName::of(self.error);
        if begin.get() == Some(WRAPPED)
            && let Some(cause) = guarded(|| self.error.source()).flatten()
        {
            if let Some(known) = kinds::known(cause) {
                drop(telling);
                return read(known);
            }
            begin = LeadingName::of(cause);
        }
        drop(telling);
        read(begin.get().unwrap_or(OF_ANY_TYPE))
    }

    /// `exception.message` and the causes, in memory that the thread keeps.
    pub(super) fn with_text<T>(&self, limits: Limits, read: impl FnOnce(Text<'_>) -> T) -> T {
        thread_local! {
            static KEPT: Cell<[String; 2]> = const { Cell::new([String::new(), String::new()]) };
        }
        const MOST_KEPT: usize = 32 * 1024;
        let Some(telling) = Telling::enter() else {
            let (message, causes) = (NOT_ASKED, "");
            return read(Text { message, causes });
        };
        let mut kept = KEPT.try_with(Cell::take).unwrap_or_default();
        kept.iter_mut().for_each(String::clear);
        let [text, causes] = kept;
        let mut chain = Chain {
            text,
            causes,
            // A character more than fits, so that a cut is counted where it is made.
            room: limits.message_bytes.saturating_add(4),
            room_of_causes: limits.value_bytes.saturating_add(4),
        };
        chain.write(self.error);
        drop(telling);
        let read = read(Text {
            message: &chain.text,
            causes: &chain.causes,
        });
        if chain.text.capacity() + chain.causes.capacity() <= MOST_KEPT {
            // An error: the thread is going.
            let _ = KEPT.try_with(|kept| kept.set([chain.text, chain.causes]));
        }
        read
    }
}

/// `dyn core::error::Error` of `alloc::sync::Arc<dyn core::error::Error>`.
fn without_pointers(mut name: &'static str) -> &'static str {
    const POINTERS: [&str; 3] = ["alloc::boxed::Box<", "alloc::rc::Rc<", "alloc::sync::Arc<"];
    loop {
        let pointer = |pointer| name.strip_prefix(pointer)?.strip_suffix('>');
        let reference = name.strip_prefix("&mut ").or(name.strip_prefix('&'));
        match reference.or_else(|| POINTERS.into_iter().find_map(pointer)) {
            Some(inner) => name = inner,
            None => return name,
        }
    }
}

/// Takes the identifier that a `Debug` output begins with, and ends the formatting there.
struct LeadingName {
    bytes: [u8; Self::LONGEST],
    length: usize,
    /// What followed is what follows a name in a derived `Debug`, if anything did.
    is_name: bool,
}

impl LeadingName {
    const LONGEST: usize = 64;

    fn of(error: &dyn Error) -> Self {
        let mut begin = Self::default();
        let debugged = guarded(|| {
            // An error: the name is over, and what follows is not asked for.
            let _ = write!(begin, "{error:?}");
        });
        match debugged {
            Some(()) => begin,
            None => Self {
                is_name: false,
                ..begin
            },
        }
    }

    /// As types and variants are spelled; a word of prose, or a key, is not shown, be it spelled so.
    fn get(&self) -> Option<&str> {
        let name = str::from_utf8(self.bytes.get(..self.length)?).ok()?;
        let is_camel = name.starts_with(|first: char| first.is_ascii_uppercase())
            && name.contains(|letter: char| letter.is_ascii_lowercase());
        let is_shown = self.is_name && is_camel && redaction::text(name) == name;
        is_shown.then_some(name)
    }
}

impl Default for LeadingName {
    fn default() -> Self {
        Self {
            bytes: [0; Self::LONGEST],
            length: 0,
            is_name: true,
        }
    }
}

impl fmt::Write for LeadingName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let (name, rest) = text.split_at(
            text.as_bytes()
                .iter()
                .take_while(|byte| is_part(byte))
                .count(),
        );
        for byte in name.bytes() {
            let slot = self.bytes.get_mut(self.length);
            self.is_name &= slot.is_some();
            *slot.ok_or(fmt::Error)? = byte;
            self.length += 1;
        }
        if rest.is_empty() {
            return Ok(());
        }
        self.is_name &= rest.starts_with('(') || rest.starts_with(" {");
        Err(fmt::Error)
    }
}

/// An error and its causes as one text, and the causes once more, each with its type.
struct Chain {
    text: String,
    causes: String,
    room: usize,
    room_of_causes: usize,
}

impl Chain {
    fn write(&mut self, error: &(dyn Error + '_)) {
        let mut next = self.link(error);
        for _ in 0..MOST_CAUSES {
            let Some(cause) = next else {
                return;
            };
            let before = self.text.len();
            self.text.push_str(": ");
            let begin = self.text.len();
            next = self.link(cause);
            let (so_far, said) = (&self.text[..before], &self.text[begin..]);
            note(&mut self.causes, self.room_of_causes, cause, said);
            // Many errors end with what their cause says.
            if so_far.ends_with(said) {
                self.text.truncate(before);
            }
        }
        if next.is_some() {
            self.text.push_str(MORE_CAUSES);
        }
    }

    /// Writes one error, and gives its cause.
    fn link<'a>(&mut self, error: &'a (dyn Error + 'a)) -> Option<&'a (dyn Error + 'static)> {
        let written = guarded(|| {
            // An error: there is no more room, or the formatting failed; what came is kept.
            let _ = write!(self, "{error}");
        });
        if written.is_none() {
            self.text.push_str(PANICKED);
        }
        guarded(|| error.source()).flatten()
    }
}

/// Adds a cause as a line of its own, as far as there is room.
fn note(causes: &mut String, room: usize, cause: &(dyn Error + 'static), said: &str) {
    if causes.len() > room {
        return;
    }
    if !causes.is_empty() {
        causes.push('\n');
    }
    match kinds::known(cause) {
        Some(known) => causes.push_str(known),
        None => causes.push_str(LeadingName::of(cause).get().unwrap_or(OF_ANY_TYPE)),
    }
    causes.push_str(": ");
    // A line is a cause.
    let lines = said.split_inclusive('\n');
    lines.for_each(|line| match line.strip_suffix('\n') {
        Some(line) => {
            causes.push_str(line);
            causes.push(' ');
        }
        None => causes.push_str(line),
    });
}

impl fmt::Write for Chain {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut room = self.room.saturating_sub(self.text.len());
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.text.push_str(&text[..room]);
        Err(fmt::Error)
    }
}

/// Runs the host's code; `None`: it panicked, and the panic hook has told of it.
fn guarded<T>(code: impl FnOnce() -> T) -> Option<T> {
    if mutation::is_on(Mutation::TrustsErrors) {
        return Some(code());
    }
    let run = catch_unwind(AssertUnwindSafe(code));
    run.map_err(|payload| {
        // A payload's destructor is the host's code too.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(again);
        }
    })
    .ok()
}

/// How deep in errors that are captured while others are told the thread is.
struct Telling;

thread_local! {
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

impl Telling {
    /// `None`: too deep.
    fn enter() -> Option<Self> {
        let enters = |depth: &Cell<u8>| {
            let is_allowed = depth.get() < DEEPEST;
            depth.set(depth.get() + u8::from(is_allowed));
            is_allowed
        };
        DEPTH.try_with(enters).unwrap_or(false).then_some(Self)
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_told_without_what_points_to_it() {
        for (given, told) in [
            ("app::Pay", "app::Pay"),
            ("&app::Pay", "app::Pay"),
            ("alloc::boxed::Box<app::Pay<u8>>", "app::Pay<u8>"),
            (
                "alloc::sync::Arc<dyn core::error::Error>",
                "dyn core::error::Error",
            ),
        ] {
            assert_eq!(without_pointers(given), told);
        }
    }

    #[test]
    fn a_debug_output_tells_a_name_only_where_it_begins_as_derived_ones_do() {
        for (debug, name) in [
            ("CardDeclined { code: 51 }", Some("CardDeclined")),
            ("Pay(Declined)", Some("Pay")),
            ("TimedOut", Some("TimedOut")),
            ("Hunter2 is wrong", None),
            ("\"Hunter2\"", None),
            ("AKIAIOSFODNN7EXAMPLE", None),
            ("AIzaSyD4hush47hush47hush47hush47hush47A", None),
            ("lower", None),
            ("", None),
            ("Zahlungsmöglichkeit", None),
        ] {
            let mut begin = LeadingName::default();
            let _ = begin.write_str(debug);
            assert_eq!(begin.get(), name, "{debug}");
        }
        let mut begin = LeadingName::default();
        let _ = begin.write_str(&"Long".repeat(40));
        assert_eq!(begin.get(), None);
    }
}
