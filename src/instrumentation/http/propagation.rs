//! W3C Trace Context, strictly: what is malformed is as if it were not there.
//!
//! The work done for a request is bounded whatever its headers hold: a `traceparent` is judged by
//! its length first, and reading `tracestate` stops at 512 bytes.

use crate::{
    context::TraceContext,
    ids::{SpanContext, SpanId, TraceId},
    pipeline::Settings,
};
use ::http::{HeaderMap, HeaderName, HeaderValue};

// Parsed once, not at each look.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Version 00 is exactly this long.
const TRACEPARENT_LENGTH: usize = 55;
const STATE_MEMBERS: usize = 32;
const STATE_BYTES: usize = 512;

/// The caller's trace with a span of our own, and the caller's span; or a new trace.
pub(super) fn extract(headers: &HeaderMap, settings: &Settings) -> (TraceContext, Option<SpanId>) {
    let sampling = settings.sampling;
    let caller = caller(headers).filter(|_| settings.propagates);
    match caller {
        Some(caller) => {
            let trace = TraceContext {
                trace_id: caller.trace_id,
                span_id: SpanId::random(),
                sampled: sampling.continues(caller.trace_id, caller.is_sampled),
                state: state(headers).map(Box::new),
            };
            (trace, Some(caller.span_id))
        }
        None => {
            let trace_id = TraceId::random();
            let trace = TraceContext {
                trace_id,
                span_id: SpanId::random(),
                sampled: sampling.begins(trace_id),
                state: None,
            };
            (trace, None)
        }
    }
}

/// Sends a trace along, in place of any that is there.
pub(super) fn inject(trace: &TraceContext, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_bytes(&traceparent(trace.span())) {
        headers.insert(&TRACEPARENT, value);
    }
    match trace.tracestate() {
        Some(state) => headers.insert(&TRACESTATE, state.clone()),
        None => headers.remove(&TRACESTATE),
    };
}

/// Digit by digit: each call to another service has one, and the machinery of formatting takes longer
/// than all else that is done for it.
fn traceparent(span: SpanContext) -> [u8; TRACEPARENT_LENGTH] {
    fn put(digits: &mut [u8], bytes: &[u8]) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for (two, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            two[0] = HEX[usize::from(byte >> 4)];
            two[1] = HEX[usize::from(byte & 15)];
        }
    }
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    put(&mut text[3..35], &span.trace_id.to_bytes());
    put(&mut text[36..52], &span.span_id.to_bytes());
    put(&mut text[53..], &[span.flags()]);
    text
}

fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    let mut all = headers.get_all(&TRACEPARENT).iter();
    let one = all.next()?;
    // Two of them name two parents: neither is believed.
    match all.next() {
        None => parse_traceparent(one.as_bytes()),
        Some(_) => None,
    }
}

/// The caller's span, and whether it is recorded.
fn parse_traceparent(value: &[u8]) -> Option<SpanContext> {
    let (known, beyond) = value.split_at_checked(TRACEPARENT_LENGTH)?;
    let [b'-', b'-', b'-'] = [known[2], known[35], known[52]] else {
        return None;
    };
    let version = hex(&known[..2])?;
    match version {
        0 if !beyond.is_empty() => return None,
        // A later version may go on after a dash.
        _ if !matches!(beyond.first(), None | Some(b'-')) => return None,
        0xff => return None,
        _ => {}
    }
    Some(SpanContext {
        trace_id: TraceId::new(hex(&known[3..35])?)?,
        span_id: SpanId::new(hex(&known[36..52])? as u64)?,
        is_sampled: hex(&known[53..])? & 1 == 1,
    })
}

/// Lower-case hexadecimal digits, at most 32.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// The caller's `tracestate` lines as one value, or nothing when they are malformed or too long.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = headers.get_all(&TRACESTATE);
    let first = lines.iter().next()?;
    let mut bytes = 0;
    for (line, before) in lines.iter().zip(0..) {
        bytes += line.len() + usize::from(before > 0);
        if bytes > STATE_BYTES {
            return None;
        }
    }
    if bytes == first.len() {
        return is_state(first.as_bytes()).then(|| first.clone());
    }
    let mut joined = Vec::with_capacity(bytes);
    joined.extend_from_slice(first.as_bytes());
    for line in lines.iter().skip(1) {
        joined.push(b',');
        joined.extend_from_slice(line.as_bytes());
    }
    if !is_state(&joined) {
        return None;
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)).ok()
}

/// At most 32 members, each key once; empty members are allowed.
fn is_state(list: &[u8]) -> bool {
    let mut keys: [&[u8]; STATE_MEMBERS] = [&[]; STATE_MEMBERS];
    let mut members = 0;
    for member in list.split(|byte| *byte == b',') {
        let member = trim(member);
        if member.is_empty() {
            continue;
        }
        let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
            return false;
        };
        let (key, value) = (&member[..equals], &member[equals + 1..]);
        let is_new = members < STATE_MEMBERS && !keys[..members].contains(&key);
        if !is_new || !is_key(key) || !is_value(value) {
            return false;
        }
        keys[members] = key;
        members += 1;
    }
    members > 0
}

/// `tenant@system`, or a simple key.
fn is_key(key: &[u8]) -> bool {
    let is_part = |part: &[u8], most: usize, may_begin_with_digit: bool| {
        let begins = part.first().is_some_and(|first| {
            first.is_ascii_lowercase() || (may_begin_with_digit && first.is_ascii_digit())
        });
        begins
            && part.len() <= most
            && part.iter().all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || matches!(byte, b'_' | b'-' | b'*' | b'/')
            })
    };
    match key.iter().position(|byte| *byte == b'@') {
        Some(at) => is_part(&key[..at], 241, true) && is_part(&key[at + 1..], 14, false),
        None => is_part(key, 256, false),
    }
}

/// Printable ASCII without `,` and `=`; it does not end in a space.
fn is_value(value: &[u8]) -> bool {
    value.len() <= 256
        && value.last().is_some_and(|last| *last != b' ')
        && value
            .iter()
            .all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b',' | b'='))
}

fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().take_while(|byte| is_space(byte)).count();
    let end = text.iter().rev().take_while(|byte| is_space(byte)).count();
    text.get(start..text.len() - end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parse(value: &str) -> Option<SpanContext> {
        parse_traceparent(value.as_bytes())
    }

    #[test]
    fn a_traceparent_of_version_zero_is_exactly_55_bytes_of_lower_case_hex() {
        let caller = parse(GOOD).unwrap();
        assert_eq!(
            caller.trace_id.to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(caller.span_id.to_string(), "b7ad6b7169203331");
        assert!(caller.is_sampled);
        assert!(!parse(&GOOD.replace("-01", "-02")).unwrap().is_sampled);
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-"),
            &format!("{GOOD}-00"),
            &format!("{GOOD} "),
            &GOOD.to_uppercase(),
            &GOOD.replace("00-", "ff-"),
            &GOOD.replace("00-", "0g-"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("-b7", "+b7"),
            &GOOD.replace("-01", "-0x"),
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_later_version_may_go_on_after_a_dash() {
        let later = GOOD.replace("00-", "cc-");
        assert!(parse(&later).is_some());
        assert!(parse(&format!("{later}-what-the-future-brings")).is_some());
        assert!(parse(&format!("{later}.what")).is_none());
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(&TRACEPARENT, GOOD.parse().unwrap());
        for line in lines {
            headers.append(&TRACESTATE, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn two_parents_are_none() {
        let mut twice = headers(&[]);
        assert!(caller(&twice).is_some());
        twice.append(&TRACEPARENT, GOOD.parse().unwrap());
        assert!(caller(&twice).is_none());
    }

    #[test]
    fn a_tracestate_over_several_lines_is_one_list() {
        let state = |lines: &[&str]| {
            let value = state(&headers(lines))?;
            Some(value.to_str().unwrap().to_owned())
        };
        assert_eq!(state(&["a=1"]).as_deref(), Some("a=1"));
        assert_eq!(state(&["a=1,b=2", "c=3"]).as_deref(), Some("a=1,b=2,c=3"));
        assert_eq!(state(&["a=1, ,t@v=x y"]).as_deref(), Some("a=1, ,t@v=x y"));
        let (full, too_full) = (members(32), members(33));
        assert!(state(&[&full]).is_some());
        for bad in [
            "",
            "a",
            "a=",
            "A=1",
            "a=1,a=2",
            "a=b=c",
            "1a=x",
            "a=x\u{7f}",
            &too_full,
        ] {
            if bad.parse::<HeaderValue>().is_ok() {
                assert_eq!(state(&[bad]), None, "{bad}");
            }
        }
        let long = format!("a={}", "x".repeat(250));
        assert!(state(&[&long, "b=1"]).is_some());
        assert_eq!(state(&[&long, &long.replace('a', "b"), "c=12345678"]), None);
    }

    fn members(count: usize) -> String {
        let members: Vec<String> = (0..count).map(|n| format!("k{n}=v")).collect();
        members.join(",")
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_what_is_written_again(
            trace in 1_u128.., span in 1_u64.., sampled: bool
        ) {
            let value = format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(sampled));
            let caller = parse(&value).unwrap();
            prop_assert_eq!(caller.trace_id.to_bytes(), trace.to_be_bytes());
            prop_assert_eq!(caller.span_id.to_bytes(), span.to_be_bytes());
            prop_assert_eq!(caller.is_sampled, sampled);
            prop_assert_eq!(&traceparent(caller)[..], value.as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_traceparent(&bytes);
            let _ = is_state(&bytes);
        }
    }
}
