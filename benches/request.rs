//! What a request pays: `cargo bench --bench request`.
//!
//! In process, without sockets, as a service is run: a router with its state applied, one thread, the
//! body read to its end. The variants take turns in short rounds, so that whatever else the
//! machine does hits them alike; the figure is the median of the differences to the bare router
//! within each round.

#![allow(
    clippy::print_stdout,
    unsafe_code,
    reason = "a program, with an allocator that counts"
)]

use axum::{Router, body::Body, extract::Path, routing::get};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use orderscope::Telemetry;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};
use tokio::{runtime, time::Instant};
use tower::{Layer, Service, ServiceExt as _};

const ROUNDS: usize = 300;
const REQUESTS: u32 = 1_000;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is left to the system's allocator; a counter is all that is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // One thread allocates while we measure: no locked addition that would be measured too.
        let so_far = ALLOCATIONS.load(Ordering::Relaxed);
        ALLOCATIONS.store(so_far + 1, Ordering::Relaxed);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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

fn router() -> Router {
    Router::new().route("/orders/{id}", get(order))
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let telemetry = Telemetry::builder("bench").build();
    let telemetry = telemetry.unwrap_or_else(|error| panic!("{error}"));
    let timeout = std::time::Duration::from_secs(30);
    let variants: [(&str, Router); 4] = [
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
    ];
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let (times, allocations) = runtime.block_on(async {
        let mut times = [const { Vec::new() }; 4];
        let mut allocations = [0.0; 4];
        for round in 0..ROUNDS + ROUNDS / 10 {
            for (variant, (_, app)) in variants.iter().enumerate() {
                let (before, began) = (ALLOCATIONS.load(Ordering::Relaxed), Instant::now());
                for _ in 0..REQUESTS {
                    serve(app).await;
                }
                let nanos = began.elapsed().as_nanos() as f64 / f64::from(REQUESTS);
                let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
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
            median(over.collect()),
            allocations[variant] - if variant == 0 { 0.0 } else { allocations[0] },
        );
    }
    let counted = telemetry.snapshot().counter(
        "orderscope.http.server.requests.finished",
        &[("outcome", "completed")],
    );
    let sent = u64::from(REQUESTS) * 2 * (ROUNDS + ROUNDS / 10) as u64;
    assert_eq!(counted, sent, "every request was counted");
}
