//! The caller's trace, and where the code of a handler finds it.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::routing::get as route_get;
use bytes::Bytes;
use futures_util::stream;
use orderscope::context::{TraceContext, current_trace};
use tokio::task::yield_now;

use super::connection::{Wire, get};
use super::numbers::DURATION;
use super::served::Served;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// What the code sees: trace, span, whether it is sampled, and its state.
fn seen() -> String {
    current_trace().map_or("nothing".to_owned(), |trace: TraceContext| {
        let state = trace
            .tracestate()
            .map_or("", |state| state.to_str().unwrap());
        format!("{} {state}", trace.traceparent())
    })
}

async fn in_handler() -> String {
    let before = seen();
    yield_now().await;
    assert_eq!(seen(), before);
    before
}

async fn in_body() -> Body {
    let told = stream::once(async {
        yield_now().await;
        Ok::<_, Infallible>(Bytes::from(seen()))
    });
    Body::from_stream(told)
}

async fn in_spawned() -> String {
    tokio::spawn(async { seen() }).await.unwrap()
}

fn routes() -> Router {
    Router::new()
        .route("/handler", route_get(in_handler))
        .route("/body", route_get(in_body))
        .route("/spawned", route_get(in_spawned))
}

#[tokio::test]
async fn the_caller_s_trace_goes_on_in_the_handler_and_in_its_body() {
    let served = Served::behind_the_layer(routes()).await;
    for (wire, flags) in Wire::BOTH.into_iter().zip(["01", "00"]) {
        let mut connection = served.connect(wire).await;
        for path in ["/handler", "/body"] {
            let mut asked = get(path);
            let parent = format!("00-{TRACE_ID}-{CALLER}-{flags}");
            let headers = asked.headers_mut();
            headers.insert("traceparent", parent.parse().unwrap());
            headers.append("tracestate", "kitchen=1".parse().unwrap());
            headers.append("tracestate", "courier=2".parse().unwrap());
            let answer = connection.ask(asked).await;
            let seen: Vec<&str> = answer.text().split(['-', ' ']).collect();
            let ["00", TRACE_ID, span, as_sampled, "kitchen=1,courier=2"] = seen[..] else {
                panic!("{path}: {seen:?}");
            };
            assert_eq!(as_sampled, flags);
            assert_ne!(span, CALLER, "a span of its own");
            assert_eq!(seen.len(), 5);
        }
    }
    assert!(current_trace().is_none(), "outside of the layer");
}

#[tokio::test]
async fn a_request_without_a_caller_begins_a_trace_of_its_own() {
    let served = Served::behind_the_layer(routes()).await;
    let mut connection = served.connect(Wire::Http1).await;
    let mut traces = Vec::new();
    for path in ["/handler", "/body", "/handler"] {
        let answer = connection.get(path).await;
        let trace = answer.text().split('-').nth(1).unwrap().to_owned();
        assert_eq!(trace.len(), 32);
        assert_ne!(trace, "0".repeat(32));
        traces.push(trace);
    }
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 3);
}

#[tokio::test]
async fn a_malformed_caller_is_as_if_it_were_not_there() {
    let served = Served::behind_the_layer(routes()).await;
    let mut connection = served.connect(Wire::Http1).await;
    let good = format!("00-{TRACE_ID}-{CALLER}-01");
    for bad in [
        good.to_uppercase(),
        format!("{good}-more"),
        good.replace(TRACE_ID, &"0".repeat(32)),
        good.replace(CALLER, &"0".repeat(16)),
        good.replace("00-", "ff-"),
        good.repeat(1_000),
    ] {
        let mut asked = get("/handler");
        let headers = asked.headers_mut();
        headers.insert("traceparent", bad.parse().unwrap());
        headers.insert("tracestate", "kitchen=1".parse().unwrap());
        let answer = connection.ask(asked).await;
        let seen = answer.text();
        assert!(!seen.to_lowercase().contains(TRACE_ID), "{bad}: {seen}");
        assert!(!seen.contains("kitchen"), "the state went with its parent");
    }
}

#[tokio::test]
async fn a_spawned_task_does_not_inherit_the_trace() {
    let served = Served::behind_the_layer(routes()).await;
    let mut connection = served.connect(Wire::Http1).await;
    assert_eq!(connection.get("/spawned").await.text(), "nothing");
}

#[tokio::test]
async fn the_slowest_request_stands_for_its_histogram_by_its_trace() {
    let served = Served::behind_the_layer(routes()).await;
    let mut connection = served.connect(Wire::Http1).await;
    let mut asked = get("/handler");
    let parent = format!("00-{TRACE_ID}-{CALLER}-01");
    let headers = asked.headers_mut();
    headers.insert("traceparent", parent.parse().unwrap());
    connection.ask(asked).await;
    let numbers = served.after(1).await;
    let duration = numbers.histogram(DURATION, &[]);
    assert_eq!(duration.exemplar_trace_id().unwrap().to_string(), TRACE_ID);
}
