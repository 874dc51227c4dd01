//! Names, kinds, units and sums of metrics.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::REQUESTS;
use crate::otlp::received::{Attributes, Kind, Metric, Point, Received, Sums};

#[derive(Clone, Copy, Debug)]
pub(in crate::otlp) enum Is {
    Counter,
    UpDownCounter,
    Gauge,
    Histogram,
}
use Is::{Counter, Gauge, Histogram, UpDownCounter};

/// Name, kind, unit, and the attributes that each point has.
pub(in crate::otlp) const METRICS: [(&str, Is, &str, &[&str]); 33] = [
    (
        "http.server.request.duration",
        Histogram,
        "s",
        &[
            "http.request.method",
            "url.scheme",
            "network.protocol.version",
        ],
    ),
    (
        "orderscope.http.server.time_to_first_byte",
        Histogram,
        "s",
        &["http.request.method", "url.scheme"],
    ),
    (
        "orderscope.http.server.requests.started",
        Counter,
        "{request}",
        &[],
    ),
    (
        "orderscope.http.server.requests.finished",
        Counter,
        "{request}",
        &["outcome", "http.response.status_class"],
    ),
    (
        "http.server.active_requests",
        UpDownCounter,
        "{request}",
        &["http.request.method", "url.scheme"],
    ),
    (
        "http.server.request.body.size",
        Histogram,
        "By",
        &["http.request.method", "url.scheme"],
    ),
    (
        "http.server.response.body.size",
        Histogram,
        "By",
        &["http.request.method", "url.scheme"],
    ),
    ("orderscope.log.records", Counter, "{record}", &["severity"]),
    (
        "orderscope.exceptions",
        Counter,
        "{exception}",
        &["severity", "handled"],
    ),
    (
        "orderscope.exceptions.by_type",
        Counter,
        "{exception}",
        &["exception.type"],
    ),
    ("orderscope.panics", Counter, "{panic}", &[]),
    ("orderscope.events", Counter, "{event}", &["event"]),
    ("process.cpu.time", Counter, "s", &["cpu.mode"]),
    ("process.cpu.utilization", Gauge, "1", &["cpu.mode"]),
    (
        "process.context_switches",
        Counter,
        "{context_switch}",
        &["process.context_switch.type"],
    ),
    ("orderscope.process.memory.utilization", Gauge, "1", &[]),
    ("process.memory.usage", UpDownCounter, "By", &[]),
    ("process.memory.virtual", UpDownCounter, "By", &[]),
    ("process.thread.count", UpDownCounter, "{thread}", &[]),
    (
        "process.unix.file_descriptor.count",
        UpDownCounter,
        "{file_descriptor}",
        &[],
    ),
    ("process.uptime", Gauge, "s", &[]),
    (
        "orderscope.delivery.accepted",
        Counter,
        "{record}",
        &["destination", "signal"],
    ),
    (
        "orderscope.delivery.acknowledged",
        Counter,
        "{record}",
        &["destination", "signal"],
    ),
    (
        "orderscope.delivery.queued",
        Gauge,
        "{record}",
        &["destination", "signal"],
    ),
    (
        "orderscope.delivery.export.duration",
        Histogram,
        "s",
        &["destination"],
    ),
    ("kitchen_dishes_total", Counter, "", &["city", "dish-kind"]),
    (
        "couriers.refusals",
        Counter,
        "",
        &["http.response.status_code"],
    ),
    ("oven.temperature", Gauge, "", &[]),
    ("oven.load", Gauge, "%", &[]),
    ("oven.wait_seconds", Histogram, "s", &["oven"]),
    ("couriers.told", Counter, "{courier}", &["city"]),
    ("couriers.free", UpDownCounter, "", &["city"]),
    ("couriers.ride", Histogram, "s", &["city"]),
];

const DURATION_EDGES: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0,
];

#[track_caller]
pub(super) fn assert_metrics(received: &Received, sums: Sums) {
    let pushes = &received.pushes;
    for (name, is, unit, attributes) in METRICS {
        let metrics: Vec<_> = pushes.iter().filter_map(|push| push.get(name)).collect();
        assert!(!metrics.is_empty(), "{name} is absent");
        let kind = match is {
            Counter => Kind::Counter(sums),
            Histogram => Kind::Histogram(sums),
            UpDownCounter => Kind::UpDownCounter(Sums::Cumulative),
            Gauge => Kind::Gauge,
        };
        for metric in metrics {
            assert_eq!(metric.kind, kind, "{name}");
            assert_eq!(metric.unit, unit, "{name}");
            for point in &metric.points {
                for attribute in attributes {
                    let has = point.attributes.contains_key(*attribute);
                    assert!(has, "{name} lacks {attribute}: {point:#?}");
                }
            }
        }
    }
    assert_totals(pushes);
    assert_buckets(pushes);
    assert_intervals(pushes, sums);
}

#[track_caller]
fn assert_totals(pushes: &[BTreeMap<String, Metric>]) {
    let total = |name: &str, attributes: &[(&str, Value)]| {
        let is_asked_for = |point: &&Point| {
            let mut asked = attributes.iter();
            asked.all(|(name, value)| point.attributes.get(*name) == Some(value))
        };
        total(pushes, name, is_asked_for)
    };
    let requests = REQUESTS as f64;
    let finished = "orderscope.http.server.requests.finished";
    let started = "orderscope.http.server.requests.started";
    let duration = "http.server.request.duration";
    let order = [
        ("http.route", json!("/orders")),
        ("http.response.status_code", json!(201)),
    ];
    for (name, attributes, expected) in [
        (started, &[][..], requests),
        (finished, &[], requests),
        (finished, &[("outcome", json!("panicked"))], 1.0),
        (finished, &[("outcome", json!("timed_out"))], 1.0),
        (finished, &[("outcome", json!("client_closed"))], 1.0),
        (finished, &[("outcome", json!("completed"))], requests - 3.0),
        (duration, &[], requests),
        (duration, &order, 1.0),
        (duration, &[("error.type", json!("panic"))], 1.0),
        (duration, &[("error.type", json!("503"))], 1.0),
        ("http.server.active_requests", &[], 0.0),
        ("orderscope.panics", &[], 1.0),
        ("orderscope.exceptions", &[], 2.0),
        ("orderscope.exceptions", &[("handled", json!("true"))], 1.0),
        (
            "orderscope.log.records",
            &[("severity", json!("CRITICAL"))],
            1.0,
        ),
        ("orderscope.events", &[("event", json!("dish_viewed"))], 3.0),
        (
            "orderscope.events",
            &[("event", json!("order_placed"))],
            1.0,
        ),
        ("kitchen_dishes_total", &[("city", json!("Graz"))], 3.0),
        (
            "couriers.refusals",
            &[("http.response.status_code", json!(404))],
            2.0,
        ),
        ("oven.temperature", &[], -3.25),
        ("oven.wait_seconds", &[], 3.0),
        ("couriers.told", &[], 5.0),
        ("couriers.free", &[], 3.0),
        ("couriers.ride", &[], 1.0),
    ] {
        assert_eq!(total(name, attributes), expected, "{name} {attributes:?}");
    }
}

/// What the pushes come to together, over all points that are asked for.
fn total(
    pushes: &[BTreeMap<String, Metric>],
    name: &str,
    is_asked_for: impl Fn(&&Point) -> bool,
) -> f64 {
    let mut totals: BTreeMap<String, f64> = BTreeMap::new();
    for metric in pushes.iter().filter_map(|push| push.get(name)) {
        for point in metric.points.iter().filter(&is_asked_for) {
            let total = totals.entry(identity(&point.attributes)).or_default();
            match metric.kind {
                Kind::Counter(Sums::Delta) | Kind::Histogram(Sums::Delta) => *total += point.number,
                _ => *total = point.number,
            }
        }
    }
    totals.values().sum()
}

fn identity(attributes: &Attributes) -> String {
    serde_json::to_string(attributes).unwrap()
}

#[track_caller]
fn assert_buckets(pushes: &[BTreeMap<String, Metric>]) {
    let histograms = |metric: &&Metric| matches!(metric.kind, Kind::Histogram(_));
    for metric in pushes.iter().flat_map(BTreeMap::values).filter(histograms) {
        for point in &metric.points {
            let [counts, bounds] =
                ["bucketCounts", "explicitBounds"].map(|field| point.numbers(field));
            assert_eq!(counts.len(), bounds.len() + 1, "{point:#?}");
            assert_eq!(counts.iter().sum::<f64>(), point.number, "{point:#?}");
        }
    }
    let durations = pushes
        .iter()
        .filter_map(|push| push.get("http.server.request.duration"))
        .flat_map(|metric| &metric.points);
    let edges: Vec<_> = durations
        .map(|point| point.numbers("explicitBounds"))
        .collect();
    assert!(edges.iter().all(|edges| *edges == DURATION_EDGES));
}

/// Cumulative sums begin where the process did; of deltas, each interval begins where the one
/// before ended.
#[track_caller]
fn assert_intervals(pushes: &[BTreeMap<String, Metric>], sums: Sums) {
    let counter = |metric: &&Metric| metric.kind == Kind::Counter(sums);
    let mut before: Option<[u64; 2]> = None;
    assert!(pushes.len() > 1, "there is one push only");
    for push in pushes {
        let counters = push.values().filter(counter);
        let mut intervals: Vec<_> = counters
            .flat_map(|metric| &metric.points)
            .map(|point| ["startTimeUnixNano", "timeUnixNano"].map(|time| point.integer(time)))
            .collect();
        intervals.dedup();
        let [[start, end]] = intervals[..] else {
            panic!("not one interval: {intervals:?}");
        };
        assert!(0 < start && start <= end, "{start} to {end}");
        if let Some([start_before, end_before]) = before {
            let begins = match sums {
                Sums::Delta => end_before,
                Sums::Cumulative => start_before,
            };
            assert_eq!(start, begins);
        }
        before = Some([start, end]);
    }
}
