//! The rig itself: each behaviour is seen by the telemetry as it is meant, and what the oracle is to
//! find, it finds.

use std::time::Duration;

use orderscope::export::Signal;

use super::collector::{Answered, Behaviour, Collector, Kind};
use super::load::{Service, Wire};
use super::{PATIENCE, at_once};

const RIG: &str = "rig";

#[test]
fn a_healthy_collector_takes_every_record_of_every_kind_once() {
    for wire in Wire::ALL {
        let collector = Collector::start(1);
        let service = Service::new(RIG, wire, &collector);
        service.burst(1_000);
        service.line();
        service.error();
        service.requests(3);
        assert!(service.flush(PATIENCE));
        for (kind, count) in [
            (Kind::Event, 1_000),
            (Kind::Line, 1),
            (Kind::Error, 1),
            (Kind::Span, 4),
        ] {
            assert_eq!(collector.count(kind), count, "{wire:?} {kind:?}");
        }
        service.check(&collector);
        let requests = collector.requests_of(Signal::Metrics);
        assert!(
            requests.iter().all(|seen| seen.answered == Answered::Taken),
            "{requests:?}"
        );
        let report = service.shutdown(PATIENCE);
        assert!(report.is_complete(), "{report}");
    }
}

#[test]
fn a_load_is_open_and_every_request_of_it_is_accounted_for() {
    let collector = Collector::start(2);
    let service = Service::new(RIG, Wire::Http, &collector);
    let took = service.load(500, Duration::from_secs(1));
    assert_eq!(took.count(), 500);
    assert!(took.quantile(0.5) < Duration::from_millis(10));
    assert!(service.flush(PATIENCE));
    assert_eq!(collector.count(Kind::Span), 500);
    assert_eq!(collector.count(Kind::Event), 1_500);
    service.check(&collector);
}

#[test]
fn nobody_listens_while_it_refuses_and_the_port_stays() {
    let collector = Collector::start(3);
    let address = collector.url();
    let address = address.strip_prefix("http://").unwrap();
    let mut live = std::net::TcpStream::connect(address).unwrap();
    collector.behave(Behaviour::Refuse);
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let mut byte = [0];
    live.set_read_timeout(Some(PATIENCE)).unwrap();
    let reset = std::io::Read::read(&mut live, &mut byte).unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    collector.behave(Behaviour::Healthy);
    std::net::TcpStream::connect(address).unwrap();
}

#[test]
fn each_behaviour_is_over_when_it_is_healthy_again() {
    let behaviours = [
        Behaviour::Refuse,
        Behaviour::ResetBefore,
        Behaviour::ResetAmid(10),
        Behaviour::ResetAfter,
        Behaviour::CutAt(20),
        Behaviour::status(503),
        Behaviour::Partial(1),
        Behaviour::MostRecords(5),
        Behaviour::refuse_records(|id| id.number == 0),
        Behaviour::Script(vec![Behaviour::status(503), Behaviour::ResetAfter]),
        Behaviour::Only(Signal::Logs, Box::new(Behaviour::status(503))),
    ];
    let of_wire = |behaviour: Behaviour| Wire::ALL.map(|wire| (wire, behaviour.clone()));
    at_once(
        behaviours.into_iter().flat_map(of_wire),
        |(wire, behaviour)| {
            let collector = Collector::start(4);
            let service = Service::new(RIG, wire, &collector);
            collector.behave(behaviour.clone());
            service.burst(10);
            service.flush(Duration::from_millis(300));
            collector.behave(Behaviour::Healthy);
            assert!(service.flush(PATIENCE), "{wire:?} {behaviour:?}");
            service.is_alive(&collector, PATIENCE);
            service.settles(PATIENCE);
            service.check(&collector);
        },
    );
}
