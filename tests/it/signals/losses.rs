//! What becomes of records without a destination, beside a dead one, and after the end.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hyper::StatusCode;
use orderscope::export::{Destination, InMemory, LedgerRow, Signal};
use orderscope::{Telemetry, capture_error, track_event};
use tokio::time::Instant;
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{PATIENCE, Scene, ask};

/// Panics when it is formatted.
struct NeverShown;

impl std::fmt::Debug for NeverShown {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("built")
    }
}

/// One request: its span and one within, a line, an event and an error; a call that is refused.
async fn record(telemetry: &Telemetry) {
    let handler = async || {
        info_span!("cook").in_scope(|| tracing::info!("line"));
        track_event!("dish_viewed", dish = 7);
        capture_error(&std::fmt::Error);
    };
    let app = Router::new().route("/", get(handler));
    ask(&app.layer(telemetry.http_layer()), "/").await;
}

/// Nobody listens there, nor does another test: no port is given out that is so low.
fn dead(name: &str) -> Destination {
    Destination::otlp(name, "http://127.0.0.1:1")
}

#[track_caller]
fn assert_balanced(rows: &[LedgerRow]) {
    for row in rows {
        assert_eq!(row.difference(), 0, "{row}");
        assert_eq!((row.queued(), row.in_flight()), (0, 0), "{row}");
    }
}

/// The metrics, which the page and each push show, say of every row what the row says.
#[track_caller]
fn assert_shown_as_it_is(telemetry: &Telemetry, rows: &[LedgerRow]) {
    let numbers = telemetry.snapshot();
    for row in rows {
        let of = [("destination", row.destination()), ("signal", row.signal())];
        let shown = |name: &str| numbers.gauge(&format!("orderscope.delivery.{name}"), &of) as u64;
        for (name, count) in [
            ("accepted", row.accepted()),
            ("acknowledged", row.acknowledged()),
            ("rejected", row.rejected()),
            ("ambiguous", row.ambiguous()),
            ("queued", row.queued()),
            ("in_flight", row.in_flight()),
            ("spooled", row.spooled()),
        ] {
            assert_eq!(shown(name), count, "{name}: {row}");
        }
        for (reason, count) in row.dropped() {
            let of = [of[0], of[1], ("reason", reason.as_str())];
            let shown = numbers.counter("orderscope.delivery.dropped", &of);
            assert_eq!(shown, count, "{reason}: {row}");
        }
    }
}

#[tokio::test]
async fn without_a_destination_nothing_is_built_and_all_is_counted() {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let layer = telemetry.tracing_layer().at("info".parse().unwrap());
    let subscriber = tracing_subscriber::registry().with(layer);
    let _listens = tracing::subscriber::set_default(subscriber);
    let handler = async || {
        let _span = info_span!("cook", value = ?NeverShown).entered();
        tracing::error!(value = ?NeverShown, "line");
        track_event!("dish_viewed", dish = ?NeverShown);
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let app = Router::new().route("/", get(handler));
    let (status, _) = ask(&app.layer(telemetry.http_layer()), "/").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    // An error is built all the same, and nothing takes it.
    record(&telemetry).await;
    assert!(telemetry.flush(PATIENCE).await);
    assert!(telemetry.ledger().is_empty());
    let numbers = telemetry.snapshot();
    let error = [("severity", "ERROR")];
    assert_eq!(numbers.counter("orderscope.log.records", &error), 1);
    assert_eq!(numbers.counter("orderscope.events", &[]), 2);
    let durations = numbers.histogram("http.server.request.duration", &[]);
    assert_eq!(durations.count(), 2);
    assert_eq!(numbers.counter("orderscope.exceptions", &[]), 1);
    let report = telemetry.shutdown(PATIENCE).await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(
        report.to_string(),
        "telemetry shut down: its numbers are frozen"
    );
}

#[tokio::test]
async fn a_destination_of_one_signal_has_that_alone() {
    let (traces, logs) = (InMemory::new(), InMemory::new());
    let telemetry = Telemetry::builder("orders")
        .destination(Destination::in_memory("traces", &traces).only([Signal::Traces]))
        .destination(Destination::in_memory("logs", &logs).only([Signal::Logs]))
        .build()
        .unwrap();
    let layer = telemetry.tracing_layer().at("info".parse().unwrap());
    let subscriber = tracing_subscriber::registry().with(layer);
    let _listens = tracing::subscriber::set_default(subscriber);
    record(&telemetry).await;
    assert!(telemetry.flush(PATIENCE).await);
    assert_eq!((traces.spans().len(), traces.logs().len()), (2, 0));
    assert_eq!((logs.spans().len(), logs.logs().len()), (0, 3));
    assert!(traces.metrics().is_empty() && logs.metrics().is_empty());
    let rows = telemetry.ledger();
    let names: Vec<_> = rows.iter().map(|r| (r.destination(), r.signal())).collect();
    assert_eq!(names, [("traces", "traces"), ("logs", "logs")]);
    assert_balanced(&rows);
}

#[tokio::test]
async fn beside_a_dead_destination_the_other_has_everything() {
    let scene = Scene::of(|builder| builder.destination(dead("dead")));
    let _listens = scene.listens();
    record(&scene.telemetry).await;
    let begun = Instant::now();
    // The dead one is not through by then.
    assert!(!scene.telemetry.flush(Duration::from_millis(500)).await);
    assert!(begun.elapsed() < PATIENCE);
    let open = |destination| {
        let of = [("destination", destination)];
        let numbers = scene.telemetry.snapshot();
        numbers.gauge("orderscope.delivery.breaker.open", &of)
    };
    let arrived = || {
        let (spans, logs) = (scene.backend.spans().len(), scene.backend.logs().len());
        (spans, logs, !scene.backend.metrics().is_empty())
    };
    // A busy machine may need longer than that.
    while arrived() != (2, 3, true) || open("dead") != 1.0 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", arrived());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(open("memory"), 0.0);
    for (signal, count) in [("traces", 2), ("logs", 3)] {
        let row = scene.row("memory", signal);
        assert_eq!((row.accepted(), row.acknowledged()), (count, count));
        let row = scene.row("dead", signal);
        assert_eq!((row.accepted(), row.acknowledged()), (count, 0));
        let dropped: u64 = row.dropped().map(|(_, count)| count).sum();
        assert_eq!(
            (row.difference(), row.queued() + row.in_flight() + dropped),
            (0, count),
            "{row}"
        );
    }

    let report = scene.telemetry.shutdown(PATIENCE).await;
    assert!(!report.is_complete());
    assert_balanced(report.ledger());
    assert_shown_as_it_is(&scene.telemetry, report.ledger());
    let told = report.to_string();
    let lines: Vec<_> = told.lines().collect();
    for (signal, count) in [("traces", 2), ("logs", 3)] {
        let said = format!("dead {signal}: 0 of {count} acknowledged, {count} dropped (");
        let line = lines.iter().find(|line| line.starts_with(&said));
        let reason = line.unwrap_or_else(|| panic!("{told}"))[said.len()..].trim_end_matches(')');
        assert!(["deadline", "retry_exhausted"].contains(&reason), "{told}");
    }
    assert!(!told.contains("memory "), "{told}");
    assert_eq!(scene.row("memory", "logs").acknowledged(), 3);
}

#[test]
fn two_destinations_of_one_name_are_refused() {
    let backend = InMemory::new();
    let refused = Telemetry::builder("orders")
        .destination(Destination::in_memory("memory", &backend))
        .destination(dead("dead"))
        .destination(dead("memory"))
        .build();
    let error = refused.err().unwrap();
    assert!(error.is_configuration());
    assert_eq!(
        error.to_string(),
        "a destination's name is \"memory\", but must be another name: two destinations have this one"
    );
}

#[tokio::test]
async fn a_report_is_complete_when_all_is_acknowledged() {
    let scene = Scene::new();
    let _listens = scene.listens();
    // As many errors as one group is told at once.
    for _ in 0..10 {
        record(&scene.telemetry).await;
    }
    let report = scene.telemetry.shutdown(PATIENCE).await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(
        report.to_string(),
        "telemetry shut down: its numbers are frozen"
    );
    assert_balanced(report.ledger());
    assert_eq!(
        (scene.backend.spans().len(), scene.backend.logs().len()),
        (20, 30)
    );
    let signals: Vec<_> = report.ledger().iter().map(LedgerRow::signal).collect();
    assert_eq!(signals, ["traces", "logs", "metrics"]);
    assert!(report.ledger().iter().all(LedgerRow::is_settled));
}

#[tokio::test]
async fn after_the_end_records_are_counted_and_nothing_else() {
    let scene = Scene::new();
    let _listens = scene.listens();
    record(&scene.telemetry).await;
    let report = scene.telemetry.shutdown(PATIENCE).await;
    assert!(report.is_complete(), "{report}");
    let (spans, logs) = (scene.backend.spans(), scene.backend.logs());
    let metrics = scene.backend.metrics().len();
    record(&scene.telemetry).await;
    assert!(scene.telemetry.flush(Duration::from_millis(100)).await);
    assert_eq!(scene.backend.spans(), spans);
    assert_eq!(scene.backend.logs(), logs);
    assert_eq!(scene.backend.metrics().len(), metrics);
    for (signal, count) in [("traces", 2), ("logs", 3)] {
        let row = scene.row("memory", signal);
        assert_eq!((row.accepted(), row.acknowledged()), (2 * count, count));
        let mut dropped = row.dropped().filter(|(_, count)| *count > 0);
        let (reason, of_reason) = dropped.next().unwrap();
        assert_eq!((reason.as_str(), of_reason), ("after_shutdown", count));
        assert!(dropped.next().is_none());
        assert_eq!(row.difference(), 0);
    }
    // What was reported stands.
    let again = scene.telemetry.shutdown(PATIENCE).await;
    assert_balanced(again.ledger());
}
