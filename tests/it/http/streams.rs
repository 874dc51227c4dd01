//! Event streams: out of the request's duration, counted while they are open.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::sse::{Event, Sse};
use axum::routing::get as route_get;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::header::CONTENT_TYPE;
use tokio::time::sleep;

use super::connection::{Wire, get, request};
use super::numbers::{
    DURATION, ERROR, FIRST_BYTE, KIND, Numbers, RESPONSE_SIZE, ROUTE, STREAMS_ACTIVE,
    STREAMS_DURATION,
};
use super::served::Served;

const POSITIONS: (&str, &str) = (ROUTE, "/positions");
const SSE: (&str, &str) = (KIND, "sse");

/// Three positions, 20 ms apart, and then whatever follows.
fn positions<S>(then: S) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    let three = stream::iter(0..3).then(async |number| {
        sleep(Duration::from_millis(20)).await;
        Ok(Event::default().data(number.to_string()))
    });
    Sse::new(three.chain(then))
}

#[tokio::test]
async fn an_event_stream_that_ends_is_completed_and_no_request_duration() {
    let routes = Router::new().route("/positions", route_get(async || positions(stream::empty())));
    let served = Served::behind_the_layer(routes).await;
    for wire in Wire::BOTH {
        let mut connection = served.connect(wire).await;
        assert_eq!(
            connection.get("/positions").await.text(),
            "data: 0\n\ndata: 1\n\ndata: 2\n\n"
        );
    }
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("completed", 2)]);
    assert_eq!(numbers.durations(&[]), 0);
    assert_eq!(numbers.histogram(FIRST_BYTE, &[POSITIONS]).count(), 2);
    let streams = numbers.histogram(STREAMS_DURATION, &[POSITIONS, SSE, (ERROR, "")]);
    assert_eq!(streams.count(), 2);
    assert!(streams.sum() >= 0.12, "{}", streams.sum());
    let size = numbers.histogram(RESPONSE_SIZE, &[POSITIONS]);
    assert_eq!((size.count(), size.sum()), (2, 54.0));
}

#[tokio::test]
async fn an_event_stream_is_active_until_its_client_leaves() {
    let routes = Router::new().route(
        "/positions",
        route_get(async || positions(stream::pending())),
    );
    let served = Served::behind_the_layer(routes).await;
    for (wire, so_far) in Wire::BOTH.into_iter().zip(1..) {
        let mut connection = served.connect(wire).await;
        let response = connection.send(get("/positions")).await.unwrap();
        let mut events = response.into_body();
        events.frame().await.unwrap().unwrap();
        let open = served.telemetry.snapshot();
        assert_eq!(open.gauge(STREAMS_ACTIVE, &[POSITIONS, SSE]), 1.0);
        assert_eq!(open.active(), 1.0);
        assert_eq!(open.finished(), so_far - 1);
        drop((events, connection));
        served.after(so_far).await;
    }
    let numbers = served.after(2).await;
    assert_eq!(numbers.outcomes(), [("client_closed", 2)]);
    assert_eq!(numbers.histogram(DURATION, &[]).count(), 0);
    let left = [POSITIONS, SSE, (ERROR, "client_closed")];
    assert_eq!(numbers.histogram(STREAMS_DURATION, &left).count(), 2);
}

#[tokio::test]
async fn an_event_stream_that_breaks_off_says_so() {
    let broken = async || {
        let events = stream::iter([
            Ok(Bytes::from("data: 1\n\n")),
            Err(std::io::Error::other("planted")),
        ]);
        Response::builder()
            .header(CONTENT_TYPE, "Text/Event-Stream; charset=utf-8")
            .body(Body::from_stream(events))
            .unwrap()
    };
    let served =
        Served::behind_the_layer(Router::new().route("/positions", route_get(broken))).await;
    let mut connection = served.connect(Wire::Http2).await;
    connection.see_broken(get("/positions")).await;
    let numbers = served.after(1).await;
    assert_eq!(numbers.outcomes(), [("body_failed", 1)]);
    let failed = [POSITIONS, SSE, (ERROR, "body_failed")];
    assert_eq!(numbers.histogram(STREAMS_DURATION, &failed).count(), 1);
    assert_eq!(numbers.durations(&[]), 0);
}

#[tokio::test]
async fn the_head_of_an_event_stream_alone_opens_none() {
    let routes = Router::new().route(
        "/positions",
        route_get(async || positions(stream::pending())),
    );
    let served = Served::behind_the_layer(routes).await;
    let mut connection = served.connect(Wire::Http1).await;
    connection
        .ask(request("HEAD", "/positions", Body::empty()))
        .await;
    let numbers = served.after(1).await;
    assert_eq!(numbers.outcomes(), [("completed", 1)]);
    assert_eq!(numbers.histogram(STREAMS_DURATION, &[]).count(), 0);
}
