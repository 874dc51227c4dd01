//! F5: a collector that does not accept a request: for what is in it, for its size, or for who
//! sends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use orderscope::export::{Reason, Signal};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use super::collector::{Behaviour, Collector, Kind};
use super::load::{Service, Wire, id};
use super::oracle::{DESTINATION, row};
use super::{PATIENCE, at_once, child};

/// Of one request.
const BATCH: u64 = 512;

fn ways() -> impl Iterator<Item = (Wire, bool)> {
    let both = |wire| [false, true].map(|as_too_large| (wire, as_too_large));
    Wire::ALL.into_iter().flat_map(both)
}

#[test]
fn one_bad_record_of_a_batch_loses_exactly_one() {
    at_once(ways(), |(wire, as_too_large)| {
        loses(wire, as_too_large, &[137])
    });
}

#[test]
fn three_bad_records_of_a_batch_lose_exactly_three() {
    // At both ends, and two that are neighbours.
    at_once(ways(), |(wire, as_too_large)| {
        loses(wire, as_too_large, &[0, 1, 511])
    });
}

fn loses(wire: Wire, as_too_large: bool, bad: &'static [u64]) {
    let collector = Collector::start(50);
    let service = Service::new("F5", wire, &collector);
    let is_bad = move |id: super::collector::Id| id.kind == Kind::Event && bad.contains(&id.number);
    collector.behave(match as_too_large {
        false => Behaviour::refuse_records(is_bad),
        true => Behaviour::refuse_records_as_too_large(is_bad),
    });
    service.burst(BATCH);
    service.flush(PATIENCE);
    service.settles(PATIENCE);
    let requests = collector.requests_of(Signal::Logs);
    assert_eq!(
        requests[0].records, BATCH,
        "F5: the batch goes in one request at first"
    );
    let lost = bad.len() as u64;
    let row_of_logs = row(&service.telemetry, DESTINATION, "logs");
    let reason = match as_too_large {
        false => Reason::NonRetryable,
        true => Reason::TooLarge,
    };
    service.oracle.lost_only(&row_of_logs, &[(reason, lost)]);
    for event in 0..BATCH {
        let arrived = collector.taken().contains_key(&id(Kind::Event, event));
        assert_eq!(
            arrived,
            !bad.contains(&event),
            "F5: event {event} over {wire:?}: {row_of_logs}"
        );
    }
    assert!(
        requests.len() <= 128,
        "F5: {} requests for one batch",
        requests.len()
    );
    collector.behave(Behaviour::Healthy);
    service.is_alive(&collector, PATIENCE);
    service.settles(PATIENCE);
    service.check(&collector);
}

#[test]
fn where_nothing_is_accepted_the_search_ends_early() {
    at_once(ways(), |(wire, as_too_large)| {
        let collector = Collector::start(51);
        let service = Service::new("F5", wire, &collector);
        let is_bad = |id: super::collector::Id| id.kind == Kind::Event;
        collector.behave(match as_too_large {
            false => Behaviour::refuse_records(is_bad),
            true => Behaviour::refuse_records_as_too_large(is_bad),
        });
        service.burst(BATCH);
        service.flush(Duration::from_secs(2));
        service.settles(PATIENCE);
        let requests = collector.requests_of(Signal::Logs);
        assert!(
            requests.len() <= 24,
            "F5: {} requests for a batch of which nothing is accepted",
            requests.len()
        );
        let row = row(&service.telemetry, DESTINATION, "logs");
        let lost: u64 = row.dropped().map(|(_, count)| count).sum();
        assert_eq!(lost, BATCH, "F5: {row}");
        collector.behave(Behaviour::Healthy);
        // The endpoint counts as denying, and is left alone for five seconds.
        service.is_alive(&collector, PATIENCE);
        service.settles(PATIENCE);
        service.check(&collector);
    });
}

#[test]
fn a_denied_request_is_not_repeated_blindly_and_told_of_once_over_http() {
    child::passes("faults::refusals::http_denies");
}

#[test]
fn a_denied_request_is_not_repeated_blindly_and_told_of_once_over_grpc() {
    child::passes("faults::refusals::grpc_denies");
}

#[test]
#[ignore = "in a process of its own, whose log it reads"]
fn http_denies() {
    denies(Wire::Http);
}

#[test]
#[ignore = "in a process of its own, whose log it reads"]
fn grpc_denies() {
    denies(Wire::Grpc);
}

fn denies(wire: Wire) {
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let collector = Collector::start(52);
    let service = Service::new("F5", wire, &collector);
    collector.behave(Behaviour::status(401));
    service.burst(9);
    service.flush(Duration::from_millis(300));
    for _ in 0..10 {
        service.burst(20);
        service.flush(Duration::from_millis(150));
        service.oracle.sample(&service.telemetry);
    }
    let requests = collector.requests();
    // The first one of each signal may go before the other's answer is there.
    assert!(
        (1..=2).contains(&requests.len()),
        "F5: {} requests to who denies them",
        requests.len()
    );
    assert_eq!(warnings.count(), 1, "F5: lines of log about it");
    let carried: u64 = requests.iter().map(|seen| seen.records).sum();
    let dropped: u64 = ["traces", "logs"]
        .map(|signal| {
            let row = row(&service.telemetry, DESTINATION, signal);
            row.dropped().map(|(_, count)| count).sum::<u64>()
        })
        .iter()
        .sum();
    assert_eq!(dropped, carried, "F5: only what was denied is given up");
    collector.behave(Behaviour::Healthy);
    service.is_alive(&collector, PATIENCE);
    service.settles(PATIENCE);
    service.check(&collector);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(warnings.count(), 1, "F5: lines of log about it");
}

/// Counts what delivery says of failures.
#[derive(Clone, Debug, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Warnings {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() == Level::WARN && metadata.target() == "orderscope::delivery" {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}
