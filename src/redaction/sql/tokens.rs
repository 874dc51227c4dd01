//! A statement, word by word. Values and placeholders are all one token, without their text.

use super::Dialect;

/// Names beyond this are no names.
const LONGEST_NAME: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A keyword, or a name without quotes.
    Word(&'a str),
    /// A name with its quotes.
    Quoted(&'a str),
    /// A literal or a placeholder.
    Value,
    Symbol(&'a str),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// White space or a comment stands before it.
    pub(super) is_apart: bool,
}

/// Ends early, with a value, where it cannot be told what is a value.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
    /// What came before is compared with what comes: a name in double quotes may be a value.
    is_compared: bool,
    list: List,
}

/// The list behind `IN`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum List {
    None,
    /// `IN` was read.
    Before,
    Within,
}

/// Where something ends; `None`: nobody can tell.
type End = Option<usize>;

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str, dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
            is_compared: false,
            list: List::None,
        }
    }

    fn byte(&self, at: usize) -> u8 {
        // No statement holds a zero byte that means anything.
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    fn is_end(&self, at: usize) -> bool {
        at >= self.text.len()
    }

    fn until(&self, start: usize, is_end: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| is_end(*byte));
        start + length.unwrap_or(rest.len())
    }

    /// Past white space and comments. `None`: a comment that may be none.
    fn skipped(&self) -> End {
        let mut at = self.at;
        loop {
            let start = at;
            at = self.until(at, |byte| !is_space(byte));
            at = match (self.byte(at), self.byte(at + 1)) {
                (b'-', b'-') => self.line_comment(at)?,
                (b'/', b'*') => self.block_comment(at)?,
                (b'#', _) if self.dialect == Dialect::MySql => self.end_of_line(at)?,
                (b'#', _) if self.dialect == Dialect::Unknown => return None,
                _ => at,
            };
            if at == start || self.is_end(at) {
                return Some(at);
            }
        }
    }

    /// A carriage return by itself ends a line in PostgreSQL alone.
    fn end_of_line(&self, at: usize) -> End {
        let end = self.until(at, |byte| byte == b'\n');
        let first = self.until(at, |byte| byte == b'\r');
        match self.dialect {
            Dialect::Postgres => Some(end.min(first)),
            Dialect::Unknown if first + 1 < end => None,
            _ => Some(end),
        }
    }

    /// To MySQL, `5--3` is a subtraction.
    fn line_comment(&self, at: usize) -> End {
        let is_plain = self.is_end(at + 2) || is_space(self.byte(at + 2));
        match self.dialect {
            Dialect::MySql if !is_plain => Some(at),
            Dialect::Unknown if !is_plain => None,
            _ => self.end_of_line(at),
        }
    }

    /// In PostgreSQL they nest.
    fn block_comment(&self, start: usize) -> End {
        let (mut at, mut depth) = (start + 2, 1);
        while !self.is_end(at) {
            match (self.byte(at), self.byte(at + 1)) {
                (b'*', b'/') => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                (b'/', b'*') if self.dialect == Dialect::Unknown => return None,
                (b'/', b'*') if self.dialect == Dialect::Postgres => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        Some(self.text.len())
    }

    /// Of a string that begins with the quote at `start`.
    fn string(&self, start: usize, escapes: Escapes) -> End {
        let quote = self.byte(start);
        let mut at = start + 1;
        loop {
            at = self.until(at, |byte| byte == quote || byte == b'\\');
            if self.is_end(at) {
                return None;
            }
            if self.byte(at) == b'\\' {
                match escapes {
                    Escapes::Backslash => at += 2,
                    // Whether this quote ends the string is a setting of the server.
                    Escapes::BySetting if self.byte(at + 1) == quote => return None,
                    // It may escape the next one.
                    Escapes::BySetting if self.byte(at + 1) == b'\\' => {
                        at = self.until(at, |byte| byte != b'\\');
                        if self.byte(at) == quote {
                            return None;
                        }
                    }
                    Escapes::BySetting | Escapes::None => at += 1,
                }
            } else if self.byte(at + 1) == quote {
                at += 2;
            } else {
                return Some(at + 1);
            }
        }
    }

    fn plain_string(&self, start: usize) -> End {
        self.string(
            start,
            match self.dialect {
                Dialect::Sqlite => Escapes::None,
                Dialect::Postgres | Dialect::MySql | Dialect::Unknown => Escapes::BySetting,
            },
        )
    }

    /// Of `$tag$ … $tag$`; `Some(None)`: it has no end.
    fn dollars(&self, start: usize) -> Option<End> {
        if matches!(self.dialect, Dialect::MySql | Dialect::Sqlite) {
            return None;
        }
        let tag_end = self.until(start + 1, |byte| !is_word(byte) || byte == b'$');
        if self.byte(tag_end) != b'$' || self.byte(start + 1).is_ascii_digit() {
            return None;
        }
        let tag = self.text.get(start..=tag_end)?;
        let rest = self.text.get(tag_end + 1..)?;
        Some(rest.find(tag).map(|at| tag_end + 1 + at + tag.len()))
    }

    fn number(&self, start: usize) -> usize {
        let mut at = start;
        loop {
            at = self.until(at, |byte| !(is_word(byte) || byte == b'.'));
            let is_exponent = matches!(self.byte(at.wrapping_sub(1)), b'e' | b'E')
                && matches!(self.byte(at), b'+' | b'-')
                && self.byte(at + 1).is_ascii_digit();
            if !is_exponent {
                return at;
            }
            at += 1;
        }
    }

    fn word(&self, start: usize) -> (Kind<'a>, End) {
        let end = self.until(start, |byte| !is_word(byte));
        let word = self.text.get(start..end).unwrap_or_default();
        if self.byte(end) == b'\'' && word.len() == 1 {
            match word.as_bytes() {
                [b'e' | b'E'] if self.dialect == Dialect::Postgres => {
                    return (Kind::Value, self.string(end, Escapes::Backslash));
                }
                [b'b' | b'B' | b'x' | b'X' | b'n' | b'N' | b'e' | b'E'] => {
                    return (Kind::Value, self.plain_string(end));
                }
                _ => {}
            }
        }
        (named(word, Kind::Word), Some(end))
    }

    /// A name between quotes; what is not closed may be anything.
    fn quoted(&self, start: usize, close: u8) -> (Kind<'a>, End) {
        let mut at = start + 1;
        loop {
            at = self.until(at, |byte| byte == close);
            if self.is_end(at) {
                return (Kind::Value, None);
            }
            if self.byte(at + 1) != close || close == b']' {
                break;
            }
            at += 2;
        }
        let name = self.text.get(start..=at).unwrap_or_default();
        // SQLite takes a name that there is not for a string.
        let may_be_value = self.dialect == Dialect::Sqlite && self.is_compared && close == b'"';
        let kind = match may_be_value && self.byte(at + 1) != b'.' {
            true => Kind::Value,
            false => named(name, Kind::Quoted),
        };
        (kind, Some(at + 1))
    }

    fn read(&self, at: usize) -> (Kind<'a>, End) {
        let (byte, next) = (self.byte(at), self.byte(at + 1));
        let symbol = |length: usize| {
            let symbol = self.text.get(at..at + length).unwrap_or_default();
            (Kind::Symbol(symbol), Some(at + length))
        };
        let digits = |from: usize| self.until(from, |byte| !byte.is_ascii_digit());
        match byte {
            b'\'' => (Kind::Value, self.plain_string(at)),
            b'"' => match self.dialect {
                Dialect::Postgres | Dialect::Sqlite => self.quoted(at, b'"'),
                Dialect::MySql | Dialect::Unknown => (Kind::Value, self.plain_string(at)),
            },
            b'`' => self.quoted(at, b'`'),
            b'[' if self.dialect == Dialect::Sqlite => self.quoted(at, b']'),
            b'0'..=b'9' => (Kind::Value, Some(self.number(at))),
            b'.' if next.is_ascii_digit() => (Kind::Value, Some(self.number(at))),
            b'?' => (Kind::Value, Some(digits(at + 1))),
            b':' if next == b':' => symbol(2),
            b'$' | b':' if next.is_ascii_digit() => (Kind::Value, Some(digits(at + 1))),
            b'$' => match self.dollars(at) {
                Some(end) => (Kind::Value, end),
                None => self.variable(at),
            },
            b'@' | b':' if is_word(next) || (byte, next) == (b'@', b'@') => self.variable(at),
            byte if is_word(byte) => self.word(at),
            _ => symbol(1),
        }
    }

    /// Whether what follows on `kind` is compared with something.
    fn compare(&mut self, kind: Kind<'_>) {
        const OPERATORS: [&str; 8] = [
            "LIKE", "GLOB", "MATCH", "REGEXP", "IS", "NOT", "BETWEEN", "ESCAPE",
        ];
        let is = |word: &str, known: &str| word.eq_ignore_ascii_case(known);
        self.list = match (kind, self.list) {
            (Kind::Word(word), _) if is(word, "IN") => List::Before,
            (Kind::Symbol("("), List::Before) => List::Within,
            (Kind::Symbol(","), List::Within) | (Kind::Value, List::Within) => List::Within,
            _ => List::None,
        };
        self.is_compared = match kind {
            Kind::Symbol("=" | "<" | ">" | "!" | "|") => true,
            Kind::Word(word) => OPERATORS.iter().any(|known| is(word, known)),
            _ => self.list == List::Within,
        };
    }

    /// `@name`, `@@name`, `:name`, `$name`.
    fn variable(&self, at: usize) -> (Kind<'a>, End) {
        let start = self.until(at, |byte| !matches!(byte, b'@' | b':' | b'$'));
        let end = self.until(start, |byte| !is_word(byte));
        let name = self.text.get(at..end).unwrap_or_default();
        (named(name, Kind::Word), Some(end))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        if self.is_end(start) {
            return None;
        }
        let (kind, end, at) = match self.skipped() {
            Some(at) if self.is_end(at) => {
                self.at = at;
                return None;
            }
            Some(at) => {
                let (kind, end) = self.read(at);
                (kind, end, at)
            }
            None => (Kind::Value, None, start),
        };
        self.at = end.unwrap_or(self.text.len());
        self.compare(kind);
        Some(Token {
            kind: if end.is_none() { Kind::Value } else { kind },
            is_apart: at > start,
        })
    }
}

/// What a backslash does in a string.
#[derive(Clone, Copy)]
enum Escapes {
    None,
    Backslash,
    BySetting,
}

fn named<'a>(name: &'a str, kind: fn(&'a str) -> Kind<'a>) -> Kind<'a> {
    match name.len() {
        0..=LONGEST_NAME => kind(name),
        _ => Kind::Value,
    }
}

fn is_space(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

/// A byte beyond ASCII is of a letter, so that no character is cut.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}
