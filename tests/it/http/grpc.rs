//! gRPC: counted and given an outcome, and in none of the HTTP histograms.

use std::convert::Infallible;
use std::io;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::connection::{Wire, request};
use super::numbers::{DURATION, FIRST_BYTE, Numbers, REQUEST_SIZE, RESPONSE_SIZE};
use super::numbers::{STREAMS_ACTIVE, STREAMS_DURATION};
use super::served::{Bell, Served};

const MESSAGE: &[u8] = b"\0\0\0\0\x04dish";

fn status(code: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers
}

fn response(body: Body) -> Response {
    let response = Response::builder().header(CONTENT_TYPE, "application/grpc");
    response.body(body).unwrap()
}

/// One message, and then this.
fn message_and(
    then: impl IntoIterator<Item = io::Result<Frame<Bytes>>, IntoIter: Send + 'static>,
) -> Body {
    let message = Ok(Frame::data(Bytes::from_static(MESSAGE)));
    let frames = stream::iter([message]).chain(stream::iter(then));
    Body::new(StreamBody::new(frames))
}

async fn ok() -> Response {
    response(message_and([Ok(Frame::trailers(status("0")))]))
}

async fn internal() -> Response {
    response(message_and([Ok(Frame::trailers(status("13")))]))
}

/// A body that knows the length of its message, as unary ones may.
async fn unary() -> Response {
    let message = Full::new(Bytes::from_static(MESSAGE));
    let trailers = std::future::ready(Some(Ok::<_, Infallible>(status("0"))));
    response(Body::new(message.with_trailers(trailers)))
}

async fn trailers_only() -> Response {
    let mut response = response(Body::empty());
    response.headers_mut().extend(status("5"));
    response
}

async fn without_status() -> Response {
    response(message_and([]))
}

async fn without_anything() -> Response {
    response(Body::empty())
}

async fn broken() -> Response {
    response(message_and([Err(io::Error::other("planted"))]))
}

async fn panicking() -> Response {
    panic!("planted")
}

async fn hanging(State(reached): State<Bell>) -> Response {
    reached.ring();
    std::future::pending().await
}

async fn watching() -> Response {
    let message = stream::iter([Ok::<_, Infallible>(Bytes::from_static(MESSAGE))]);
    response(Body::from_stream(message.chain(stream::pending())))
}

async fn served(reached: &Bell) -> Served {
    let routes = Router::new()
        .route("/kitchen.Dishes/Ok", post(ok))
        .route("/kitchen.Dishes/Internal", post(internal))
        .route("/kitchen.Dishes/Unary", post(unary))
        .route("/kitchen.Dishes/TrailersOnly", post(trailers_only))
        .route("/kitchen.Dishes/WithoutStatus", post(without_status))
        .route("/kitchen.Dishes/WithoutAnything", post(without_anything))
        .route("/kitchen.Dishes/Broken", post(broken))
        .route("/kitchen.Dishes/Panicking", post(panicking))
        .route("/kitchen.Dishes/Hanging", post(hanging))
        .route("/kitchen.Dishes/Watching", post(watching));
    Served::behind_the_layer(routes.with_state(reached.clone())).await
}

fn call(method: &str, content_type: &'static str) -> Request<Body> {
    let path = format!("/kitchen.Dishes/{method}");
    let mut call = request("POST", &path, MESSAGE);
    let headers = call.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    call
}

#[tokio::test]
async fn a_call_with_its_status_is_completed_whatever_the_status() {
    let served = served(&Bell::new()).await;
    let mut connection = served.connect(Wire::Http2).await;
    for (method, status) in [("Ok", "0"), ("Internal", "13"), ("Unary", "0")] {
        let response = connection
            .send(call(method, "application/grpc+proto"))
            .await;
        let body = response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], status, "{method}");
        assert_eq!(body.to_bytes(), MESSAGE);
    }
    let head = connection
        .ask(call("TrailersOnly", "application/grpc"))
        .await;
    assert_eq!(head.header("grpc-status"), "5");
    let numbers = served.after(4).await;
    assert_eq!(numbers.outcomes(), [("completed", 4)]);
}

#[tokio::test]
async fn a_call_that_ends_without_its_status_is_body_failed() {
    let served = served(&Bell::new()).await;
    let mut connection = served.connect(Wire::Http2).await;
    for method in ["WithoutStatus", "WithoutAnything"] {
        connection.ask(call(method, "application/grpc")).await;
    }
    connection
        .see_broken(call("Broken", "application/grpc"))
        .await;
    let numbers = served.after(3).await;
    assert_eq!(numbers.outcomes(), [("body_failed", 3)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_its_client_resets_is_client_closed() {
    let reached = Bell::new();
    let served = served(&reached).await;
    let mut connection = served.connect(Wire::Http2).await;
    let sent = tokio::spawn(connection.send(call("Hanging", "application/grpc")));
    reached.rung().await;
    sent.abort();
    let watched = connection.send(call("Watching", "application/grpc")).await;
    let mut messages = watched.unwrap().into_body();
    messages.frame().await.unwrap().unwrap();
    drop(messages);
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("client_closed", 2)]);
}

#[tokio::test]
async fn a_call_whose_handler_panics_is_panicked() {
    let served = served(&Bell::new()).await;
    let mut connection = served.connect(Wire::Http2).await;
    let answer = connection.ask(call("Panicking", "application/grpc")).await;
    assert_eq!(answer.status, 500);
    assert_eq!(served.after(1).await.outcomes(), [("panicked", 1)]);
}

#[tokio::test]
async fn a_grpc_web_body_carries_its_own_trailers_and_is_completed_at_its_end() {
    let served = served(&Bell::new()).await;
    for wire in Wire::BOTH {
        let mut connection = served.connect(wire).await;
        let web = call("WithoutStatus", "application/grpc-web+proto");
        assert_eq!(connection.ask(web).await.body, MESSAGE);
    }
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("completed", 2)]);
}

#[tokio::test]
async fn no_call_is_in_an_http_histogram() {
    let served = served(&Bell::new()).await;
    let mut connection = served.connect(Wire::Http2).await;
    for method in [
        "Ok",
        "Internal",
        "TrailersOnly",
        "WithoutStatus",
        "Panicking",
    ] {
        connection.ask(call(method, "Application/gRPC")).await;
    }
    connection.ask(call("Ok", "application/grpc-web")).await;
    let numbers = served.after(6).await;
    for histogram in [
        DURATION,
        FIRST_BYTE,
        REQUEST_SIZE,
        RESPONSE_SIZE,
        STREAMS_ACTIVE,
        STREAMS_DURATION,
    ] {
        assert_eq!(numbers.series(histogram), 0, "{histogram}");
    }
}
