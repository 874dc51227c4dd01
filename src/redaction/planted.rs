//! Secrets planted in sentences as services write them, and sentences that only look alike.

use super::{text, url};
use ::http::Uri;
use proptest::prelude::*;
use std::{borrow::Cow, time::Duration};
use tokio::time::Instant;

/// A sentence, the secret in it, and what is left.
const PLANTED: [(&str, &str, &str); 52] = [
    (
        "login failed: password=hunter2 user=bob",
        "hunter2",
        "login failed: password=*** user=bob",
    ),
    (
        "login PASSWORD = Hunter2, user = bob",
        "Hunter2",
        "login PASSWORD = ***, user = bob",
    ),
    (
        "password: hun,ter;2! for bob",
        "ter;2",
        "password: *** for bob",
    ),
    (
        "config {user=bob,password=hunter2,port=1}",
        "hunter2",
        "config {user=bob,password=***,port=1}",
    ),
    ("(db_pass=hunter2)", "hunter2", "(db_pass=***)"),
    (
        "password='hun ter2' rejected",
        "ter2",
        "password='***' rejected",
    ),
    (
        r#"body {"password":"hun\"ter2","n":1}"#,
        "ter2",
        r#"body {"password":"***","n":1}"#,
    ),
    (
        r#"{"body":"{\"pin\": \"4711\",\"n\":1}"}"#,
        "4711",
        r#"{"body":"{\"pin\": \"***\",\"n\":1}"}"#,
    ),
    (
        r#"{"cvv":123,"amount":2350}"#,
        "123",
        r#"{"cvv":***,"amount":2350}"#,
    ),
    (
        r#"Login { user: "bob", password: "hunter2" }"#,
        "hunter2",
        r#"Login { user: "bob", password: "***" }"#,
    ),
    (
        r#"Login { token: Some("a b\"c"), n: 1 }"#,
        "b",
        r#"Login { token: ***, n: 1 }"#,
    ),
    (
        r#"Login { credentials: Basic { user: "a" }, n: 1 }"#,
        "user",
        "Login { credentials: ***, n: 1 }",
    ),
    (
        "Login { secret: [115, 51], n: 1 }",
        "51",
        "Login { secret: ***, n: 1 }",
    ),
    (
        r#"password: b"hunter2\"x" refused"#,
        "hunter2",
        r#"password: b"***" refused"#,
    ),
    (
        "{:client_secret => 'hunter2', :n => 1}",
        "hunter2",
        "{:client_secret => '***', :n => 1}",
    ),
    (
        "api_key => hunter2 was refused",
        "hunter2",
        "api_key => *** was refused",
    ),
    (
        "API key: hunter2 was refused",
        "hunter2",
        "API key: *** was refused",
    ),
    (
        "x-api-key: hunter2\r\naccept: */*",
        "hunter2",
        "x-api-key: ***\r\naccept: */*",
    ),
    (
        "Authorization: Bearer hunter2 refused",
        "hunter2",
        "Authorization: *** refused",
    ),
    (
        "authorization: Basic Ym9iOmh1bnRlcjI= refused",
        "Ym9i",
        "authorization: *** refused",
    ),
    (
        "Authorization: Digest username=\"bob\", response=\"ab12\"\nHost: h",
        "ab12",
        "Authorization: ***\nHost: h",
    ),
    (
        r#"HeaderMap {"authorization": "Bearer hunter2", "n": "1"}"#,
        "hunter2",
        r#"HeaderMap {"authorization": "***", "n": "1"}"#,
    ),
    (
        "sent Bearer hunter2.x-y to billing",
        "hunter2",
        "sent Bearer *** to billing",
    ),
    ("sent BEARER hunter2", "hunter2", "sent BEARER ***"),
    (
        "sent basic Ym9iOmh1bnRlcjI= to billing",
        "Ym9i",
        "sent basic *** to billing",
    ),
    (
        "Cookie: sid=hunter2; theme=dark was refused",
        "theme=dark",
        "Cookie: *** was refused",
    ),
    (
        "Set-Cookie: sid=hunter2; Path=/; HttpOnly\nx: y",
        "hunter2",
        "Set-Cookie: ***\nx: y",
    ),
    (
        "cannot reach postgres://orders:hunter2@db:5432/orders today",
        "hunter2",
        "cannot reach postgres://***@db:5432/orders today",
    ),
    (
        "cannot reach AMQP://orders:hun/t#er2@mq today",
        "er2",
        "cannot reach AMQP://***@mq today",
    ),
    (
        "redis://:hun@ter2@cache:6379",
        "ter2",
        "redis://***@cache:6379",
    ),
    (
        "host=db user=orders password=hunter2 dbname=orders",
        "hunter2",
        "host=db user=orders password=*** dbname=orders",
    ),
    (
        "Server=db;User Id=orders;Password=hunter2;Timeout=5",
        "hunter2",
        "Server=db;User Id=orders;Password=***;Timeout=5",
    ),
    (
        "GET /login?password=hunter2&x=1 HTTP/1.1",
        "hunter2",
        "GET /login?password=***&x=*** HTTP/1.1",
    ),
    (
        "see (https://h/reset?code=hunter2).",
        "hunter2",
        "see (https://h/reset?code=***).",
    ),
    (
        r#"{"url":"https://h/p?flag&who=hunter2"}"#,
        "hunter2",
        r#"{"url":"https://h/p?flag&who=***"}"#,
    ),
    (
        "https://h/cb#access_token=hunter2&n=1 opened",
        "hunter2",
        "https://h/cb#access_token=***&n=1 opened",
    ),
    (
        "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P here",
        "dozj",
        "got *** here",
    ),
    (
        "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0",
        "zdWIi",
        "got ***",
    ),
    (
        "stripe said no to sk_live_4eC39HqLyjWDarjtT1zdp7dc.",
        "4eC39",
        "stripe said no to ***.",
    ),
    (
        "stripe: SK_TEST_4eC39HqLyjWDarjtT1zdp7dc",
        "4eC39",
        "stripe: ***",
    ),
    (
        "using AKIAIOSFODNN7EXAMPLE in eu-west-1",
        "IOSFODNN7",
        "using *** in eu-west-1",
    ),
    (
        "push with ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "16C7e42F",
        "push with ***",
    ),
    (
        "push with github_pat_11ABCDEFG0abcdefghijkl_mnop!",
        "mnop",
        "push with ***!",
    ),
    (
        "slack xoxb-1234567890-abcdefghij refused",
        "abcdefghij",
        "slack *** refused",
    ),
    (
        "gitlab glpat-abcdefghij1234567890 refused",
        "abcdefghij",
        "gitlab *** refused",
    ),
    (
        "maps AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY refused",
        "9tSrke72",
        "maps *** refused",
    ),
    (
        "google ya29.a0AfH6SMBx-abc.def refused",
        "a0AfH6",
        "google *** refused",
    ),
    (
        "key -----BEGIN RSA PRIVATE KEY-----\nMIIhunter2\n-----END RSA PRIVATE KEY----- read",
        "MIIhunter2",
        "key *** read",
    ),
    (
        "private_key: -----BEGIN PRIVATE KEY-----\\nMIIhunter2",
        "MIIhunter2",
        "private_key: ***",
    ),
    (
        "card 4111 1111 1111 1111 declined for order 17",
        "1111",
        "card *** declined for order 17",
    ),
    (
        "paid (378282246310005), iban=DE89370400440532013000",
        "DE89",
        "paid (***), iban=***",
    ),
    (
        "<login><user>bob</user><password>hun ter2</password></login>",
        "ter2",
        "<login><user>bob</user><password>***</password></login>",
    ),
];

const HARMLESS: [&str; 44] = [
    "",
    "order 42 placed: total=2350 EUR",
    "token_count=512 tokens_used: 17 max_tokens=4096",
    "session.id=6ba7b810-9dad-11d1-80b4-00c04fd430c8 session_id=abc",
    "the author: Ada, pinned: true, shipping=fast",
    "Bearer token missing; the bearer of this letter",
    "WWW-Authenticate: Bearer realm=\"orders\"",
    "basic subscription, basic plan, Basic authentication",
    "https://example.com/menu/7 and http://[::1]:8080/metrics",
    "GET /menu/7 HTTP/1.1 200 OK in 12ms",
    "really? a=1 and why?",
    "password",
    "password reset requested for user 7",
    "Enter your password:",
    "password=",
    "password= user=bob",
    "password: \"\"",
    "orderscope::token::parse at src/token.rs:17:9",
    "thread 'main' panicked at src/main.rs:3:5: index out of bounds: the len is 0 but the index is 3",
    "called `Result::unwrap()` on an `Err` value: Os { code: 2, kind: NotFound }",
    "order 4111111111111112 shipped", // The check digit is wrong.
    "at 1790812345678 ms, 1790812345678901234 ns",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "0.4111111111111111 and +4111111111111111",
    "2024-05-01T12:00:00.123456Z INFO orders: placed",
    "10.0.0.1:5432 -> [fe80::1]:443",
    "mail to bob@example.com from ada@example.com",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "SELECT * FROM orders WHERE id = ? AND total > ?",
    "sk_live_ is a prefix; task_test_case ran; risk_live_data too",
    "eyJ is a prefix, eyJhbGci alone too, heyJude.mp3.bak",
    "ghp_short xoxb-1 AKIA AIza ya29",
    "cookie_consent=true cookies_accepted=1",
    "the key: value, key=value, primary_key=7",
    "code: 7, coupon code: PIZZA10, zip code: 10115",
    "design=signal, assign: 3",
    "über=größe, 東京: ok, naïve? yes",
    "{\"order\":{\"id\":7,\"items\":[{\"sku\":\"a-1\"}]}}",
    "<b>bold</b> <token_count>3</token_count>",
    "a == b != c => d -> e :: f := g",
    "?? && == :: // -- __ ** ..",
    "*** ***",
    "12 345 678 901 234 567 890",
];

#[test]
fn planted_secrets_are_gone_and_what_surrounds_them_stays() {
    for (sentence, secret, left) in PLANTED {
        let masked = text(sentence);
        assert_eq!(masked, left, "{sentence}");
        assert_eq!(text(left), left);
        // "b" of the brackets' case stands elsewhere too.
        assert!(secret.len() < 2 || !masked.contains(secret), "{masked}");
    }
}

#[test]
fn letter_case_hides_no_secret() {
    for (sentence, _, left) in PLANTED {
        // Base64 is another text in another case.
        if !sentence.contains("Ym9i") {
            assert_eq!(
                text(&sentence.to_ascii_uppercase()),
                left.to_ascii_uppercase()
            );
            assert_eq!(
                text(&sentence.to_ascii_lowercase()),
                left.to_ascii_lowercase()
            );
        }
    }
}

#[test]
fn harmless_sentences_are_given_back_as_they_are() {
    for sentence in HARMLESS {
        let masked = text(sentence);
        assert_eq!(masked, sentence);
        assert!(matches!(masked, Cow::Borrowed(_)), "{sentence}");
    }
}

#[test]
fn hostile_megabytes_take_time_in_proportion() {
    const MEGABYTES: usize = if cfg!(debug_assertions) { 1 } else { 10 };
    let seeds = [
        "=",
        ":",
        "eyJ.",
        "eyJ",
        "-eyJ",
        "-eyJ-a.",
        "://",
        "a://b:c",
        "a://b:c/",
        "?",
        "?a",
        "?a=",
        "&a=",
        "a=",
        "password=",
        "password: ",
        "password=\"",
        "password=\\\"",
        "\\",
        "password=(",
        "token=,a",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----",
        "4",
        "4 ",
        "4111-",
        "Bearer ",
        "basic ",
        "cookie: a;",
        "cookie: a; ",
        "<password>",
        "ghp_",
        "-ghp_",
        "sk_live_",
        "ya29.",
        "AKIA",
        " ",
        "a",
        "a b ",
        "key: ",
        "'",
        "\"",
        ",",
        "password=a,",
        "é",
        "@",
        "a://@",
        "a://b:c@",
        "key",
        "secret",
        "=> ",
    ];
    for seed in seeds {
        let hostile = seed.repeat(MEGABYTES * 1_000_000 / seed.len());
        let start = Instant::now();
        let masked = text(&hostile).len();
        let took = start.elapsed();
        // Quadratic time would be hours; a debug build on a busy machine needs some seconds.
        assert!(
            took < Duration::from_secs(60),
            "{seed:?}: {took:?} for {masked}"
        );
    }
}

fn fragment() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "password",
        "token",
        "key",
        "api",
        "cookie",
        "card number",
        "Bearer ",
        "basic ",
        "eyJ",
        "eyJhbGciOi",
        "ghp_0123456789abcdef",
        "sk_live_abcdef",
        "glpat-abcdefgh",
        "ya29.abcdefgh",
        "AKIAIOSFODNN7EXAMPLE",
        "4111111111111111",
        "4111 1111",
        " 1111 1111",
        "4",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "://",
        "a://",
        "u:p@h",
        "?",
        "&",
        "=",
        ":",
        "=>",
        "\"",
        "'",
        "\\",
        "\\\"",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "<",
        ">",
        ",",
        ";",
        " ",
        "  ",
        "\n",
        ".",
        "-",
        "_",
        "*",
        "***",
        "@",
        "/",
        "#",
        "é",
        "a",
        "b",
        "x=1",
        "Ym9iOmh1bnRlcjI=",
        "digest ",
        "passphrase",
        "<pin>",
        "Some(",
        "Login {",
        "!",
        "|",
        "`",
        "\t",
        "\0",
        "%",
        "+",
        "~",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

fn sentence() -> impl Strategy<Value = String> {
    prop::collection::vec(fragment(), 0..14).prop_map(|parts| parts.concat())
}

const CASES: u32 = 4_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() })]

    #[test]
    fn masking_twice_is_masking_once(sentence in sentence()) {
        let once = text(&sentence).into_owned();
        prop_assert_eq!(text(&once), once.as_str());
    }

    #[test]
    fn a_url_masked_twice_is_masked_once(mut sentence in sentence()) {
        sentence.retain(|sign| sign.is_ascii_graphic() && !"<>\"`{}|\\^".contains(sign));
        let whole: Uri = format!("https://orders:hunter2@h/{sentence}").parse().unwrap();
        let once = url(&whole);
        prop_assert!(once.starts_with("https://***@h/"), "{once}");
        prop_assert_eq!(url(&once.parse().unwrap()), once.as_str());
    }

    #[test]
    fn any_text_at_all_is_taken(sentence in any::<String>()) {
        text(&sentence);
    }
}
