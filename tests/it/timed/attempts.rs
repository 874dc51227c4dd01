//! Attempts at a funnel by a million users at once.

use axum::{Router, body::Body, routing::get};
use http::Request;
use orderscope::{Telemetry, clock::ManualClock, context, events::Funnel, track_event};
use std::time::{Duration, SystemTime};
use tower::ServiceExt as _;

const MOST: u64 = 1_000_000;

/// Of this process, in bytes.
fn resident() -> u64 {
    let memory = procfs::process::Process::myself().unwrap().statm().unwrap();
    memory.resident * procfs::page_size()
}

#[test]
fn a_million_open_attempts_fit_in_300_mb_and_further_ones_are_refused_and_counted() {
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
    let funnel = Funnel::new("checkout")
        .step("begun")
        .step("ended")
        .within(Duration::from_secs(3_600));
    let telemetry = Telemetry::builder("orders")
        .clock(hands.clock())
        .own_events(["begun", "ended"])
        .funnel(funnel)
        .build()
        .unwrap();
    let telling = (telemetry.clone(), hands.clone());
    let handler = async move || {
        let (telemetry, hands) = telling;
        for user in 0..MOST + 100 {
            context::identify_user(user);
            track_event!("begun");
            if user % 50_000 == 0 {
                hands.advance(Duration::from_secs(11));
                let _ = telemetry.snapshot();
            }
        }
        hands.advance(Duration::from_secs(11));
    };
    let app = Router::new()
        .route("/", get(handler))
        .layer(telemetry.http_layer());
    let before = resident();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let request = Request::get("/").body(Body::empty()).unwrap();
    let answer = runtime.block_on(app.oneshot(request)).unwrap();
    assert!(answer.status().is_success());
    let snapshot = telemetry.snapshot();
    let grown = resident() - before;
    assert_eq!(snapshot.funnels()[0].open, MOST);
    let refused = "orderscope.funnel.steps.refused";
    assert_eq!(snapshot.counter(refused, &[("reason", "units_full")]), 100);
    assert_eq!(snapshot.counter(refused, &[]), 100);
    assert!(grown < 300_000_000, "{grown} bytes for {MOST} attempts");
}
