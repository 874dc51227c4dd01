//! What is refused, cut or gathered, and how the page says so.

use metrics::{counter, describe_gauge, gauge, histogram};
use orderscope::Telemetry;

use super::{BOTH, Subject, block_on, value};
use crate::exposition::{Format, Parser};

const METRICS: (&str, &str) = ("signal", "metrics");
const VALUE_LIMIT: usize = 1_024;

#[test]
fn values_that_are_no_finite_number_are_refused_and_counted() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    subject.record(|| {
        gauge!("couriers").set(7.0);
        gauge!("couriers").set(f64::NAN);
        gauge!("couriers").increment(f64::INFINITY);
        gauge!("couriers").decrement(f64::INFINITY);
        histogram!("wait").record(0.5);
        histogram!("wait").record(f64::NAN);
        histogram!("wait").record_many(f64::NEG_INFINITY, 3);
    });
    for format in BOTH {
        let page = subject.parsed(&mut parser, format).unwrap();
        assert_eq!(value(&page["couriers"], "couriers", &[]), Some(7.0));
        assert_eq!(value(&page["wait"], "wait_count", &[]), Some(1.0));
        assert_eq!(value(&page["wait"], "wait_sum", &[]), Some(0.5));
        let refused = |reason| {
            let name = "orderscope_values_refused_total";
            value(
                &page["orderscope_values_refused"],
                name,
                &[("reason", reason), METRICS],
            )
        };
        assert_eq!(refused("nan"), Some(2.0));
        assert_eq!(refused("infinite"), Some(3.0));
    }
}

#[test]
fn reserved_labels_are_refused_by_the_instrument_that_has_them() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    subject.record(|| {
        histogram!("wait", "le" => "1.0").record(1.0);
        counter!("orders", "__name__" => "up").increment(1);
        counter!("baskets", "..name" => "up").increment(1);
        gauge!("__reserved", "a" => "b").set(1.0);
        // Only a histogram has edges.
        counter!("rides", "le" => "1.0").increment(4);
        histogram!("wait", "city" => "Graz").record(1.0);
    });
    for format in BOTH {
        let page = subject.parsed(&mut parser, format).unwrap();
        assert_eq!(reserved(&page["orderscope_instruments_refused"]), 3.0);
        assert_eq!(
            value(&page["rides"], "rides_total", &[("le", "1.0")]),
            Some(4.0)
        );
        assert_eq!(
            value(&page["wait"], "wait_count", &[("city", "Graz")]),
            Some(1.0)
        );
        assert!(!page.contains_key("orders") && !page.contains_key("up"));
    }
    fn reserved(family: &crate::exposition::Family) -> f64 {
        let name = "orderscope_instruments_refused_total";
        value(family, name, &[("reason", "reserved_label")]).unwrap()
    }
}

#[test]
fn names_that_would_collide_on_the_page_are_refused_once_each() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    subject.record(|| {
        counter!("orders.placed").increment(1);
        histogram!("wait").record(1.0);
        gauge!("baskets.created").set(2.0);
        for _ in 0..3 {
            // One name after sanitising.
            counter!("orders_placed").increment(10);
            gauge!("orders/placed").set(10.0);
            // One family.
            counter!("orders.placed.total").increment(10);
            // A sample of another family.
            gauge!("wait_count").set(10.0);
            counter!("wait").increment(10);
            // What OpenMetrics keeps for the start time of a counter or a histogram.
            gauge!("orders_placed_created").set(10.0);
            counter!("baskets").increment(10);
            // The catalog's own, and the resource's.
            counter!("orderscope.worker.restarts").increment(10);
            gauge!("target.info").set(10.0);
        }
    });
    for format in BOTH {
        let page = subject.parsed(&mut parser, format).unwrap();
        let placed = value(&page["orders_placed"], "orders_placed_total", &[]);
        assert_eq!(placed, Some(1.0));
        assert_eq!(
            value(&page["baskets_created"], "baskets_created", &[]),
            Some(2.0)
        );
        let refused = value(
            &page["orderscope_instruments_refused"],
            "orderscope_instruments_refused_total",
            &[("reason", "name_collision")],
        );
        assert_eq!(refused, Some(9.0));
    }
}

#[test]
fn endless_label_values_make_one_overflow_series_and_are_counted() {
    let builder = Telemetry::builder("orders").series_limit(10);
    let (subject, mut parser) = (Subject::of(builder), Parser::start());
    let record = |tenants: std::ops::Range<u32>| {
        subject.record(|| {
            for tenant in tenants {
                counter!("orders", "tenant" => tenant.to_string()).increment(2);
            }
        });
    };
    record(0..1_000);
    let size = block_on(subject.page(Format::Text)).len();
    for format in BOTH {
        let page = subject.parsed(&mut parser, format).unwrap();
        let orders = &page["orders"];
        assert_eq!(orders.samples.len(), 11);
        let beyond = value(orders, "orders_total", &[("otel_metric_overflow", "true")]);
        assert_eq!(beyond, Some(990.0 * 2.0));
        let counted = value(
            &page["orderscope_series_overflowed"],
            "orderscope_series_overflowed_total",
            &[("metric", "orders")],
        );
        assert_eq!(counted, Some(990.0));
    }
    // A hundred times as many change digits, and nothing else.
    record(1_000..100_000);
    let grown = block_on(subject.page(Format::Text)).len();
    assert!(grown < size + 64, "{size} bytes became {grown}");
}

#[test]
fn what_the_code_bounds_has_room_under_the_lowest_caps() {
    let builder = Telemetry::builder("orders").series_limit(0);
    let (subject, mut parser) = (Subject::of(builder.series_byte_budget(0)), Parser::start());
    subject.record(|| {
        counter!("orders").increment(1);
        counter!("baskets").increment(2);
        gauge!("couriers").set(f64::NAN);
    });
    let page = subject.parsed(&mut parser, Format::Text).unwrap();
    let overflow = ("otel_metric_overflow", "true");
    for (name, family) in &page {
        let is_ours = ["orderscope_", "process_"].map(|prefix| name.starts_with(prefix));
        let overflows = family
            .samples
            .iter()
            .any(|s| s.labels.contains_key(overflow.0));
        assert_eq!(
            is_ours.contains(&true) || name == "target_info",
            !overflows,
            "{family:#?}"
        );
    }
    assert_eq!(
        value(&page["orders"], "orders_total", &[overflow]),
        Some(1.0)
    );
    assert_eq!(
        page["orderscope_http_server_requests_finished"]
            .samples
            .len(),
        42
    );
    let counted = &page["orderscope_series_overflowed"];
    for metric in ["orders", "baskets", "couriers"] {
        let name = "orderscope_series_overflowed_total";
        assert_eq!(value(counted, name, &[("metric", metric)]), Some(1.0));
    }
}

#[test]
fn ten_megabytes_are_cut_on_a_character_and_counted() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    // Three bytes each: no character ends at byte 1,024.
    let long = "€".repeat(10_000_000 / 3);
    subject.record(|| {
        describe_gauge!("couriers", long.clone());
        gauge!("couriers", "note" => long.clone()).set(1.0);
        gauge!("couriers", long.clone() => "long name").set(2.0);
        gauge!(long.clone()).set(3.0);
    });
    for format in BOTH {
        let page = subject.parsed(&mut parser, format).unwrap();
        let cut = "€".repeat(VALUE_LIMIT / 3);
        let family = &page["couriers"];
        assert_eq!(value(family, "couriers", &[("note", &cut)]), Some(1.0));
        let name = "_".repeat(255 / 3);
        assert_eq!(family.help, cut);
        // A name of underscores alone would be reserved.
        assert!(
            family
                .samples
                .iter()
                .all(|sample| !sample.labels.contains_key(&name))
        );
        let truncated = value(
            &page["orderscope_values_truncated"],
            "orderscope_values_truncated_total",
            &[METRICS],
        );
        assert_eq!(truncated, Some(2.0));
        let refused = |reason| {
            let name = "orderscope_instruments_refused_total";
            value(
                &page["orderscope_instruments_refused"],
                name,
                &[("reason", reason)],
            )
        };
        assert_eq!(refused("invalid_name"), Some(1.0));
        assert_eq!(refused("reserved_label"), Some(1.0));
    }
    assert!(block_on(subject.page(Format::Text)).len() < 20_000);
}

#[test]
fn a_value_at_the_limit_is_whole() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    let [whole, longer] = [VALUE_LIMIT, VALUE_LIMIT + 1].map(|length| "x".repeat(length));
    subject.record(|| {
        counter!("whole", "v" => whole.clone()).increment(1);
        counter!("longer", "v" => longer.clone()).increment(1);
    });
    let page = subject.parsed(&mut parser, Format::Text).unwrap();
    for family in ["whole", "longer"] {
        let total = value(&page[family], &format!("{family}_total"), &[("v", &whole)]);
        assert_eq!(total, Some(1.0));
    }
    let truncated = &page["orderscope_values_truncated"];
    assert_eq!(truncated.samples[0].value, 1.0);
}
