//! What clients make up costs nothing that lasts, and little that does not.

use std::convert::Infallible;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as route_get;
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response};
use orderscope::context::{TraceContext, current_trace};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::connection::get;
use super::numbers::{DURATION, METHOD, Numbers, ROUTE};
use super::served::telemetry;

/// Set for the process that measures its own memory.
const ALONE: &str = "ORDERSCOPE_TEST_ALONE";
const GROWTH: u64 = 8 << 20;

#[test]
fn a_hundred_thousand_made_up_requests_add_no_series_and_no_memory() {
    if std::env::var_os(ALONE).is_some() {
        return made_up_requests();
    }
    // The memory of this process is that of all tests.
    let name = "http::hostile::a_hundred_thousand_made_up_requests_add_no_series_and_no_memory";
    let alone = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = [alone.stdout, alone.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        alone.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::main(flavor = "current_thread")]
async fn made_up_requests() {
    let telemetry = telemetry();
    let mut app: Router = Router::new()
        .route("/orders/{id}", route_get(async || "order"))
        .layer(telemetry.http_layer())
        .route("/metrics", telemetry.metrics_route());
    // The overflow sets, and the buffers that stay.
    for number in 0..1_000 {
        ask(&mut app, made_up(number)).await;
    }
    let before = page(&mut app).await;
    let memory = resident_bytes();
    for number in 1_000..101_000 {
        ask(&mut app, made_up(number)).await;
    }
    let growth = resident_bytes().saturating_sub(memory);
    assert!(growth <= GROWTH, "{growth} bytes");
    // A page is shared for that long.
    tokio::time::sleep(Duration::from_millis(110)).await;
    let after = page(&mut app).await;
    assert_eq!(series(&after), series(&before));
    // Only the numbers grew: by three digits at most.
    let grown = after.len() - before.len();
    assert!(grown <= 3 * after.lines().count(), "{grown} bytes");
    assert!(!after.contains("made-up"));

    let numbers = telemetry.snapshot();
    assert_eq!(numbers.outcomes(), [("completed", 101_000)]);
    assert_eq!(
        numbers.attribute_values(DURATION, ROUTE),
        ["", "/orders/{id}"]
    );
    assert_eq!(
        numbers.attribute_values(DURATION, METHOD),
        ["GET", "_OTHER"]
    );
    assert_eq!(numbers.series(DURATION), 4);
    let overflowed = numbers.counter("orderscope.series.overflowed", &[]);
    assert_eq!(overflowed, 0);
}

/// Path, query, host, method, agent and a header's name of its own.
fn made_up(number: u32) -> Request<Body> {
    let path = match number % 2 {
        0 => format!("/orders/made-up-{number}?made-up={number}"),
        _ => format!("/made-up/{number}"),
    };
    let mut made_up = get(&path);
    if !number.is_multiple_of(3) {
        *made_up.method_mut() = Method::from_bytes(format!("MADE-UP-{number}").as_bytes()).unwrap();
    }
    let value = |what: &str| HeaderValue::from_str(&format!("made-up-{what}-{number}")).unwrap();
    let name = HeaderName::from_bytes(format!("x-made-up-{number}").as_bytes()).unwrap();
    let headers = made_up.headers_mut();
    headers.insert(HOST, value("host"));
    headers.insert(USER_AGENT, value("agent"));
    headers.insert("x-tenant", value("tenant"));
    headers.insert(name, value("header"));
    made_up
}

async fn ask(app: &mut Router, request: Request<Body>) -> Bytes {
    let response = app.call(request).await.unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}

async fn page(app: &mut Router) -> String {
    let page = ask(app, get("/metrics")).await;
    String::from_utf8(page.to_vec()).unwrap()
}

/// The lines of a page without their values, but for those of the runtime, whose workers are told of
/// when a second has passed.
fn series(page: &str) -> Vec<&str> {
    let is_told = |line: &&str| !line.starts_with('#') && !line.starts_with("orderscope_tokio_");
    let samples = page.lines().filter(is_told);
    let named = samples.map(|line| line.rsplit_once(' ').unwrap().0);
    named.collect()
}

fn resident_bytes() -> u64 {
    let status = procfs::process::Process::myself().unwrap().status();
    status.unwrap().vmrss.unwrap() * 1024
}

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const HUGE: usize = 400 << 10;

/// Headers, and whether their trace goes on.
fn hostile_headers() -> Vec<(&'static str, HeaderMap, bool)> {
    let huge = |start: &str| {
        let text = start.repeat(HUGE / start.len() + 1);
        // Shared: a clone of the headers copies none of it.
        HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap()
    };
    let with = |name: &'static str, values: Vec<HeaderValue>| {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static(GOOD));
        headers.remove(name);
        for value in values {
            headers.append(name, value);
        }
        headers
    };
    let members = (0..500).map(|n| HeaderValue::from_str(&format!("k{n}=v")).unwrap());
    let members: Vec<_> = members.collect();
    let lines = vec![HeaderValue::from_static("k=v"); 10_000];
    vec![
        ("traceparent", with("traceparent", vec![huge(GOOD)]), false),
        (
            "future traceparent",
            with("traceparent", vec![huge("01-")]),
            false,
        ),
        (
            "many traceparents",
            with("traceparent", vec![HeaderValue::from_static(GOOD); 10_000]),
            false,
        ),
        ("tracestate", with("tracestate", vec![huge("k=v,")]), true),
        ("tracestate lines", with("tracestate", lines), true),
        ("baggage", with("baggage", members), true),
        ("huge baggage", with("baggage", vec![huge("k=v,")]), true),
    ]
}

#[test]
fn huge_trace_headers_are_ignored_at_the_price_of_a_plain_request() {
    let telemetry = telemetry();
    let layer = telemetry.tower_layer(|_| Some("/orders"));
    // The headers go back with the response, so that dropping them is not in the time.
    let mut service = layer.layer(tower::service_fn(async |request: Request<_>| {
        let (head, _) = request.into_parts();
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(head.headers);
        response.extensions_mut().insert(current_trace());
        Ok::<_, Infallible>(response)
    }));
    let mut made = 0;
    let mut timed = |headers: &HeaderMap| {
        made += 1;
        let mut request = get("/orders/7");
        *request.headers_mut() = headers.clone();
        let started = Instant::now();
        let answered = service.call(request).now_or_never();
        let took = started.elapsed();
        let response = answered.unwrap().unwrap();
        let seen = response.extensions().get::<Option<TraceContext>>().cloned();
        (took, seen.flatten().unwrap())
    };
    let mut plain = HeaderMap::new();
    plain.insert("traceparent", HeaderValue::from_static(GOOD));
    plain.insert("tracestate", HeaderValue::from_static("kitchen=1"));
    let (_, trace) = timed(&plain);
    assert_eq!(trace.trace_id().to_string(), TRACE_ID);
    assert_eq!(trace.tracestate().unwrap(), "kitchen=1");

    for (what, headers, goes_on) in hostile_headers() {
        let (_, trace) = timed(&headers);
        let is_caller = trace.trace_id().to_string() == TRACE_ID;
        assert_eq!(is_caller, goes_on, "{what}");
        assert!(trace.is_sampled(), "{what}");
        assert_eq!(trace.tracestate(), None, "{what}");
        // By turns, and once more where others use the machine: reading 400 KB takes a hundred times as
        // long in a build without optimisation.
        let mut told = Vec::new();
        let is_cheap = (0..20).any(|_| {
            let mut fastest = [Duration::MAX; 2];
            for _ in 0..100 {
                for (fastest, headers) in fastest.iter_mut().zip([&plain, &headers]) {
                    *fastest = timed(headers).0.min(*fastest);
                }
            }
            told.push(fastest);
            fastest[1] <= 3 * fastest[0] + Duration::from_micros(20)
        });
        assert!(is_cheap, "{what}, beside a plain one: {told:?}");
    }
    assert_eq!(telemetry.snapshot().outcomes(), [("completed", made)]);
}
