//! F6: a collector that takes a part of a request.

use std::collections::BTreeSet;
use std::time::Duration;

use orderscope::export::Signal;

use super::collector::{Answered, Behaviour, Collector, Kind, Seen};
use super::load::{Service, Wire};
use super::oracle::{DESTINATION, row};
use super::{PATIENCE, at_once};

const REJECTED: u64 = 3;
/// Nothing is to be waited for.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn what_is_rejected_is_counted_and_never_sent_again() {
    at_once(Wire::ALL, |wire| {
        let collector = Collector::start(60);
        let service = Service::new("F6", wire, &collector);
        collector.behave(Behaviour::Partial(REJECTED));
        service.burst(20);
        service.requests(9);
        service.flush(SOON);
        service.settles(SOON);
        collector.behave(Behaviour::Healthy);
        service.is_alive(&collector, PATIENCE);
        service.settles(PATIENCE);
        service.check(&collector);
        let requests = collector.requests();
        for (signal, name) in [(Signal::Logs, "logs"), (Signal::Traces, "traces")] {
            let of_signal: Vec<_> = requests
                .iter()
                .filter(|seen| seen.signal == signal)
                .collect();
            let row = row(&service.telemetry, DESTINATION, name);
            let rejected = rejected_of(&of_signal);
            assert!(rejected >= REJECTED, "F6: {row}");
            assert_eq!(
                (row.rejected(), row.acknowledged()),
                (rejected, row.accepted() - rejected),
                "F6: {wire:?}: {row}"
            );
            service.oracle.lost_only(&row, &[]);
            let sent: Vec<_> = of_signal.iter().flat_map(|seen| &seen.ids).collect();
            let distinct: BTreeSet<_> = sent.iter().collect();
            assert_eq!(sent.len(), distinct.len(), "F6: sent again over {wire:?}");
        }
        // A push of which data points were rejected is not made again either.
        let pushes = requests
            .iter()
            .filter(|seen| seen.signal == Signal::Metrics);
        let row = row(&service.telemetry, DESTINATION, "metrics");
        assert!(row.accepted() >= 1, "F6: {row}");
        assert_eq!(pushes.count() as u64, row.accepted(), "F6: {wire:?}: {row}");
        assert_eq!(
            collector.count(Kind::Span) as u64,
            service.oracle.issued(Kind::Span) - REJECTED
        );
    });
}

fn rejected_of(requests: &[&Seen]) -> u64 {
    let rejected = requests.iter().map(|seen| match seen.answered {
        Answered::Partly { rejected } => rejected,
        _ => 0,
    });
    rejected.sum()
}
