//! What must not leave the process, applied where something is captured: before the queue, the
//! spool, the logs and the text of a panic.
//!
//! Where there is structure, the name decides ([`is_secret_name`]) and URLs keep keys without
//! values ([`url`]), SQL its words ([`sql`]). In free text ([`text`]) what looks like a secret is masked: a value behind a
//! secret name, credentials of an `Authorization` header, user information and queries of URLs,
//! JSON web tokens, keys with a known prefix, private keys, card numbers. Text is scanned once, in
//! linear time, whatever it holds; masking twice is masking once.

mod cards;
mod credentials;
mod free_text;
mod masking;
mod names;
#[cfg(test)]
mod planted;
mod queries;
pub(crate) mod sql;
mod values;

use ::http::Uri;
use std::borrow::Cow;

pub(crate) use masking::Masking;
pub(crate) use names::is_secret_name;

/// What stands where a secret stood.
pub(crate) const MASK: &str = "***";

/// A URL: its user information and the values of its query are masked, its path is masked as text is.
/// Its host and port, which metrics name too, are told as they are.
pub(crate) fn url(uri: &Uri) -> String {
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
///
/// Masks until nothing changes, since a mask brings together what a secret kept apart. Text
/// without a secret is looked at once, almost any other twice.
pub(crate) fn text(input: &str) -> Cow<'_, str> {
    let mut masked = free_text::once(input);
    if matches!(masked, Cow::Borrowed(_)) {
        return masked;
    }
    for _ in 0..4 {
        match free_text::once(&masked) {
            Cow::Owned(again) if again != masked => masked = Cow::Owned(again),
            _ => break,
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_keep_their_keys_and_lose_users_and_values() {
        for (given, kept) in [
            ("https://h/p?a=1&b=2", "https://h/p?a=***&b=***"),
            ("https://h/p?flag&b=", "https://h/p?flag&b="),
            ("https://h/p?q=a?b=c&n=2", "https://h/p?q=***?b=***&n=***"),
            ("https://h/p?", "https://h/p?"),
            (
                "https://h/p?a&dG9rZW4gaGVyZSwgbG9uZyBlbm91Z2g4YWJj==",
                "https://h/p?a&***",
            ),
            (
                "https://h/p?dG9rZW4gaGVyZSwgbG9uZyBlbm91Z2g4YWJjZGU=&b=2",
                "https://h/p?***&b=***",
            ),
            ("https://h", "https://h/"),
            ("https://orders:pw@h:8443/p", "https://***@h:8443/p"),
            ("https://orders@h/", "https://***@h/"),
            ("https://:pw@h/", "https://***@h/"),
            (
                "http://[::1]:80/menus/7?page=2",
                "http://[::1]:80/menus/7?page=***",
            ),
            ("https://h/@user/p", "https://h/@user/p"),
            ("https://h/password=hunter2/", "https://h/password=***"),
            ("/login?password=hun%20ter2", "/login?password=***"),
            ("/menu/7", "/menu/7"),
            ("h:443", "h:443"),
            ("*", "*"),
        ] {
            assert_eq!(url(&given.parse().unwrap()), kept, "{given}");
            assert_eq!(url(&kept.parse().unwrap()), kept);
        }
    }
}
