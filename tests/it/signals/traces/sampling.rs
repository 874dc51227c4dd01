//! Which traces are recorded, and which requests keep their span whatever was decided.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use hyper::{Request, StatusCode};
use orderscope::clock::ManualClock;
use orderscope::telemetry::Sampling;

use super::super::{Says, Scene, ask, is_error, send};
use super::{CALLER, traceparent};

fn routes() -> Router {
    Router::new()
        .route(
            "/",
            get(async || {
                tracing::info_span!("within").in_scope(|| ());
                "fine"
            }),
        )
        .route("/500", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/panic", get(async || -> String { panic!("planted") }))
        .route("/for-ever", get(std::future::pending::<()>))
}

async fn asked_with(app: &Router, path: &str, flags: &str) {
    let request = Request::get(path).header("traceparent", traceparent(flags));
    send(app, request.body(Body::empty()).unwrap()).await;
}

#[tokio::test]
async fn a_ratio_picks_whole_traces_by_their_id() {
    let scene = Scene::of(|builder| builder.sampling(Sampling::ratio(0.25)));
    let _listens = scene.listens();
    let app = scene.app(routes());
    for _ in 0..400 {
        ask(&app, "/").await;
    }
    let spans = scene.spans().await;
    let (requests, within): (Vec<_>, Vec<_>) =
        spans.iter().partition(|span| span.parent_span_id.is_none());
    // Beyond 8 standard deviations.
    assert!((30..=170).contains(&requests.len()), "{}", requests.len());
    assert_eq!(requests.len(), within.len());
    for request in requests {
        assert!(within.iter().any(|span| span.trace_id == request.trace_id));
        // What OpenTelemetry's TraceIdRatioBased reads.
        let low = request.trace_id.to_bytes()[8..].try_into().unwrap();
        assert!(u64::from_be_bytes(low) >> 1 < 1 << 61);
    }
    // Each is counted, whatever becomes of its trace.
    let count = scene
        .telemetry
        .snapshot()
        .histogram("http.server.request.duration", &[])
        .count();
    assert_eq!(count, 400);
}

#[tokio::test]
async fn a_caller_s_decision_is_kept_unless_it_is_to_be_disregarded() {
    for (sampling, of_its_own, of_a_sampled, of_an_unsampled) in [
        (Sampling::ALL, 2, 2, 0),
        (Sampling::NONE, 0, 2, 0),
        (Sampling::ALL.regardless_of_parent(), 2, 2, 2),
        (Sampling::NONE.regardless_of_parent(), 0, 0, 0),
    ] {
        let scene = Scene::of(|builder| builder.sampling(sampling));
        let _listens = scene.listens();
        let app = scene.app(routes());
        ask(&app, "/").await;
        assert_eq!(scene.spans().await.len(), of_its_own, "{sampling:?}");
        scene.backend.clear();
        asked_with(&app, "/", "01").await;
        assert_eq!(scene.spans().await.len(), of_a_sampled, "{sampling:?}");
        scene.backend.clear();
        asked_with(&app, "/", "00").await;
        assert_eq!(scene.spans().await.len(), of_an_unsampled, "{sampling:?}");
    }
}

#[tokio::test]
async fn what_fails_keeps_its_span_and_says_that_its_trace_is_partial() {
    let scene = Scene::of(|builder| builder.sampling(Sampling::NONE));
    let layer = scene
        .telemetry
        .http_layer()
        .timeout(Duration::from_millis(20));
    let app = routes().layer(layer);
    for (path, error_type) in [
        ("/500", "500"),
        ("/panic", "panic"),
        ("/for-ever", "timeout"),
    ] {
        asked_with(&app, path, "00").await;
        let span = scene.span().await;
        scene.backend.clear();
        assert_eq!(span.name, format!("GET {path}"));
        assert_eq!(span.says("error.type"), error_type);
        assert_eq!(span.says("orderscope.trace.partial"), "#true");
        assert_eq!(span.parent_span_id.unwrap().to_string(), CALLER);
        assert!(is_error(&span) && !span.is_sampled);
    }
    asked_with(&app, "/500", "01").await;
    let whole = scene.span().await;
    assert!(whole.is_sampled && whole.attribute("orderscope.trace.partial").is_none());
}

#[tokio::test]
async fn lines_and_errors_of_a_trace_that_is_not_recorded_carry_its_ids() {
    let scene = Scene::of(|builder| builder.sampling(Sampling::NONE));
    let _listens = scene.listens();
    let handler = async || {
        let _within = tracing::info_span!("within").entered();
        tracing::info!("line");
        orderscope::capture_error(&std::fmt::Error);
        StatusCode::BAD_GATEWAY
    };
    ask(&scene.app(Router::new().route("/", get(handler))), "/").await;
    let (span, logs) = (scene.span().await, scene.logs().await);
    assert_eq!(logs.len(), 2);
    for log in logs {
        // The span within is not there; the request's is, since it failed.
        let ids = (log.trace_id, log.span_id);
        assert_eq!(ids, (Some(span.trace_id), Some(span.span_id)));
    }
}

#[tokio::test]
async fn what_is_slow_keeps_its_span() {
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
    let scene = Scene::of(|builder| {
        builder
            .clock(hands.clock())
            .sampling(Sampling::NONE)
            .slow_after(Duration::from_millis(500))
    });
    let wait = async move |axum::extract::Path(millis): axum::extract::Path<u64>| {
        hands.advance(Duration::from_millis(millis));
    };
    let app = scene.app(Router::new().route("/wait/{millis}", get(wait)));
    for millis in [0, 499, 500, 501] {
        ask(&app, &format!("/wait/{millis}")).await;
    }
    let span = scene.span().await;
    assert_eq!(span.says("url.path"), "/wait/501");
    assert_eq!(span.says("orderscope.trace.partial"), "#true");
    assert!(!is_error(&span));
}
