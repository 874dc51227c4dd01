//! Several destinations: one that is dead costs the others nothing.

use std::time::Duration;

use orderscope::export::{LedgerRow, Signal, Temporality};
use tokio::time::Instant;

use super::collector::{Behaviour, Collector, Kind};
use super::load::{Service, Wire};
use super::{PATIENCE, at_once};

const FAULT: &str = "several destinations";
const HEALTHY: &str = "healthy";
const DELTA: &str = "delta";
const DEAD: &str = "dead";
const REQUESTS_PER_SECOND: u32 = 300;
const LASTS: Duration = Duration::from_secs(4);

/// What the others had of it.
#[derive(Debug)]
struct Outcome {
    /// The slowest way of a line to either.
    slowest: Duration,
    rows: Vec<LedgerRow>,
}

#[test]
fn a_dead_destination_costs_the_others_nothing() {
    let outcomes = std::sync::Mutex::new(Vec::new());
    at_once([false, true], |has_dead| {
        let outcome = outcome(has_dead);
        outcomes.lock().unwrap().push(outcome);
    });
    let outcomes = outcomes.into_inner().unwrap();
    for outcome in &outcomes {
        // A line waits a second for others to go with.
        assert!(
            outcome.slowest <= Duration::from_millis(2_500),
            "{FAULT}: delivery took {:?}: {outcomes:?}",
            outcome.slowest
        );
    }
    for row in outcomes.iter().flat_map(|outcome| &outcome.rows) {
        assert!(row.is_settled(), "{FAULT}: {row}");
    }
}

fn outcome(has_dead: bool) -> Outcome {
    let [healthy, delta, dead] = [90, 91, 92].map(Collector::start);
    dead.behave(Behaviour::Hang);
    let service = Service::of(FAULT, |builder| {
        let builder = builder
            .metrics_interval(Duration::from_millis(500))
            .destination(Wire::Http.destination(HEALTHY, &healthy));
        let builder = match has_dead {
            true => builder.destination(Wire::Http.destination(DEAD, &dead)),
            false => builder,
        };
        let of_deltas = Wire::Grpc.destination(DELTA, &delta);
        builder.destination(of_deltas.temporality(Temporality::Delta))
    });
    let mut slowest = Duration::ZERO;
    let begun = Instant::now();
    let mut dishes = 0;
    while begun.elapsed() < LASTS {
        let took = service.load(REQUESTS_PER_SECOND, Duration::from_millis(500));
        dishes += 2 * took.count() as i64;
        let line = service.line();
        let recorded = Instant::now();
        for collector in [&healthy, &delta] {
            service.oracle.arrives(collector, line, PATIENCE);
        }
        slowest = slowest.max(recorded.elapsed());
    }
    let within = if has_dead {
        Duration::from_secs(1)
    } else {
        PATIENCE
    };
    service.flush(within);
    for (name, collector) in [(HEALTHY, &healthy), (DELTA, &delta)] {
        service.oracle.all_arrive(collector, &Kind::ALL, PATIENCE);
        service.oracle.settles(&service.telemetry, name, PATIENCE);
        service.oracle.check(&service.telemetry, name, collector);
    }
    // Cumulative numbers say all each time, deltas add up.
    let told = |collector: &Collector| -> Vec<i64> {
        let pushes = collector.requests_of(Signal::Metrics);
        pushes.iter().map(|seen| seen.dishes).collect()
    };
    let all = |_: &Collector| {
        told(&healthy).last() == Some(&dishes) && told(&delta).iter().sum::<i64>() == dishes
    };
    assert!(
        healthy.until(Duration::from_secs(3), all),
        "{FAULT}: {dishes} dishes were ordered: {:?} {:?}",
        told(&healthy),
        told(&delta)
    );
    if has_dead {
        service.oracle.check(&service.telemetry, DEAD, &dead);
        assert!(
            !dead.requests().is_empty(),
            "{FAULT}: nobody asked the dead one"
        );
    }
    let mut rows = service.oracle.sample(&service.telemetry);
    // How many pushes there were is a matter of time.
    rows.retain(|row| row.destination() != DEAD && row.signal() != "metrics");
    Outcome { slowest, rows }
}
