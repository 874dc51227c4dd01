//! P: what a request costs under faults, against a healthy collector, against none of the crate.

use std::time::Duration;

use super::collector::{Behaviour, Collector};
use super::host::{Host, is_long, tell};
use super::load::Wire;

const FAULT: &str = "P";
const PAIRS: usize = 5;
/// A difference of less is none.
const NEGLIGIBLE: f64 = 50_000.0;

/// Pairs that are run by turns, and what their medians are judged by.
struct Course {
    pairs: usize,
    each: Duration,
    negligible: f64,
}

#[test]
fn a_request_costs_under_faults_what_it_costs_in_health() {
    let course = match is_long() {
        true => Course {
            pairs: PAIRS,
            each: Duration::from_secs(10),
            negligible: NEGLIGIBLE,
        },
        // A single short pair beside other tests tells what blocks, and no more.
        false => Course {
            pairs: 1,
            each: Duration::from_secs(2),
            negligible: 20_000_000.0,
        },
    };
    let ways = [Some(Behaviour::Refuse), Some(Behaviour::Hang)];
    let mut rounds = Vec::new();
    for _ in 0..course.pairs {
        let bare = p99(None, course.each);
        let healthy = p99(Some(Behaviour::Healthy), course.each);
        let faulty = ways.clone().map(|way| p99(way, course.each));
        tell(&format!(
            "{FAULT}: p99 in ns: bare {bare}, healthy {healthy}, refused and hung {faulty:?}"
        ));
        rounds.push((bare, healthy, faulty));
    }
    course.judge(
        "a healthy collector, against none of the crate",
        1.10,
        rounds.iter().map(|(bare, healthy, _)| (*bare, *healthy)),
    );
    for (at, name) in ["a collector that refuses", "a collector that hangs"]
        .iter()
        .enumerate()
    {
        let pairs = rounds
            .iter()
            .map(|(_, healthy, faulty)| (*healthy, faulty[at]));
        course.judge(&format!("{name}, against a healthy one"), 1.05, pairs);
    }
}

impl Course {
    #[track_caller]
    fn judge(&self, what: &str, most: f64, pairs: impl Iterator<Item = (f64, f64)> + Clone) {
        let ratio = median(pairs.clone().map(|(of, with)| with / of));
        let more = median(pairs.map(|(of, with)| with - of));
        tell(&format!("{FAULT}: {what}: {ratio:.3} times, {more:+.0} ns"));
        assert!(
            ratio <= most || more <= self.negligible,
            "{FAULT}: {what}: p99 is {ratio:.3} times as high, by {more:.0} ns"
        );
    }
}

fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<_> = of.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Of requests at L1, in nanoseconds; `None`: without the crate.
fn p99(behaviour: Option<Behaviour>, during: Duration) -> f64 {
    let collector = Collector::start(7);
    let options = "--load l1 --threads 1 --within 500";
    let host = match behaviour {
        None => Host::with(FAULT, &format!("--bare {options}")),
        Some(behaviour) => {
            collector.behave(behaviour);
            Host::start(FAULT, Wire::Http, &collector, options)
        }
    };
    std::thread::sleep(during);
    let ended = host.terminate(Duration::from_secs(20));
    assert!(ended.status.success(), "{FAULT}: {ended:?}");
    ended.report.threads[0].requests.p99 as f64
}
