//! The lines around a place, where the program runs beside its source: on the worker. What stands in
//! string literals is left out, since it may be a secret.

use rustc_hash::FxHashMap;
use std::{fmt::Write, fs, path::Path, sync::Arc};

/// Lines on either side.
const AROUND: usize = 2;
/// Bytes of a line that are shown.
const LONGEST_LINE: usize = 200;
/// Of a file that is read.
const LARGEST_FILE: u64 = 1 << 20;
/// Places that are remembered, those without a source among them: some 500 KB when full.
const REMEMBERED: usize = 512;

/// Reads sources, and remembers what it read.
#[derive(Default)]
pub(crate) struct Sources(FxHashMap<(Box<str>, u32), Option<Arc<str>>>);

impl Sources {
    /// Two lines before, the line, marked, and two after, each with its number. `None`: the file is
    /// not there, or not what the program was built from.
    pub(crate) fn around(&mut self, file: &str, line: u32) -> Option<Arc<str>> {
        let place = (Box::from(file), line);
        if let Some(known) = self.0.get(&place) {
            return known.clone();
        }
        let lines = read(Path::new(file), line).map(Arc::from);
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(place, lines.clone());
        lines
    }
}

fn read(file: &Path, line: u32) -> Option<String> {
    let metadata = fs::metadata(file).ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        return None;
    }
    let source = without_literals(&fs::read_to_string(file).ok()?);
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let first = line.saturating_sub(AROUND);
    let shown: Vec<_> = source
        .lines()
        .enumerate()
        .skip(first)
        .take(line - first + 1 + AROUND)
        .collect();
    // The line itself is there.
    shown.get(line - first)?;
    let mut text = String::new();
    for (at, code) in shown {
        let mark = if at == line { '>' } else { ' ' };
        let mut end = code.len().min(LONGEST_LINE);
        while !code.is_char_boundary(end) {
            end -= 1;
        }
        // Writing into a String does not fail.
        let _ = writeln!(text, "{mark}{:>5} | {}", at + 1, &code[..end]);
    }
    Some(text)
}

/// The source with `"…"` in place of each string, line by line as it was.
fn without_literals(source: &str) -> String {
    let mut shown = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = comment(rest).or_else(|| character(rest)) {
            shown.push_str(&rest[..length]);
            rest = &rest[length..];
        } else if let Some(inside) = rest.strip_prefix('"') {
            rest = literal(inside, string_end(inside), 1, &mut shown);
        } else if let Some((inside, end)) = raw(rest, shown.chars().next_back()) {
            rest = literal(inside, inside.find(&end), end.len(), &mut shown);
        } else {
            shown.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    shown
}

/// Writes a literal that has begun, with its lines but not its words; what follows it.
fn literal<'a>(inside: &'a str, end: Option<usize>, quotes: usize, shown: &mut String) -> &'a str {
    let end = end.unwrap_or(inside.len());
    shown.push_str("\"…");
    let lines = inside[..end].matches('\n').count();
    shown.extend(std::iter::repeat_n('\n', lines));
    shown.push('"');
    inside.get(end + quotes..).unwrap_or_default()
}

/// The length of a comment that begins here. One over several lines may hold others.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut at = text.starts_with("/*").then_some(2)?;
    let mut depth = 1;
    while depth > 0 {
        let rest = &text[at..];
        let Some(next) = rest.find("/*").into_iter().chain(rest.find("*/")).min() else {
            return Some(text.len());
        };
        depth = if rest[next..].starts_with("/*") {
            depth + 1
        } else {
            depth - 1
        };
        at += next + 2;
    }
    Some(at)
}

/// The length of a character literal that begins here; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let escaped = usize::from(inside.starts_with('\\'));
    let end = inside
        .char_indices()
        .skip(1 + escaped)
        .find(|(_, c)| *c == '\'')?
        .0;
    let is_one = escaped == 1 && end <= 10 || inside[..end].chars().count() == 1;
    is_one.then_some(end + 2)
}

/// Where a string ends that is no raw one.
fn string_end(inside: &str) -> Option<usize> {
    let mut is_escaped = false;
    inside.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends.then_some(at)
    })
}

/// What stands in a raw string that begins here, and beyond, and what ends it. An identifier that
/// ends in `r` begins none.
fn raw(text: &str, before: Option<char>) -> Option<(&str, String)> {
    if before.is_some_and(|c| c.is_alphanumeric() && c != 'b' && c != 'c' || c == '_') {
        return None;
    }
    let hashed = text.strip_prefix('r')?;
    let inside = hashed.trim_start_matches('#');
    let hashes = hashed.len() - inside.len();
    let end = format!("\"{}", "#".repeat(hashes));
    Some((inside.strip_prefix('"')?, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_with_the_lines_around_it() {
        let (file, line) = (concat!(env!("CARGO_MANIFEST_DIR"), "/", file!()), line!());
        let text = Sources::default().around(file, line).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[2].starts_with(&format!(">{line:>5} | ")), "{text}");
        assert!(lines[2].ends_with("file!()), line!());"), "{text}");
        let first = Sources::default().around(file, 1).unwrap();
        assert!(first.starts_with(">    1 | //! "), "{first}");
        assert_eq!(first.lines().count(), 3);
    }

    #[test]
    fn what_stands_in_literals_is_not_shown_and_no_line_is_lost() {
        let source = r####"
let a = "hunter2"; // "said" here
let b = "two \" of \\"; let c = r#"raw "hunter2" "#;
let d = "over
lines hunter2";
/* "not /* nested */ code" */ let e = '"'; let f: &'static str = b"hunter2";
let g = '\''; let r = br"hunter2"; let h = '\u{1F600}';
"####;
        let shown = without_literals(source);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(shown.lines().count(), source.lines().count(), "{shown}");
        for kept in [
            "// \"said\" here",
            "let e = '\"';",
            "&'static str",
            "/* \"not",
            "let g = '\\'';",
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_keeps_its_lines(source in "[\"'r#/*\\\\a\n ]{0,60}") {
            let lines = source.matches('\n').count();
            proptest::prop_assert_eq!(without_literals(&source).matches('\n').count(), lines);
        }
    }

    #[test]
    fn what_is_not_there_is_not_shown_and_not_asked_for_again() {
        let mut sources = Sources::default();
        assert_eq!(sources.around("/nowhere/src/pay.rs", 7), None);
        assert_eq!(sources.0.len(), 1);
        let this = concat!(env!("CARGO_MANIFEST_DIR"), "/", file!());
        assert_eq!(sources.around(this, 1_000_000), None);
        assert_eq!(sources.around(this, 0), None);
        assert_eq!(sources.around(env!("CARGO_MANIFEST_DIR"), 1), None);
        for line in 1..=3 * REMEMBERED as u32 {
            sources.around("/nowhere", line);
            assert!(sources.0.len() <= REMEMBERED);
        }
    }
}
