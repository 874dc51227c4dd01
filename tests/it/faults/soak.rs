//! F28: one fault after another, for long.

use std::thread::sleep;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::collector::{Behaviour, Collector, Flood, Kind};
use super::host::{Account, Host, Usage, is_long, tell};
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
    let mut runs: Vec<_> = Wire::ALL
        .into_iter()
        .flat_map(|wire| Allocator::ALL.map(|allocator| Run::start(wire, allocator, seed)))
        .collect();
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
            tell(&format!("{}: {fault:?}", run.name));
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
            run.healthy.push(Memory::of(&mut run.host));
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

/// How the host's allocator treats what is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allocator {
    /// It gives it back: what is resident is what is held, and must not grow.
    Thrifty,
    /// As glibc comes, with arenas that threads share by chance and that keep what was freed: what
    /// is allocated must not grow. What is resident is told: it rises from one most to the next.
    Stock,
}

impl Allocator {
    const ALL: [Self; 2] = [Self::Thrifty, Self::Stock];
}

/// What the host holds, at the end of a pause between two faults: what waits is no growth.
#[derive(Clone, Copy, Debug)]
struct Memory {
    at: Instant,
    rss: u64,
    heap: u64,
}

impl Memory {
    fn of(host: &mut Host) -> Self {
        let Usage { at, rss_bytes, .. } = host.usage();
        Self {
            at,
            rss: rss_bytes,
            heap: host.heap(),
        }
    }
}

/// One host with its collector.
struct Run {
    /// Begins every message.
    name: String,
    allocator: Allocator,
    collector: Collector,
    host: Host,
    samples: Vec<Usage>,
    healthy: Vec<Memory>,
}

impl Run {
    fn start(wire: Wire, allocator: Allocator, seed: u64) -> Self {
        let collector = Collector::start(seed);
        let options =
            "--load l1 --rate 200 --threads 1 --bytes 8388608 --within 20000 --interval 5000";
        let start = match allocator {
            Allocator::Thrifty => Host::thrifty,
            Allocator::Stock => Host::start,
        };
        Self {
            name: format!("{FAULT} {wire:?} {allocator:?}"),
            allocator,
            host: start(FAULT, wire, &collector, options),
            collector,
            samples: Vec::new(),
            healthy: Vec::new(),
        }
    }

    fn conclude(mut self, course: &Course, faults: u32) {
        let name = self.name;
        let probe = self.host.probe();
        let arrived = self.collector.until(MINUTE, |collector| {
            let taken = collector.taken();
            taken
                .keys()
                .any(|id| id.kind == Kind::Event && id.number == probe)
        });
        assert!(
            arrived,
            "{name}: the probe after the last fault did not come"
        );
        self.host.quiet();
        self.host.settles(2 * MINUTE);
        let ended = self.host.terminate(MINUTE);
        assert!(ended.status.success(), "{name}: {ended:?}");
        let account = Account::of(FAULT, &ended.report, &self.collector);
        for row in ended.report.ledger.iter().flatten() {
            tell(&format!("{name}: {row}"));
        }
        tell(&format!("{name}: {account:?}"));

        let of = |read: fn(&Usage) -> u64| {
            let all = || self.samples.iter().map(read);
            (all().min().unwrap(), all().max().unwrap())
        };
        let (threads, descriptors) = (of(|usage| usage.threads), of(|usage| usage.descriptors));
        let rss = of(|usage| usage.rss_bytes);
        let resident = slope(&self.healthy, |memory| memory.rss) * TEN_MINUTES;
        let allocated = slope(&self.healthy, |memory| memory.heap) * TEN_MINUTES;
        tell(&format!(
            "{name}: {faults} faults in {:?}; RSS {:.1} to {:.1} MiB, {:+.3} MiB in ten minutes; \
             allocated {:+.3} MiB in ten minutes; threads {threads:?}, descriptors {descriptors:?}",
            course.lasts,
            rss.0 as f64 / MIB,
            rss.1 as f64 / MIB,
            resident / MIB,
            allocated / MIB,
        ));
        let healthy = self.healthy.iter();
        tell(&format!(
            "{name}: RSS and allocated in KiB {:?}",
            healthy
                .map(|memory| (memory.rss >> 10, memory.heap >> 10))
                .collect::<Vec<_>>()
        ));
        let held = match self.allocator {
            Allocator::Thrifty => resident.max(allocated),
            Allocator::Stock => allocated,
        };
        if let Some(most) = course.most_slope {
            assert!(
                held <= most,
                "{name}: it grows by {:.3} MiB in ten minutes",
                held / MIB
            );
        }
        // A thread resolves names and goes; a connection closes while the next one opens.
        assert!(threads.1 - threads.0 <= 1, "{name}: {threads:?} threads");
        assert!(
            descriptors.1 - descriptors.0 <= 6,
            "{name}: {descriptors:?} descriptors"
        );
    }
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

/// Of so many samples the least is what is held when nothing waits.
const OF_A_FLOOR: usize = 15;

/// Bytes a second by which the floor rises, by least squares.
fn slope(samples: &[Memory], bytes: fn(&Memory) -> u64) -> f64 {
    let began = samples[0].at;
    let floor = |samples: &[Memory]| samples.iter().copied().min_by_key(bytes);
    let floors: Vec<_> = samples.chunks(OF_A_FLOOR).filter_map(floor).collect();
    let points = || {
        let point = |memory: &Memory| ((memory.at - began).as_secs_f64(), bytes(memory) as f64);
        floors.iter().map(point)
    };
    let count = floors.len() as f64;
    let mean = |of: fn((f64, f64)) -> f64| points().map(of).sum::<f64>() / count;
    let (time, bytes) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points()
        .map(|point| (point.0 - time) * (point.1 - bytes))
        .sum();
    let variance: f64 = points().map(|point| (point.0 - time).powi(2)).sum();
    covariance / variance
}

#[test]
fn a_slope_is_that_of_what_is_held_when_nothing_waits() {
    let began = Instant::now();
    let sample = |second: u64| Memory {
        at: began + Duration::from_secs(second),
        // What waits comes and goes, more and more of it.
        rss: 1_000 + 30 * second + (second % OF_A_FLOOR as u64) * second,
        heap: 7,
    };
    let samples: Vec<_> = (0..150).map(sample).collect();
    let rss = slope(&samples, |memory| memory.rss);
    assert!((rss - 30.0).abs() < 0.1, "{rss}");
    assert_eq!(slope(&samples, |memory| memory.heap), 0.0);
}
