//! What of a message is the same each time.

/// The message without what varies: `order ? of "?"` of `order 1024 of "Ada"`. Numbers, hexadecimal
/// ones of four digits and more, and what stands in quotes.
pub(super) fn template(message: &str) -> String {
    let mut same = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = quoted(rest) {
            same.extend([c, '?', c]);
            rest = after;
            continue;
        }
        let is_part = |c: char| c.is_alphanumeric();
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        if word.is_empty() {
            same.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        match varies(word) {
            true if same.ends_with('?') => {}
            true => same.push('?'),
            false => same.push_str(word),
        }
        rest = &rest[word.len()..];
    }
    same
}

/// What follows a quotation that begins here, in one line.
fn quoted(text: &str) -> Option<&str> {
    let quote = text
        .chars()
        .next()
        .filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let inside = &text[quote.len_utf8()..];
    let end = inside.find(quote)?;
    let is_closed = !inside[..end].contains('\n');
    is_closed.then(|| &inside[end + quote.len_utf8()..])
}

/// Whether a word is another one each time.
fn varies(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let is_hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    has_digit && (is_hexadecimal || word.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_varies_is_left_out() {
        for (message, same) in [
            ("order 1024 is stuck", "order ? is stuck"),
            ("timed out after 3s", "timed out after ?"),
            ("no user \"Ada\" in 'Graz'", "no user \"?\" in '?'"),
            (
                "cart 0197a3c1-6b0e-7c41-9d2f-5e8a1b3c4d5e is gone",
                "cart ?-?-?-?-? is gone",
            ),
            ("at 0x7f3a: bad", "at ?: bad"),
            ("it's the kitchen", "it's the kitchen"),
            ("utf8 is not sha256", "utf8 is not sha256"),
            ("", ""),
        ] {
            assert_eq!(template(message), same, "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_number_and_any_quoted_word_make_one_template(
            one in any::<u64>(), other in any::<u64>(), word in "[a-z ]{0,12}",
        ) {
            let message = |number| template(&format!("order {number} of `{word}` failed"));
            prop_assert_eq!(message(one), message(other));
            prop_assert_eq!(message(one), "order ? of `?` failed");
        }

        #[test]
        fn any_text_has_a_template(text in any::<String>()) {
            template(&text);
        }
    }
}
