//! F5: a collector that does not accept a request: for what is in it, for its size, or for who
//! sends it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orderscope::export::{Reason, Signal};
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use super::collector::{Behaviour, Collector, Kind};
use super::load::{Service, Wire, id};
use super::oracle::{DESTINATION, row};
use super::{PATIENCE, at_once, child};

/// Of one request.
const BATCH: u64 = 512;
/// Requests of several signals that no answer could stop.
const AT_FIRST: Duration = Duration::from_millis(100);

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
fn a_denied_request_is_not_repeated_blindly_and_told_of_once() {
    child::passes("faults::refusals::denies");
}

#[test]
#[ignore = "in a process of its own, whose log it reads"]
fn denies() {
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    at_once(
        [(Wire::Http, "http"), (Wire::Grpc, "grpc")],
        |(wire, name)| {
            let collector = Collector::start(52);
            let service = Service::of("F5", |builder| {
                builder.destination(wire.destination(name, &collector))
            });
            collector.behave(Behaviour::status(401));
            service.burst(9);
            service.flush(Duration::from_millis(300));
            for _ in 0..10 {
                service.burst(20);
                service.flush(Duration::from_millis(150));
                service.oracle.sample(&service.telemetry);
            }
            let requests = collector.requests();
            // The first one of each signal may go before another's answer is there.
            let mut signals: Vec<_> = requests.iter().map(|seen| seen.signal).collect();
            signals.dedup();
            let first = requests.first().expect("F5: nothing is sent at all");
            let last = requests
                .last()
                .map_or(Duration::ZERO, |last| last.when - first.when);
            assert!(
                requests.len() <= 3 && signals.len() == requests.len() && last < AT_FIRST,
                "F5: {} requests within {last:?} to who denies them",
                requests.len()
            );
            assert_eq!(warnings.of(name), 1, "F5: lines of log about {name}");
            for (signal, name_of_signal) in [(Signal::Traces, "traces"), (Signal::Logs, "logs")] {
                let carried = requests.iter().filter(|seen| seen.signal == signal);
                let carried: u64 = carried.map(|seen| seen.records).sum();
                let row = row(&service.telemetry, name, name_of_signal);
                let lost: u64 = row.dropped().map(|(_, count)| count).sum();
                assert_eq!(lost, carried, "F5: only what was denied is given up: {row}");
            }
            collector.behave(Behaviour::Healthy);
            service.is_alive(&collector, PATIENCE);
            service.oracle.settles(&service.telemetry, name, PATIENCE);
            service.oracle.check(&service.telemetry, name, &collector);
            assert_eq!(warnings.of(name), 1, "F5: lines of log about {name}");
        },
    );
}

/// Counts what delivery says of failures and of losses, by destination.
#[derive(Clone, Debug, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn of(&self, destination: &str) -> usize {
        let said = self.0.lock().unwrap();
        said.iter().filter(|said| *said == destination).count()
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() == Level::WARN && metadata.target() == "orderscope::delivery" {
            event.record(&mut |field: &Field, value: &dyn fmt::Debug| {
                if matches!(field.name(), "destination" | "destinations") {
                    let said = format!("{value:?}");
                    let named = said.trim_matches('"').split(", ").map(str::to_owned);
                    self.0.lock().unwrap().extend(named);
                }
            });
        }
    }
}
