//! hyper's requests have another body than axum's.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use orderscope::Telemetry;
use std::convert::Infallible;
use tower::{Layer, Service, service_fn};

fn serve(_: impl Service<Request<Incoming>>) {}

fn main() {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let orders = service_fn(async |_: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("an order"))))
    });
    serve(telemetry.http_layer().layer(orders));
}
