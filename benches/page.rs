//! What reading the numbers costs, by how many series there are: `cargo bench --bench page`.
//!
//! Histograms of fifteen edges, each with values in all of its buckets. A scrape is asked of the route in
//! process, its body read to its end; a push lasts from the flush that asks for it until it is acknowledged,
//! by a destination in memory. Medians of many.

#![allow(clippy::print_stdout, reason = "a program")]

mod figures;

use axum::{Router, body::Body};
use figures::{Counting, allocations_made, median};
use http::Request;
use http_body_util::BodyExt as _;
use orderscope::{
    Telemetry,
    clock::ManualClock,
    export::{Destination, InMemory, Signal},
};
use std::time::{Duration, SystemTime};
use tokio::{runtime, time::Instant};
use tower::ServiceExt as _;

const TIMES: usize = 200;
const SERIES: [usize; 4] = [0, 100, 1_000, 2_000];
const EDGES: u32 = 15;

#[global_allocator]
static ALLOCATOR: Counting = Counting { tells_held: false };

/// With so many series of one histogram.
fn telemetry(series: usize, hands: &ManualClock) -> Telemetry {
    let memory = Destination::in_memory("memory", &InMemory::with_bound(1 << 20));
    let telemetry = Telemetry::builder("bench")
        .clock(hands.clock())
        .series_limit(5_000)
        .histogram_edges("basket.value", (0..EDGES).map(f64::from))
        .destination(memory.only([Signal::Metrics]))
        .build();
    let telemetry = telemetry.unwrap_or_else(|error| panic!("{error}"));
    metrics::with_local_recorder(&telemetry.recorder(), || {
        for restaurant in 0..series {
            let of = metrics::histogram!("basket.value", "restaurant" => restaurant.to_string());
            for edge in 0..=EDGES {
                of.record(f64::from(edge) - 0.5);
            }
        }
    });
    telemetry
}

async fn run(series: usize) {
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
    let telemetry = telemetry(series, &hands);
    let app: Router = Router::new().route("/metrics", telemetry.metrics_route());
    let (mut scrapes, mut pushes) = (Vec::new(), Vec::new());
    let (mut allocations, mut bytes) = (0, 0);
    for _ in 0..TIMES {
        // One page is for all who ask within 100 ms.
        hands.advance(Duration::from_secs(1));
        let request = Request::get("/metrics").body(Body::empty());
        let request = request.unwrap_or_else(|error| panic!("{error}"));
        let (before, began) = (allocations_made(), Instant::now());
        let Ok(response) = app.clone().oneshot(request).await;
        let page = response.into_body().collect().await;
        scrapes.push(began.elapsed().as_nanos() as f64 / 1e3);
        allocations = allocations_made() - before;
        bytes = page.map_or(0, |page| page.to_bytes().len());

        let began = Instant::now();
        let is_through = telemetry.flush(Duration::from_secs(10)).await;
        pushes.push(began.elapsed().as_nanos() as f64 / 1e3);
        assert!(is_through, "flushed: {:?}", telemetry.ledger());
    }
    println!(
        "{series:>5} series: a scrape {:>6.0} µs, {allocations:>3} allocations, {bytes:>8} bytes; \
         a push {:>6.0} µs",
        median(scrapes),
        median(pushes),
    );
}

fn main() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    for series in SERIES {
        runtime.block_on(run(series));
    }
}
