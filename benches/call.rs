//! What a call to another service pays: `cargo bench --bench call`.
//!
//! The service answers at once, in process; every variant runs in turn in short rounds, so that whatever
//! else the machine does hits them alike. The figure is the median of the differences to the bare service
//! within each round.

#![allow(clippy::print_stdout, reason = "a program")]

mod figures;

use axum::body::Body;
use figures::{Counting, allocations_made, median};
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use orderscope::{
    Telemetry,
    export::{Destination, InMemory},
};
use std::{convert::Infallible, fmt, hint::black_box, time::Duration};
use tokio::{runtime, time::Instant};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

const ROUNDS: usize = 300;
const CALLS: u32 = 1_000;

#[global_allocator]
static ALLOCATOR: Counting = Counting { tells_held: false };

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

/// Nanoseconds and allocations of a call.
async fn measured<S, B>(calls: &S) -> (f64, f64)
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: fmt::Debug,
    B: http_body::Body,
{
    let (before, began) = (allocations_made(), Instant::now());
    for _ in 0..CALLS {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static("http://couriers:3000/nearest");
        let answered = calls.clone().oneshot(request).await;
        if let Ok(response) = answered {
            black_box(response.into_body().collect().await.ok());
        }
    }
    let nanos = began.elapsed().as_nanos() as f64 / f64::from(CALLS);
    let made = (allocations_made() - before) as f64 / f64::from(CALLS);
    (nanos, made)
}

async fn settle(telemetry: &Telemetry) {
    assert!(telemetry.flush(Duration::from_secs(10)).await, "flushed");
}

fn main() {
    let built =
        |telemetry: Result<Telemetry, _>| telemetry.unwrap_or_else(|error| panic!("{error}"));
    let silent = built(Telemetry::builder("bench").build());
    let memory = Destination::in_memory("memory", &InMemory::with_bound(1 << 20));
    let traced = built(Telemetry::builder("bench").destination(memory).build());
    let bare = service_fn(answer);
    let counted = silent.client_layer().layer(bare);
    let recorded = traced.client_layer().layer(bare);
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let (mut over, mut allocations) = ([Vec::new(), Vec::new()], [0.0; 2]);
    runtime.block_on(async {
        for round in 0..ROUNDS + ROUNDS / 10 {
            // Before each: what the one before has put off is done by then.
            settle(&traced).await;
            let (alone, made_alone) = measured(&bare).await;
            settle(&traced).await;
            let without = measured(&counted).await;
            settle(&traced).await;
            let with = [without, measured(&recorded).await];
            // The first tenth warms up.
            if round >= ROUNDS / 10 {
                for (variant, (nanos, made)) in with.into_iter().enumerate() {
                    over[variant].push(nanos - alone);
                    allocations[variant] = made - made_alone;
                }
            }
        }
    });
    let counted = traced
        .snapshot()
        .histogram("http.client.request.duration", &[])
        .count();
    let calls = u64::from(CALLS) * (ROUNDS + ROUNDS / 10) as u64;
    assert_eq!(counted, calls, "every call was counted");
    runtime.block_on(settle(&traced));
    let ledger = traced.ledger();
    let mut spans = ledger.iter().filter(|row| row.signal() == "traces");
    let acknowledged = spans.next().map(|row| row.acknowledged());
    assert_eq!(acknowledged, Some(calls), "every span was taken");
    let [metrics, spans] = over.map(median);
    let [of_metrics, of_spans] = allocations;
    println!(
        "a call: metrics only {metrics:+.0} ns ({of_metrics:.1} allocations), \
         with its span {spans:+.0} ns ({of_spans:.1})"
    );
}
