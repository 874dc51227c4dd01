//! Queries keep their keys and lose their values.

use super::{MASK, values};
use std::borrow::Cow;

/// A part without `=` is a key, unless it is too long for one.
const LONGEST_KEY: usize = 32;

/// Calls `mask` with where each value of a query stretches, up to where the query ends, which is
/// returned; none where `start`, behind a question mark, begins no query.
pub(super) fn values_of(
    bytes: &[u8],
    start: usize,
    mut mask: impl FnMut(usize, usize),
) -> Option<usize> {
    let is_key =
        |byte: u8| values::is_name(byte) || matches!(byte, b'%' | b'+' | b'~' | b'$' | b'&' | b'!');
    let first = values::until(bytes, start, |byte| !is_key(byte));
    if first == start || bytes.get(first) != Some(&b'=') {
        return None;
    }
    let mut at = start;
    loop {
        let key_end = values::until(bytes, at, |byte| !is_key(byte) || byte == b'&');
        let end = match bytes.get(key_end) {
            Some(b'=') => {
                let end = values::of_parameter(bytes, key_end + 1);
                let is_token = is_padded(&bytes[at..key_end], &bytes[key_end + 1..end]);
                mask(if is_token { at } else { key_end + 1 }, end);
                end
            }
            _ => {
                let end = values::of_parameter(bytes, at);
                if end - at > LONGEST_KEY || end > key_end {
                    mask(at, end);
                }
                end
            }
        };
        if bytes.get(end) != Some(&b'&') {
            return Some(end);
        }
        at = end + 1;
    }
}

/// What only looks like a key without a value: a token in base64, which ends in `=`.
fn is_padded(key: &[u8], value: &[u8]) -> bool {
    key.len() > LONGEST_KEY && value.iter().all(|byte| *byte == b'=')
}

/// A query that is known to be one, to its end, whatever it consists of.
pub(super) fn parameters(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    for part in text.split_inclusive(['?', '#', '&']) {
        let (body, delimiter) = match part.as_bytes().last() {
            Some(b'?' | b'#' | b'&') => part.split_at(part.len() - 1),
            _ => (part, ""),
        };
        match body.split_once('=') {
            Some((key, value)) if is_padded(key.as_bytes(), value.as_bytes()) => {
                out.extend([MASK, delimiter]);
            }
            Some((key, value)) if !value.is_empty() => out.extend([key, "=", MASK, delimiter]),
            None if body.len() > LONGEST_KEY => out.extend([MASK, delimiter]),
            _ => out.push_str(part),
        }
    }
    if out == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(out)
    }
}
