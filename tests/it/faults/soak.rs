//! F28: one fault after another, for long.

use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::collector::{Behaviour, Collector, Flood, Kind};
use super::host::{Account, Ended, Host, Usage, is_long, tell};
use super::load::Wire;

const FAULT: &str = "F28";
const MIB: f64 = (1 << 20) as f64;
/// Of memory, over ten minutes.
const MOST_SLOPE: f64 = MIB;
const TEN_MINUTES: f64 = 600.0;
const MINUTE: Duration = Duration::from_secs(60);
const DEFAULT_MINUTES: u64 = 30;

/// How long which part takes.
struct Course {
    warm_up: Duration,
    lasts: Duration,
    /// The longest that one fault takes, in milliseconds.
    fault: u64,
    between: Duration,
    /// None: too short to tell a slope from noise.
    most_slope: Option<f64>,
}

impl Course {
    fn chosen() -> Self {
        if !is_long() {
            return Self {
                warm_up: Duration::from_secs(2),
                lasts: Duration::from_secs(12),
                fault: 1_500,
                between: Duration::from_millis(500),
                most_slope: None,
            };
        }
        let minutes = std::env::var("ORDERSCOPE_SOAK_MINUTES").ok();
        let minutes = minutes.map_or(DEFAULT_MINUTES, |given| given.parse().unwrap());
        Self {
            warm_up: (2 * MINUTE).min(MINUTE * minutes as u32 / 5),
            lasts: MINUTE * minutes as u32,
            fault: 20_000,
            between: Duration::from_secs(5),
            most_slope: (minutes >= 10).then_some(MOST_SLOPE),
        }
    }
}

#[test]
fn soak_in_one_fault_after_another_leaves_nothing_behind() {
    let course = Course::chosen();
    let seed = match std::env::var("ORDERSCOPE_SEED") {
        Ok(given) => given.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    };
    tell(&format!("{FAULT}: ORDERSCOPE_SEED={seed}"));
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut runs = Wire::ALL.map(|wire| Run::start(wire, seed));
    // The memory of a queue that is full is there before it is looked at whether it grows.
    for run in &runs {
        run.collector.behave(Behaviour::Refuse);
    }
    sleep(course.warm_up / 2);
    for run in &runs {
        run.collector.behave(Behaviour::Healthy);
    }
    sleep(course.warm_up / 2);
    let began = Instant::now();
    let mut faults = 0;
    while began.elapsed() < course.lasts {
        for run in &mut runs {
            let fault = any_fault(&mut chance);
            tell(&format!("{FAULT} {:?}: {fault:?}", run.wire));
            run.collector.behave(fault);
        }
        faults += 1;
        let until =
            Instant::now() + Duration::from_millis(chance.u64(course.fault / 4..course.fault));
        watch_all(&mut runs, until);
        for run in &mut runs {
            run.collector.behave(Behaviour::Healthy);
        }
        watch_all(&mut runs, Instant::now() + course.between);
        for run in &mut runs {
            run.healthy.push(run.host.usage());
        }
    }
    for run in runs {
        run.conclude(&course, faults);
    }
}

fn watch_all(runs: &mut [Run], until: Instant) {
    while Instant::now() < until {
        for run in &mut *runs {
            run.host.ledger();
            run.samples.push(run.host.usage());
        }
        let left = until.saturating_duration_since(Instant::now());
        sleep(left.min(Duration::from_millis(500)));
    }
}

/// One host with its collector.
struct Run {
    wire: Wire,
    collector: Collector,
    host: Host,
    samples: Vec<Usage>,
    /// At the end of each pause between two faults: what waits is not counted as growth.
    healthy: Vec<Usage>,
}

impl Run {
    fn start(wire: Wire, seed: u64) -> Self {
        let collector = Collector::start(seed);
        let options =
            "--load l1 --rate 200 --threads 1 --bytes 8388608 --within 20000 --interval 5000";
        Self {
            wire,
            host: Host::thrifty(FAULT, wire, &collector, options),
            collector,
            samples: Vec::new(),
            healthy: Vec::new(),
        }
    }

    fn conclude(mut self, course: &Course, faults: u32) {
        let wire = self.wire;
        let probe = self.host.probe();
        let arrived = self.collector.until(MINUTE, |collector| {
            let taken = collector.taken();
            taken
                .keys()
                .any(|id| id.kind == Kind::Event && id.number == probe)
        });
        assert!(
            arrived,
            "{FAULT} {wire:?}: the probe after the last fault did not come"
        );
        self.host.quiet();
        self.host.settles(2 * MINUTE);
        let ended = self.host.terminate(MINUTE);
        assert!(ended.status.success(), "{FAULT} {wire:?}: {ended:?}");
        account(wire, &ended, &self.collector);

        let slope = slope(&self.healthy) * TEN_MINUTES;
        let of = |read: fn(&Usage) -> u64| {
            let all = || self.samples.iter().map(read);
            (all().min().unwrap(), all().max().unwrap())
        };
        let (threads, descriptors) = (of(|usage| usage.threads), of(|usage| usage.descriptors));
        let rss = of(|usage| usage.rss_bytes);
        tell(&format!(
            "{FAULT} {wire:?}: {faults} faults in {:?}; RSS {:.1} to {:.1} MiB, {:+.3} MiB in ten \
             minutes; threads {threads:?}, descriptors {descriptors:?}",
            course.lasts,
            rss.0 as f64 / MIB,
            rss.1 as f64 / MIB,
            slope / MIB,
        ));
        let healthy = self.healthy.iter().map(|usage| usage.rss_bytes >> 10);
        tell(&format!(
            "{FAULT} {wire:?}: RSS in KiB {:?}",
            healthy.collect::<Vec<_>>()
        ));
        if let Some(most) = course.most_slope {
            assert!(
                slope <= most,
                "{FAULT} {wire:?}: it grows by {:.3} MiB in ten minutes",
                slope / MIB
            );
        }
        // A thread resolves names and goes; a connection closes while the next one opens.
        assert!(
            threads.1 - threads.0 <= 1,
            "{FAULT} {wire:?}: {threads:?} threads"
        );
        assert!(
            descriptors.1 - descriptors.0 <= 6,
            "{FAULT} {wire:?}: {descriptors:?} descriptors"
        );
    }
}

fn account(wire: Wire, ended: &Ended, collector: &Collector) {
    let account = Account::of(FAULT, &ended.report, collector);
    for row in ended.report.ledger.iter().flatten() {
        tell(&format!("{FAULT} {wire:?}: {row}"));
    }
    tell(&format!("{FAULT} {wire:?}: {account:?}"));
}

/// One of F1 to F8.
fn any_fault(chance: &mut fastrand::Rng) -> Behaviour {
    match chance.u8(0..16) {
        0 => Behaviour::Refuse,
        1 => Behaviour::Hang,
        2 => Behaviour::Trickle { head_at_once: true },
        3 => Behaviour::Trickle {
            head_at_once: false,
        },
        4 => Behaviour::Flood(Flood::ALL[chance.usize(0..Flood::ALL.len())]),
        5 => Behaviour::retry_after(503, "2"),
        6 => Behaviour::retry_after(429, "soon"),
        7 => Behaviour::Status {
            code: 502,
            headers: Vec::new(),
            body: Bytes::from_static(b"<html>"),
        },
        8 => Behaviour::refuse_records(|id| id.number % 97 == 3),
        9 => Behaviour::refuse_records_as_too_large(|id| id.number % 97 == 3),
        10 => Behaviour::MostRecords(32),
        11 => Behaviour::Partial(2),
        12 => Behaviour::ResetBefore,
        13 => Behaviour::ResetAmid(100),
        14 => Behaviour::ResetAfter,
        _ => Behaviour::Flap {
            up: Duration::from_secs(1),
            down: Duration::from_secs(1),
            by: Box::new(Behaviour::Refuse),
        },
    }
}

/// Bytes a second, by least squares.
fn slope(samples: &[Usage]) -> f64 {
    let began = samples[0].at;
    let points = || {
        samples
            .iter()
            .map(|usage| ((usage.at - began).as_secs_f64(), usage.rss_bytes as f64))
    };
    let count = samples.len() as f64;
    let mean = |of: fn((f64, f64)) -> f64| points().map(of).sum::<f64>() / count;
    let (time, bytes) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points()
        .map(|point| (point.0 - time) * (point.1 - bytes))
        .sum();
    let variance: f64 = points().map(|point| (point.0 - time).powi(2)).sum();
    covariance / variance
}

#[test]
fn a_slope_is_that_of_the_line_through_the_samples() {
    let began = Instant::now();
    let sample = |second: u64, rss_bytes: u64| Usage {
        at: began + Duration::from_secs(second),
        rss_bytes,
        threads: 1,
        descriptors: 1,
    };
    let samples: Vec<_> = (0..100)
        .map(|second| sample(second, 1_000 + 30 * second + (second % 2) * 10))
        .collect();
    assert!((slope(&samples) - 30.0).abs() < 0.1, "{}", slope(&samples));
}
