//! Secrets that are known by their own shape, wherever they stand.

use super::values::{is_word, plain, until};

/// Keys by their prefix, with which byte of it is looked for, and how many bytes follow at least.
const PREFIXES: [(&[u8], usize, usize); 22] = [
    (b"sk_live_", 2, 6),
    (b"sk_test_", 2, 6),
    (b"rk_live_", 2, 6),
    (b"rk_test_", 2, 6),
    (b"whsec_", 5, 6),
    (b"shpat_", 5, 16),
    (b"ghp_", 3, 16),
    (b"gho_", 3, 16),
    (b"ghu_", 3, 16),
    (b"ghs_", 3, 16),
    (b"ghr_", 3, 16),
    (b"github_pat_", 6, 16),
    (b"xoxb-", 4, 8),
    (b"xoxp-", 4, 8),
    (b"xoxa-", 4, 8),
    (b"xoxr-", 4, 8),
    (b"xoxs-", 4, 8),
    (b"xapp-", 4, 8),
    (b"glpat-", 5, 8),
    (b"AKIA", 1, 16),
    (b"AIza", 2, 30),
    (b"ya29.", 2, 8),
];

fn is_base64url(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// Whether `word` stands at `at`, in any letter case.
fn is_at(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    let part = bytes.get(at..at + word.len());
    part.is_some_and(|part| part.eq_ignore_ascii_case(word))
}

/// A key with a known prefix, `at` being the byte of it that is looked for. `before` tells the
/// byte before a place.
pub(super) fn prefixed(
    bytes: &[u8],
    at: usize,
    before: impl Fn(usize) -> u8,
) -> Option<(usize, usize)> {
    let previous = bytes[at.checked_sub(1)?] | 0x20;
    let is_likely = match bytes[at] {
        b'k' | b'K' => previous == b'a',
        b'z' | b'Z' => previous == b'i',
        _ => previous.is_ascii_lowercase(),
    };
    if !is_likely {
        return None;
    }
    PREFIXES.iter().find_map(|(prefix, looked_for, fewest)| {
        let start = at.checked_sub(*looked_for)?;
        // The first letter rules out most, without a call.
        if bytes[start] | 0x20 != prefix[0] | 0x20 {
            return None;
        }
        if !is_at(bytes, start, prefix) || is_word(before(start)) {
            return None;
        }
        let body = start + prefix.len();
        let has_dots = prefix.ends_with(b".");
        let end = until(bytes, body, |byte| {
            !(is_base64url(byte) || has_dots && byte == b'.')
        });
        (end - body >= *fewest).then_some((start, end))
    })
}

/// A JSON web token, `at` being the `J` of its `eyJ`; cut off behind its second part, too. Else,
/// up to where no token can begin, so that nothing is read a third time.
pub(super) fn json_web_token(
    bytes: &[u8],
    at: usize,
    before: impl Fn(usize) -> u8,
) -> Result<(usize, usize), usize> {
    let Some(start) = at.checked_sub(2) else {
        return Err(0);
    };
    if !is_at(bytes, start, b"eyJ") || is_word(before(start)) {
        return Err(0);
    }
    let part_end = |from| until(bytes, from, |byte| !is_base64url(byte));
    let first = part_end(start);
    if bytes.get(first) != Some(&b'.') {
        return Err(first);
    }
    let mut end = part_end(first + 1);
    let is_token = is_at(bytes, first + 1, b"eyJ") || bytes.get(end) == Some(&b'.');
    if !is_token || end - start < 16 {
        return Err(first);
    }
    while bytes.get(end) == Some(&b'.')
        && bytes.get(end + 1).is_some_and(|next| is_base64url(*next))
    {
        end = part_end(end + 1);
    }
    Ok((start, end))
}

/// The end of a private key that begins at `at`: of its last line, or of the text.
pub(super) fn private_key(bytes: &[u8], at: usize) -> Option<usize> {
    const DASHES: &[u8] = b"-----";
    if !is_at(bytes, at, b"-----BEGIN ") {
        return None;
    }
    let label = bytes.get(at + DASHES.len()..)?;
    let label = &label[..label.len().min(64)];
    let label_end = label
        .windows(DASHES.len())
        .position(|part| part == DASHES)?;
    if !label[..label_end]
        .to_ascii_uppercase()
        .windows(11)
        .any(|part| part == b"PRIVATE KEY")
    {
        return None;
    }
    let body = at + DASHES.len() + label_end + DASHES.len();
    let last_line = (body..bytes.len()).find(|line| is_at(bytes, *line, b"-----END "));
    let Some(last_line) = last_line else {
        return Some(bytes.len());
    };
    let dashes = (last_line + DASHES.len()..bytes.len()).find(|dash| is_at(bytes, *dash, DASHES));
    // What is written on to its last line belongs to it.
    Some(dashes.map_or(bytes.len(), |dashes| plain(bytes, dashes + DASHES.len())))
}

/// What follows `Bearer` in prose.
const PROSE: [&[u8]; 22] = [
    b"token",
    b"tokens",
    b"auth",
    b"authentication",
    b"authorization",
    b"scheme",
    b"header",
    b"headers",
    b"credentials",
    b"of",
    b"is",
    b"was",
    b"and",
    b"or",
    b"for",
    b"in",
    b"not",
    b"the",
    b"required",
    b"missing",
    b"realm",
    b"challenge",
];

/// The credentials behind `Bearer` or `Basic`, whose first letter stands at `at`.
pub(super) fn behind_scheme(bytes: &[u8], at: usize, before: u8) -> Option<(usize, usize)> {
    if is_word(before) {
        return None;
    }
    let is_bearer = is_at(bytes, at, b"bearer");
    if !is_bearer && !is_at(bytes, at, b"basic") {
        return None;
    }
    let scheme_end = at
        + if is_bearer {
            b"bearer".len()
        } else {
            b"basic".len()
        };
    let start = until(bytes, scheme_end, |byte| byte != b' ');
    let is_part = |byte: u8| is_base64url(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=');
    let end = until(bytes, start, |byte| !is_part(byte));
    let word = bytes.get(start..end).unwrap_or_default();
    let is_prose = |word: &[u8]| {
        let word = word.strip_suffix(b".").unwrap_or(word);
        let word = word.split(|byte| *byte == b'=').next().unwrap_or_default();
        PROSE.iter().any(|known| word.eq_ignore_ascii_case(known))
    };
    let is_secret = match is_bearer {
        true => !is_prose(word),
        false => is_user_and_password(word),
    };
    (start > scheme_end && end > start && is_secret).then_some((start, end))
}

/// Whether this is base64 of a text with a colon: "Basic subscription" is none.
fn is_user_and_password(word: &[u8]) -> bool {
    let word = word.trim_ascii_end();
    let digits = word.iter().take_while(|byte| **byte != b'=').take(1024);
    let (mut bits, mut filled, mut has_colon) = (0_u32, 0, false);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        (bits, filled) = (bits << 6 | u32::from(value), filled + 6);
        if filled >= 8 {
            filled -= 8;
            let byte = (bits >> filled) as u8;
            has_colon |= byte == b':';
            if byte < b' ' {
                return false;
            }
        }
    }
    has_colon
}
