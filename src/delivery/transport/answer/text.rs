//! What others said, made fit for our own lines.

use crate::redaction;
use std::error::Error;

/// Room for a sentence or two.
const MOST_BYTES: usize = 200;
/// The characters that are looked at, so that a secret across the cut is seen whole and masked.
const LOOKED_AT: usize = 4 * 1024;

/// The beginning of a text: without secrets, and without what could forge a line or colour a
/// terminal.
pub(in super::super) fn shown(text: &str) -> String {
    let text = text.trim();
    let looked_at = match text.char_indices().nth(LOOKED_AT) {
        Some((end, _)) => &text[..end],
        None => text,
    };
    let mut shown = String::new();
    for character in redaction::text(looked_at).chars() {
        let before = shown.len();
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            // Prints what is printable as it is.
            _ => shown.extend(character.escape_debug()),
        }
        if shown.len() > MOST_BYTES {
            shown.truncate(before);
            shown.push('…');
            return shown;
        }
    }
    if looked_at.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// An error with its causes, each of which hyper tells apart.
pub(in super::super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some print their cause themselves.
        if !said.ends_with(&next) {
            said.push_str(": ");
            said.push_str(&next);
        }
        cause = error.source();
    }
    shown(&said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_text_is_cut_between_characters_and_its_controls_are_escaped() {
        assert_eq!(shown("it's \"fine\" \\ ü\n"), "it's \"fine\" \\ ü");
        assert_eq!(shown("a\0b\u{202e}c\u{9b}d"), r"a\0b\u{202e}c\u{9b}d");
        assert_eq!(shown(&"a".repeat(200)), "a".repeat(200));
        assert_eq!(shown(&"a".repeat(201)), format!("{}…", "a".repeat(200)));
        assert_eq!(
            shown(&"\0".repeat(10_000)).len(),
            MOST_BYTES + '…'.len_utf8()
        );
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_each_once() {
        let cause = io::Error::other("refused");
        let error = io::Error::other(Wrapped("connecting: refused", cause));
        assert_eq!(chain(&error), "connecting: refused");
        let cause = io::Error::other("refused");
        let error = io::Error::other(Wrapped("connecting", cause));
        assert_eq!(chain(&error), "connecting: refused");
    }

    #[derive(Debug)]
    struct Wrapped(&'static str, io::Error);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }
}
