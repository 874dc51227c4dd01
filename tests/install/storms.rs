//! F12: panics by the thousand, and before a collector that never answers.

use std::cell::Cell;
use std::fs;
use std::panic::{self, catch_unwind};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::get;
use orderscope::Telemetry;
use orderscope::export::Reason;
use tower::ServiceExt;

use super::collector::Collector;
use super::signals::in_memory;
use super::{SOON, alone, block_on};

const THREADS: usize = 64;
const EACH: usize = 100;
/// Of the time that a panic spends in the hook.
const P99: Duration = Duration::from_millis(1);
const MOST: Duration = Duration::from_millis(10);
/// Until one is as it should be.
const STORMS: usize = 10;

/// A while on one thread, without the time in which others had the processors, of which there are
/// fewer than threads. The queue is read outside the clock, so that no wait is taken for work.
#[derive(Clone, Copy, Debug)]
struct While {
    queued: Duration,
    began: Instant,
}

impl While {
    fn begins() -> Self {
        let queued = queued();
        let began = Instant::now();
        Self { queued, began }
    }

    fn lasted(self) -> Duration {
        let took = self.began.elapsed();
        took.saturating_sub(queued() - self.queued)
    }
}

/// How long this thread has waited for a processor so far.
fn queued() -> Duration {
    // Nanoseconds on a processor, and in the queue for one; how often.
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let queued = stat.split_whitespace().nth(1).unwrap();
    Duration::from_nanos(queued.parse().unwrap())
}

thread_local! {
    static BEGAN: Cell<Option<While>> = const { Cell::new(None) };
}

/// One of many places that panic: each has a group of its own.
#[inline(never)]
fn give_up<const PLACE: usize>() {
    BEGAN.set(Some(While::begins()));
    panic!("no courier in district {PLACE}");
}

const PLACES: [fn(); 16] = [
    give_up::<0>,
    give_up::<1>,
    give_up::<2>,
    give_up::<3>,
    give_up::<4>,
    give_up::<5>,
    give_up::<6>,
    give_up::<7>,
    give_up::<8>,
    give_up::<9>,
    give_up::<10>,
    give_up::<11>,
    give_up::<12>,
    give_up::<13>,
    give_up::<14>,
    give_up::<15>,
];

#[test]
fn sixty_four_threads_that_panic_before_a_black_hole_with_a_full_queue_are_not_held_up() {
    // A panic takes memory by itself; threads that share an arena of glibc's wait for one another.
    alone(&[("MALLOC_ARENA_MAX", "128")], || {
        static TOOK: Mutex<Vec<Duration>> = Mutex::new(Vec::new());
        // The previous hook runs when ours has done.
        panic::set_hook(Box::new(|_| {
            let lasted = BEGAN.take().map(While::lasted);
            TOOK.lock().unwrap().extend(lasted);
        }));
        let telemetry = swamped();
        let mut storms = Vec::new();
        // Whoever holds a lock may be kept off the processors by others who use the machine as well.
        let is_quick = (0..STORMS).any(|_| {
            storm();
            let mut took = std::mem::take(&mut *TOOK.lock().unwrap());
            took.sort_unstable();
            assert_eq!(took.len(), THREADS * EACH);
            let (p99, most) = (took[took.len() * 99 / 100], took[took.len() - 1]);
            storms.push((p99, most));
            p99 <= P99 && most <= MOST
        });
        let _ = panic::take_hook();
        println!("F12: in the hook, p99 and at most: {storms:?}");
        assert!(is_quick, "F12: p99 and at most: {storms:?}");

        let numbers = telemetry.snapshot();
        let panics = (storms.len() * THREADS * EACH) as u64;
        assert_eq!(numbers.counter("orderscope.panics", &[]), panics);
        let grouped: u64 = numbers.error_groups().iter().map(|group| group.count).sum();
        // The worker sees them when it comes; what it has not seen has no group yet.
        assert!(grouped <= panics, "F12: {grouped} of {panics}");
        for row in telemetry.ledger() {
            assert_eq!(row.difference(), 0, "F12: {row}");
        }
    });
}

/// Threads that panic at the same time, and are caught.
fn storm() {
    let start = Arc::new(Barrier::new(THREADS));
    let threads = (0..THREADS).map(|thread| {
        let start = Arc::clone(&start);
        thread::spawn(move || {
            start.wait();
            for panic in 0..EACH {
                let place = PLACES[(thread + panic) % PLACES.len()];
                assert!(catch_unwind(place).is_err());
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Installed before a collector that never answers, with no room left for what is routine.
pub(super) fn swamped() -> Telemetry {
    let builder = Collector::silent().builder().queue_byte_budget(1 << 20);
    let telemetry = builder.without_subscriber().install().unwrap();
    fill(&telemetry);
    telemetry
}

fn fill(telemetry: &Telemetry) {
    let is_full = || {
        let rows = telemetry.ledger();
        let lost = |reason| rows.iter().map(|row| row.dropped_for(reason)).sum::<u64>();
        lost(Reason::BytesFull) + lost(Reason::QueueFull) > 0
    };
    let began = Instant::now();
    while !is_full() {
        assert!(began.elapsed() < SOON, "the queue does not fill");
        for _ in 0..100 {
            orderscope::track_event!("routine", text = "x".repeat(2_000));
        }
    }
}

#[test]
fn a_handler_that_panics_a_thousand_times_a_second_answers_and_each_is_counted() {
    const PANICS: u64 = 3_000;
    alone(&[], || {
        panic::set_hook(Box::new(|_| {}));
        let (builder, backend) = in_memory();
        let telemetry = builder.without_subscriber().install().unwrap();
        let routes = Router::new().route("/", get(async || -> &'static str { panic!("planted") }));
        let app = routes.layer(telemetry.http_layer());
        let began = Instant::now();
        let answered = block_on(async {
            let mut answered = 0;
            for number in 0..PANICS {
                let due = began + Duration::from_millis(number);
                tokio::time::sleep_until(due.into()).await;
                let asked = Request::get("/").body(Body::empty()).unwrap();
                let answer = app.clone().oneshot(asked).await.unwrap();
                answered += u64::from(answer.status() == StatusCode::INTERNAL_SERVER_ERROR);
            }
            assert!(telemetry.flush(SOON).await);
            answered
        });
        let _ = panic::take_hook();
        assert_eq!(answered, PANICS, "F12");
        let numbers = telemetry.snapshot();
        let counted = numbers.counter("orderscope.panics", &[]);
        assert_eq!(counted, PANICS, "F12: counted");
        let [group] = numbers.error_groups() else {
            panic!("F12: one group: {:#?}", numbers.error_groups());
        };
        assert_eq!(group.count, PANICS, "F12");
        assert!(!group.is_handled);
        let (told, seconds) = (backend.logs().len() as u64, began.elapsed().as_secs());
        // Ten at once and one a second, of three seconds and more on a busy machine.
        assert!(
            (12..=12 + seconds).contains(&told),
            "F12: {told} records in {seconds} s"
        );
    });
}
