//! The process's places: the subscriber, the recorder, and who may take them.

use std::sync::Barrier;
use std::thread;

use metrics::counter;
use orderscope::Telemetry;

use super::{INSTALLED_ALREADY, alone, loopback, printed, refused, scrape};

const FOREIGN_SUBSCRIBER: &str = "a `tracing` subscriber that is not orderscope's was set in this \
    process before; nothing was changed. Either remove the other subscriber's `init()`, or keep it \
    and add `.without_subscriber()` before `.install()`";
const FOREIGN_RECORDER: &str = "a `metrics` recorder that is not orderscope's was set in this \
    process before; nothing was changed. Either remove the other recorder's installation, or keep \
    it and add `.without_recorder()` before `.install()`: `metrics::counter!` and its like then do \
    not appear in orderscope";

#[test]
fn what_the_process_records_is_on_the_page() {
    alone(&[], || {
        let telemetry = Telemetry::builder("orders")
            .metrics_listener(loopback())
            .install()
            .unwrap();
        counter!("orders.placed", "city" => "Graz").increment(3);
        thread::spawn(|| counter!("orders.placed", "city" => "Graz").increment(4))
            .join()
            .unwrap();
        let page = scrape(telemetry.metrics_address().unwrap());
        assert!(
            page.contains("\norders_placed_total{city=\"Graz\"} 7\n"),
            "{page}"
        );
        assert!(page.contains("service_name=\"orders\""), "{page}");
    });
}

#[test]
fn a_second_installation_fails_and_changes_nothing() {
    alone(&[], || {
        let first = Telemetry::builder("first").install().unwrap();
        let error = refused(
            Telemetry::builder("second")
                .metrics_listener(loopback())
                .install(),
        );
        assert_eq!(error.to_string(), INSTALLED_ALREADY);
        assert_eq!(format!("{error:?}"), INSTALLED_ALREADY);
        assert!(error.is_already_installed() && !error.is_configuration() && !error.is_io());
        counter!("orders").increment(1);
        assert_eq!(first.snapshot().counter("orders", &[]), 1);
        assert_eq!(first.resource().get("service.name"), Some("first"));
    });
}

#[test]
fn of_64_threads_that_race_one_wins() {
    alone(&[], || {
        let start = Barrier::new(64);
        let results: Vec<_> = thread::scope(|scope| {
            let racers: Vec<_> = (0..64)
                .map(|number| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        Telemetry::builder(format!("racer-{number}")).install()
                    })
                })
                .collect();
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 63));
        for lost in lost {
            assert_eq!(refused(lost).to_string(), INSTALLED_ALREADY);
        }
        counter!("orders").increment(1);
        let winner = won.into_iter().next().unwrap().unwrap();
        assert_eq!(winner.snapshot().counter("orders", &[]), 1);
    });
}

#[test]
fn a_foreign_subscriber_is_kept_and_nothing_else_is_changed() {
    alone(&[], || {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .init();
        let error = refused(Telemetry::builder("orders").install());
        assert_eq!(error.to_string(), FOREIGN_SUBSCRIBER);
        assert!(error.is_already_installed());
        // No recorder of ours was set.
        let theirs = Telemetry::builder("theirs").build().unwrap();
        metrics::set_global_recorder(theirs.recorder()).unwrap();
        let telemetry = Telemetry::builder("orders")
            .without_subscriber()
            .without_recorder()
            .install()
            .unwrap();
        counter!("orders").increment(1);
        assert_eq!(theirs.snapshot().counter("orders", &[]), 1);
        assert!(telemetry.snapshot().metric("orders").is_none());
    });
}

#[test]
fn a_subscriber_that_was_set_for_a_scope_only_is_not_in_the_way() {
    let output = alone(&[], || {
        let scoped = tracing_subscriber::fmt()
            .with_writer(std::io::sink)
            .finish();
        tracing::subscriber::with_default(scoped, || tracing::info!("reading the configuration"));
        let telemetry = Telemetry::builder("orders").install().unwrap();
        tracing::info!("serving");
        drop(telemetry);
    });
    assert!(printed(&output).contains("serving"), "{output:?}");
}

#[test]
fn a_race_with_a_foreign_subscriber_is_won_or_told() {
    const RACE: &str = "a `tracing` subscriber that is not orderscope's was set in this process \
        before (a race: orderscope's `metrics` recorder had been set by then and stays). Either \
        remove the other subscriber's `init()`, or keep it and add `.without_subscriber()` before \
        `.install()`, and `.without_recorder()` for a second attempt in this process";
    for _ in 0..10 {
        alone(&[], || {
            let start = Barrier::new(2);
            let (ours, theirs) = thread::scope(|scope| {
                let ours = scope.spawn(|| {
                    start.wait();
                    Telemetry::builder("orders").install()
                });
                start.wait();
                let theirs = tracing_subscriber::fmt()
                    .with_writer(std::io::sink)
                    .try_init();
                (ours.join().unwrap(), theirs)
            });
            assert_eq!(ours.is_ok(), theirs.is_err());
            let Err(error) = ours else {
                return;
            };
            let message = error.to_string();
            assert!([FOREIGN_SUBSCRIBER, RACE].contains(&&*message), "{message}");
            let mut later = Telemetry::builder("orders").without_subscriber();
            if message == RACE {
                later = later.without_recorder();
            }
            assert!(later.install().is_ok());
        });
    }
}

#[test]
fn a_foreign_recorder_is_kept_and_nothing_else_is_changed() {
    let output = alone(&[], || {
        let theirs = Telemetry::builder("theirs").build().unwrap();
        metrics::set_global_recorder(theirs.recorder()).unwrap();
        let error = refused(
            Telemetry::builder("orders")
                .metrics_listener(loopback())
                .install(),
        );
        assert_eq!(error.to_string(), FOREIGN_RECORDER);
        assert!(error.is_already_installed());
        assert!(!tracing::dispatcher::has_been_set());
        tracing::info!("nobody listens yet");

        let telemetry = Telemetry::builder("orders")
            .without_recorder()
            .install()
            .unwrap();
        tracing::info!("ours now");
        counter!("orders").increment(1);
        assert_eq!(theirs.snapshot().counter("orders", &[]), 1);
        assert!(telemetry.snapshot().metric("orders").is_none());
    });
    let lines = printed(&output);
    assert!(
        lines.contains("ours now") && !lines.contains("nobody listens"),
        "{lines}"
    );
}

#[test]
fn without_subscriber_leaves_tracing_to_the_application() {
    // What only our subscriber would read is not read.
    let output = alone(&[("RUST_LOG", "orders=no-such-level")], || {
        let telemetry = Telemetry::builder("orders")
            .without_subscriber()
            .install()
            .unwrap();
        assert!(!tracing::dispatcher::has_been_set());
        tracing::error!("lost");
        counter!("orders").increment(1);
        assert_eq!(telemetry.snapshot().counter("orders", &[]), 1);
        // Set later than ours.
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .init();
        tracing::error!("theirs");
    });
    let lines = printed(&output);
    assert!(
        lines.contains("theirs") && !lines.contains("lost"),
        "{lines}"
    );
}

#[test]
fn built_ones_live_beside_the_installed_one() {
    alone(&[], || {
        let before = Telemetry::builder("before").build().unwrap();
        let installed = Telemetry::builder("installed").install().unwrap();
        let after = Telemetry::builder("after").build().unwrap();
        counter!("orders").increment(1);
        for built in [&before, &after] {
            metrics::with_local_recorder(&built.recorder(), || counter!("orders").increment(10));
            assert_eq!(built.snapshot().counter("orders", &[]), 10);
        }
        assert_eq!(installed.snapshot().counter("orders", &[]), 1);
        drop((before, after));
        counter!("orders").increment(1);
        assert_eq!(installed.snapshot().counter("orders", &[]), 2);
    });
}
