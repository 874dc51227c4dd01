//! One event as one line of bytes.

use super::escape;
use crate::{
    ids::SpanContext,
    records::{self, MESSAGE, Severity, Value},
};
use std::{
    cell::Cell,
    fmt,
    io::Write as _,
    time::{Duration, SystemTime},
};

/// What a line says.
pub(super) struct Line<'a> {
    pub(super) at: SystemTime,
    pub(super) severity: Severity,
    pub(super) target: &'a str,
    pub(super) within: Option<SpanContext>,
    /// The message and the values, as a row of [`records`].
    pub(super) fields: &'a [u8],
}

/// The keys of every JSON line, which no field may take.
const KEYS: [&str; 7] = [
    "timestamp",
    "severity",
    "message",
    "target",
    "trace_id",
    "span_id",
    "service",
];

impl Line<'_> {
    /// As a JSON object. `service` is escaped already.
    pub(super) fn json(&self, service: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"timestamp":""#);
        time(self.at, out);
        out.extend_from_slice(br#"","severity":""#);
        out.extend_from_slice(self.severity.text().as_bytes());
        out.extend_from_slice(br#"","message":""#);
        if let Some(Value::Text(message)) = self.message() {
            escape::json(message, out);
        }
        out.extend_from_slice(br#"","target":""#);
        escape::json(self.target, out);
        if let Some(span) = self.within {
            out.extend_from_slice(br#"","trace_id":""#);
            escape::hex(&span.trace_id.to_bytes(), out);
            out.extend_from_slice(br#"","span_id":""#);
            escape::hex(&span.span_id.to_bytes(), out);
        }
        out.extend_from_slice(br#"","service":""#);
        out.extend_from_slice(service);
        out.push(b'"');
        let mut named = Named::default();
        for (name, value) in records::read(self.fields) {
            if name == MESSAGE || named.is_repeated(name, self.fields) {
                continue;
            }
            out.extend_from_slice(br#",""#);
            if KEYS.contains(&name) {
                out.extend_from_slice(b"field.");
            }
            escape::json(name, out);
            out.extend_from_slice(br#"":"#);
            json_value(value, out);
        }
        out.extend_from_slice(b"}\n");
    }

    /// As people read it.
    pub(super) fn human(&self, is_coloured: bool, out: &mut Vec<u8>) {
        let paint = |out: &mut Vec<u8>, colour: &str| {
            if is_coloured {
                out.extend_from_slice(colour.as_bytes());
            }
        };
        paint(out, DIM);
        time(self.at, out);
        paint(out, RESET);
        out.push(b' ');
        paint(out, colour(self.severity));
        show(format_args!("{:>8}", self.severity), out);
        paint(out, RESET);
        out.push(b' ');
        paint(out, DIM);
        escape::line(self.target, out);
        out.push(b':');
        paint(out, RESET);
        if let Some(Value::Text(message)) = self.message() {
            out.push(b' ');
            escape::line(message, out);
        }
        let mut named = Named::default();
        for (name, value) in records::read(self.fields) {
            if name == MESSAGE || named.is_repeated(name, self.fields) {
                continue;
            }
            out.push(b' ');
            paint(out, DIM);
            escape::line(name, out);
            out.push(b'=');
            paint(out, RESET);
            human_value(value, out);
        }
        if let Some(span) = self.within {
            out.push(b' ');
            paint(out, DIM);
            out.extend_from_slice(b"trace=");
            escape::hex(&span.trace_id.to_bytes()[..SHORT_TRACE], out);
            paint(out, RESET);
        }
        out.push(b'\n');
    }

    fn message(&self) -> Option<Value<'_>> {
        let mut fields = records::read(self.fields);
        fields.find(|(name, _)| *name == MESSAGE).map(|(_, v)| v)
    }
}

/// Bytes of the trace id in a line that people read; the JSON line has it whole.
const SHORT_TRACE: usize = 4;
const RESET: &str = "\u{1b}[0m";
const DIM: &str = "\u{1b}[2m";

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Trace => "\u{1b}[35m",
        Severity::Debug => "\u{1b}[34m",
        Severity::Info => "\u{1b}[32m",
        Severity::Warn => "\u{1b}[33m",
        Severity::Error => "\u{1b}[31m",
        // White on red.
        Severity::Critical => "\u{1b}[1;97;41m",
    }
}

fn json_value(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Integer(value) => integer(value, out),
        Value::Float(value) if value.is_finite() => show(format_args!("{value:?}"), out),
        // JSON has no such numbers.
        Value::Float(value) => show(format_args!("\"{value}\""), out),
        Value::Boolean(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Value::Text(text) => {
            out.push(b'"');
            escape::json(text, out);
            out.push(b'"');
        }
    }
}

fn human_value(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Integer(value) => integer(value, out),
        Value::Float(value) => show(format_args!("{value:?}"), out),
        Value::Boolean(value) => show(format_args!("{value}"), out),
        // Quoted where it would run into the next field.
        Value::Text(text) if text.is_empty() || text.contains([' ', '=', '"']) => {
            out.push(b'"');
            escape::json(text, out);
            out.push(b'"');
        }
        Value::Text(text) => escape::line(text, out),
    }
}

fn show(value: fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // An error: there is none in writing to memory.
    let _ = out.write_fmt(value);
}

fn integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Finds names that come twice, of which the first counts, at the cost of a few bits.
#[derive(Default)]
struct Named {
    seen: u64,
    fields: usize,
}

impl Named {
    fn is_repeated(&mut self, name: &str, row: &[u8]) -> bool {
        let (first, last) = (name.as_bytes().first(), name.as_bytes().last());
        let bytes = [first, last].map(|byte| byte.copied().map_or(0, usize::from));
        let bit = 1 << ((name.len() * 31 + bytes[0] * 7 + bytes[1]) % 64);
        let is_perhaps = self.seen & bit != 0;
        let before = self.fields;
        self.seen |= bit;
        self.fields += 1;
        is_perhaps
            && records::read(row)
                .filter(|(name, _)| *name != MESSAGE)
                .take(before)
                .any(|(earlier, _)| earlier == name)
    }
}

/// RFC 3339 in microseconds and UTC. All but the microseconds stay for a second.
fn time(at: SystemTime, out: &mut Vec<u8>) {
    const SECONDS: usize = "1970-01-01T00:00:00".len();
    thread_local! {
        static KEPT: Cell<(u64, [u8; SECONDS])> = const { Cell::new((u64::MAX, [0; SECONDS])) };
    }
    // A wall clock before 1970 counts as 1970, and one beyond the last year that has four digits
    // as its end.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let since_1970 = at.duration_since(SystemTime::UNIX_EPOCH);
    let since_1970 = since_1970.unwrap_or_default().min(LAST);
    let seconds = since_1970.as_secs();
    let (kept, mut text) = KEPT.try_with(Cell::get).unwrap_or((u64::MAX, [0; SECONDS]));
    if kept != seconds {
        let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        // An error: it is as long as the room for it.
        let _ = write!(
            &mut text[..],
            "{}",
            humantime::format_rfc3339_seconds(whole)
        );
        let _ = KEPT.try_with(|kept| kept.set((seconds, text)));
    }
    out.extend_from_slice(&text);
    let mut micros = since_1970.subsec_micros();
    let mut digits = *b".000000Z";
    for digit in digits[1..7].iter_mut().rev() {
        *digit += (micros % 10) as u8;
        micros /= 10;
    }
    out.extend_from_slice(&digits);
}
