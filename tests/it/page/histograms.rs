//! Histograms agree with themselves, and with what OpenMetrics asks of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use metrics::histogram;
use orderscope::Telemetry;

use super::{BOTH, Subject, value};
use crate::exposition::{Format, Parser};

#[test]
fn the_count_is_the_infinite_bucket_while_threads_record() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for worker in 0..3_u32 {
            let (subject, done) = (&subject, &done);
            scope.spawn(move || {
                let wait = subject.record(|| histogram!("kitchen.wait", "city" => "Graz"));
                let mut value = worker;
                while !done.load(Ordering::Relaxed) {
                    value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    wait.record(f64::from(value >> 18));
                }
            });
        }
        let mut last = 0.0;
        for format in [BOTH; 10].concat() {
            let page = subject.parsed(&mut parser, format);
            let Some(family) = page.as_ref().unwrap().get("kitchen_wait") else {
                continue;
            };
            let graz = ("city", "Graz");
            let count = value(family, "kitchen_wait_count", &[graz]).unwrap();
            let all = value(family, "kitchen_wait_bucket", &[graz, ("le", "+Inf")]).unwrap();
            assert_eq!(count, all);
            assert!(count >= last, "{count} after {last}");
            let buckets: Vec<f64> = family
                .named("kitchen_wait_bucket")
                .map(|b| b.value)
                .collect();
            assert!(buckets.is_sorted(), "{buckets:?}");
            last = count;
        }
        done.store(true, Ordering::Relaxed);
        assert!(last > 0.0);
    });
}

#[test]
fn negative_values_leave_both_formats_readable() {
    let builder = Telemetry::builder("orders").histogram_edges("lateness", [-60.0, 0.0, 60.0]);
    let (subject, mut parser) = (Subject::of(builder), Parser::start());
    subject.record(|| {
        histogram!("lateness").record(-30.0);
        // Its edges are the default ones, from 0 on; its sum is negative.
        histogram!("balance").record(-5.0);
        // Its sum leaves the finite numbers.
        histogram!("absurd").record(f64::MAX);
        histogram!("absurd").record(f64::MAX);
    });
    let text = subject.parsed(&mut parser, Format::Text).unwrap();
    for (name, sum) in [
        ("lateness", -30.0),
        ("balance", -5.0),
        ("absurd", f64::INFINITY),
    ] {
        assert_eq!(value(&text[name], &format!("{name}_sum"), &[]), Some(sum));
    }
    // OpenMetrics: a sum never shrinks, and the count stands beside a sum only.
    let open = subject.parsed(&mut parser, Format::OpenMetrics).unwrap();
    for name in ["lateness", "balance"] {
        for absent in ["_sum", "_count"] {
            assert_eq!(value(&open[name], &format!("{name}{absent}"), &[]), None);
        }
        let all = value(&open[name], &format!("{name}_bucket"), &[("le", "+Inf")]);
        assert_eq!(all, Some(1.0));
    }
    assert_eq!(value(&open["absurd"], "absurd_count", &[]), Some(2.0));
}

#[test]
fn a_value_on_an_edge_is_at_or_below_it() {
    let builder = Telemetry::builder("orders").histogram_edges("weight", [1.0, 2.0]);
    let (subject, mut parser) = (Subject::of(builder), Parser::start());
    subject.record(|| [1.0, 2.0, 2.5].map(|value| histogram!("weight").record(value)));
    for format in BOTH {
        let page = subject.parsed(&mut parser, format).unwrap();
        let buckets = page["weight"].named("weight_bucket");
        let read: BTreeMap<_, _> = buckets
            .map(|b| (b.labels["le"].as_str(), b.value))
            .collect();
        assert_eq!(read, [("1.0", 1.0), ("2.0", 2.0), ("+Inf", 3.0)].into());
    }
}
