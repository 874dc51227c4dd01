//! Names whose values are secrets.

/// The end of a name says what it holds: of a longer name, these last bytes are looked at.
pub(super) const LONGEST: usize = 64;

/// Where in a name a stem makes it secret. Words are told apart by punctuation and by camel case.
#[derive(Clone, Copy)]
enum At {
    /// Anywhere: `passwordHash`, `dbpassword`.
    Any,
    /// Up to the end of a word: `clientsecret`, `secret_key`; not `secretary`.
    WordEnd,
    /// As a word: `otp_code`.
    Word,
    /// Up to the end of the name: `accesstoken`; not `token_count`.
    End,
    /// As the last word: `delivery_pin`; not `pinned`, `shipping`, `spin`.
    LastWord,
}

use At::{Any, End, LastWord, Word, WordEnd};

/// By first letter, in lower case and without punctuation; of three letters or more.
const fn stems(first: u8) -> &'static [(&'static [u8], At)] {
    match first {
        b'a' => &[
            (b"authorization", Any),
            (b"authheader", Any),
            (b"apikey", Any),
            (b"accesskey", Any),
            (b"accountkey", Any),
        ],
        b'b' => &[(b"bearer", Word)],
        b'c' => &[
            (b"cookie", End),
            (b"cookies", End),
            (b"credential", Any),
            (b"csrf", Any),
            (b"cvv", Word),
            (b"cvc", Word),
            (b"cardnumber", Any),
            (b"cardno", End),
            (b"ccnumber", Any),
            (b"creditcard", Any),
            (b"connectionstring", Any),
            (b"connstr", Any),
        ],
        b'd' => &[(b"dsn", LastWord)],
        b'e' => &[(b"encryptionkey", Any)],
        b'i' => &[(b"iban", LastWord)],
        b'j' => &[(b"jwt", Word)],
        b'm' => &[(b"masterkey", Any), (b"mfacode", Any)],
        b'o' => &[(b"otp", Word), (b"onetimecode", Any)],
        b'p' => &[
            (b"password", Any),
            (b"passwd", Any),
            (b"passphrase", Any),
            (b"passcode", Any),
            (b"pass", LastWord),
            (b"pwd", End),
            (b"privatekey", Any),
            (b"pin", LastWord),
            (b"pan", LastWord),
        ],
        b'r' => &[(b"recoverycode", Any)],
        b's' => &[
            (b"secret", WordEnd),
            (b"secrets", WordEnd),
            (b"secretkey", Any),
            (b"secretaccess", Any),
            (b"sessionkey", Any),
            (b"signingkey", Any),
            (b"signature", End),
            (b"sig", LastWord),
            (b"ssn", LastWord),
            (b"sshkey", Any),
        ],
        b't' => &[(b"token", End), (b"totp", Word)],
        b'v' => &[(b"verificationcode", Any)],
        b'x' => &[(b"xsrf", Any)],
        _ => &[],
    }
}

/// Whether the value of a field, attribute, header or parameter of this name is a secret. Letter
/// case, punctuation and trailing digits make no difference.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let end = &bytes[bytes.len().saturating_sub(LONGEST)..];
    may_be_secret(end) && is_secret(end)
}

fn is_secret(name: &[u8]) -> bool {
    let (text, mut len, starts) = squeezed(name);
    while len > 0 && text[len - 1].is_ascii_digit() {
        len -= 1;
    }
    let text = &text[..len];
    // The end of the name is the end of a word, whatever digits follow it.
    let is_start = |at: usize| at == len || (starts >> at) & 1 == 1;
    let is_at = |at: usize, stem: &[u8], place: At| {
        let end = at + stem.len();
        // The second letter rules out most, without a call.
        text[at + 1] == stem[1]
            && text[at..].starts_with(stem)
            && match place {
                Any => true,
                WordEnd => is_start(end),
                Word => is_start(at) && is_start(end),
                End => end == len,
                LastWord => is_start(at) && end == len,
            }
    };
    (0..len.saturating_sub(2)).any(|at| {
        stems(text[at])
            .iter()
            .any(|(stem, place)| is_at(at, stem, *place))
    })
}

/// Whether any stem is in the name, wherever in a word: by its first three letters, which rules out most
/// names at a tenth of the price of looking for all of them.
#[inline]
fn may_be_secret(name: &[u8]) -> bool {
    let mut three = 0;
    for (index, &byte) in name.iter().enumerate() {
        let class = CLASSES[byte as usize];
        if class == BETWEEN {
            continue;
        }
        three = next_three(three, class);
        if (BEGINNINGS[three / 64] >> (three % 64)) & 1 == 1 && goes_on(three, &name[index + 1..]) {
            return true;
        }
    }
    false
}

/// Whether a stem of these first three letters is in the name to its end.
#[cold]
fn goes_on(three: usize, rest: &[u8]) -> bool {
    let [first, second, third] = [three >> 10, three >> 5, three].map(|bits| (bits & 31) as u8);
    let letters = || {
        let classes = rest.iter().map(|&byte| CLASSES[byte as usize]);
        classes.filter(|class| *class != BETWEEN)
    };
    stems(first | 0x60).iter().any(|(stem, _)| {
        stem[1] & 31 == second
            && stem[2] & 31 == third
            && letters()
                .take(stem.len() - 3)
                .eq(stem[3..].iter().map(|letter| letter & 31))
    })
}

/// Of a byte: its letter, from 1 on; 0 where no stem goes on; or [`BETWEEN`].
static CLASSES: [u8; 256] = {
    let mut classes = [BETWEEN; 256];
    let mut byte = 0;
    while byte < classes.len() {
        let as_u8 = byte as u8;
        if as_u8.is_ascii_alphabetic() {
            classes[byte] = as_u8 & 31;
        } else if as_u8.is_ascii_digit() || as_u8 >= 0x80 {
            classes[byte] = 0;
        }
        byte += 1;
    }
    classes
};
/// What stems are looked for across.
const BETWEEN: u8 = u8::MAX;

/// The last three letters, of 5 bits each; with one that is none there is a 0 among them, as in no stem.
const fn next_three(three: usize, letter: u8) -> usize {
    match letter {
        0 => 0,
        letter => ((three << 5) | letter as usize) & 0x7fff,
    }
}

/// A bit for each three letters that a stem begins with.
static BEGINNINGS: [u64; 512] = {
    let mut beginnings = [0; 512];
    let mut first = b'a';
    while first <= b'z' {
        let of_letter = stems(first);
        let mut index = 0;
        while index < of_letter.len() {
            let stem = of_letter[index].0;
            let mut three = next_three(0, stem[0] & 31);
            three = next_three(three, stem[1] & 31);
            three = next_three(three, stem[2] & 31);
            beginnings[three / 64] |= 1 << (three % 64);
            index += 1;
        }
        first += 1;
    }
    beginnings
};

/// Letters and digits alone, in lower case; how many; and at which of them a word starts.
#[inline]
fn squeezed(name: &[u8]) -> ([u8; LONGEST], usize, u64) {
    let (mut text, mut starts, mut len) = ([0; LONGEST], 0_u64, 0);
    let mut last = b'_';
    for (index, &byte) in name.iter().enumerate() {
        let is_letter = byte.is_ascii_alphanumeric() || byte >= 0x80;
        if is_letter {
            let after_lower = byte.is_ascii_uppercase() && !last.is_ascii_uppercase();
            // The `K` of `APIKey`.
            let before_lower = byte.is_ascii_uppercase()
                && name.get(index + 1).is_some_and(u8::is_ascii_lowercase);
            let after_gap = !last.is_ascii_alphanumeric() && last < 0x80;
            if after_gap || after_lower || before_lower {
                starts |= 1 << len;
            }
            text[len] = byte.to_ascii_lowercase();
            len += 1;
        }
        last = byte;
    }
    (text, len, starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_in_any_spelling() {
        for name in [
            "password",
            "Password",
            "PASSWORD",
            "user.password",
            "passwordHash",
            "dbpassword",
            "PGPASSWORD",
            "new-password",
            "user[password]",
            "password2",
            "passwd",
            "pwd",
            "MYSQL_PWD",
            "passphrase",
            "smtp_pass",
            "secret",
            "client_secret",
            "clientSecret",
            "clientsecret",
            "secretKey",
            "SECRET_KEY_BASE",
            "aws_secret_access_key",
            "secrets",
            "token",
            "access_token",
            "accessToken",
            "ACCESSTOKEN",
            "id_token",
            "refresh-token",
            "x-auth-token",
            "csrf_token",
            "xsrfToken",
            "X-CSRF",
            "authorization",
            "Proxy-Authorization",
            "http.request.header.authorization",
            "authHeader",
            "cookie",
            "Set-Cookie",
            "session_cookie",
            "cookies",
            "api key",
            "apikey",
            "apiKey",
            "APIKey",
            "x-api-key",
            "private_key",
            "privateKey",
            "credential",
            "credentials",
            "otp",
            "otp_code",
            "totp",
            "pin",
            "delivery_pin",
            "userPin",
            "cvv",
            "cvv2",
            "card.cvc",
            "card_number",
            "cardNumber",
            "credit-card",
            "pan",
            "card_pan",
            "iban",
            "IBAN",
            "ssn",
            "signature",
            "X-Amz-Signature",
            "bearer",
            "jwt",
            "jwtToken",
            "connection_string",
            "ConnectionString",
            "dsn",
            "sentry_dsn",
            "passwört_password",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn names_that_only_resemble_secrets_are_left_alone() {
        for name in [
            "",
            "a",
            "id",
            "token_count",
            "tokens_used",
            "tokens",
            "max_tokens",
            "tokenizer",
            "token_type",
            "author",
            "author_id",
            "authority",
            "auth",
            "oauth",
            "authenticated",
            "pinned",
            "shipping",
            "spin",
            "pinpoint",
            "opinion",
            "session.id",
            "session_id",
            "sessionId",
            "user.id",
            "secretary",
            "secretion",
            "company",
            "span",
            "span_id",
            "pancake",
            "panic",
            "japan",
            "key",
            "keyboard",
            "monkey",
            "primary_key",
            "passenger",
            "bypassed",
            "compass",
            "passed",
            "design",
            "assign",
            "signal",
            "signup",
            "config",
            "cookie_consent",
            "cookies_accepted",
            "laptop",
            "option",
            "adoption",
            "http.route",
            "http.request.method",
            "restaurant",
            "order_id",
            "caliban",
            "card_type",
            "cardinality",
            "description",
            "discount",
            "code",
            "coupon_code",
            "menu",
            "delivery.eta",
            "status",
            "url.path",
            "server.address",
            "exception.message",
            "cvs",
            "ssnd",
            "zipcode",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_ruled_out_by_three_letters_is_no_secret(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "api", "Key", "key", "pass", "Word", "pw", "d", "to", "ken", "-", "_", ".", " ", "1", "é",
                    "SEC", "ret", "s", "i", "g", "p", "an", "PIN", "otp", "order", "id", "j", "w", "t",
                ]),
                0..8,
            ),
        ) {
            let name = parts.concat();
            let (ruled_out, secret) = (!may_be_secret(name.as_bytes()), is_secret(name.as_bytes()));
            proptest::prop_assert!(!(ruled_out && secret), "{}", name);
        }
    }

    #[test]
    fn the_end_of_a_long_name_counts() {
        assert!(is_secret_name(&format!("{}_password", "a.".repeat(500))));
        assert!(!is_secret_name(&"é".repeat(5_000)));
        assert!(!is_secret_name(&"_".repeat(5_000)));
        assert!(!is_secret_name(&"1".repeat(5_000)));
    }
}
