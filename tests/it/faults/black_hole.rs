//! F2: a collector that accepts, and never answers.

use std::time::Duration;

use orderscope::export::Signal;
use tokio::time::Instant;

use super::collector::{Behaviour, Collector, Seen};
use super::load::{Service, Wire};
use super::oracle::DESTINATION;
use super::{PATIENCE, at_once};

const ATTEMPT: Duration = Duration::from_secs(3);
/// Between the sender's deadline and what the collector sees of it.
const SEEN_WITHIN: Duration = Duration::from_millis(600);
const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];

#[test]
fn a_black_hole_costs_three_seconds_and_one_request_a_signal() {
    at_once(Wire::ALL, costs_three_seconds_and_one_request_a_signal);
}

fn costs_three_seconds_and_one_request_a_signal(wire: Wire) {
    let collector = Collector::start(20);
    let service = Service::of("F2", |builder| {
        let builder = builder.metrics_interval(Duration::from_millis(400));
        builder.destination(wire.destination(DESTINATION, &collector))
    });
    collector.behave(Behaviour::Hang);
    // Several requests of each signal wait.
    service.burst(1_200);
    service.requests(1_200);
    let begun = Instant::now();
    while begun.elapsed() < ATTEMPT + Duration::from_millis(1_500) {
        service.line();
        service
            .oracle
            .watch(&service.telemetry, Duration::from_millis(50));
    }
    let requests = collector.requests();
    for signal in SIGNALS {
        assert!(
            requests.iter().any(|seen| seen.signal == signal),
            "F2: no request of {signal:?} came at all: {:?}",
            told(&requests)
        );
    }
    for seen in &requests {
        assert_eq!(
            seen.alongside,
            0,
            "F2: two requests of a signal at once: {:?}",
            told(&requests)
        );
        let lasted = seen
            .ended
            .map_or_else(|| seen.when.elapsed(), |ended| ended - seen.when);
        assert!(
            lasted <= ATTEMPT + SEEN_WITHIN,
            "F2: an attempt lasted {lasted:?}: {:?}",
            told(&requests)
        );
    }
    collector.behave(Behaviour::Healthy);
    service.is_alive(&collector, PATIENCE);
    service.settles(PATIENCE);
    service.check(&collector);

    collector.behave(Behaviour::Hang);
    service.burst(100);
    let before = collector.requests().len();
    let hangs = |collector: &Collector| {
        let requests = collector.requests();
        requests[before..]
            .iter()
            .any(|seen| seen.signal == Signal::Logs)
    };
    assert!(collector.until(PATIENCE, hangs), "F2: nothing is sent");
    let within = Duration::from_secs(1);
    let begun = Instant::now();
    let report = service.shutdown(within);
    let took = begun.elapsed();
    assert!(
        took <= within + Duration::from_millis(100),
        "F2: shutdown within {within:?} took {took:?}"
    );
    service
        .oracle
        .check_rows(report.ledger(), DESTINATION, &collector);
    for row in report.ledger() {
        assert_eq!(
            row.queued() + row.in_flight(),
            0,
            "F2: after shutdown nothing waits: {row}"
        );
    }
}

fn told(requests: &[Seen]) -> Vec<String> {
    let first = requests.first().map(|seen| seen.when);
    let told = |seen: &Seen| {
        let since = first.map(|first| seen.when - first);
        let lasted = seen.ended.map(|ended| ended - seen.when);
        format!("{:?} at {since:?} for {lasted:?}", seen.signal)
    };
    requests.iter().map(told).collect()
}
