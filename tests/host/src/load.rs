//! What the service does all day. Every record bears a number, from 0 on for each kind.

mod events;
mod requests;
mod sealed;

use crate::{
    arguments::{Arguments, Kind},
    figures::Figures,
};
use orderscope::{
    Telemetry,
    errors::{Details, capture_error_with},
};
use serde_json::{Value, json};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How many of each kind there are so far: the next one's number.
#[derive(Debug, Default)]
pub(crate) struct Issued {
    spans: AtomicU64,
    events: AtomicU64,
    /// Captured errors and panics.
    errors: AtomicU64,
    /// How many of the errors were panics.
    panics: AtomicU64,
    metric_updates: AtomicU64,
}

fn next(of: &AtomicU64) -> u64 {
    of.fetch_add(1, Ordering::Relaxed)
}

impl Issued {
    #[inline]
    pub(crate) fn next_event(&self) -> u64 {
        next(&self.events)
    }

    pub(crate) fn to_json(&self) -> Value {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        json!({
            "spans": read(&self.spans),
            "events": read(&self.events),
            "errors": read(&self.errors),
            "panics": read(&self.panics),
            "metric_updates": read(&self.metric_updates),
        })
    }
}

/// Of errors, each of which may come once a second; half as many as have places.
const GROUPS: u64 = 250;

/// An error that bears its number.
#[derive(Debug)]
struct Planted(u64);

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "planted error {}", self.0)
    }
}

impl std::error::Error for Planted {}

impl Issued {
    fn capture(&self) {
        let number = next(&self.errors);
        // Of so many groups that none comes to its limit: each has a record of its own.
        let group = format!("planted {}", number % GROUPS);
        let details = Details::new().fingerprint(&group);
        capture_error_with(&Planted(number), details);
    }
}

/// The threads that produce.
#[derive(Debug)]
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    running: Mutex<Vec<JoinHandle<Figures>>>,
    measured: Mutex<Vec<Figures>>,
}

impl Load {
    pub(crate) fn start(
        arguments: &Arguments,
        telemetry: Option<&Telemetry>,
        issued: &Arc<Issued>,
    ) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let running = match arguments.load {
            Kind::Requests => requests::start(arguments, telemetry, issued, &is_over),
            Kind::Events => events::start(arguments, issued, &is_over),
            Kind::Sealed => sealed::start(arguments, issued),
            Kind::None => Vec::new(),
        };
        Self {
            is_over,
            running: Mutex::new(running),
            measured: Mutex::default(),
        }
    }

    /// Waits until the threads are through of themselves.
    pub(crate) fn ended(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in running.drain(..) {
            measured.push(thread.join().expect("a producer comes to its end"));
        }
    }

    /// Stops them before the process ends.
    pub(crate) fn ended_early(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.ended();
    }

    /// Stops them; what they measured.
    pub(crate) fn stop(&self) -> Vec<Figures> {
        self.ended_early();
        std::mem::take(&mut *self.measured.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn spawn(name: &str, run: impl FnOnce(&mut Figures) + Send + 'static) -> JoinHandle<Figures> {
    let thread = thread::Builder::new().name(name.to_owned());
    let measured = move || {
        let mut figures = Figures::new();
        run(&mut figures);
        figures
    };
    thread.spawn(measured).expect("a thread starts")
}

/// The schedule of an open loop: it does not wait for what it started.
struct Schedule {
    due: Instant,
    period: Duration,
    spin: bool,
}

impl Schedule {
    fn every(period: Duration, spin: bool) -> Self {
        Self {
            due: Instant::now(),
            period,
            spin,
        }
    }

    /// Waits for the next; how late it is.
    fn wait(&mut self) -> Duration {
        let mut now = Instant::now();
        if now < self.due {
            match self.spin {
                true => {
                    while Instant::now() < self.due {
                        std::hint::spin_loop();
                    }
                }
                false => thread::sleep(self.due - now),
            }
            now = Instant::now();
        }
        let late = now - self.due;
        self.due += self.period;
        late
    }
}
