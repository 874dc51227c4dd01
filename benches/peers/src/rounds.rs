//! Turns in lock step, and their medians.

use crate::allocator;
use rustix::time::{ClockId, clock_gettime};
use std::{fmt, str::FromStr, time::Instant};

const ROUNDS: u32 = 300;
const QUICK_ROUNDS: u32 = 30;

/// What takes turns.
pub(crate) struct Subject {
    /// Does it so many times, shared out among the threads, this one among them.
    pub(crate) run: Box<dyn FnMut(u32)>,
    pub(crate) threads: u32,
    /// Waits until all that was put off is done.
    pub(crate) settle: Box<dyn FnMut()>,
    /// What reached the other end, after all rounds.
    pub(crate) delivered: Box<dyn Fn() -> Delivered>,
}

/// How many, over all rounds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivered {
    /// Requests in the duration histogram.
    pub(crate) requests: u64,
    pub(crate) spans: u64,
    pub(crate) logs: u64,
}

/// Medians of one row, each for one item.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// The bare router's; zero where there is none.
    pub(crate) bare: Cost,
    /// Over the bare router's.
    pub(crate) over: Cost,
    /// Delivered for each item.
    pub(crate) requests: f64,
    pub(crate) spans: f64,
    pub(crate) logs: f64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) wall_nanos: f64,
    /// Of the CPU on the measured thread: what the wall clock would say if nobody else ran.
    pub(crate) thread_nanos: f64,
    /// Of the CPU on all threads, until nothing waits.
    pub(crate) cpu_nanos: f64,
    /// On the measured thread.
    pub(crate) allocations: f64,
    /// On all others.
    pub(crate) allocations_elsewhere: f64,
}

/// Measures a subject against another, or for itself.
pub(crate) fn measure(
    mut bare: Option<Subject>,
    mut subject: Subject,
    a_turn: u32,
    is_quick: bool,
) -> Measured {
    allocator::measure_this_thread();
    let rounds = if is_quick { QUICK_ROUNDS } else { ROUNDS };
    let warming = rounds / 10;
    let (mut of_bare, mut over) = (Vec::new(), Vec::new());
    for round in 0..warming + rounds {
        // Who begins alternates: the caches that one leaves are the other's.
        let (first, second) = match round % 2 {
            0 => {
                let first = bare
                    .as_mut()
                    .map_or(Cost::default(), |bare| turn(bare, a_turn));
                (first, turn(&mut subject, a_turn))
            }
            _ => {
                let second = turn(&mut subject, a_turn);
                let first = bare
                    .as_mut()
                    .map_or(Cost::default(), |bare| turn(bare, a_turn));
                (first, second)
            }
        };
        if round >= warming {
            of_bare.push(first);
            over.push(second.over(first));
        }
    }
    let delivered = (subject.delivered)();
    let items = f64::from(rounds + warming) * f64::from(a_turn);
    Measured {
        bare: Cost::median(&of_bare),
        over: Cost::median(&over),
        requests: delivered.requests as f64 / items,
        spans: delivered.spans as f64 / items,
        logs: delivered.logs as f64 / items,
    }
}

/// What the first costs that is done in a process, before anything is warm.
pub(crate) fn measure_first(mut subject: Subject) -> Measured {
    allocator::measure_this_thread();
    let over = turn(&mut subject, 1);
    let delivered = (subject.delivered)();
    Measured {
        over,
        requests: delivered.requests as f64,
        spans: delivered.spans as f64,
        logs: delivered.logs as f64,
        ..Measured::default()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the library takes time from its clock; this measures it from outside"
)]
fn turn(subject: &mut Subject, times: u32) -> Cost {
    let (here, elsewhere) = allocator::made();
    let cpu = used_nanos(ClockId::ProcessCPUTime);
    let (thread, wall) = (used_nanos(ClockId::ThreadCPUTime), Instant::now());
    (subject.run)(times);
    let wall_nanos = wall.elapsed().as_nanos() as f64;
    let thread_nanos = used_nanos(ClockId::ThreadCPUTime) - thread;
    let of_the_run = allocator::made().0 - here;
    (subject.settle)();
    let cpu_nanos = used_nanos(ClockId::ProcessCPUTime) - cpu;
    let put_off = allocator::made().1 - elsewhere;
    let each = |all: f64| all / f64::from(times);
    // Of those that this thread did itself.
    let each_here = |all: f64| all / f64::from(times / subject.threads);
    Cost {
        wall_nanos: each_here(wall_nanos),
        thread_nanos: each_here(thread_nanos),
        cpu_nanos: each(cpu_nanos),
        allocations: each_here(of_the_run as f64),
        allocations_elsewhere: each(put_off as f64),
    }
}

pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn used_nanos(clock: ClockId) -> f64 {
    let used = clock_gettime(clock);
    used.tv_sec as f64 * 1e9 + used.tv_nsec as f64
}

impl Cost {
    fn over(self, bare: Self) -> Self {
        Self {
            wall_nanos: self.wall_nanos - bare.wall_nanos,
            thread_nanos: self.thread_nanos - bare.thread_nanos,
            cpu_nanos: self.cpu_nanos - bare.cpu_nanos,
            allocations: self.allocations - bare.allocations,
            allocations_elsewhere: self.allocations_elsewhere - bare.allocations_elsewhere,
        }
    }

    fn median(costs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(costs.iter().map(figure));
        Self {
            wall_nanos: of(|cost| cost.wall_nanos),
            thread_nanos: of(|cost| cost.thread_nanos),
            cpu_nanos: of(|cost| cost.cpu_nanos),
            allocations: of(|cost| cost.allocations),
            allocations_elsewhere: of(|cost| cost.allocations_elsewhere),
        }
    }

    fn figures(self) -> [f64; 5] {
        [
            self.wall_nanos,
            self.thread_nanos,
            self.cpu_nanos,
            self.allocations,
            self.allocations_elsewhere,
        ]
    }
}

impl From<[f64; 5]> for Cost {
    fn from(figures: [f64; 5]) -> Self {
        let [
            wall_nanos,
            thread_nanos,
            cpu_nanos,
            allocations,
            allocations_elsewhere,
        ] = figures;
        Self {
            wall_nanos,
            thread_nanos,
            cpu_nanos,
            allocations,
            allocations_elsewhere,
        }
    }
}

/// As one process tells it to the other: numbers between spaces.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for figure in self.bare.figures().iter().chain(&self.over.figures()) {
            write!(f, "{figure} ")?;
        }
        write!(f, "{} {} {}", self.requests, self.spans, self.logs)
    }
}

impl FromStr for Measured {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let figures: Result<Vec<f64>, _> = line.split(' ').map(str::parse).collect();
        let figures = figures.map_err(|error| error.to_string())?;
        let [
            b0,
            b1,
            b2,
            b3,
            b4,
            o0,
            o1,
            o2,
            o3,
            o4,
            requests,
            spans,
            logs,
        ] = figures[..]
        else {
            return Err(format!("{} numbers in place of 13", figures.len()));
        };
        Ok(Self {
            bare: [b0, b1, b2, b3, b4].into(),
            over: [o0, o1, o2, o3, o4].into(),
            requests,
            spans,
            logs,
        })
    }
}
