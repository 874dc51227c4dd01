//! Panics, to be built so that a panic aborts; with an argument, under an installed telemetry that sends
//! to that endpoint, and has no room left for what is routine.

use orderscope::{
    Telemetry,
    export::{Destination, Reason},
};
use std::{env, panic, thread};

fn main() {
    panic::set_hook(Box::new(|panicked| {
        eprintln!("the hook before: {panicked}")
    }));
    let _kept = env::args().nth(1).map(swamped);
    // Not the main thread: nothing but the abort ends the process.
    let _ = thread::spawn(|| panic!("planted")).join();
    eprintln!("nothing aborted");
}

fn swamped(endpoint: String) -> Telemetry {
    let telemetry = Telemetry::builder("aborts")
        .destination(Destination::otlp("collector", endpoint))
        .queue_byte_budget(1 << 20)
        .install()
        .expect("the only one");
    let is_full = || {
        let rows = telemetry.ledger();
        let lost = |reason| rows.iter().map(|row| row.dropped_for(reason)).sum::<u64>();
        lost(Reason::BytesFull) + lost(Reason::QueueFull) > 0
    };
    while !is_full() {
        orderscope::track_event!("routine", text = "x".repeat(2_000));
    }
    telemetry
}
