//! Attributes: messages `KeyValue` in a repeated field whose number depends on what they stand on.

use super::wire::{self, LENGTH, ONE_BYTE, VARINT, field_length, tag};
use crate::records::Value;

/// The fields of `KeyValue`.
const KEY: u8 = 1;
const VALUE: u8 = 2;
/// The fields of `AnyValue`.
const TEXT: u8 = 1;
const BOOLEAN: u8 = 2;
const INTEGER: u8 = 3;
const FLOAT: u8 = 4;

/// Writes an attribute into field `on` of the message under way.
// Inlined wherever a name is known, so that it is copied as words and not by a call.
#[inline(always)]
pub(super) fn attribute(out: &mut Vec<u8>, on: u8, name: &str, value: Value<'_>) {
    let length = length(value);
    // The heads of the attribute, of its name and of its value.
    let whole = 2 + name.len() + 2 + length;
    if whole > ONE_BYTE {
        return long_attribute(out, on, name, value);
    }
    // As nearly all are: every length takes one byte.
    let head = [
        tag(on, LENGTH),
        whole as u8,
        tag(KEY, LENGTH),
        name.len() as u8,
    ];
    out.extend_from_slice(&head);
    out.extend_from_slice(name.as_bytes());
    let head = [tag(VALUE, LENGTH), length as u8];
    match value {
        Value::Text(text) => {
            let of_text = [head[0], head[1], tag(TEXT, LENGTH), text.len() as u8];
            out.extend_from_slice(&of_text);
            out.extend_from_slice(text.as_bytes());
        }
        value => {
            out.extend_from_slice(&head);
            contents(out, value);
        }
    }
}

#[inline(never)]
fn long_attribute(out: &mut Vec<u8>, on: u8, name: &str, value: Value<'_>) {
    let length = length(value);
    wire::head(out, on, field_length(name.len()) + field_length(length));
    wire::bytes(out, KEY, name.as_bytes());
    wire::head(out, VALUE, length);
    contents(out, value);
}

/// Writes a value that is a field of its own, as a log record's body.
pub(super) fn any_value(out: &mut Vec<u8>, field: u8, value: Value<'_>) {
    wire::head(out, field, length(value));
    contents(out, value);
}

/// A count as a value: beyond what OTLP's integers hold, the largest of them.
#[inline]
pub(super) fn count(count: u64) -> Value<'static> {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The bytes of the `AnyValue`.
#[inline]
fn length(value: Value<'_>) -> usize {
    match value {
        Value::Text(value) => field_length(value.len()),
        Value::Integer(value) => 1 + wire::varint_length(value.cast_unsigned()),
        Value::Float(_) => 9,
        Value::Boolean(_) => 2,
    }
}

/// An empty text, 0 and false are written too: without them there would be no value.
#[inline]
fn contents(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Text(value) => wire::bytes(out, TEXT, value.as_bytes()),
        Value::Integer(value) => {
            out.push(tag(INTEGER, VARINT));
            wire::varint(out, value.cast_unsigned());
        }
        Value::Float(value) => wire::fixed64(out, FLOAT, value.to_bits()),
        Value::Boolean(value) => {
            out.extend_from_slice(&[tag(BOOLEAN, VARINT), u8::from(value)]);
        }
    }
}
