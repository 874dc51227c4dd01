//! One pass over free text: bytes that may belong to a secret are rare, and decide what is tried.

use super::{MASK, cards, credentials, is_secret_name, names, queries, values};
use std::borrow::Cow;

/// What looks like a secret in free text, masked.
pub(super) fn once(input: &str) -> Cow<'_, str> {
    let mut scan = Scan {
        input,
        bytes: input.as_bytes(),
        out: String::new(),
        at: 0,
        copied: 0,
        no_token_before: 0,
        no_user_before: 0,
    };
    scan.run();
    if scan.copied == 0 && scan.out.is_empty() {
        return Cow::Borrowed(input);
    }
    scan.out.push_str(&input[scan.copied..]);
    Cow::Owned(scan.out)
}

/// What a byte may be part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Nothing,
    /// `name=value`, `name: value`, `scheme://user@host`
    Separator,
    /// `<name>value</name>`
    Tag,
    /// `?key=value`
    Query,
    Digit,
    /// `-----BEGIN PRIVATE KEY-----`, and prefixes of keys.
    Dash,
    /// Within the prefix of a key.
    Prefix,
    /// `eyJ`
    Token,
    /// `Bearer`, `Basic`
    Scheme,
}

const SIGNS: [Sign; 256] = {
    let mut signs = [Sign::Nothing; 256];
    let mut byte = 0;
    while byte < 256 {
        signs[byte] = match byte as u8 {
            b'=' | b':' => Sign::Separator,
            b'>' => Sign::Tag,
            b'?' => Sign::Query,
            b'0'..=b'9' => Sign::Digit,
            b'-' => Sign::Dash,
            b'_' | b'k' | b'K' | b'z' | b'Z' => Sign::Prefix,
            b'j' | b'J' => Sign::Token,
            b'b' | b'B' => Sign::Scheme,
            _ => Sign::Nothing,
        };
        byte += 1;
    }
    signs
};

struct Scan<'a> {
    input: &'a str,
    bytes: &'a [u8],
    out: String,
    /// What comes next.
    at: usize,
    /// Up to where the input has been written or masked.
    copied: usize,
    /// Up to where it is known that no token begins, and that no `@` ends user information: long
    /// runs are read once.
    no_token_before: usize,
    no_user_before: usize,
}

impl Scan<'_> {
    fn run(&mut self) {
        let sign_of = |byte: u8| SIGNS[usize::from(byte)];
        loop {
            self.at = values::until(self.bytes, self.at, |byte| sign_of(byte) != Sign::Nothing);
            let Some(byte) = self.bytes.get(self.at) else {
                return;
            };
            let sign = sign_of(*byte);
            let at = self.at;
            let found = match sign {
                Sign::Nothing => None,
                Sign::Separator => self.behind_separator(),
                Sign::Tag => self.in_element(),
                Sign::Query => self.query(),
                Sign::Digit => self.number(),
                Sign::Dash => credentials::private_key(self.bytes, at)
                    .map(|end| (at, end))
                    .or_else(|| self.prefixed()),
                Sign::Prefix => self.prefixed(),
                Sign::Token => self.token(),
                Sign::Scheme => credentials::behind_scheme(self.bytes, at, self.before(at)),
            };
            // A query has moved on by itself.
            if self.at == at {
                self.at += 1;
            }
            if let Some((from, to)) = found {
                self.mask(from, to);
            }
        }
    }

    fn mask(&mut self, from: usize, to: usize) {
        // A key that is masked in part has its beginning masked already.
        let from = from.max(self.copied);
        self.at = self.at.max(to);
        if from >= to || self.input[from..to] == *MASK {
            return;
        }
        self.out.push_str(&self.input[self.copied..from]);
        self.out.push_str(MASK);
        self.copied = to;
    }

    /// The byte before a place, as it stands in what is given back.
    fn before(&self, at: usize) -> u8 {
        match at.checked_sub(1) {
            Some(_) if at == self.copied => b'*',
            Some(before) => self.bytes[before],
            None => b' ',
        }
    }

    fn prefixed(&self) -> Option<(usize, usize)> {
        credentials::prefixed(self.bytes, self.at, |at| self.before(at))
    }

    fn token(&mut self) -> Option<(usize, usize)> {
        if self.at < self.no_token_before {
            return None;
        }
        let token = credentials::json_web_token(self.bytes, self.at, |at| self.before(at));
        token
            .map_err(|none_before| self.no_token_before = none_before)
            .ok()
    }

    fn number(&mut self) -> Option<(usize, usize)> {
        let at = self.at;
        let before = self.before(at);
        if before.is_ascii_digit() {
            return None;
        }
        if self.bytes[at] == b'2' && before.eq_ignore_ascii_case(&b'a') {
            return self.prefixed();
        }
        cards::end(self.bytes, at, before).map(|end| (at, end))
    }

    fn query(&mut self) -> Option<(usize, usize)> {
        let (bytes, start) = (self.bytes, self.at + 1);
        if let Some(end) = queries::values_of(bytes, start, |from, to| self.mask(from, to)) {
            self.at = end.max(start);
        }
        None
    }

    fn behind_separator(&mut self) -> Option<(usize, usize)> {
        let at = self.at;
        let rest = &self.bytes[at..];
        if rest.starts_with(b"://") {
            return self.user_information(at + b"://".len());
        }
        // A path of Rust.
        if rest.starts_with(b"::") || (rest[0] == b':' && self.before(at) == b':') {
            return None;
        }
        let name = self.name_before(at)?;
        let is_tight = rest[0] == b'=' && self.before(at) != b' ';
        let mut start = values::until(self.bytes, at, |byte| !matches!(byte, b'=' | b':' | b'>'));
        if !is_tight || start > at + 1 {
            start = values::until(self.bytes, start, |byte| !matches!(byte, b' ' | b'\t'));
        }
        let (from, to) = values::of_pair(self.bytes, start, name);
        self.at = self.at.max(from);
        Some((from, to))
    }

    fn in_element(&self) -> Option<(usize, usize)> {
        let name = self.name_before(self.at)?;
        let opening = (self.at - name.len()).checked_sub(1)?;
        let end = values::until(self.bytes, self.at + 1, |byte| byte == b'<');
        (self.bytes[opening] == b'<').then_some((self.at + 1, end))
    }

    /// The secret name, bare or quoted, that ends at a separator.
    fn name_before(&self, separator: usize) -> Option<&str> {
        let back = |from: usize, most: usize, is_part: &dyn Fn(u8) -> bool| {
            let floor = self.copied.max(from.saturating_sub(most));
            let part = self.bytes[floor..from].iter().rev();
            from - part.take_while(|byte| is_part(**byte)).count()
        };
        let end = back(separator, 2, &|byte| byte == b' ');
        let end = back(end, 4, &|byte| matches!(byte, b'"' | b'\'' | b'`' | b'\\'));
        let start = back(end, names::LONGEST, &values::is_name);
        let name = &self.input[start..end];
        if is_secret_name(name) {
            return Some(name);
        }
        // "API key: …", "card number: …".
        let second_word = ["key", "number", "code", "string"];
        if !second_word
            .iter()
            .any(|word| name.eq_ignore_ascii_case(word))
        {
            return None;
        }
        let first_end = back(start, 1, &|byte| byte == b' ');
        let first = back(first_end, names::LONGEST, &values::is_name);
        let names = &self.input[first..end];
        is_secret_name(names).then_some(names)
    }

    /// `user:password` of `scheme://user:password@host`; the password may hold what it should not.
    fn user_information(&mut self, start: usize) -> Option<(usize, usize)> {
        let is_end = |byte: u8| byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'\\');
        let last_at = |from: usize, to: usize| {
            let part = self.bytes.get(from..to).unwrap_or_default();
            part.iter()
                .rposition(|byte| *byte == b'@')
                .map(|at| from + at)
        };
        let end = values::until(self.bytes, start, |byte| {
            is_end(byte) || matches!(byte, b'/' | b'?' | b'#')
        });
        let authority = &self.bytes[start..end];
        let port = authority
            .iter()
            .position(|byte| *byte == b':')
            .map(|at| &authority[at + 1..]);
        let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
        let mut found = last_at(start, end);
        if found.is_none()
            && start >= self.no_user_before
            && !authority.starts_with(b"[")
            && port.is_some_and(|port| !is_port(port))
        {
            let end = values::until(self.bytes, start, is_end);
            found = last_at(start, end);
            self.no_user_before = end;
        }
        found.filter(|at| *at > start).map(|at| (start, at))
    }
}
