//! What recording costs while nobody takes what is recorded, so that records are lost and counted:
//! `cargo bench --bench overflow`.
//!
//! The destination takes connections and never answers, its queue is full before the clock starts. Each
//! event is timed by itself; a reading of the clock is in the figure.

#![allow(clippy::print_stdout, reason = "a program")]

mod figures;

use figures::{Counting, allocations_made};
use orderscope::{
    Telemetry,
    export::{Destination, Signal},
    logs::Levels,
};
use std::{net::TcpListener, time::Duration};
use tokio::time::Instant;
use tracing_subscriber::{layer::SubscriberExt as _, registry};

const EVENTS: usize = 1_000_000;

#[global_allocator]
static ALLOCATOR: Counting = Counting { tells_held: false };

fn event(number: usize) {
    tracing::info!(order_id = number, restaurant = "Roma", "order read");
}

fn lost(telemetry: &Telemetry) -> u64 {
    let ledger = telemetry.ledger();
    let dropped = ledger
        .iter()
        .flat_map(|row| row.dropped().map(|(_, count)| count));
    dropped.sum()
}

fn main() {
    // Whoever connects waits in its backlog.
    let hung = TcpListener::bind("127.0.0.1:0").and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let (_listener, address) = hung.unwrap_or_else(|error| panic!("{error}"));
    let hung = Destination::otlp("hung", format!("http://{address}"));
    let telemetry = Telemetry::builder("bench")
        .destination(hung.only([Signal::Logs]))
        .build();
    let telemetry = telemetry.unwrap_or_else(|error| panic!("{error}"));
    let subscriber = registry()
        .with(Levels::default())
        .with(telemetry.tracing_layer());
    let installed = tracing::subscriber::set_global_default(subscriber);
    installed.unwrap_or_else(|error| panic!("{error}"));

    let deadline = Instant::now() + Duration::from_secs(60);
    // Until nearly all of a burst is lost: the queue is full then, not the hand-off alone.
    while {
        let before = lost(&telemetry);
        (0..10_000).for_each(event);
        lost(&telemetry) - before < 9_000
    } {
        assert!(
            Instant::now() < deadline,
            "the queue never fills: {:?}",
            telemetry.ledger()
        );
    }
    let (before, made) = (lost(&telemetry), allocations_made());
    let mut took = Vec::with_capacity(EVENTS);
    for number in 0..EVENTS {
        let began = Instant::now();
        event(number);
        took.push(began.elapsed().as_nanos());
    }
    let made = (allocations_made() - made) as f64 / EVENTS as f64;
    let lost = lost(&telemetry) - before;
    assert!(lost > EVENTS as u64 / 2, "{lost} were lost");
    took.sort_unstable();
    let at = |share: f64| took[(share * (EVENTS - 1) as f64) as usize];
    println!(
        "an event while {lost} of {EVENTS} are lost: p50 {} ns, p99 {} ns, p99.9 {} ns, p99.99 {} ns, \
         worst {} ns; {made:.2} allocations",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0)
    );
}
