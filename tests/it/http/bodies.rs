//! When a body is at its end, and how many bytes it had.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::{get as route_get, post};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::Layer;

use super::connection::{Wire, get, piecemeal, request};
use super::numbers::{DURATION, ERROR, Numbers, REQUEST_SIZE, RESPONSE_SIZE, ROUTE, STATUS};
use super::served::{Served, once, telemetry};

/// Bytes that never come: whoever waits for its end waits for ever.
fn endless() -> Body {
    Body::from_stream(stream::pending::<io::Result<Bytes>>())
}

fn answer(status: u16, body: Body) -> Response {
    Response::builder().status(status).body(body).unwrap()
}

#[tokio::test]
async fn a_body_at_its_end_is_completed_though_never_polled() {
    let routes = Router::new()
        .route("/accepted", route_get(async || answer(204, endless())))
        .route("/unchanged", route_get(async || answer(304, endless())))
        .route("/empty", route_get(async || answer(200, Body::empty())))
        .route("/menu", route_get(async || answer(200, endless())));
    let served = Served::behind_the_layer(routes).await;
    let mut connection = served.connect(Wire::Http1).await;
    for (method, path) in [
        ("GET", "/accepted"),
        ("GET", "/unchanged"),
        ("GET", "/empty"),
        ("HEAD", "/menu"),
    ] {
        let answer = connection.ask(request(method, path, Body::empty())).await;
        assert!(answer.body.is_empty(), "{path}");
    }
    let numbers = served.after(4).await;
    assert_eq!(numbers.outcomes(), [("completed", 4)]);
    assert_eq!(numbers.durations(&[]), 4);
    assert_eq!(numbers.histogram(RESPONSE_SIZE, &[]).sum(), 0.0);
}

#[tokio::test]
async fn a_malformed_body_is_answered_and_completed_a_broken_connection_is_client_closed() {
    let upload = async |body: Body| match body.collect().await {
        Ok(_) => answer(200, Body::empty()),
        Err(_) => answer(400, Body::from("malformed")),
    };
    let served = Served::behind_the_layer(Router::new().route("/orders", post(upload))).await;
    let head = "POST /orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut malformed = TcpStream::connect(served.address).await.unwrap();
    let request = format!("{head}4\r\nhalf\r\nno number\r\n");
    malformed.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    malformed.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.ends_with("malformed"),
        "{answer}"
    );
    assert_eq!(served.after(1).await.outcomes(), [("completed", 1)]);

    let mut broken = TcpStream::connect(served.address).await.unwrap();
    broken
        .write_all(format!("{head}4\r\nhalf\r\n").as_bytes())
        .await
        .unwrap();
    drop(broken);
    let outcomes = served.after(2).await.outcomes();
    assert_eq!(outcomes, [("completed", 1), ("client_closed", 1)]);
}

#[tokio::test]
async fn a_head_request_is_completed_though_the_service_answers_with_a_body() {
    let telemetry = telemetry();
    let layer = telemetry.tower_layer(|_| Some("/menu"));
    let service =
        tower::service_fn(async |_: Request<_>| Ok::<_, Infallible>(answer(200, endless())));
    let served = Served::by_hyper(telemetry, layer.layer(service)).await;
    for wire in Wire::BOTH {
        let mut connection = served.connect(wire).await;
        let head = connection.send(request("HEAD", "/menu", Body::empty()));
        assert_eq!(head.await.unwrap().status(), StatusCode::OK);
    }
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("completed", 2)]);
}

/// hyper stops asking a body once it gave the bytes that its head announced.
#[tokio::test]
async fn a_body_of_announced_length_is_completed_at_its_last_byte() {
    let announced = |length: &'static str, bytes: &'static str| async move {
        let pieces = bytes.as_bytes().chunks(5).map(Bytes::from_static);
        let pieces = stream::iter(pieces.map(io::Result::Ok));
        let mut response = Response::new(Body::from_stream(pieces.chain(stream::pending())));
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
        response
    };
    let routes = Router::new()
        .route("/receipt", route_get(move || announced("10", "0123456789")))
        .route("/nothing", route_get(move || announced("0", "")));
    let served = Served::behind_the_layer(routes).await;
    let mut connection = served.connect(Wire::Http1).await;
    assert_eq!(connection.get("/receipt").await.text(), "0123456789");
    assert_eq!(connection.get("/nothing").await.text(), "");
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("completed", 2)]);
    assert_eq!(numbers.histogram(RESPONSE_SIZE, &[]).sum(), 10.0);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_announced_length_closed_the_request() {
    let (pieces, body) = piecemeal();
    let body = once(body);
    let routes = Router::new().route(
        "/receipt",
        route_get(async move || {
            let mut response = answer(200, body());
            let headers = response.headers_mut();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("10"));
            response
        }),
    );
    let served = Served::behind_the_layer(routes).await;
    let mut connection = served.connect(Wire::Http1).await;
    pieces.send(Bytes::from("01234")).unwrap();
    let mut body = connection.send(get("/receipt")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop((body, connection));
    let numbers = served.after(1).await;
    assert_eq!(numbers.outcomes(), [("client_closed", 1)]);
    let closed = [
        (ROUTE, "/receipt"),
        (STATUS, "200"),
        (ERROR, "client_closed"),
    ];
    assert_eq!(numbers.durations(&closed), 1);
    assert_eq!(numbers.histogram(RESPONSE_SIZE, &closed).sum(), 5.0);
}

#[tokio::test]
async fn a_body_that_ends_with_trailers_is_completed_and_keeps_them() {
    let with_trailers = async || {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("77"));
        let frames = [Frame::data(Bytes::from("dish")), Frame::trailers(trailers)];
        // Not at its end by its own account: the trailers themselves say so.
        let frames = stream::iter(frames.map(Ok::<_, Infallible>)).chain(stream::pending());
        Body::new(StreamBody::new(frames))
    };
    let served =
        Served::behind_the_layer(Router::new().route("/dish", route_get(with_trailers))).await;
    let mut connection = served.connect(Wire::Http2).await;
    let response = connection.send(get("/dish")).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-checksum"], "77");
    assert_eq!(collected.to_bytes(), "dish");
    assert_eq!(served.after(1).await.outcomes(), [("completed", 1)]);
}

#[tokio::test]
async fn a_body_that_fails_is_body_failed_with_the_bytes_it_had() {
    let failing = async || {
        let pieces = [Ok(Bytes::from("half")), Err(io::Error::other("planted"))];
        Body::from_stream(stream::iter(pieces))
    };
    let served = Served::behind_the_layer(Router::new().route("/export", route_get(failing))).await;
    for wire in Wire::BOTH {
        let mut connection = served.connect(wire).await;
        connection.see_broken(get("/export")).await;
    }
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("body_failed", 2)]);
    let failed = [(ERROR, "body_failed"), (STATUS, "200"), (ROUTE, "/export")];
    assert_eq!(numbers.durations(&failed), 2);
    assert_eq!(numbers.histogram(RESPONSE_SIZE, &failed).sum(), 8.0);
}

#[tokio::test]
async fn request_bytes_are_counted_as_the_handler_reads_them() {
    let routes = Router::new()
        .route("/whole", post(async |body: Bytes| body.len().to_string()))
        .route(
            "/first-piece",
            post(async |mut body: Body| {
                let frame = body.frame().await.unwrap().unwrap();
                frame.into_data().unwrap().len().to_string()
            }),
        )
        .route("/unread", post(async || "0"));
    let served = Served::behind_the_layer(routes).await;
    for wire in Wire::BOTH {
        for (path, read) in [
            ("/whole", "3000"),
            ("/first-piece", "1000"),
            ("/unread", "0"),
        ] {
            let mut connection = served.connect(wire).await;
            let (pieces, body) = piecemeal();
            let sent = tokio::spawn(connection.send(request("POST", path, body)));
            pieces.send(Bytes::from(vec![7; 1_000])).unwrap();
            if path == "/whole" {
                pieces.send(Bytes::from(vec![7; 2_000])).unwrap();
                drop(pieces);
            }
            let answer = super::connection::read(sent.await.unwrap().unwrap()).await;
            assert_eq!(answer.unwrap().text(), read, "{path}");
        }
    }
    let numbers = served.after(6).await;
    assert_eq!(numbers.outcomes(), [("completed", 6)]);
    let read = |route| {
        let size = numbers.histogram(REQUEST_SIZE, &[(ROUTE, route)]);
        (size.count(), size.sum())
    };
    assert_eq!(read("/whole"), (2, 6_000.0));
    assert_eq!(read("/first-piece"), (2, 2_000.0));
    assert_eq!(read("/unread"), (2, 0.0));
}

/// Knows its length and ends with its last byte, but says so only when asked once more.
struct Forgetful(Option<Bytes>);

impl http_body::Body for Forgetful {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(Frame::data).map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[tokio::test]
async fn a_body_that_knows_its_length_is_completed_though_never_asked_for_its_end() {
    let routes = Router::new()
        .route(
            "/bill",
            route_get(async || Body::new(Forgetful(Some(Bytes::from("23.50"))))),
        )
        .route("/blank", route_get(async || Body::new(Forgetful(None))))
        .route("/full", route_get(async || Body::new(Full::from("23.50"))));
    let served = Served::behind_the_layer(routes).await;
    for wire in Wire::BOTH {
        let mut connection = served.connect(wire).await;
        assert_eq!(connection.get("/bill").await.text(), "23.50");
        assert_eq!(connection.get("/blank").await.text(), "");
        assert_eq!(connection.get("/full").await.text(), "23.50");
    }
    let numbers = served.after(6).await;
    assert_eq!(numbers.outcomes(), [("completed", 6)]);
    assert_eq!(numbers.histogram(RESPONSE_SIZE, &[]).sum(), 20.0);
    assert_eq!(numbers.durations(&[(STATUS, "200"), (ERROR, "")]), 6);
    assert_eq!(numbers.attribute_values(DURATION, ERROR), [""]);
}
