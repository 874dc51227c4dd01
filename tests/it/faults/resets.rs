//! F7: connections that are reset before, amid and after a request.

use std::collections::BTreeSet;
use std::time::Duration;

use orderscope::export::Signal;

use super::collector::{Answered, Behaviour, Collector, Kind};
use super::load::{Service, Wire};
use super::oracle::{DESTINATION, row};
use super::{PATIENCE, at_once};

#[test]
fn what_was_reset_before_or_amid_the_request_is_sent_again_and_arrives() {
    let cases = Wire::ALL.into_iter().flat_map(|wire| {
        [Behaviour::ResetBefore, Behaviour::ResetAmid(20_000)].map(|behaviour| (wire, behaviour))
    });
    at_once(cases, |(wire, behaviour)| {
        let collector = Collector::start(70);
        let service = Service::new("F7", wire, &collector);
        collector.behave(behaviour.clone());
        // A request of 32 of them, which probes are, is far more than the connection holds: none of
        // it can have been sent whole.
        for _ in 0..250 {
            service.long_line(15_000);
        }
        service.flush(Duration::from_millis(1_500));
        service
            .oracle
            .watch(&service.telemetry, Duration::from_millis(200));
        let tried = collector.connections();
        assert!(
            tried >= 2,
            "F7: {behaviour:?} over {wire:?} is not tried again: {tried} connections"
        );
        collector.behave(Behaviour::Healthy);
        service
            .oracle
            .all_arrive(&collector, &[Kind::Line], PATIENCE);
        service.is_alive(&collector, PATIENCE);
        service.settles(PATIENCE);
        service.check(&collector);
        let row = row(&service.telemetry, DESTINATION, "logs");
        assert_eq!(
            row.acknowledged(),
            row.accepted(),
            "F7: {behaviour:?} over {wire:?}: {row}"
        );
    });
}

#[test]
fn what_was_reset_after_the_request_is_ambiguous_and_never_sent_again() {
    // One signal at a time: over gRPC, a connection that is reset takes all with it.
    let signals = [(Signal::Logs, "logs"), (Signal::Traces, "traces")];
    let cases = signals
        .into_iter()
        .flat_map(|signal| Wire::ALL.map(|wire| (signal, wire)));
    at_once(cases, |((signal, name), wire)| {
        let collector = Collector::start(71);
        let service = Service::of("F7", |builder| {
            let destination = wire.destination(DESTINATION, &collector);
            builder.destination(destination.only([signal]))
        });
        let steps = (0..6).flat_map(|_| [Behaviour::ResetAfter, Behaviour::Healthy]);
        collector.behave(Behaviour::Script(steps.collect()));
        for _ in 0..15 {
            for _ in 0..10 {
                match signal {
                    Signal::Traces => service.requests(1),
                    _ => drop(service.line()),
                }
            }
            service.flush(PATIENCE);
            service.oracle.sample(&service.telemetry);
        }
        service.settles(PATIENCE);
        service.is_alive(&collector, PATIENCE);
        service.settles(PATIENCE);
        let requests = collector.requests();
        let of = |kept| {
            let reset = Answered::Reset { kept };
            let of = requests.iter().filter(move |seen| seen.answered == reset);
            of.map(|seen| seen.records).sum::<u64>()
        };
        assert!(of(true) > 0 && of(false) > 0, "the seed gives both");
        let row = row(&service.telemetry, DESTINATION, name);
        assert_eq!(
            row.ambiguous(),
            of(true) + of(false),
            "F7: what was sent and not answered over {wire:?}: {row}"
        );
        service.oracle.lost_only(&row, &[]);
        let sent: Vec<_> = requests.iter().flat_map(|seen| &seen.ids).collect();
        let distinct: BTreeSet<_> = sent.iter().collect();
        assert_eq!(
            sent.len(),
            distinct.len(),
            "F7: sent again over {wire:?}: {row}"
        );
        service.check(&collector);
    });
}

#[test]
fn what_was_taken_is_not_sent_again_however_much_of_the_answer_came() {
    let cuts = [0, 1, 9, 12, 17, 30, 60, 100];
    let cases = Wire::ALL
        .into_iter()
        .flat_map(|wire| cuts.map(|bytes| (wire, bytes)));
    at_once(cases, |(wire, bytes)| {
        let collector = Collector::start(72);
        let service = Service::of("F7", |builder| {
            let destination = wire.destination(DESTINATION, &collector);
            builder.destination(destination.only([Signal::Logs]))
        });
        collector.behave(Behaviour::CutAt(bytes));
        service.burst(10);
        service.flush(PATIENCE);
        collector.behave(Behaviour::Healthy);
        service.is_alive(&collector, PATIENCE);
        service.settles(PATIENCE);
        service.check(&collector);
        let sent = collector.requests_of(Signal::Logs);
        let sent: Vec<_> = sent.into_iter().flat_map(|seen| seen.ids).collect();
        let distinct: BTreeSet<_> = sent.iter().collect();
        assert_eq!(
            sent.len(),
            distinct.len(),
            "F7: sent again after {bytes} bytes of the answer over {wire:?}"
        );
        let row = row(&service.telemetry, DESTINATION, "logs");
        service.oracle.lost_only(&row, &[]);
    });
}
