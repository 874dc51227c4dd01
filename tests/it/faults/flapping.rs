//! F8: a collector that is up for a second, and down for one, and so on.

use std::time::Duration;

use super::collector::{Answered, Behaviour, Collector};
use super::load::{L1, Service, Wire};
use super::oracle::{DESTINATION, row};
use super::{PATIENCE, at_once};

const SECOND: Duration = Duration::from_secs(1);
const FLAPPING: Duration = Duration::from_secs(12);

#[test]
fn through_flapping_most_arrives_and_little_is_sent_twice() {
    // What a refused connection costs does not depend on the load, and the machine is small.
    let cases = [(Behaviour::Refuse, L1 / 2), (Behaviour::status(503), L1)];
    at_once(cases, |(down, per_second)| {
        let collector = Collector::start(80);
        let service = Service::new("F8", Wire::Http, &collector);
        collector.behave(Behaviour::Flap {
            up: SECOND,
            down: SECOND,
            by: Box::new(down.clone()),
        });
        service.load(per_second, FLAPPING);
        collector.behave(Behaviour::Healthy);
        service.flush(PATIENCE);
        service.is_alive(&collector, PATIENCE);
        service.settles(PATIENCE);
        service.check(&collector);
        for signal in ["traces", "logs"] {
            let row = row(&service.telemetry, DESTINATION, signal);
            assert!(
                row.acknowledged() * 100 >= row.accepted() * 95,
                "F8: less than 95 % arrived through {down:?}: {row}"
            );
        }
        let requests = collector.requests();
        let taken = requests
            .iter()
            .filter(|seen| seen.answered == Answered::Taken);
        let needed: usize = taken.map(|seen| seen.bytes).sum();
        let received: usize = requests.iter().map(|seen| seen.bytes).sum();
        assert!(
            received * 10 <= needed * 12,
            "F8: {received} bytes in {} requests where {needed} were needed, through {down:?}",
            requests.len()
        );
    });
}
