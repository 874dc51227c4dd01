//! L2: events of several threads, and errors of one more.

use super::{Issued, Schedule, spawn};
use crate::{
    arguments::Arguments,
    figures::{Figures, Switches},
};
use orderscope::track_event;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(1);
/// Of a thread without a rate: how many events between two looks at the end.
const AT_ONCE: u64 = 256;

pub(super) fn start(
    arguments: &Arguments,
    issued: &Arc<Issued>,
    is_over: &Arc<AtomicBool>,
) -> Vec<JoinHandle<Figures>> {
    let (threads, rate, spin) = (arguments.threads, arguments.rate, arguments.spin);
    let mut running: Vec<_> = (0..threads)
        .map(|thread| {
            let (issued, is_over) = (Arc::clone(issued), Arc::clone(is_over));
            // What does not divide goes to the first ones.
            let share = (rate + threads - 1 - thread) / threads;
            spawn("events", move |figures| {
                produce(&issued, &is_over, share, spin, figures)
            })
        })
        .collect();
    if arguments.errors > 0 {
        let (issued, is_over) = (Arc::clone(issued), Arc::clone(is_over));
        let mut schedule = Schedule::every(Duration::from_secs(1) / arguments.errors as u32, false);
        running.push(spawn("errors", move |figures| {
            let before = Switches::so_far();
            while !is_over.load(Ordering::Relaxed) {
                figures.late.record(schedule.wait());
                issued.capture();
            }
            figures.switches = Switches::so_far().since(before);
        }));
    }
    running
}

fn produce(issued: &Issued, is_over: &AtomicBool, rate: u64, spin: bool, figures: &mut Figures) {
    let mut schedule = Schedule::every(TICK, spin);
    // The first event of a thread makes what the thread needs.
    emit(issued, figures);
    figures.enqueue.forget();
    let before = Switches::so_far();
    let mut tick = 0;
    while !is_over.load(Ordering::Relaxed) {
        let count = match rate {
            0 => AT_ONCE,
            rate => {
                figures.late.record(schedule.wait());
                tick += 1;
                rate * tick / 1_000 - rate * (tick - 1) / 1_000
            }
        };
        for _ in 0..count {
            emit(issued, figures);
        }
    }
    figures.switches = Switches::so_far().since(before);
}

#[inline]
pub(super) fn emit(issued: &Issued, figures: &mut Figures) {
    let id = issued.next_event();
    let began = Instant::now();
    track_event!("probe", id = id, city = "Graz");
    figures.enqueue.record(began.elapsed());
}
