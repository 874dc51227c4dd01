//! The request's own span.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use hyper::{Request, StatusCode};
use orderscope::clock::ManualClock;
use orderscope::export::{ReceivedSpanKind, ReceivedStatus};

use super::super::{Says, Scene, ask, is_error, send, shown};
use super::{CALLER, TRACE_ID, traceparent};

#[tokio::test]
async fn a_request_is_a_span_of_kind_server_as_the_conventions_have_it() {
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_749_988_800);
    let hands = ManualClock::starting_at(noon);
    let scene = Scene::of(|builder| builder.clock(hands.clock()));
    let turn = hands.clone();
    let order = async move |body: Bytes| {
        turn.advance(Duration::from_millis(30));
        (StatusCode::CREATED, body)
    };
    let app = scene.app(Router::new().route("/orders/{id}", post(order)));
    let request = Request::post("/orders/7?voucher=SPRING")
        .header("traceparent", traceparent("01"))
        .header("tracestate", "kitchen=1,courier=2")
        .body(Body::from("7 pizzas"));
    let (status, _) = send(&app, request.unwrap()).await;
    assert_eq!(status, StatusCode::CREATED);

    let span = scene.span().await;
    assert_eq!(span.name, "POST /orders/{id}");
    assert_eq!(span.kind, ReceivedSpanKind::Server);
    assert_eq!(span.status, ReceivedStatus::Unset);
    assert_eq!(span.trace_id.to_string(), TRACE_ID);
    assert_eq!(span.parent_span_id.unwrap().to_string(), CALLER);
    assert_ne!(span.span_id.to_string(), CALLER);
    assert_eq!(span.trace_state, "kitchen=1,courier=2");
    assert!(span.is_sampled && span.events.is_empty());
    assert_eq!(span.scope, "orderscope");
    assert_eq!(span.started, noon);
    assert_eq!(span.ended, noon + Duration::from_millis(30));
    let said = span.attributes.iter();
    let said: Vec<_> = said.map(|(n, v)| (n.as_str(), shown(v))).collect();
    let expected = [
        ("http.request.method", "POST"),
        ("http.route", "/orders/{id}"),
        ("url.path", "/orders/7"),
        ("url.scheme", "http"),
        ("http.response.status_code", "#201"),
        ("network.protocol.version", "1.1"),
        ("http.request.body.size", "#8"),
        ("http.response.body.size", "#8"),
        ("outcome", "completed"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_request_without_a_caller_is_the_root_of_its_trace() {
    let scene = Scene::new();
    let app = scene.app(Router::new().route("/", get(async || "fine")));
    ask(&app, "/").await;
    ask(&app, "/").await;
    let spans = scene.spans().await;
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| span.parent_span_id.is_none()));
    assert!(spans.iter().all(|span| span.trace_state.is_empty()));
    assert_ne!(spans[0].trace_id, spans[1].trace_id);
}

#[tokio::test]
async fn an_unmatched_request_is_named_by_its_method_alone() {
    let scene = Scene::new();
    let app = scene.app(Router::new().route("/", get(async || "fine")));
    ask(&app, "/wp-login.php?x=1").await;
    let request = Request::builder()
        .method("PWN")
        .uri("/")
        .body(Body::empty());
    send(&app, request.unwrap()).await;
    let spans = scene.spans().await;
    let [unmatched, unknown] = &spans[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!(unmatched.name, "GET");
    assert_eq!(unmatched.says("url.path"), "/wp-login.php");
    assert!(unmatched.attribute("http.route").is_none());
    assert_eq!(unmatched.says("http.response.status_code"), "#404");
    assert_eq!(unmatched.status, ReceivedStatus::Unset);
    assert_eq!(unknown.name, "HTTP /");
    assert_eq!(unknown.says("http.request.method"), "_OTHER");
}

#[tokio::test]
async fn what_fails_says_how() {
    let scene = Scene::new();
    let routes = Router::new()
        .route("/500", get(async || StatusCode::BAD_GATEWAY))
        .route("/panic", get(async || -> String { panic!("planted") }))
        .route("/slow", get(std::future::pending::<()>));
    let layer = scene
        .telemetry
        .http_layer()
        .timeout(Duration::from_millis(20));
    let app = routes.layer(layer);
    for (path, status, error_type, outcome) in [
        ("/500", "#502", "502", "completed"),
        ("/panic", "#500", "panic", "panicked"),
        ("/slow", "#503", "timeout", "timed_out"),
    ] {
        ask(&app, path).await;
        let span = scene.span().await;
        scene.backend.clear();
        assert_eq!(span.name, format!("GET {path}"));
        assert_eq!(span.says("http.response.status_code"), status);
        assert_eq!(span.says("error.type"), error_type);
        assert_eq!(span.says("outcome"), outcome);
        assert!(is_error(&span), "{span:#?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_is_no_failure_of_the_service() {
    let scene = Scene::new();
    let app = scene.app(Router::new().route("/", get(std::future::pending::<()>)));
    let gone = tokio::time::timeout(Duration::from_millis(5), ask(&app, "/")).await;
    assert!(gone.is_err());
    let span = scene.span().await;
    assert_eq!(span.says("error.type"), "client_closed");
    assert_eq!(span.says("outcome"), "client_closed");
    assert!(span.attribute("http.response.status_code").is_none());
    assert_eq!(span.status, ReceivedStatus::Unset);
}
