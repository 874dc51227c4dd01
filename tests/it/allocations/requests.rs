//! A request through the layer, over the same router without it, both served with their state as
//! `axum::serve` does.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use http_body::Body as _;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};
use orderscope::Telemetry;
use tower::Service;

use super::allocations;

/// Of the layer's service and of its future, which axum boxes, and of the response's body.
pub(super) const BOXES: u64 = 3;

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn telemetry() -> Telemetry {
    Telemetry::builder("orders").build().unwrap()
}

fn router() -> Router<()> {
    async fn echo(body: Bytes) -> Bytes {
        body
    }
    Router::new()
        .route("/orders/{id}", get(async || "an order"))
        .route("/empty", get(async || StatusCode::NO_CONTENT))
        .route("/echo", post(echo))
}

pub(super) fn layered(telemetry: &Telemetry) -> Router<()> {
    router().layer(telemetry.http_layer()).with_state(())
}

pub(super) fn bare() -> Router<()> {
    router().with_state(())
}

/// Allocations from the call to the end of the response's body. Handlers here wait for nothing.
pub(super) fn of_one(app: &mut Router<()>, request: Request<Body>, expected: StatusCode) -> u64 {
    let (count, status) = allocations(|| {
        let mut cx = Context::from_waker(Waker::noop());
        let mut response = pin!(app.call(request));
        let Poll::Ready(Ok(response)) = response.as_mut().poll(&mut cx) else {
            panic!("it waits");
        };
        let (head, body) = response.into_parts();
        let mut body = pin!(body);
        while !body.is_end_stream() {
            match body.as_mut().poll_frame(&mut cx) {
                Poll::Ready(Some(frame)) => drop(frame.unwrap()),
                Poll::Ready(None) => break,
                Poll::Pending => panic!("the body waits"),
            }
        }
        head.status
    });
    assert_eq!(status, expected);
    count
}

/// The same for each of many, after a first one.
fn of_each(app: &mut Router<()>, request: impl Fn() -> Request<Body>, expected: StatusCode) -> u64 {
    of_one(app, request(), expected);
    let first = of_one(app, request(), expected);
    for _ in 0..20 {
        assert_eq!(of_one(app, request(), expected), first);
    }
    first
}

/// What the layer allocates over the bare router.
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks with --nocapture"
)]
fn over(request: impl Fn() -> Request<Body>, expected: StatusCode) -> u64 {
    let telemetry = telemetry();
    let bare = of_each(&mut bare(), &request, expected);
    let layered = of_each(&mut layered(&telemetry), &request, expected);
    println!("{expected}: {layered} allocations, {bare} without the layer");
    layered - bare
}

pub(super) fn get_of(path: &'static str) -> impl Fn() -> Request<Body> {
    move || Request::get(path).body(Body::empty()).unwrap()
}

#[test]
fn a_request_allocates_three_boxes() {
    assert_eq!(over(get_of("/orders/7"), StatusCode::OK), BOXES);
}

#[test]
fn an_unmatched_path_allocates_no_more() {
    let over = over(get_of("/wp-login.php"), StatusCode::NOT_FOUND);
    assert!(over <= BOXES, "{over}");
}

#[test]
fn a_response_without_a_body_allocates_no_more() {
    let over = over(get_of("/empty"), StatusCode::NO_CONTENT);
    assert!(over <= BOXES, "{over}");
}

#[test]
fn a_request_with_a_body_allocates_its_count_and_its_box() {
    let request = || Request::post("/echo").body(Body::from("7 pizzas")).unwrap();
    assert_eq!(over(request, StatusCode::OK), BOXES + 2);
}

#[test]
fn a_trace_that_goes_on_allocates_its_state_alone() {
    // As a server has it: a part of the buffer that the head was read into.
    let head = Bytes::from_static(b"tracestate: vendor=1,other=2\r\n").to_vec();
    let head = Bytes::from(head);
    let state = HeaderValue::from_maybe_shared(head.slice(12..28)).unwrap();
    let request = |state: Option<&HeaderValue>| {
        let mut request = Request::get("/orders/7").header("traceparent", GOOD);
        if let Some(state) = state {
            request = request.header("tracestate", state);
        }
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(over(|| request(None), StatusCode::OK), BOXES);
    assert_eq!(over(|| request(Some(&state)), StatusCode::OK), BOXES + 1);
}

#[test]
fn trace_headers_of_400_kilobytes_allocate_at_most_one_more() {
    let long = "a=1,".repeat(100_000);
    let cases: [&[(&str, &str)]; 5] = [
        &[("traceparent", &long)],
        &[("traceparent", GOOD), ("tracestate", &long)],
        &[("traceparent", GOOD), ("baggage", &long)],
        &[
            ("traceparent", &long),
            ("tracestate", &long),
            ("baggage", &long),
        ],
        &[
            ("traceparent", GOOD),
            ("traceparent", &long),
            ("tracestate", "a=1"),
        ],
    ];
    for headers in cases {
        let request = || {
            let request = Request::get("/orders/7");
            let request = headers.iter().fold(request, |request, (name, value)| {
                request.header(*name, *value)
            });
            request.body(Body::empty()).unwrap()
        };
        let over = over(request, StatusCode::OK);
        assert!(over <= BOXES + 1, "{over}");
    }
    // A thousand lines of it.
    let lines = || {
        let request = Request::get("/orders/7").header("traceparent", GOOD);
        let request = (0..1_000).fold(request, |request, _| {
            request.header("tracestate", &long[..400])
        });
        request.body(Body::empty()).unwrap()
    };
    let over = over(lines, StatusCode::OK);
    assert!(over <= BOXES + 1, "{over}");
}

#[test]
fn a_timeout_allocates_its_timer_alone() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let telemetry = telemetry();
    let layer = telemetry.http_layer().timeout(Duration::from_secs(5));
    let mut timed = router().layer(layer).with_state(());
    let timed = of_each(&mut timed, get_of("/orders/7"), StatusCode::OK);
    let bare = of_each(&mut bare(), get_of("/orders/7"), StatusCode::OK);
    println!("with a timeout: {timed} allocations, {bare} without the layer");
    assert_eq!(timed - bare, BOXES + 1);
}
