//! The example, whose two services send to the Collector: what it says of itself is what arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::collector::Collector;
use crate::otlp::{received::Received, rotel};
use crate::programs;
use crate::started::fresh_folder;

const RUNS_FOR: &str = "5s";
/// On a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(60);

/// The kinds of spans.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

#[tokio::test]
async fn what_the_example_counts_is_what_the_collector_forwards_over_http() {
    let collector = Collector::start().await;
    let summary = run(&collector.http(), "http/protobuf").await;
    assert_forwarded(&collector, &summary);
}

#[tokio::test]
async fn what_the_example_counts_is_what_the_collector_forwards_over_grpc() {
    let collector = Collector::start().await;
    let summary = run(&collector.grpc(), "grpc").await;
    assert_forwarded(&collector, &summary);
}

#[tokio::test]
async fn what_the_example_counts_is_what_rotel_prints() {
    let rotel = rotel::rotel().await;
    let url = format!("http://{}", rotel.addresses[0]);
    let summary = run(&url, "http/protobuf").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    for (signal, of_record) in [
        ("traces", "Span #"),
        ("logs", "LogRecord #"),
        ("metrics", "ResourceMetrics #"),
    ] {
        let acknowledged: u64 = [&summary, &summary["payments"]]
            .map(|service| &service["ledger"]["otlp"][signal])
            .map(|row| {
                assert_eq!(row["difference"], 0, "{signal}: {row}");
                row["acknowledged"].as_u64().unwrap()
            })
            .iter()
            .sum();
        assert!(acknowledged > 0, "{signal}");
        // It prints after it has answered.
        while rotel::printed(&rotel, of_record) < acknowledged {
            assert!(Instant::now() < deadline, "{signal}: {acknowledged}");
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(rotel::printed(&rotel, of_record), acknowledged, "{signal}");
    }
}

/// Of both services, and the traces that go over both.
fn assert_forwarded(collector: &Collector, summary: &Value) {
    let forwarded = collector.forwarded_by_service();
    let names: Vec<_> = forwarded.keys().map(String::as_str).collect();
    assert_eq!(names, ["food-delivery", "payments"]);
    let [platform, payments] = ["food-delivery", "payments"].map(|name| &forwarded[name]);
    assert_told(summary, platform);
    assert_told(&summary["payments"], payments);

    let calls = spans(platform, CLIENT);
    let of_calls: Vec<_> = payments
        .spans
        .iter()
        .filter(|span| span.number("kind") == SERVER)
        .collect();
    assert!(!of_calls.is_empty());
    for span in of_calls {
        let caller = (span.text("traceId"), span.text("parentSpanId"));
        assert!(calls.contains(&caller), "{span:#?}");
    }
}

/// A service's own account of its requests, events and records.
fn assert_told(summary: &Value, received: &Received) {
    for (signal, counted) in received.counted() {
        let row = &summary["ledger"]["otlp"][signal];
        assert_eq!(row["difference"], 0, "{signal}: {row}");
        assert_eq!(row["acknowledged"], row["accepted"], "{signal}");
        assert_eq!(row["acknowledged"], counted, "{signal}");
    }
    let requests = &summary["requests"]["started"];
    assert_eq!(*requests, spans(received, SERVER).len());

    let mut events = BTreeMap::<_, u64>::new();
    let mut exceptions = 0;
    for log in &received.logs {
        match log.text("eventName") {
            "" => assert_ne!(log.body(), "", "{log:#?}"),
            "exception" => exceptions += 1,
            event => *events.entry(event).or_default() += 1,
        }
    }
    // Of sessions the telemetry tells by itself.
    let begun = events.remove("session.start").unwrap_or_default();
    let ended = events.remove("session.end").unwrap_or_default();
    assert_eq!(
        summary["sessions"]["started"].as_u64().unwrap_or_default(),
        begun
    );
    assert!(ended <= begun, "{ended} of {begun} sessions ended");
    // And of queries.
    events.retain(|event, _| !event.starts_with("orderscope."));
    assert_eq!(summary["events"], serde_json::json!(events));
    let errors = summary["errors"].as_object().unwrap().values();
    let errors: u64 = errors.map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(exceptions, errors);
}

/// Trace and id of the spans of a kind, each there once.
fn spans(received: &Received, kind: u64) -> BTreeSet<(&str, &str)> {
    let spans = received.spans.iter();
    let of_kind = spans.filter(|span| span.number("kind") == kind);
    of_kind
        .map(|span| (span.text("traceId"), span.text("spanId")))
        .collect()
}

/// The summary that it leaves.
async fn run(endpoint: &str, protocol: &str) -> Value {
    let folder = fresh_folder("example");
    let summary = folder.join("summary.json");
    let running = Command::new(programs::example("food_delivery"))
        .args(["--listen", "127.0.0.1:0", "--for", RUNS_FOR, "--seed", "1"])
        .arg("--summary")
        .arg(&summary)
        .env("RUST_LOG", "info,food_delivery=trace")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, running).await;
    let output = output.expect("the example comes to its end").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the example failed:\n{said}");
    let summary = std::fs::read(summary).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    serde_json::from_slice(&summary).unwrap()
}
