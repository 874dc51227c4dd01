//! Log records, events and errors, as messages `LogRecord`.

use super::{
    attributes::{any_value, attribute},
    wire::{self, FIXED32, VARINT, tag},
};
use crate::{
    clock::Anchor,
    records::{Log, MESSAGE, read},
};

/// The fields of `LogRecord`.
const TIME: u8 = 1;
const SEVERITY_NUMBER: u8 = 2;
const SEVERITY_TEXT: u8 = 3;
const BODY: u8 = 5;
const ATTRIBUTES: u8 = 6;
const FLAGS: u8 = 8;
const TRACE_ID: u8 = 9;
const SPAN_ID: u8 = 10;
const OBSERVED_TIME: u8 = 11;
const EVENT_NAME: u8 = 12;

/// A log record; of two messages the later one counts, as it does for whoever decodes both.
pub(super) fn log(log: &Log, fields: &[u8], anchor: &Anchor, out: &mut Vec<u8>) {
    let at = anchor.unix_nanos(log.at);
    wire::fixed64(out, TIME, at);
    wire::fixed64(out, OBSERVED_TIME, at);
    out.extend_from_slice(&[tag(SEVERITY_NUMBER, VARINT), log.severity.number()]);
    wire::text(out, SEVERITY_TEXT, log.severity.text());
    if let Some(context) = log.context {
        out.push(tag(FLAGS, FIXED32));
        out.extend_from_slice(&u32::from(context.flags()).to_le_bytes());
        wire::short(out, TRACE_ID, context.trace_id.to_bytes());
        wire::short(out, SPAN_ID, context.span_id.to_bytes());
    }
    wire::text(out, EVENT_NAME, &log.event_name);
    for (name, value) in read(fields) {
        match name {
            MESSAGE => any_value(out, BODY, value),
            name => attribute(out, ATTRIBUTES, name, value),
        }
    }
}
