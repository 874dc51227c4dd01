//! What must not leave the process, applied where something is captured: before the queue, the
//! spool, the logs and the text of a panic.
//!
//! Where there is structure, the name decides ([`is_secret_name`]) and URLs keep keys without
//! values ([`url`]). In free text ([`text`]) what looks like a secret is masked: a value behind a
//! secret name, credentials of an `Authorization` header, user information and queries of URLs,
//! JSON web tokens, keys with a known prefix, private keys, card numbers. Text is scanned once, in
//! linear time, whatever it holds; masking twice is masking once.

mod cards;
mod credentials;
mod free_text;
mod names;
#[cfg(test)]
mod planted;
mod queries;
pub(crate) mod sql;
mod values;

use ::http::Uri;
use std::borrow::Cow;

pub(crate) use names::is_secret_name;

/// What stands where a secret stood.
pub(crate) const MASK: &str = "***";

/// A URL or a path with a query: its user information and the values of its query and fragment are
/// masked, its path is masked as text is.
pub(crate) fn url(input: &str) -> Cow<'_, str> {
    settled(input, url_once)
}

/// A URL that is known by its parts, as [`url`] masks its text; but its host and port, which metrics name
/// too, are told as they are.
pub(crate) fn uri(uri: &Uri) -> String {
    let (scheme, colon) = match uri.scheme_str() {
        Some(scheme) => (scheme, "://"),
        None => ("", ""),
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let (user, server) = match authority.bytes().rposition(|byte| byte == b'@') {
        Some(0) | None => ("", authority),
        Some(at) => (MASK, &authority[at..]),
    };
    let (path, query) = (text(uri.path()), uri.query());
    let (mark, query) = query.map_or(("", Cow::Borrowed("")), |query| {
        ("?", queries::parameters(query))
    });
    [scheme, colon, user, server, &path, mark, &query].concat()
}

/// Free text (a message, an error, an attribute) without what looks like a secret.
pub(crate) fn text(input: &str) -> Cow<'_, str> {
    settled(input, free_text::once)
}

/// Masks until nothing changes, since a mask brings together what a secret kept apart. Text
/// without a secret is looked at once, almost any other twice.
fn settled(input: &str, once: fn(&str) -> Cow<'_, str>) -> Cow<'_, str> {
    let mut masked = once(input);
    if matches!(masked, Cow::Borrowed(_)) {
        return masked;
    }
    for _ in 0..4 {
        match once(&masked) {
            Cow::Owned(again) if again != masked => masked = Cow::Owned(again),
            _ => break,
        }
    }
    masked
}

fn url_once(input: &str) -> Cow<'_, str> {
    let mut bytes = input.bytes();
    let (base, parameters) = match bytes.position(|byte| matches!(byte, b'?' | b'#')) {
        Some(at) => input.split_at(at),
        None => (input, ""),
    };
    let base_masked = without_user(base);
    let parameters_masked = queries::parameters(parameters);
    match (&base_masked, &parameters_masked) {
        (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(input),
        _ => Cow::Owned([base_masked, parameters_masked].concat()),
    }
}

/// Also of `user:password@host:5432/orders`, which has no scheme.
fn without_user(base: &str) -> Cow<'_, str> {
    let is_scheme = |text: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
        !text.is_empty() && text.bytes().all(is_part)
    };
    // No scheme holds a colon: the first decides.
    let authority = match base.bytes().position(|byte| byte == b':') {
        Some(at) if base[at..].starts_with("://") && is_scheme(&base[..at]) => at + "://".len(),
        _ => 0,
    };
    let end = base[authority..]
        .find('/')
        .map_or(base.len(), |at| authority + at);
    match base[authority..end].rfind('@') {
        Some(at) if at > 0 && base[authority..authority + at] != *MASK => {
            let (scheme, rest) = (&base[..authority], &base[authority + at..]);
            Cow::Owned(text(&[scheme, MASK, rest].concat()).into_owned())
        }
        _ => text(base),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_by_its_parts_is_masked_as_its_text_is() {
        for text in [
            "https://h/p?a=1&b=2",
            "https://h/p?flag&b=",
            "https://h/p?",
            "https://orders:pw@h:8443/p",
            "https://orders@h",
            "http://[::1]:80/menus/7?page=2",
            "h:443",
            "*",
            "/login?password=hunter2&n=1",
            "/token/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "http://h/cards/4242424242424242/x?q=a?b=c",
            "/",
        ] {
            let parts: Uri = text.parse().unwrap();
            let masked = uri(&parts);
            assert_eq!(masked, url(&parts.to_string()), "{text}");
            assert_eq!(url(&masked), masked);
        }
    }

    #[test]
    fn urls_keep_their_keys_and_lose_users_and_values() {
        for (given, kept) in [
            ("https://h/p?a=1&b=2", "https://h/p?a=***&b=***"),
            ("https://h/p?flag&b=", "https://h/p?flag&b="),
            (
                "https://h/p?a=1#access_token=x&n=2",
                "https://h/p?a=***#access_token=***&n=***",
            ),
            ("https://h/p#part-2", "https://h/p#part-2"),
            (
                "postgres://orders:pw@db:5432/orders",
                "postgres://***@db:5432/orders",
            ),
            ("orders:p@w@db:5432/orders", "***@db:5432/orders"),
            ("redis://:pw@cache", "redis://***@cache"),
            ("/login?password=hun ter\"2", "/login?password=***"),
            ("/menu/7", "/menu/7"),
            ("https://h/@user/p", "https://h/@user/p"),
            ("", ""),
        ] {
            assert_eq!(url(given), kept);
            assert_eq!(url(kept), kept);
        }
        assert!(matches!(url("https://h/p"), Cow::Borrowed(_)));
    }
}
