//! Requests that took too long, or were refused, and which order of layers tells which.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::response::{IntoResponse, Response};
use axum::routing::get as route_get;
use bytes::Bytes;
use futures_util::stream;
use hyper::{Request, StatusCode};
use orderscope::Telemetry;
use orderscope::export::{Destination, InMemory, ReceivedValue};
use orderscope::http::Mark;
use serde_json::Value;
use tokio::time::sleep;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use super::connection::Wire;
use super::numbers::{ERROR, FIRST_BYTE, Numbers, ROUTE, STATUS};
use super::served::{Bell, Served, telemetry};

const SHORT: Duration = Duration::from_millis(40);

fn slow() -> Router {
    Router::new()
        .route(
            "/slow",
            route_get(async || std::future::pending::<()>().await),
        )
        .route("/quick", route_get(async || "quick"))
}

#[tokio::test]
async fn a_handler_that_makes_no_response_in_time_is_timed_out_and_dropped() {
    struct RingsWhenDropped(Bell);
    impl Drop for RingsWhenDropped {
        fn drop(&mut self) {
            self.0.ring();
        }
    }
    let dropped = Bell::new();
    let inside = dropped.clone();
    let telemetry = telemetry();
    let routes = slow().route(
        "/held",
        route_get(async move || {
            let _held = RingsWhenDropped(inside.clone());
            std::future::pending::<()>().await;
        }),
    );
    let router = routes.layer(telemetry.http_layer().timeout(SHORT));
    let served = Served::start(telemetry, router).await;
    for wire in Wire::BOTH {
        let mut connection = served.connect(wire).await;
        let late = connection.get("/held").await;
        assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(late.header("content-type"), "application/problem+json");
        let problem: Value = serde_json::from_slice(&late.body).unwrap();
        assert_eq!(problem["status"], 503);
        dropped.rung().await;
        assert_eq!(connection.get("/quick").await.text(), "quick");
    }
    let numbers = served.after(4).await;
    assert_eq!(numbers.outcomes(), [("completed", 2), ("timed_out", 2)]);
    let late = [(ERROR, "timeout"), (STATUS, "503"), (ROUTE, "/held")];
    assert_eq!(numbers.durations(&late), 2);
    assert_eq!(numbers.histogram(FIRST_BYTE, &late).count(), 2);
}

#[tokio::test]
async fn the_line_of_a_timeout_belongs_to_its_request() {
    let backend = InMemory::new();
    let telemetry = Telemetry::builder("orders")
        .destination(Destination::in_memory("memory", &backend))
        .build()
        .unwrap();
    let subscriber = registry().with(telemetry.tracing_layer().at("info".parse().unwrap()));
    let _default = tracing::subscriber::set_default(subscriber);
    let router = slow().layer(telemetry.http_layer().timeout(SHORT));
    let late = async || {
        let request = Request::get("/slow").body(Body::empty()).unwrap();
        drop(router.clone().oneshot(request).await.unwrap());
    };
    late().await;
    // Another test's thread, which has no subscriber, may have come by first; then nobody is asked.
    tracing::callsite::rebuild_interest_cache();
    late().await;
    assert!(telemetry.flush(SHORT * 1_500).await);

    let lines = backend.logs();
    let late = lines
        .iter()
        .find(|line| line.body == Some(ReceivedValue::Text("a handler ran out of time".into())))
        .unwrap();
    assert!(late.trace_id.is_some() && late.span_id.is_some());
    let named = |name: &str, value: &str| {
        let attribute = (name.to_owned(), ReceivedValue::Text(value.into()));
        late.attributes.contains(&attribute)
    };
    assert!(named("http.route", "/slow") && named("target", "orderscope::http"));
}

#[tokio::test]
async fn a_body_may_take_longer_than_the_timeout() {
    let telemetry = telemetry();
    let routes = Router::new().route(
        "/export",
        route_get(async || {
            let late = stream::once(async {
                sleep(SHORT * 3).await;
                Ok::<_, Infallible>(Bytes::from("late"))
            });
            Body::from_stream(late)
        }),
    );
    let router = routes.layer(telemetry.http_layer().timeout(SHORT));
    let served = Served::start(telemetry, router).await;
    let mut connection = served.connect(Wire::Http1).await;
    assert_eq!(connection.get("/export").await.text(), "late");
    assert_eq!(served.after(1).await.outcomes(), [("completed", 1)]);
}

#[tokio::test]
async fn a_marked_response_says_how_its_request_ended() {
    let marked = |mark| {
        let mut response = (StatusCode::SERVICE_UNAVAILABLE, "later").into_response();
        response.extensions_mut().insert(mark);
        response
    };
    let routes = Router::new()
        .route("/shed", route_get(async move || marked(Mark::Shed)))
        .route("/late", route_get(async move || marked(Mark::TimedOut)))
        .route(
            "/unmarked",
            route_get(async || StatusCode::SERVICE_UNAVAILABLE),
        );
    let served = Served::behind_the_layer(routes).await;
    let mut connection = served.connect(Wire::Http1).await;
    for path in ["/shed", "/late", "/unmarked"] {
        assert_eq!(connection.get(path).await.status, 503);
    }
    let numbers = served.after(3).await;
    assert_eq!(
        numbers.outcomes(),
        [("completed", 1), ("timed_out", 1), ("shed", 1)]
    );
    let errors = |route| {
        ["shed", "timeout", "503"].map(|error| numbers.durations(&[(ROUTE, route), (ERROR, error)]))
    };
    assert_eq!(errors("/shed"), [1, 0, 0]);
    assert_eq!(errors("/late"), [0, 1, 0]);
    assert_eq!(errors("/unmarked"), [0, 0, 1]);
}

/// What users put around a router to limit its time.
async fn gateway_timeout(_: BoxError) -> Response {
    StatusCode::GATEWAY_TIMEOUT.into_response()
}

async fn marked_gateway_timeout(error: BoxError) -> Response {
    let mut response = gateway_timeout(error).await;
    response.extensions_mut().insert(Mark::TimedOut);
    response
}

#[tokio::test]
async fn a_timeout_layer_around_ours_drops_the_request_as_if_its_client_had_gone() {
    let telemetry = telemetry();
    let router = slow().layer(telemetry.http_layer()).layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(gateway_timeout))
            .layer(TimeoutLayer::new(SHORT)),
    );
    let served = Served::start(telemetry, router).await;
    let mut connection = served.connect(Wire::Http1).await;
    assert_eq!(connection.get("/slow").await.status, 504);
    let numbers = served.after(1).await;
    assert_eq!(numbers.outcomes(), [("client_closed", 1)]);
    assert_eq!(
        numbers.durations(&[(ERROR, "client_closed"), (STATUS, "")]),
        1
    );
}

#[tokio::test]
async fn a_timeout_layer_within_ours_makes_a_response_which_its_mark_explains() {
    let telemetry = telemetry();
    let unmarked = slow().layer(
        ServiceBuilder::new()
            .layer(telemetry.http_layer())
            .layer(HandleErrorLayer::new(gateway_timeout))
            .layer(TimeoutLayer::new(SHORT)),
    );
    let marked = slow().layer(
        ServiceBuilder::new()
            .layer(telemetry.http_layer())
            .layer(HandleErrorLayer::new(marked_gateway_timeout))
            .layer(TimeoutLayer::new(SHORT)),
    );
    let router = Router::new()
        .nest("/unmarked", unmarked)
        .nest("/marked", marked);
    let served = Served::start(telemetry, router).await;
    let mut connection = served.connect(Wire::Http1).await;
    for path in ["/unmarked/slow", "/marked/slow"] {
        assert_eq!(connection.get(path).await.status, 504);
    }
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("completed", 1), ("timed_out", 1)]);
    assert_eq!(numbers.durations(&[(ERROR, "504")]), 1);
    assert_eq!(numbers.durations(&[(ERROR, "timeout"), (STATUS, "504")]), 1);
}
