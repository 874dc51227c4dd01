//! The named values of a record as one row of bytes: written where something happens, without an
//! allocation of their own, and read on the worker.
//!
//! Each is its name (length in 2 bytes), a tag, and the value: 8 bytes, or a length in 4 and the
//! text. What must not leave the process is masked as it is written.

use super::Composed;
use crate::redaction::{self, Masking};
use std::{
    borrow::Cow,
    cell::Cell,
    fmt::{self, Write as _},
};

const INTEGER: u8 = 0;
const FLOAT: u8 = 1;
const BOOLEAN: u8 = 2;
const TEXT: u8 = 3;

/// How much one record may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of one value, cut at a character.
    pub(crate) value_bytes: usize,
    /// Bytes of the message and of a stack trace.
    pub(crate) message_bytes: usize,
    /// Fields beside the message.
    pub(crate) fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            value_bytes: 4_096,
            message_bytes: 16_384,
            fields: 128,
        }
    }
}

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Text(&'a str),
}

/// Writes the fields of one record.
#[derive(Debug)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    limits: Limits,
    count: usize,
    /// Values cut to a limit, and fields beyond the allowed number.
    truncated: u64,
}

/// The name of the field that is a record's message.
pub(crate) const MESSAGE: &str = "";
const LONGEST_NAME: usize = 256;

impl Fields {
    /// Runs `compose` with an empty row in memory that the thread keeps for the next one. A record
    /// that is composed while another is, as by a `Debug` that logs, gets memory of its own.
    pub(crate) fn compose<T>(limits: Limits, compose: impl FnOnce(&mut Self) -> T) -> T {
        thread_local! {
            static KEPT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        const MOST_KEPT: usize = 64 * 1024;
        let mut bytes = KEPT.try_with(Cell::take).unwrap_or_default();
        bytes.clear();
        let mut fields = Self::new(limits, bytes);
        let composed = compose(&mut fields);
        if fields.bytes.capacity() <= MOST_KEPT {
            // An error: the thread is going.
            let _ = KEPT.try_with(|kept| kept.set(fields.bytes));
        }
        composed
    }

    /// Goes on after `bytes`, which are fields already.
    pub(crate) fn new(limits: Limits, bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            limits,
            count: 0,
            truncated: 0,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Adds what was composed before, under the same limits. `false`: not all of it has room, and none
    /// is added.
    #[inline]
    pub(crate) fn append(&mut self, composed: &Composed) -> bool {
        let has_room = self.count + composed.count <= self.limits.fields;
        if has_room {
            self.count += composed.count;
            self.bytes.extend_from_slice(&composed.bytes);
        }
        has_room
    }

    /// How many there are beside the message.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Counts a value that is left out.
    pub(crate) fn leave_out(&mut self) {
        self.truncated += 1;
    }

    /// How many values were cut or left out.
    pub(crate) fn truncated(&self) -> u64 {
        self.truncated
    }

    /// The record's message; what looks like a secret in it is masked.
    pub(crate) fn message(&mut self, message: &str) {
        self.write_text(MESSAGE, message, Masking::ByPattern);
    }

    /// As [`message`](Self::message), of what has to be formatted.
    pub(crate) fn message_display(&mut self, message: impl fmt::Display) {
        self.write_display(MESSAGE, message, Masking::ByPattern);
    }

    /// A text that comes from outside: masked whole when its name says that it is a secret, else
    /// where it looks like one.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.write_text(name, value, Masking::of(name));
    }

    /// As [`text`](Self::text), under a name that this crate spells.
    pub(crate) fn told(&mut self, name: &'static str, value: &str) {
        self.write_text(name, value, Masking::ByPattern);
    }

    /// A text that this crate or the program's source spells.
    pub(crate) fn word(&mut self, name: &str, value: &str) {
        self.write_text(name, value, Masking::Not);
    }

    /// A text of SQL that comes from outside: without its values.
    pub(crate) fn sql(&mut self, name: &str, value: &str) {
        self.write_text(name, value, Masking::Sql);
    }

    /// As [`text`](Self::text), of what has to be formatted. No lock is held meanwhile.
    pub(crate) fn display(&mut self, name: &str, value: impl fmt::Display) {
        match Masking::of(name) {
            Masking::Whole => self.word(name, redaction::MASK),
            masking => self.write_display(name, value, masking),
        }
    }

    /// As [`word`](Self::word), of what has to be formatted: it holds no secret any more.
    pub(crate) fn masked(&mut self, name: &str, value: impl fmt::Display) {
        self.write_display(name, value, Masking::Not);
    }

    pub(crate) fn integer(&mut self, name: &str, value: i64) {
        self.write_number(name, INTEGER, value.to_le_bytes());
    }

    /// An integer under a name that this crate spells.
    pub(crate) fn number(&mut self, name: &'static str, value: i64) {
        if self.write_name(name, INTEGER) {
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A boolean under a name that this crate spells.
    pub(crate) fn flag(&mut self, name: &'static str, value: bool) {
        if self.write_name(name, BOOLEAN) {
            self.bytes
                .extend_from_slice(&u64::from(value).to_le_bytes());
        }
    }

    /// As an integer where it fits, else as text, as OTLP has no unsigned values.
    pub(crate) fn unsigned(&mut self, name: &str, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.integer(name, value),
            Err(_) => self.display(name, value),
        }
    }

    pub(crate) fn float(&mut self, name: &str, value: f64) {
        self.write_number(name, FLOAT, value.to_bits().to_le_bytes());
    }

    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.write_number(name, BOOLEAN, u64::from(value).to_le_bytes());
    }

    fn write_number(&mut self, name: &str, tag: u8, value: [u8; 8]) {
        if redaction::is_secret_name(name) {
            self.word(name, redaction::MASK);
        } else if self.write_name(name, tag) {
            self.bytes.extend_from_slice(&value);
        }
    }

    /// Whether there is room for a field more.
    fn write_name(&mut self, name: &str, tag: u8) -> bool {
        if !name.is_empty() {
            if self.count == self.limits.fields {
                self.truncated += 1;
                return false;
            }
            self.count += 1;
        }
        let name = self.cut(name, LONGEST_NAME);
        let length = u16::try_from(name.len()).unwrap_or_default();
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(tag);
        true
    }

    fn write_text(&mut self, name: &str, value: &str, masking: Masking) {
        if !self.write_name(name, TEXT) {
            return;
        }
        // Cut first: the search for secrets costs by the byte.
        let value = self.cut(value, self.limit(name));
        let value = masking.apply(value);
        let length = u32::try_from(value.len()).unwrap_or_default();
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
    }

    fn write_display(&mut self, name: &str, value: impl fmt::Display, masking: Masking) {
        if !self.write_name(name, TEXT) {
            return;
        }
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let begin = self.bytes.len();
        let mut text = Bounded {
            room: self.limit(name),
            bytes: &mut self.bytes,
            is_full: false,
        };
        // An error: the room is full, or the value's own formatting failed; what came is kept.
        let _ = write!(text, "{value}");
        self.truncated += u64::from(text.is_full);
        let written = str::from_utf8(&self.bytes[begin..]).unwrap_or_default();
        if let Cow::Owned(masked) = masking.apply(written) {
            self.bytes.truncate(begin);
            self.bytes.extend_from_slice(masked.as_bytes());
        }
        let length = u32::try_from(self.bytes.len() - begin).unwrap_or_default();
        self.bytes[length_at..begin].copy_from_slice(&length.to_le_bytes());
    }

    fn limit(&self, name: &str) -> usize {
        match name {
            MESSAGE | STACK_TRACE => self.limits.message_bytes,
            _ => self.limits.value_bytes,
        }
    }

    fn cut<'a>(&mut self, text: &'a str, limit: usize) -> &'a str {
        if text.len() <= limit {
            return text;
        }
        self.truncated += 1;
        cut(text, limit)
    }
}

/// A text as long as a message may be.
const STACK_TRACE: &str = "exception.stacktrace";

/// Takes text up to a limit, and ends the formatting of what is longer.
struct Bounded<'a> {
    bytes: &'a mut Vec<u8>,
    room: usize,
    is_full: bool,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = cut(text, self.room);
        self.bytes.extend_from_slice(fits.as_bytes());
        self.room -= fits.len();
        self.is_full = fits.len() < text.len();
        match self.is_full {
            true => Err(fmt::Error),
            false => Ok(()),
        }
    }
}

/// As much of a text as fits in `limit` bytes, cut at a character.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The fields in the order in which they were written.
pub(crate) fn read(mut bytes: &[u8]) -> impl Iterator<Item = (&str, Value<'_>)> {
    std::iter::from_fn(move || {
        let (field, rest) = split(bytes)?;
        bytes = rest;
        Some(field)
    })
}

/// Puts the fields `newer` in the place of those of the same names in `older`.
pub(crate) fn overlay(older: &mut Vec<u8>, newer: &[u8]) {
    let is_replaced = |name: &str| read(newer).any(|(newer, _)| newer == name);
    if read(older).any(|(name, _)| is_replaced(name)) {
        let mut kept = Vec::with_capacity(older.len() + newer.len());
        let mut rest = older.as_slice();
        while let Some(((name, _), after)) = split(rest) {
            if !is_replaced(name) {
                kept.extend_from_slice(&rest[..rest.len() - after.len()]);
            }
            rest = after;
        }
        *older = kept;
    }
    older.extend_from_slice(newer);
}

/// The names alone, without a look at the values.
pub(crate) fn names(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let (tag, rest) = rest.split_first()?;
        let value = match *tag {
            TEXT => {
                let (length, _) = rest.split_first_chunk()?;
                4 + u32::from_le_bytes(*length) as usize
            }
            _ => 8,
        };
        bytes = rest.get(value..)?;
        Some(name)
    })
}

fn split(bytes: &[u8]) -> Option<((&str, Value<'_>), &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    let (tag, rest) = rest.split_first()?;
    let name = str::from_utf8(name).ok()?;
    if *tag == TEXT {
        let (length, rest) = rest.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        return Some(((name, Value::Text(str::from_utf8(text).ok()?)), rest));
    }
    let (number, rest) = rest.split_first_chunk()?;
    let bits = u64::from_le_bytes(*number);
    let value = match *tag {
        INTEGER => Value::Integer(bits.cast_signed()),
        FLOAT => Value::Float(f64::from_bits(bits)),
        _ => Value::Boolean(bits != 0),
    };
    Some(((name, value), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn composed(limits: Limits, compose: impl FnOnce(&mut Fields)) -> (Vec<u8>, u64) {
        Fields::compose(limits, |fields| {
            compose(fields);
            (fields.as_bytes().to_vec(), fields.truncated())
        })
    }

    #[test]
    fn a_value_beyond_its_limit_is_cut_at_a_character_and_counted() {
        let limits = Limits {
            value_bytes: 5,
            ..Limits::default()
        };
        let (bytes, truncated) = composed(limits, |fields| {
            fields.text("plain", "naïve bayes");
            fields.display("shown", format_args!("{}{}", "ab", "cd€€"));
        });
        let fields: Vec<_> = read(&bytes).collect();
        assert_eq!(
            fields,
            [
                ("plain", Value::Text("naïv")),
                ("shown", Value::Text("abcd"))
            ]
        );
        assert_eq!(truncated, 2);
    }

    #[test]
    fn fields_beyond_the_allowed_number_are_counted_and_the_message_is_none_of_them() {
        let limits = Limits {
            fields: 1,
            ..Limits::default()
        };
        let (bytes, truncated) = composed(limits, |fields| {
            fields.integer("kept", 1);
            fields.integer("lost", 2);
            fields.message("said");
        });
        let names: Vec<_> = read(&bytes).map(|(name, _)| name).collect();
        assert_eq!(names, ["kept", MESSAGE]);
        assert_eq!(truncated, 1);
    }

    #[test]
    fn a_record_composed_within_another_does_not_disturb_it() {
        struct Nested;
        impl fmt::Display for Nested {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let inner = composed(Limits::default(), |fields| fields.integer("inner", 1));
                write!(f, "{}", read(&inner.0).count())
            }
        }
        let (bytes, _) = composed(Limits::default(), |fields| {
            fields.boolean("before", true);
            fields.display("nested", Nested);
        });
        let fields: Vec<_> = read(&bytes).collect();
        assert_eq!(
            fields,
            [
                ("before", Value::Boolean(true)),
                ("nested", Value::Text("1"))
            ]
        );
    }

    #[test]
    fn a_later_value_takes_the_place_of_an_earlier_one_of_the_same_name() {
        let row = |compose: &dyn Fn(&mut Fields)| composed(Limits::default(), compose).0;
        let mut fields = row(&|fields| {
            fields.integer("same", 1);
            fields.word("other", "stays");
        });
        overlay(&mut fields, &row(&|fields| fields.word("same", "two")));
        overlay(&mut fields, &row(&|fields| fields.boolean("new", true)));
        let expected = [
            ("other", Value::Text("stays")),
            ("same", Value::Text("two")),
            ("new", Value::Boolean(true)),
        ];
        assert!(read(&fields).eq(expected));
    }

    #[test]
    fn a_secret_is_masked_whatever_its_kind() {
        let (bytes, _) = composed(Limits::default(), |fields| {
            fields.text("password", "hunter2");
            fields.integer("pin", 1234);
            fields.display("api_key", "k-1");
        });
        assert!(read(&bytes).all(|(_, value)| value == Value::Text(redaction::MASK)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            integer: i64, float: f64, boolean: bool, name in "[a-z.]{1,40}x", text in "[a-z ]{0,99}",
        ) {
            let (bytes, truncated) = composed(Limits::default(), |fields| {
                fields.integer(&name, integer);
                fields.float(&name, float);
                fields.boolean(&name, boolean);
                fields.word(&name, &text);
            });
            let expected = if redaction::is_secret_name(&name) {
                vec![Value::Text(redaction::MASK); 3]
            } else {
                vec![Value::Integer(integer), Value::Float(float), Value::Boolean(boolean)]
            };
            let mut fields = read(&bytes);
            for value in expected.into_iter().chain([Value::Text(&text)]) {
                prop_assert_eq!(fields.next(), Some((name.as_str(), value)));
            }
            prop_assert_eq!(fields.next(), None);
            prop_assert_eq!(truncated, 0);
        }
    }
}
