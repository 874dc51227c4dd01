//! The `metrics` facade and the snapshot's sources: after the first use, nothing.

use metrics::{counter, gauge, histogram, with_local_recorder};
use orderscope::Telemetry;

use super::allocations;

const TIMES: u64 = 1_000;

/// Allocations of `TIMES` uses after a first one.
fn after_the_first(telemetry: &Telemetry, mut use_it: impl FnMut()) -> u64 {
    with_local_recorder(&telemetry.recorder(), || {
        use_it();
        let (count, ()) = allocations(|| (0..TIMES).for_each(|_| use_it()));
        count
    })
}

fn telemetry() -> Telemetry {
    Telemetry::builder("orders").build().unwrap()
}

#[test]
fn macros_with_static_labels_allocate_nothing() {
    let telemetry = telemetry();
    let count = after_the_first(&telemetry, || {
        counter!("orders", "city" => "Graz", "channel" => "app", "paid" => "yes").increment(1);
        counter!("orders").increment(1);
        gauge!("couriers", "city" => "Graz").set(7.0);
        gauge!("couriers", "city" => "Graz").increment(1.0);
        gauge!("couriers", "city" => "Graz").decrement(1.0);
        histogram!("wait", "city" => "Graz").record(0.2);
    });
    assert_eq!(count, 0);
    let placed = telemetry.snapshot().counter("orders", &[("paid", "yes")]);
    assert_eq!(placed, TIMES + 1);
}

#[test]
fn kept_handles_allocate_nothing() {
    let telemetry = telemetry();
    let (counter, gauge, histogram) = with_local_recorder(&telemetry.recorder(), || {
        (counter!("orders"), gauge!("couriers"), histogram!("wait"))
    });
    // A thread's very first record finds the thread its shard.
    counter.increment(1);
    let (count, ()) = allocations(|| {
        for number in 0..TIMES {
            counter.increment(1);
            counter.absolute(number);
            gauge.set(number as f64);
            gauge.increment(1.0);
            histogram.record(number as f64);
            histogram.record_many(number as f64, 3);
        }
    });
    assert_eq!(count, 0);
    assert_eq!(telemetry.snapshot().counter("orders", &[]), TIMES + 1);
}

#[test]
fn what_is_refused_allocates_nothing() {
    let telemetry = telemetry();
    let count = after_the_first(&telemetry, || {
        gauge!("couriers").set(f64::NAN);
        histogram!("wait").record(f64::INFINITY);
        // One name with `wait` on the page.
        counter!("wait_total").increment(1);
        histogram!("wait", "le" => "1").record(1.0);
    });
    assert_eq!(count, 0);
    let refused = telemetry
        .snapshot()
        .counter("orderscope.values.refused", &[]);
    assert_eq!(refused, 2 * (TIMES + 1));
}
