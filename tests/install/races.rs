//! F24: installing from many threads at once, and recording before, amid and after.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics::counter;
use opentelemetry::global;
use opentelemetry::trace::{Span as _, Tracer as _};
use orderscope::export::{LedgerRow, Reason};
use orderscope::logs::LogFile;
use orderscope::{Telemetry, capture_error, track_event};

use super::collector::Collector;
use super::signals::in_memory;
use super::{INSTALLED_ALREADY, SOON, alone, block_on};

const INSTALLERS: usize = 64;

/// Records one thing through every door; of those that become records of a signal, three log
/// records beside the panic's, and two spans.
fn record_through_every_door() {
    track_event!("by_every_door");
    tracing::error!("by every door");
    capture_error(&std::fmt::Error);
    let panicked = panic::catch_unwind(|| panic!("by every door"));
    assert!(panicked.is_err());
    tracing::info_span!("by every door").in_scope(|| ());
    global::tracer("a-library").start("by every door").end();
    counter!("by.every.door").increment(1);
    let meter = global::meter("a-library");
    meter.u64_counter("by.the.api").build().add(1, &[]);
}

fn dropped(rows: &[LedgerRow], destination: &str, signal: &str, reason: Reason) -> u64 {
    let is_it = |row: &&LedgerRow| row.destination() == destination && row.signal() == signal;
    let row = rows.iter().find(is_it).unwrap();
    let mut dropped = row.dropped();
    dropped.find(|(known, _)| *known == reason).unwrap().1
}

/// Waits for what comes; what does not is told by what is asserted then.
fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() && began.elapsed() < SOON {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn of_many_that_install_at_once_one_wins_and_every_record_is_counted() {
    alone(&[("RUST_LOG", "off")], || {
        let at_once = Barrier::new(INSTALLERS);
        let install = |n: usize| {
            let (builder, backend) = in_memory();
            at_once.wait();
            track_event!("before", n = n as u64);
            let installed = builder.install();
            track_event!("after", n = n as u64);
            (installed, backend)
        };
        let installed: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..INSTALLERS)
                .map(|n| scope.spawn(move || install(n)))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let mut winners = Vec::new();
        for (installed, backend) in installed {
            match installed {
                Ok(telemetry) => winners.push((telemetry, backend)),
                Err(error) => assert_eq!(error.to_string(), INSTALLED_ALREADY, "F24"),
            }
        }
        assert_eq!(winners.len(), 1, "F24: so many won");
        let (telemetry, backend) = &winners[0];
        assert!(telemetry.flush_blocking(SOON), "F24: not flushed");
        let delivered = backend.logs().len() as u64;
        let unclaimed = telemetry.snapshot();
        let unclaimed = unclaimed.counter("orderscope.records.unclaimed", &[]);
        let issued = 2 * INSTALLERS as u64;
        assert_eq!(
            delivered + unclaimed,
            issued,
            "F24: {delivered} and {unclaimed}"
        );
    });
}

#[test]
fn what_comes_by_any_door_before_and_after_is_counted() {
    let directory = std::env::temp_dir().join(format!("orderscope-races-{}", std::process::id()));
    let name = directory.to_str().unwrap();
    alone(&[("ORDERSCOPE_LINES", name)], || {
        // Without a telemetry there are its own two doors; the others' facades lead nowhere.
        record_through_every_door();
        let (builder, _) = in_memory();
        let directory = std::env::var("ORDERSCOPE_LINES").unwrap();
        let file = LogFile::never(&directory, "orders");
        let telemetry = builder.log_file(file).install().unwrap();
        let unclaimed = || {
            telemetry
                .snapshot()
                .counter("orderscope.records.unclaimed", &[])
        };
        assert_eq!(unclaimed(), 2, "F24: before");
        record_through_every_door();
        assert_eq!(unclaimed(), 2, "F24: with an installed one");

        assert!(telemetry.flush_blocking(SOON), "F24: not flushed");
        let lines = std::fs::read_to_string(format!("{directory}/orders.log")).unwrap();
        assert!(
            lines.contains("by every door"),
            "F24: a flush leaves out {lines:?}"
        );

        let report = telemetry.shutdown_blocking(SOON);
        assert!(report.is_complete(), "F24: {report}");
        for _ in 0..3 {
            record_through_every_door();
        }
        let rows = telemetry.ledger();
        for (destination, signal, count) in [
            ("memory", "logs", 12),
            ("memory", "traces", 6),
            ("log_file", "logs", 3),
        ] {
            let counted = dropped(&rows, destination, signal, Reason::AfterShutdown);
            assert_eq!(
                counted, count,
                "F24: {destination} {signal} after the end: {rows:#?}"
            );
        }
        assert!(
            rows.iter().all(|row| row.difference() == 0),
            "F24: {rows:#?}"
        );
        // What is summed is frozen.
        assert_eq!(telemetry.snapshot().counter("by.every.door", &[]), 1, "F24");
        assert_eq!(telemetry.snapshot().counter("by.the.api", &[]), 1, "F24");
        assert_eq!(unclaimed(), 2, "F24: after");
    });
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn however_often_and_wherever_it_is_shut_down_there_is_one_report() {
    alone(&[], || {
        let (builder, _) = in_memory();
        let telemetry = builder.install().unwrap();
        track_event!("issued");
        let at_once = Barrier::new(16);
        let reports: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|n| {
                    let (telemetry, at_once) = (&telemetry, &at_once);
                    scope.spawn(move || {
                        at_once.wait();
                        match n % 2 {
                            0 => telemetry.shutdown_blocking(SOON),
                            _ => block_on(telemetry.shutdown(SOON)),
                        }
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(reports[0].is_complete(), "F24: {}", reports[0]);
        track_event!("late");
        let again = telemetry.shutdown_blocking(SOON);
        assert!(
            reports.iter().all(|report| *report == again),
            "F24: {reports:#?}"
        );
        let began = Instant::now();
        assert!(
            telemetry.flush_blocking(Duration::MAX),
            "F24: the end was in time"
        );
        assert!(
            block_on(telemetry.flush(Duration::MAX)),
            "F24: the end was in time"
        );
        let took = began.elapsed();
        assert!(took < SOON, "F24: with nothing left took {took:?}");
    });
}

#[test]
fn a_shutdown_amid_recording_loses_count_of_nothing() {
    alone(&[("RUST_LOG", "off")], || {
        let collector = Collector::start();
        let telemetry: Telemetry = collector.builder().install().unwrap();
        let (issued, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let late = || {
            dropped(
                &telemetry.ledger(),
                "collector",
                "logs",
                Reason::AfterShutdown,
            )
        };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        let n = issued.fetch_add(1, Ordering::SeqCst);
                        track_event!("issued", n);
                        // So that there is room for most of them.
                        thread::sleep(Duration::from_micros(200));
                    }
                });
            }
            thread::sleep(Duration::from_millis(300));
            until(|| issued.load(Ordering::SeqCst) > 0);
            let ended = panic::catch_unwind(AssertUnwindSafe(|| telemetry.shutdown_blocking(SOON)));
            thread::sleep(Duration::from_millis(100));
            until(|| late() > 0);
            is_over.store(true, Ordering::SeqCst);
            assert!(ended.is_ok(), "F24: shutdown panicked");
        });
        let (rows, issued) = (telemetry.ledger(), issued.into_inner());
        let logs = rows.iter().find(|row| row.signal() == "logs").unwrap();
        assert_eq!(logs.difference(), 0, "F24: {logs}");
        assert_eq!(logs.accepted(), issued, "F24: {logs}");
        let numbers = collector.numbers();
        assert!(numbers.values().all(|times| *times == 1), "F24: sent twice");
        assert_eq!(numbers.len() as u64, logs.acknowledged(), "F24: {logs}");
        let late = late();
        assert!(
            late > 0 && late < issued,
            "F24: of {issued} so many were late: {late}"
        );
    });
}
