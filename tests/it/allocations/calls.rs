//! An outgoing call through the layer, over the same service without it.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use http_body::Body as _;
use hyper::{Request, Response};
use orderscope::Telemetry;
use orderscope::export::{Destination, InMemory};
use orderscope::http::UrlTemplate;
use orderscope::telemetry::Sampling;
use tower::{Layer as _, Service, service_fn};

use super::allocations;

const TIMES: u64 = 100;
/// Rounds, of which the one counts that the worker did not come amid.
const ROUNDS: u64 = 30;
/// The bytes of `traceparent`.
const HEADER: u64 = 1;

/// With a header that is there already, as clients have: a map that is empty allocates its tables.
fn request() -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = hyper::Uri::from_static("http://couriers:3000/nearest?for=7");
    let accept = hyper::header::HeaderValue::from_static("*/*");
    request.headers_mut().insert("accept", accept);
    request.extensions_mut().insert(UrlTemplate("/nearest"));
    request
}

/// Allocations of one call whose answer is there at once.
fn of_one<S, B>(mut service: S) -> u64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    let request = request();
    let (count, ()) = allocations(|| {
        let mut cx = Context::from_waker(Waker::noop());
        let mut answer = pin!(service.call(request));
        let Poll::Ready(Ok(answer)) = answer.as_mut().poll(&mut cx) else {
            panic!("it waits");
        };
        let mut body = pin!(answer.into_body());
        while !body.is_end_stream() {
            assert!(body.as_mut().poll_frame(&mut cx).is_ready());
        }
    });
    count
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("on the way")))
}

/// What the layer allocates over the service.
fn over(telemetry: &Telemetry) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bare = of_one(service_fn(answer));
    let layer = telemetry.client_layer();
    let rounds = (0..ROUNDS).map(|_| {
        let counts = (0..TIMES).map(|_| of_one(layer.layer(service_fn(answer))) - bare);
        let count: u64 = counts.sum();
        assert!(runtime.block_on(telemetry.flush(Duration::from_secs(60))));
        count
    });
    let least = rounds.min().unwrap();
    assert_eq!(least % TIMES, 0, "{least}");
    least / TIMES
}

fn destined() -> orderscope::telemetry::Builder {
    let destination = Destination::in_memory("memory", &InMemory::new());
    Telemetry::builder("orders").destination(destination)
}

#[test]
fn a_call_whose_trace_goes_nowhere_allocates_its_header_alone() {
    let nowhere = Telemetry::builder("orders").build().unwrap();
    assert_eq!(over(&nowhere), HEADER);
    let unsampled = destined().sampling(Sampling::NONE).build().unwrap();
    assert_eq!(over(&unsampled), HEADER);
    assert_eq!(unsampled.ledger()[0].accepted(), 0);
}

#[test]
fn a_call_s_span_allocates_the_address_that_it_tells_and_its_text() {
    // The URL, kept aside; its text, and what of it was masked.
    let sampled = over(&destined().build().unwrap());
    assert!(sampled <= HEADER + 6, "{sampled}");
    println!("with its span: {sampled} allocations");
}
