//! One name everywhere: what a store makes of pushed metrics is what the metrics page says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::stores::Store;
use crate::exposition::{Format, Parser};
use crate::otlp::service::{self, Report};
use crate::programs;

const STORED_WITHIN: Duration = Duration::from_secs(10);

/// Where the two do not agree: the name on the page, the name in the store.
const SPELLED_OTHERWISE: [(&str, &str); 6] = [
    // A unit is a suffix, says the specification (its #4057); the store is content with one that
    // stands anywhere in the name.
    ("seconds_to_dessert_seconds", "seconds_to_dessert"),
    ("bytes_read_bytes_total", "bytes_read_total"),
    // In Prometheus no name begins with a digit.
    ("_3_stars_total", "3_stars_total"),
    // Ours keeps each underscore; the specification leaves one of several in a row.
    ("till__drawer_total", "till_drawer_total"),
    // Ours adds a word for the units that it knows.
    ("couriers_fuel_total", "couriers_fuel_L_total"),
    ("couriers_speed_total", "couriers_speed_km_per_hour_total"),
];

/// A name and its labels.
type Series = (String, BTreeMap<String, String>);

#[tokio::test]
async fn each_series_of_the_page_is_in_the_store_with_its_value_and_the_other_way_round() {
    let store = Store::start(
        programs::victoria_metrics(),
        &["-opentelemetry.usePrometheusNaming"],
    )
    .await;
    let url = store.url("/opentelemetry/v1/metrics");
    let report = service::run(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &url)]).await;
    let page = as_the_store_spells(page(&report));
    let deadline = Instant::now() + STORED_WITHIN;
    loop {
        store.flush().await;
        let different = differences(&page, &stored(&store, &report).await);
        if different.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{different:#?}");
        sleep(Duration::from_millis(100)).await;
    }
    let compared = page.keys().filter(|series| !changes_by_itself(&series.0));
    let compared = compared.count();
    assert!(compared > 300, "{compared} of {} series only", page.len());
    report.assert_settled(&[("metrics", pushes(&store).await)]);
}

/// Under the names that the store has.
fn as_the_store_spells(mut page: BTreeMap<Series, f64>) -> BTreeMap<Series, f64> {
    for (ours, of_the_store) in SPELLED_OTHERWISE {
        let series = page.keys().find(|series| series.0 == ours).cloned();
        let series = series.unwrap_or_else(|| panic!("{ours} is not on the page"));
        let value = page.remove(&series).unwrap();
        let before = page.insert((of_the_store.to_owned(), series.1), value);
        assert_eq!(before, None, "{of_the_store} is on the page too");
    }
    page
}

/// What one has and the other has not, or has with another value.
fn differences(page: &BTreeMap<Series, f64>, stored: &BTreeMap<Series, f64>) -> Vec<String> {
    let series: BTreeSet<_> = page.keys().chain(stored.keys()).collect();
    let different = series.into_iter().filter(|series| {
        let is_there = page.contains_key(series) && stored.contains_key(series);
        !is_there || !(changes_by_itself(&series.0) || is_same(page[*series], stored[*series]))
    });
    let told = different.map(|series| {
        let (page, stored) = (page.get(series), stored.get(series));
        format!("{series:?}: on the page {page:?}, in the store {stored:?}")
    });
    told.collect()
}

/// The telemetry's own delivery goes on after its numbers were read for a push.
fn changes_by_itself(name: &str) -> bool {
    let prefixes = [
        "process_",
        "orderscope_process_",
        "orderscope_tokio_",
        "orderscope_delivery_",
    ];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The store keeps decimal digits, about fifteen of them.
fn is_same(one: f64, other: f64) -> bool {
    one == other || (one - other).abs() <= 1e-13 * one.abs()
}

fn page(report: &Report) -> BTreeMap<Series, f64> {
    let families = Parser::start().parse(Format::Text, &report.page).unwrap();
    let mut series = BTreeMap::new();
    for sample in families.into_iter().flat_map(|family| family.samples) {
        if sample.name != "target_info" {
            let labels = sample.labels.into_iter();
            let before = series.insert(named(sample.name, labels), sample.value);
            assert_eq!(before, None);
        }
    }
    series
}

/// The last value of each series, without what the resource and the scope say.
async fn stored(store: &Store, report: &Report) -> BTreeMap<Series, f64> {
    let of_resource: BTreeSet<_> = report
        .resource
        .keys()
        .map(|name| name.replace('.', "_"))
        .chain(["job", "instance"].map(str::to_owned))
        .collect();
    let is_own = |label: &str| {
        let of_scope = ["scope_", "otel_scope_"];
        !of_resource.contains(label) && !of_scope.iter().any(|prefix| label.starts_with(prefix))
    };
    let mut series = BTreeMap::new();
    for mut exported in exported(store).await {
        let value = exported["values"].as_array().unwrap().last().cloned();
        let labels = exported["metric"].as_object_mut().unwrap();
        let name = labels.remove("__name__").unwrap();
        let name = name.as_str().unwrap().to_owned();
        let labels = labels.iter().filter(|(label, _)| is_own(label));
        let labels = labels.map(|(label, text)| (label.clone(), text.as_str().unwrap().to_owned()));
        if name != "target_info" {
            let value = value.and_then(|value| value.as_f64()).unwrap();
            let before = series.insert(named(name, labels), value);
            assert_eq!(before, None);
        }
    }
    series
}

/// All samples of all series, each as `{metric, values, timestamps}`.
async fn exported(store: &Store) -> Vec<Value> {
    let all = "{__name__!=\"\"}";
    store.ask("/api/v1/export", "match[]", all).await
}

/// How many pushes the store took, each in one request. Not by its samples: of two within a
/// millisecond it keeps one.
async fn pushes(store: &Store) -> usize {
    let of = |counter| {
        format!(
            "vm_http_{counter}_total{{path=\"/opentelemetry/v1/metrics\", protocol=\"opentelemetry\"}} "
        )
    };
    let page = store.get("/metrics").await;
    let read = |counter| {
        let of = of(counter);
        let line = page.lines().find_map(|line| line.strip_prefix(&of));
        line.map(|count| count.parse::<usize>().unwrap())
    };
    assert_eq!(read("request_errors"), Some(0));
    read("requests").unwrap()
}

/// The bounds of buckets are numbers, however they are written.
fn named(name: String, labels: impl Iterator<Item = (String, String)>) -> Series {
    let labels = labels.map(|(label, text)| match label.as_str() {
        "le" => (label, text.parse::<f64>().unwrap().to_string()),
        _ => (label, text),
    });
    (name, labels.collect())
}
