//! How far a value reaches that has to go. In doubt further: what is left of a secret is a leak,
//! what is lost of a sentence is an inconvenience.

use super::names::LONGEST;

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What a name may consist of in free text.
pub(super) fn is_name(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'-' | b'.' | b'[' | b']')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

/// The first place at or after `from` where `is_end` holds, or the end of the text.
pub(super) fn until(bytes: &[u8], from: usize, is_end: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest
        .iter()
        .position(|byte| is_end(*byte))
        .unwrap_or(rest.len())
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    until(bytes, from, |byte| matches!(byte, b'\n' | b'\r'))
}

/// From where to where the value stretches that begins at `start`, behind the secret name `name`
/// and its separator.
pub(super) fn of_pair(bytes: &[u8], start: usize, name: &str) -> (usize, usize) {
    if let Some(quoted) = quoted(bytes, start) {
        return quoted;
    }
    let rest = super::credentials::private_key(bytes, start).unwrap_or(start);
    let names = |stem: &[u8]| {
        let mut windows = name.as_bytes().windows(stem.len());
        windows.any(|part| part.eq_ignore_ascii_case(stem))
    };
    let end = if names(b"passphrase") {
        line_end(bytes, rest)
    } else if names(b"cookie") {
        cookies(bytes, rest)
    } else if rest > start {
        rest
    } else {
        let scheme_end = until(bytes, start, |byte| !is_name(byte));
        let after_scheme = until(bytes, scheme_end, |byte| byte != b' ');
        match bytes.get(start..scheme_end).unwrap_or_default() {
            [] => plain(bytes, start),
            // A list of parameters.
            digest if digest.eq_ignore_ascii_case(b"digest") => line_end(bytes, start),
            scheme if after_scheme > scheme_end && is_scheme(scheme) => plain(bytes, after_scheme),
            _ => plain(bytes, start),
        }
    };
    (start, end)
}

fn is_scheme(word: &[u8]) -> bool {
    let schemes: [&[u8]; 5] = [b"bearer", b"basic", b"negotiate", b"token", b"apikey"];
    schemes
        .iter()
        .any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// What stands between quotes, which may be escaped themselves, as JSON within JSON is.
fn quoted(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let escaped = until(bytes, start, |byte| byte != b'\\');
    // `b"…"`, as byte strings are shown.
    let opening = match bytes.get(escaped..)? {
        [b'b' | b'c' | b'r' | b'B' | b'C' | b'R', b'"', ..] => escaped + 1,
        _ => escaped,
    };
    let quote = *bytes.get(opening)?;
    if !is_quote(quote) {
        return None;
    }
    let from = opening + 1;
    Some((from, closing(bytes, from, quote, escaped - start)))
}

/// The closing quote (or the backslashes that belong to it): behind as many backslashes as the
/// opening one, or an even number where that had none.
fn closing(bytes: &[u8], from: usize, quote: u8, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        if *byte == quote && (backslashes <= escapes || (escapes == 0 && backslashes % 2 == 0)) {
            return match escapes {
                0 => at,
                _ => at - backslashes,
            };
        }
        backslashes = if *byte == b'\\' { backslashes + 1 } else { 0 };
    }
    bytes.len()
}

/// `a=b; c=d`: on as long as a semicolon promises more.
fn cookies(bytes: &[u8], start: usize) -> usize {
    let mut end = plain_to(bytes, start, |byte| byte == b'"');
    while end > start && bytes[end - 1] == b';' && bytes.get(end) == Some(&b' ') {
        let next = plain_to(bytes, end + 1, |byte| byte == b'"');
        if next == end + 1 {
            break;
        }
        end = next;
    }
    end
}

fn plain_to(bytes: &[u8], from: usize, is_end: impl Fn(u8) -> bool) -> usize {
    until(bytes, from, |byte| byte <= b' ' || is_end(byte))
}

/// An unquoted value: to white space, or to a delimiter that something else follows. Brackets
/// that open in it are taken whole, as in `Some("a b")` and `Login { user: "a", key: "b" }`.
pub(super) fn plain(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'(' | b'[' | b'{' => at = behind_brackets(bytes, at),
            b' ' if bytes.get(at + 1) == Some(&b'{')
                && at > start
                && is_type(&bytes[start..at]) =>
            {
                at = behind_brackets(bytes, at + 1);
            }
            0..=b' ' | b'<' => return at,
            b'\\' if bytes.get(at + 1).is_some_and(|next| is_quote(*next)) => return at,
            b',' | b';' | b'&' if is_name_ahead(bytes, at + 1) => return at,
            b',' | b';' | b'&' | b')' | b']' | b'}' | b'>' | b'|' | b'"' | b'\'' | b'`'
                if is_end_ahead(bytes, at + 1) =>
            {
                return at;
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A value of a query: to the next parameter, or to what ends a URL in a text.
pub(super) fn of_parameter(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            0..=b' ' | b'"' | b'<' | b'>' | b'`' | b'\\' | b'&' | b'#' => return at,
            b'\'' | b')' | b']' | b'}' | b',' | b';' if is_end_ahead(bytes, at + 1) => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_type(word: &[u8]) -> bool {
    word.iter().all(|byte| is_word(*byte) || *byte == b':')
}

/// Behind the bracket that closes the one at `open`, or the end of the text.
fn behind_brackets(bytes: &[u8], open: usize) -> usize {
    let (mut depth, mut at) = (0_usize, open);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'"' => at = closing(bytes, at + 1, b'"', 0),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// How far ahead a delimiter is looked at: nobody writes more punctuation in a row.
const AHEAD: usize = 8;

/// Whether nothing but punctuation stands before the next white space or quote.
fn is_end_ahead(bytes: &[u8], from: usize) -> bool {
    let ahead = bytes[from..].iter().take(AHEAD);
    for byte in ahead {
        match byte {
            0..=b' ' | b'"' | b'\'' | b'`' | b'\\' | b'<' => return true,
            byte if is_word(*byte) || *byte >= 0x80 || *byte == b'*' => return false,
            _ => {}
        }
    }
    true
}

/// Whether `name=` or `name:` follows, so that a list goes on.
fn is_name_ahead(bytes: &[u8], from: usize) -> bool {
    let name = bytes[from..]
        .iter()
        .take(LONGEST)
        .take_while(|byte| is_name(**byte));
    let len = name.count();
    len > 0 && matches!(bytes.get(from + len), Some(b'=' | b':'))
}
