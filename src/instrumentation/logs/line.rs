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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{SpanId, TraceId},
        records::{Fields, Limits},
        redaction,
    };
    use proptest::prelude::*;

    fn line(compose: impl FnOnce(&mut Fields), print: impl FnOnce(&Line<'_>)) {
        Fields::compose(Limits::default(), |fields| {
            compose(fields);
            print(&Line {
                at: SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_457_045_123_456),
                severity: Severity::Critical,
                target: "orders::checkout",
                within: Some(SpanContext {
                    trace_id: TraceId::new(0x4bf9_2f35 << 96 | 1).unwrap(),
                    span_id: SpanId::new(0xf0_67aa).unwrap(),
                    is_sampled: true,
                }),
                fields: fields.as_bytes(),
            });
        });
    }

    fn json(compose: impl FnOnce(&mut Fields)) -> String {
        let mut out = Vec::new();
        line(compose, |line| line.json(b"orders", &mut out));
        String::from_utf8(out).unwrap()
    }

    fn human(is_coloured: bool, compose: impl FnOnce(&mut Fields)) -> String {
        let mut out = Vec::new();
        line(compose, |line| line.human(is_coloured, &mut out));
        String::from_utf8(out).unwrap()
    }

    fn parsed(line: &str) -> serde_json::Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[test]
    fn a_line_of_json_has_the_keys_of_the_contract_in_their_order() {
        let line = json(|fields| {
            fields.integer("order_id", 1024);
            fields.message("payment captured twice");
            fields.word("http.route", "/orders/{id}");
        });
        let expected = concat!(
            r#"{"timestamp":"2026-11-23T18:04:05.123456Z","severity":"CRITICAL","#,
            r#""message":"payment captured twice","target":"orders::checkout","#,
            r#""trace_id":"4bf92f35000000000000000000000001","span_id":"0000000000f067aa","#,
            r#""service":"orders","order_id":1024,"http.route":"/orders/{id}"}"#,
            "\n",
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn a_field_takes_no_key_of_the_contract_and_the_first_of_a_name_counts() {
        let line = parsed(&json(|fields| {
            fields.text("severity", "harmless");
            fields.text("trace_id", "forged");
            fields.integer("same", 1);
            fields.integer("sbme", 2);
            fields.integer("same", 3);
        }));
        assert_eq!(line["severity"], "CRITICAL");
        assert_eq!(line["field.severity"], "harmless");
        assert_eq!(line["trace_id"], "4bf92f35000000000000000000000001");
        assert_eq!((&line["same"], &line["sbme"]), (&1.into(), &2.into()));
    }

    #[test]
    fn numbers_that_json_has_not_are_text() {
        let line = parsed(&json(|fields| {
            fields.float("nan", f64::NAN);
            fields.float("infinite", f64::NEG_INFINITY);
            fields.float("large", 1e300);
            fields.float("whole", 2.0);
            fields.boolean("is_paid", true);
        }));
        assert_eq!(
            (&line["nan"], &line["infinite"]),
            (&"NaN".into(), &"-inf".into())
        );
        assert_eq!(
            (&line["large"], &line["whole"]),
            (&1e300.into(), &2.0.into())
        );
        assert_eq!(line["is_paid"], true);
    }

    #[test]
    fn a_line_for_people_says_the_same_on_one_line() {
        let compose = |fields: &mut Fields| {
            fields.message("payment\u{1b}[2J captured\ntwice \u{202e}");
            fields.text("city", "Graz an der Mur");
            fields.integer("order_id", 1024);
            fields.text("how", "card");
        };
        let expected = concat!(
            "2026-11-23T18:04:05.123456Z CRITICAL orders::checkout: payment\\u001b[2J captured",
            "\\ntwice \\u202e city=\"Graz an der Mur\" order_id=1024 how=card trace=4bf92f35\n",
        );
        assert_eq!(human(false, compose), expected);
        let coloured = human(true, compose);
        assert!(coloured.contains("\u{1b}[1;97;41mCRITICAL\u{1b}[0m"));
        assert!(!coloured.contains("\u{1b}[2J"));
    }

    #[test]
    fn time_has_six_digits_and_four_of_the_year_whatever_the_clock_says() {
        let printed = |at| {
            let mut out = Vec::new();
            time(at, &mut out);
            String::from_utf8(out).unwrap()
        };
        let epoch = SystemTime::UNIX_EPOCH;
        let first = "1970-01-01T00:00:00.000000Z";
        assert_eq!(printed(epoch), first);
        assert_eq!(printed(epoch - Duration::from_secs(60)), first);
        let last = epoch + Duration::from_secs(300_000_000_000);
        assert_eq!(printed(last), "9999-12-31T23:59:59.000000Z");
        let one = epoch + Duration::from_nanos(1_999);
        assert_eq!(printed(one), "1970-01-01T00:00:00.000001Z");
    }

    fn hostile() -> impl Strategy<Value = String> {
        let acting = prop_oneof![
            Just("\0"),
            Just("\r\n"),
            Just("\u{1b}[31m"),
            Just("\u{7f}"),
            Just("\u{9b}"),
            Just("\u{2028}"),
            Just("\u{202e}"),
            Just("\u{2067}"),
            Just("\u{61c}"),
            Just("\""),
            Just("\\"),
            Just("\u{feff}"),
            Just("é"),
            Just("☕"),
            Just("𝄞"),
        ];
        let part = prop_oneof![acting.prop_map(str::to_owned), ".{0,4}"];
        proptest::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn whatever_is_logged_is_one_line_that_says_it(
            message in hostile(), value in hostile(), name in hostile(),
        ) {
            let compose = |fields: &mut Fields| {
                fields.message(&message);
                fields.word(&format!("x{name}"), &value);
            };
            let line = json(compose);
            let body = line.strip_suffix('\n').unwrap();
            let turns = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}');
            let acts = |c: char| {
                let isolates = matches!(c, '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}');
                c.is_control() || turns(c) || isolates
            };
            prop_assert!(!body.chars().any(acts));
            let parsed = parsed(body);
            prop_assert_eq!(&parsed["message"], &*redaction::text(&message));
            prop_assert_eq!(&parsed[format!("x{name}")], &value);
            let line = human(false, compose);
            prop_assert!(!line.strip_suffix('\n').unwrap().chars().any(char::is_control));
        }
    }
}
