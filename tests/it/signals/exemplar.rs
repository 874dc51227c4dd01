//! From a spike on a graph to what happened: an exemplar's trace leads to the span, the lines and
//! the error.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use orderscope::capture_error;
use orderscope::clock::ManualClock;
use tower::ServiceExt;

use super::{Says, Scene, ask, body};

const DURATION: &str = "http.server.request.duration";

/// The edge of the bucket that has an exemplar, its trace and its span.
fn exemplar(page: &str) -> (f64, String, String) {
    let mut found = page.lines().filter_map(|line| {
        let of = "http_server_request_duration_seconds_bucket{";
        line.strip_prefix(of)?.split_once(" # {")
    });
    let (bucket, exemplar) = found.next().expect("an exemplar");
    assert!(found.next().is_none(), "{page}");
    let label = |text: &str, name: &str| {
        let (_, value) = text.split_once(&format!("{name}=\"")).unwrap();
        value.split_once('"').unwrap().0.to_owned()
    };
    let edge = label(bucket, "le").parse().unwrap();
    (
        edge,
        label(exemplar, "trace_id"),
        label(exemplar, "span_id"),
    )
}

#[tokio::test]
async fn the_trace_of_the_p99_s_exemplar_is_in_the_backend_with_its_lines_and_its_error() {
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
    let scene = Scene::of(|builder| builder.clock(hands.clock()));
    let _listens = scene.listens();
    let turn = hands.clone();
    let handler = async move |Path(millis): Path<u64>| {
        tracing::info!(millis, "to the kitchen");
        turn.advance(Duration::from_millis(millis));
        if millis > 1_000 {
            tracing::warn!("the kitchen was slow");
            capture_error(&std::io::Error::from(std::io::ErrorKind::TimedOut));
            return StatusCode::GATEWAY_TIMEOUT;
        }
        StatusCode::OK
    };
    let app = scene.app(Router::new().route("/wait/{millis}", get(handler)));
    let app = app.route("/metrics", scene.telemetry.metrics_route());
    for number in 0..100 {
        let millis = if number % 40 == 39 { 3_000 } else { 3 };
        ask(&app, &format!("/wait/{millis}")).await;
    }

    hands.advance(Duration::from_secs(1));
    let request = Request::get("/metrics")
        .header("accept", "application/openmetrics-text;version=1.0.0")
        .body(Body::empty());
    let answer = app.oneshot(request.unwrap()).await.unwrap();
    let page = answer.into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8(page.into()).unwrap();
    let slow: String = page
        .lines()
        .filter(|line| line.contains("code=\"504\""))
        .collect::<Vec<_>>()
        .join("\n");
    let (edge, trace_id, span_id) = exemplar(&slow);
    let numbers = scene.telemetry.snapshot();
    let p99 = numbers.histogram(DURATION, &[]).quantile(0.99).unwrap();
    assert!(p99 > 2.5 && p99 <= edge && edge == 5.0, "{p99} {edge}");

    let spans = scene.spans().await;
    let of_trace = spans.iter().filter(|s| s.trace_id.to_string() == trace_id);
    let [span] = of_trace.collect::<Vec<_>>()[..] else {
        panic!("{trace_id} is not one of {spans:#?}");
    };
    assert_eq!(span.span_id.to_string(), span_id);
    assert_eq!(span.says("url.path"), "/wait/3000");
    let took = span.ended.duration_since(span.started).unwrap();
    assert_eq!(took, Duration::from_secs(3));

    let logs = scene.logs().await;
    let mut told: Vec<_> = logs
        .iter()
        .filter(|log| log.trace_id == Some(span.trace_id))
        .map(|log| (log.event_name.as_str(), body(log)))
        .collect();
    // Errors leave first.
    told.sort_unstable();
    let expected = [
        ("", "the kitchen was slow"),
        ("", "to the kitchen"),
        ("exception", "timed out"),
    ];
    assert_eq!(told, expected);
    // The same by OTLP: a push after the scrape says which trace stands for the slow ones.
    let pushed = scene.backend.metrics();
    assert!(pushed.iter().any(|metric| metric.name == DURATION));
}
