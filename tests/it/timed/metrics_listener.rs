//! The scrape listener of its own, under those who only hold it up.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use orderscope::Telemetry;
use tokio::time::Instant;

mod exhaustion;
mod slow;

/// What the listener holds, by its documentation.
const HELD: usize = 16;
const HEADER_WITHIN: Duration = Duration::from_secs(2);
const ALL_WITHIN: Duration = Duration::from_secs(5);
/// For a machine that also compiles.
const MARGIN: Duration = Duration::from_millis(1_500);
/// 100 ms, three times that in a build without optimisation.
const HONEST_WITHIN: Duration =
    Duration::from_millis(if cfg!(debug_assertions) { 300 } else { 100 });

fn listening() -> (Telemetry, SocketAddr) {
    let telemetry = Telemetry::builder("orders")
        .metrics_listener((Ipv4Addr::LOCALHOST, 0).into())
        .build()
        .unwrap();
    let address = telemetry.metrics_address().unwrap();
    (telemetry, address)
}

/// Everything that is answered to `request` until the listener closes.
fn answered(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn head_and_body(answer: &str) -> (&str, &str) {
    answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head in {answer:?}"))
}

/// An honest scrape, and how long it took from connecting on.
fn honest(address: SocketAddr) -> Duration {
    attempt(address).expect("it is answered")
}

/// As [`honest`]; `None` when it is closed unanswered.
fn attempt(address: SocketAddr) -> Option<Duration> {
    let began = Instant::now();
    let answer = answered(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    let took = began.elapsed();
    if answer.is_empty() {
        return None;
    }
    let (head, body) = head_and_body(&answer);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(body.contains("\ntarget_info{"), "{body}");
    Some(took)
}

#[test]
fn it_serves_metrics_by_get_and_head_and_nothing_else() {
    let (_telemetry, address) = listening();
    let ask = |request: &str| answered(address, &format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n"));

    let get = ask("GET /metrics");
    let (head, body) = head_and_body(&get);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nvary: accept\r\n"), "{head}");
    assert!(
        body.starts_with("# HELP target_info") && body.ends_with('\n'),
        "{body}"
    );
    assert!(
        head.contains(&format!("\r\ncontent-length: {}", body.len())),
        "{head}"
    );
    // A query changes nothing.
    assert!(ask("GET /metrics?name[]=up").starts_with("HTTP/1.1 200 OK\r\n"));

    let head_only = ask("HEAD /metrics");
    let (head, body) = head_and_body(&head_only);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-length: "), "{head}");
    assert_eq!(body, "");

    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let refused = ask(&format!("{method} /metrics"));
        assert!(
            refused.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
            "{refused}"
        );
        assert!(refused.contains("\r\nallow: GET, HEAD\r\n"), "{refused}");
    }
    for path in [
        "/",
        "/metrics/",
        "/Metrics",
        "//metrics",
        "/live",
        "/%6detrics",
        "*",
    ] {
        let absent = ask(&format!("GET {path}"));
        assert!(
            absent.starts_with("HTTP/1.1 404 Not Found\r\n"),
            "{path}: {absent}"
        );
        assert!(!absent.contains("target_info"), "{absent}");
    }
    let openmetrics = answered(
        address,
        "GET /metrics HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\n\r\n",
    );
    assert!(openmetrics.ends_with("# EOF\n"), "{openmetrics}");
}

#[test]
fn what_is_no_http_is_refused_and_a_huge_head_is_cut() {
    let (_telemetry, address) = listening();
    let huge = format!(
        "GET /metrics HTTP/1.1\r\nhost: x\r\nx: {}",
        "y".repeat(100_000)
    );
    for request in ["\x16\x03\x01\x02\0\x01\0\x01\u{fc}", "GET\r\n\r\n", &huge] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(HEADER_WITHIN + MARGIN))
            .unwrap();
        // The other side may have closed amid a huge head.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    honest(address);
}
