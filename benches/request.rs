//! What a request pays: `cargo bench --bench request`.
//!
//! In process, without sockets, as a service is run: a router with its state applied, one thread, the
//! body read to its end. The variants take turns in short rounds, so that whatever else the
//! machine does hits them alike; the figure is the median of the differences to the bare router
//! within each round. What a variant puts off onto the telemetry's thread is waited for after its
//! turn, off the clock; `benches/peers` has that on its own.

#![allow(clippy::print_stdout, reason = "a program")]

mod figures;

use axum::{Router, body::Body, extract::Path, routing::get};
use figures::{Counting, allocations_made, median};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use orderscope::{
    Telemetry,
    export::{Destination, InMemory},
    logs::Levels,
    telemetry::Sampling,
};
use std::{
    hint::black_box,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{runtime, time::Instant};
use tower::{Layer, Service, ServiceExt as _};
use tracing::Instrument as _;
use tracing_subscriber::{layer::SubscriberExt as _, registry};

const ROUNDS: usize = 300;
const REQUESTS: u32 = 1_000;
const VARIANTS: usize = 8;

#[global_allocator]
static ALLOCATOR: Counting = Counting { tells_held: false };

/// A layer that does nothing: what axum charges for any.
#[derive(Clone)]
struct Nothing;

#[derive(Clone)]
struct NothingService<S>(S);

impl<S> Layer<S> for Nothing {
    type Service = NothingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        NothingService(inner)
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for NothingService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.0.call(request)
    }
}

async fn order(Path(id): Path<u32>) -> String {
    format!("order {id}")
}

async fn logged_order(Path(id): Path<u32>) -> String {
    tracing::info!(order_id = id, restaurant = "Roma", "order read");
    format!("order {id}")
}

async fn order_in_a_span(Path(id): Path<u32>) -> String {
    let read = tracing::info_span!("read_order", order_id = id);
    async { format!("order {id}") }.instrument(read).await
}

fn router() -> Router {
    Router::new().route("/orders/{id}", get(order))
}

fn logging_router() -> Router {
    Router::new().route("/orders/{id}", get(logged_order))
}

fn spanning_router() -> Router {
    Router::new().route("/orders/{id}", get(order_in_a_span))
}

/// All signals, to a destination that soon drops them.
fn with_destination(sampling: Sampling) -> Telemetry {
    let destination = Destination::in_memory("memory", &InMemory::with_bound(1 << 20));
    let builder = Telemetry::builder("bench").destination(destination);
    let telemetry = builder.sampling(sampling).build();
    telemetry.unwrap_or_else(|error| panic!("{error}"))
}

fn request() -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/orders/17");
    request
}

async fn serve(app: &Router) {
    let Ok(response): Result<Response<Body>, _> = app.clone().oneshot(request()).await;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        black_box(frame.ok());
    }
}

fn main() {
    let telemetry = Telemetry::builder("bench").build();
    let telemetry = telemetry.unwrap_or_else(|error| panic!("{error}"));
    let full = with_destination(Sampling::ALL);
    let sampled = with_destination(Sampling::ratio(0.01));
    let subscriber = registry()
        .with(Levels::default())
        .with(full.tracing_layer());
    let installed = tracing::subscriber::set_global_default(subscriber);
    installed.unwrap_or_else(|error| panic!("{error}"));
    let timeout = Duration::from_secs(30);
    let variants: [(&str, Router); VARIANTS] = [
        ("bare router", router().with_state(())),
        (
            "a layer that does nothing",
            router().layer(Nothing).with_state(()),
        ),
        (
            "orderscope, metrics",
            router().layer(telemetry.http_layer()).with_state(()),
        ),
        (
            "orderscope, metrics and timeout",
            router()
                .layer(telemetry.http_layer().timeout(timeout))
                .with_state(()),
        ),
        (
            "orderscope, full coverage",
            router().layer(full.http_layer()).with_state(()),
        ),
        (
            "orderscope, 1 % of traces sampled",
            router().layer(sampled.http_layer()).with_state(()),
        ),
        (
            "orderscope, full, one log event",
            logging_router().layer(full.http_layer()).with_state(()),
        ),
        (
            "orderscope, full, a child span",
            spanning_router().layer(full.http_layer()).with_state(()),
        ),
    ];
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let (times, allocations) = runtime.block_on(async {
        let mut times = [const { Vec::new() }; VARIANTS];
        let mut allocations = [0.0; VARIANTS];
        for round in 0..ROUNDS + ROUNDS / 10 {
            for (variant, (_, app)) in variants.iter().enumerate() {
                let (before, began) = (allocations_made(), Instant::now());
                for _ in 0..REQUESTS {
                    serve(app).await;
                }
                let nanos = began.elapsed().as_nanos() as f64 / f64::from(REQUESTS);
                let made = allocations_made() - before;
                for telemetry in [&full, &sampled] {
                    assert!(telemetry.flush(Duration::from_secs(10)).await, "flushed");
                }
                // The first tenth warms up.
                if round >= ROUNDS / 10 {
                    times[variant].push(nanos);
                    allocations[variant] = made as f64 / f64::from(REQUESTS);
                }
            }
        }
        (times, allocations)
    });
    let [bare, ..] = &times;
    println!(
        "{:<34} {:>9} {:>9} {:>12}",
        "", "ns", "ns over", "allocations"
    );
    for (variant, (name, _)) in variants.iter().enumerate() {
        let over = times[variant]
            .iter()
            .zip(bare)
            .map(|(with, bare)| with - bare);
        println!(
            "{name:<34} {:>9.0} {:>9.0} {:>12.1}",
            median(times[variant].clone()),
            median(over),
            allocations[variant] - if variant == 0 { 0.0 } else { allocations[0] },
        );
    }
    let sent = u64::from(REQUESTS) * (ROUNDS + ROUNDS / 10) as u64;
    for (telemetry, variants) in [(&telemetry, 2), (&full, 3), (&sampled, 1)] {
        let counted = telemetry.snapshot().counter(
            "orderscope.http.server.requests.finished",
            &[("outcome", "completed")],
        );
        assert_eq!(counted, variants * sent, "every request was counted");
    }
    for (signal, records) in [("traces", 4 * sent), ("logs", sent)] {
        let ledger = full.ledger();
        let row = ledger.iter().find(|row| row.signal() == signal);
        let acknowledged = row.map(|row| row.acknowledged());
        assert_eq!(
            acknowledged,
            Some(records),
            "every record of {signal} was delivered"
        );
    }
}
