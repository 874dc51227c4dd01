//! Panics of the host's code, wherever they happen: one outcome, and the connection lives on.

use std::convert::Infallible;
use std::future;
use std::panic::panic_any;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get as route_get;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::task::yield_now;
use tower::Layer;

use super::connection::{Wire, get, piecemeal};
use super::numbers::{ERROR, Numbers, ROUTE, STATUS};
use super::served::{Bell, Served, once, telemetry};

/// Panics when it is dropped, unless that would abort.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("planted in a destructor");
        }
    }
}

#[tokio::test]
async fn a_handler_that_panics_anywhere_is_a_500_and_its_connection_lives_on() {
    let routes = Router::new()
        .route(
            "/at-once",
            route_get(async || -> String { panic!("planted") }),
        )
        .route(
            "/after-a-while",
            route_get(async || -> String {
                yield_now().await;
                panic!("planted")
            }),
        )
        .route(
            "/at-its-end",
            route_get(async || {
                let _bomb = Bomb;
                yield_now().await;
                "never seen"
            }),
        )
        .route(
            "/with-a-bomb",
            route_get(async || -> String { panic_any(Bomb) }),
        )
        .route("/fine", route_get(async || "fine"));
    let served = Served::behind_the_layer(routes).await;
    for wire in Wire::BOTH {
        let mut connection = served.connect(wire).await;
        for path in ["/at-once", "/after-a-while", "/at-its-end", "/with-a-bomb"] {
            let answer = connection.get(path).await;
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
            let problem: Value = serde_json::from_slice(&answer.body).unwrap();
            let trace_id = problem["trace_id"].as_str().unwrap();
            assert_eq!(trace_id.len(), 32, "{trace_id}");
            assert!(!answer.text().contains("planted"));
        }
        assert_eq!(connection.get("/fine").await.text(), "fine");
    }
    let numbers = served.after(10).await;
    assert_eq!(numbers.outcomes(), [("completed", 2), ("panicked", 8)]);
    assert_eq!(numbers.durations(&[(ERROR, "panic"), (STATUS, "500")]), 8);
}

#[tokio::test]
async fn a_service_that_panics_when_it_is_called_is_a_500() {
    let telemetry = telemetry();
    let layer = telemetry.tower_layer(|_| Some("/orders"));
    let service = tower::service_fn(
        |_: Request<_>| -> future::Ready<Result<Response<Body>, Infallible>> { panic!("planted") },
    );
    let served = Served::by_hyper(telemetry, layer.layer(service)).await;
    let mut connection = served.connect(Wire::Http1).await;
    for _ in 0..2 {
        let answer = connection.get("/orders/1").await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("panicked", 2)]);
}

#[tokio::test]
async fn a_route_closure_that_panics_names_none() {
    let telemetry = telemetry();
    let layer = telemetry.tower_layer(|_| panic!("planted"));
    let service = tower::service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Body::from("fine")))
    });
    let served = Served::by_hyper(telemetry, layer.layer(service)).await;
    let mut connection = served.connect(Wire::Http1).await;
    assert_eq!(connection.get("/orders/1").await.text(), "fine");
    let numbers = served.after(1).await;
    assert_eq!(numbers.outcomes(), [("completed", 1)]);
    assert_eq!(numbers.durations(&[(ROUTE, "")]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_whose_destructor_panics_when_its_client_goes_has_one_outcome() {
    let routes = Router::new()
        .route(
            "/kitchen/queue",
            route_get(async |State(reached): State<Bell>| {
                let _bomb = Bomb;
                reached.ring();
                future::pending::<()>().await;
            }),
        )
        .route("/fine", route_get(async || "fine"));
    let reached = Bell::new();
    let served = Served::behind_the_layer(routes.with_state(reached.clone())).await;
    for (wire, so_far) in Wire::BOTH.into_iter().zip(1..) {
        let mut connection = served.connect(wire).await;
        let sent = tokio::spawn(connection.send(get("/kitchen/queue")));
        reached.rung().await;
        sent.abort();
        served
            .wait_until(|n| n.outcome("client_closed") == so_far)
            .await;
        if wire == Wire::Http2 {
            // The panic was the stream's alone.
            assert_eq!(connection.get("/fine").await.text(), "fine");
        }
    }
    let numbers = served.after(3).await;
    assert_eq!(numbers.outcomes(), [("completed", 1), ("client_closed", 2)]);
}

/// The future of a service: ready at once, and its destructor panics.
struct ReadyBomb;

impl Future for ReadyBomb {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(Response::new(Body::from("seen, or not"))))
    }
}

impl Drop for ReadyBomb {
    fn drop(&mut self) {
        drop(Bomb);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_future_whose_destructor_panics_after_its_response_has_one_outcome() {
    let telemetry = telemetry();
    let layer = telemetry.tower_layer(|_| Some("/orders"));
    let service = tower::service_fn(|_: Request<_>| ReadyBomb);
    let served = Served::by_hyper(telemetry, layer.layer(service)).await;
    for (wire, so_far) in Wire::BOTH.into_iter().zip(1..) {
        let mut connection = served.connect(wire).await;
        // What the client sees is as without the layer.
        let _ = connection.send(get("/orders/1")).await;
        served.after(so_far).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_panics_is_panicked_and_its_siblings_live_on() {
    let (pieces, body) = piecemeal();
    let body = once(body);
    let routes = Router::new()
        .route("/tracking", route_get(async move || body()))
        .route(
            "/export",
            route_get(async || {
                let first = stream::iter([Ok::<_, Infallible>(Bytes::from("half"))]);
                let then = stream::poll_fn(|_| panic!("planted"));
                Body::from_stream(first.chain(then))
            }),
        );
    let served = Served::behind_the_layer(routes).await;
    let mut connection = served.connect(Wire::Http2).await;
    let sibling = connection.send(get("/tracking")).await.unwrap();
    pieces.send(Bytes::from("leaves ")).unwrap();
    let mut sibling = sibling.into_body();
    let first = sibling.frame().await.unwrap().unwrap();

    connection.see_broken(get("/export")).await;

    pieces.send(Bytes::from("arrives")).unwrap();
    drop(pieces);
    let rest = sibling.collect().await.unwrap().to_bytes();
    assert_eq!(
        [first.into_data().unwrap(), rest].concat(),
        b"leaves arrives"
    );

    let mut other = served.connect(Wire::Http1).await;
    other.see_broken(get("/export")).await;
    let numbers = served.after(3).await;
    assert_eq!(numbers.outcomes(), [("completed", 1), ("panicked", 2)]);
    // The head had gone out by then.
    let panicked = [(ERROR, "panic"), (STATUS, "200"), (ROUTE, "/export")];
    assert_eq!(numbers.durations(&panicked), 2);
}
