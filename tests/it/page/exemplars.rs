//! Exemplars: OpenMetrics only, by the trace of the slowest request, and of the first error, since the
//! last scrape.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::get;
use http_body_util::BodyExt;
use hyper::Request;
use orderscope::clock::ManualClock;
use tower::ServiceExt;

use super::{Subject, block_on};
use crate::exposition::{Exemplar, Family, Format, Parser};

const SLOW: &str = "0af7651916cd43dd8448eb211c80319c";
const DURATION: &str = "http_server_request_duration_seconds";

/// Asks for `/wait/{millis}` with that trace.
async fn ask(app: &Router, millis: u64, trace: &str, flags: &str) {
    let request = Request::get(format!("/wait/{millis}"))
        .header(
            "traceparent",
            format!("00-{trace}-b7ad6b7169203331-{flags}"),
        )
        .body(Body::empty());
    let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
    answer.into_body().collect().await.unwrap();
}

fn app(subject: &Subject) -> Router {
    async fn wait(State(hands): State<ManualClock>, Path(millis): Path<u64>) -> &'static str {
        hands.advance(Duration::from_millis(millis));
        "done"
    }
    Router::new()
        .route("/wait/{millis}", get(wait))
        .layer(subject.telemetry.http_layer())
        .with_state(subject.hands.clone())
}

/// The exemplars of the request histogram, with the edge that each stands at.
fn exemplars(subject: &Subject, parser: &mut Parser) -> Vec<(String, Exemplar)> {
    let page = subject.parsed(parser, Format::OpenMetrics).unwrap();
    let buckets = page[DURATION].samples.iter();
    buckets
        .filter_map(|sample| Some((sample.labels.get("le")?.clone(), sample.exemplar.clone()?)))
        .collect()
}

#[test]
fn the_slowest_request_is_named_by_its_trace_in_openmetrics_only() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    let app = app(&subject);
    block_on(async {
        ask(&app, 3, &"1".repeat(32), "01").await;
        ask(&app, 3_000, SLOW, "01").await;
        ask(&app, 30, &"2".repeat(32), "01").await;
    });
    // A page in text takes no exemplar away.
    let text = block_on(subject.page(Format::Text));
    assert!(!text.contains(SLOW) && !text.contains("trace_id"), "{text}");

    let found = exemplars(&subject, &mut parser);
    let [(edge, exemplar)] = &found[..] else {
        panic!("{found:#?}");
    };
    assert_eq!(edge, "5.0");
    assert_eq!(exemplar.labels["trace_id"], SLOW);
    let span = &exemplar.labels["span_id"];
    assert!(
        span.len() == 16 && *span != "b7ad6b7169203331",
        "our own span: {span}"
    );
    assert_eq!(exemplar.value, 3.0);
    // The wall clock at the end of the slow request.
    assert_eq!(exemplar.timestamp, Some(1_749_988_803.003));
}

#[test]
fn after_a_scrape_the_next_request_is_named() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    let app = app(&subject);
    block_on(ask(&app, 3_000, SLOW, "01"));
    exemplars(&subject, &mut parser);
    let newer = "2".repeat(32);
    block_on(ask(&app, 3, &newer, "01"));
    let found = exemplars(&subject, &mut parser);
    let [(edge, exemplar)] = &found[..] else {
        panic!("{found:#?}");
    };
    assert_eq!(edge, "0.005");
    assert_eq!(exemplar.labels["trace_id"], newer);
}

#[test]
fn a_trace_that_is_not_recorded_is_not_named() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    block_on(ask(&app(&subject), 3_000, SLOW, "00"));
    assert_eq!(exemplars(&subject, &mut parser).len(), 0);
}

#[test]
fn an_error_is_named_by_its_trace_on_the_counters_of_errors() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    let failing = async || orderscope::capture_error(&std::fmt::Error);
    let app = Router::new()
        .route("/wait/{millis}", get(failing))
        .layer(subject.telemetry.http_layer());
    block_on(async {
        ask(&app, 1, SLOW, "01").await;
        ask(&app, 2, &"2".repeat(32), "01").await;
    });
    let text = block_on(subject.page(Format::Text));
    assert!(!text.contains(SLOW), "{text}");
    let page = subject.parsed(&mut parser, Format::OpenMetrics).unwrap();
    assert_the_first_is_named(
        &page,
        &["orderscope_exceptions", "orderscope_exceptions_by_type"],
    );
}

#[test]
fn a_panic_is_named_by_its_trace_on_the_counter_of_panics() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    let failing = async || -> &'static str { panic!("planted") };
    let app = Router::new()
        .route("/wait/{millis}", get(failing))
        .layer(subject.telemetry.http_layer());
    block_on(async {
        ask(&app, 1, SLOW, "01").await;
        ask(&app, 2, &"2".repeat(32), "01").await;
    });
    let page = subject.parsed(&mut parser, Format::OpenMetrics).unwrap();
    assert_the_first_is_named(&page, &["orderscope_panics", "orderscope_exceptions"]);
}

#[track_caller]
fn assert_the_first_is_named(page: &BTreeMap<String, Family>, families: &[&str]) {
    for family in families {
        let samples = page[*family].samples.iter();
        let named: Vec<_> = samples
            .filter_map(|sample| sample.exemplar.as_ref())
            .collect();
        let [exemplar] = &named[..] else {
            panic!("{family}: {named:#?}");
        };
        assert_eq!(exemplar.labels["trace_id"], SLOW, "the first of two");
        assert_eq!(exemplar.value, 1.0);
    }
}
