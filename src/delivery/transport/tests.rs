//! Over loopback, against receivers that do as they are told.

#[cfg(feature = "grpc")]
mod alike;
mod bounds;
mod faults;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
#[cfg(feature = "grpc")]
mod http_2;
mod receiver;
mod tls;

use super::*;
use crate::clock::ManualClock;
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// More than the kernel's buffers hold, so that it is not sent whole while nobody reads.
const LARGE: usize = 32 * 1024 * 1024;
/// Of an attempt that is to end by itself, however busy the machine is.
const AMPLE: Duration = Duration::from_secs(30);
/// Of an attempt that is to end by its deadline.
const SHORT: Duration = Duration::from_millis(300);

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        protocol: Protocol::HttpProtobuf,
        url: format!("http://{address}/v1/traces").parse().unwrap(),
        headers: Vec::new(),
        timeout: AMPLE,
        compression: Compression::None,
        tls: Tls::default(),
    }
}

fn transport(endpoint: Endpoint) -> Arc<dyn Transport> {
    let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH).clock();
    connect([Some(endpoint), None, None], &clock).unwrap()
}

async fn send(endpoint: Endpoint, body: impl Into<Bytes>) -> Answer {
    let within = endpoint.timeout;
    send_over(&*transport(endpoint), within, body).await
}

async fn send_over(transport: &dyn Transport, within: Duration, body: impl Into<Bytes>) -> Answer {
    let attempt = transport.send(Signal::Traces, body.into());
    // Not the attempt's own deadline, which may be what is missing.
    let ended = tokio::time::timeout(within + AMPLE, attempt).await;
    ended.expect("an attempt ends")
}

/// What comes of `attempt` with the first of longer and longer deadlines by which it goes as it is meant
/// to: on a busy machine a short one may be over before the request has gone.
async fn with_a_deadline<T>(attempt: impl AsyncFn(Duration) -> Result<T, Answer>) -> T {
    let mut otherwise = None;
    for within in [SHORT, 10 * SHORT, 100 * SHORT] {
        match attempt(within).await {
            Ok(meant) => return meant,
            Err(answer) => otherwise = Some(answer),
        }
    }
    panic!("with every deadline: {otherwise:?}");
}

/// Ends by its deadline, and as it is meant to.
async fn is_cut_off(
    mut endpoint: Endpoint,
    within: Duration,
    body: impl Into<Bytes>,
    is_meant: impl Fn(&Answer) -> bool,
) -> Result<(), Answer> {
    endpoint.timeout = within;
    let begun = tokio::time::Instant::now();
    let answer = send(endpoint, body).await;
    let took = begun.elapsed();
    match is_meant(&answer) {
        true => assert!(took >= within, "{took:?} of {within:?}: {answer:?}"),
        false => return Err(answer),
    }
    Ok(())
}

fn accepted() -> Answer {
    Answer::Accepted {
        rejected: 0,
        message: None,
    }
}

/// Whether it may be sent again without a doubt.
fn is_unavailable(answer: &Answer) -> bool {
    matches!(answer, Answer::Unavailable { after: None, .. })
}

fn is_unreachable(answer: &Answer) -> bool {
    matches!(answer, Answer::Unreachable { .. })
}

fn is_unanswered(answer: &Answer) -> bool {
    matches!(answer, Answer::Unanswered { .. })
}

#[test]
fn ways_are_made_outside_of_every_runtime() {
    let mut endpoint = endpoint(([127, 0, 0, 1], 1).into());
    endpoint.url = "https://localhost:1/v1/traces".parse().unwrap();
    let with_secret = HeaderValue::from_static("canary");
    endpoint.headers = vec![(::http::header::AUTHORIZATION, with_secret)];
    let transport = transport(endpoint);
    let shown = format!("{transport:?}");
    assert_eq!(
        shown,
        r#"{"traces": "http/protobuf", "logs": "none", "metrics": "none"}"#
    );
}

#[test]
fn an_address_that_is_none_is_refused_without_its_password() {
    for url in ["/v1/traces", "ftp://me:canary@host/", "localhost:4318"] {
        let mut endpoint = endpoint(([127, 0, 0, 1], 1).into());
        endpoint.url = url.parse().unwrap();
        let refused = connect([None, Some(endpoint), None], &Clock::system()).unwrap_err();
        let message = refused.to_string();
        assert!(
            message.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT is "),
            "{message}"
        );
        assert!(!message.contains("canary"), "{message}");
    }
}
