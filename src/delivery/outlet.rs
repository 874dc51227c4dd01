//! One destination: what is in its custody is sent by a task of its own for each signal, so that an
//! endpoint that is away holds up its own signals alone.

mod attempts;
mod batches;
mod pushes;

pub(super) use attempts::unharmed;

use super::{
    Encode, Entry, Push, Transport,
    custody::{Bounds, Custody},
    endpoint::Endpoint,
    handoff::Handoff,
    ledger::{LedgerRow, Reason},
};
use crate::{clock::Clock, metrics::Histogram, records::Signal};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, watch},
    time,
};

/// Failures after which an endpoint is not waited for once shutdown has begun.
const PATIENCE_AT_THE_END: u32 = 3;
/// Nor is one that is to be left alone for longer than this.
const PAUSE_AT_THE_END: Duration = Duration::from_secs(1);

/// What a destination is made of.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) signals: Vec<Signal>,
    /// By signal: those of one number go to one endpoint, and are paused together.
    pub(crate) endpoints: [usize; Signal::ALL.len()],
    pub(crate) encode: Arc<dyn Encode>,
    pub(crate) transport: Arc<dyn Transport>,
    /// Not asked where metrics do not go there.
    pub(crate) push: Box<dyn Push>,
    pub(crate) push_interval: Duration,
    /// Of one request of a push.
    pub(crate) push_timeout: Duration,
    pub(crate) bounds: Bounds,
    /// Time of each request.
    pub(crate) duration: Arc<Histogram>,
}

/// A destination with what it is to have.
pub(crate) struct Outlet {
    custody: Custody,
    /// By signal.
    endpoints: [Arc<Endpoint>; Signal::ALL.len()],
    /// By signal: something came into custody.
    arrived: [Notify; Signal::ALL.len()],
    /// By signal: the flush that has come to its end.
    flushed: [watch::Sender<u64>; Signal::ALL.len()],
    encode: Arc<dyn Encode>,
    transport: Arc<dyn Transport>,
    push: Mutex<Box<dyn Push>>,
    push_interval: Duration,
    push_timeout: Duration,
    duration: Arc<Histogram>,
    clock: Clock,
}

/// What a destination's task is told.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    /// The number of the flush up to which the hand-off has been emptied.
    pub(super) emptied: watch::Receiver<u64>,
    /// Whether nothing more will come.
    pub(super) is_last: watch::Receiver<bool>,
}

impl Outlet {
    pub(crate) fn new(parts: Parts, clock: Clock) -> Self {
        let endpoints: [Arc<Endpoint>; Signal::ALL.len()] = Default::default();
        let endpoint_of = |signal: Signal| {
            let number = parts.endpoints[signal as usize];
            Arc::clone(&endpoints[number % endpoints.len()])
        };
        Self {
            custody: Custody::new(parts.name, parts.signals, parts.bounds),
            endpoints: Signal::ALL.map(endpoint_of),
            arrived: Default::default(),
            flushed: Default::default(),
            encode: parts.encode,
            transport: parts.transport,
            push: Mutex::new(parts.push),
            push_interval: parts.push_interval,
            push_timeout: parts.push_timeout,
            duration: parts.duration,
            clock,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.custody.destination()
    }

    /// The signals that are sent there.
    pub(crate) fn signals(&self) -> impl Iterator<Item = Signal> {
        self.custody.signals().iter().copied()
    }

    pub(crate) fn rows(&self, handoff: &Handoff) -> impl Iterator<Item = LedgerRow> {
        self.custody.rows(handoff)
    }

    /// Bytes of what waits and of what is under way.
    pub(crate) fn bytes(&self) -> usize {
        self.custody.bytes()
    }

    /// Whether an endpoint of it is left alone for a while.
    pub(crate) fn is_paused(&self) -> bool {
        let now = self.clock.now();
        let mut signals = self.signals();
        signals.any(|signal| self.endpoint(signal).is_paused(now))
    }

    /// Encodes a record and takes it into custody. `buffer` is memory to use again.
    pub(super) fn accept(&self, entry: Entry<'_>, now: Instant, buffer: &mut Vec<u8>) {
        let signal = entry.record.signal();
        if !self.custody.takes(signal) {
            return;
        }
        buffer.clear();
        let encoded = catch_unwind(AssertUnwindSafe(|| self.encode.record(entry, buffer)));
        match encoded {
            Ok(()) => {
                let priority = entry.record.priority();
                self.custody.accept(signal, priority, buffer, now);
            }
            Err(_) => self.custody.forgo(signal, Reason::ExporterPanic),
        }
    }

    /// Tells the tasks that something came.
    pub(super) fn announce(&self) {
        self.arrived.iter().for_each(Notify::notify_one);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.custody.is_closed()
    }

    /// Gives up what is left when the time for shutdown is over.
    pub(super) fn close(&self) {
        self.custody.close();
    }

    /// Ends when flush number `number` has come to its end for every signal.
    pub(super) async fn flushed(&self, number: u64) {
        for signal in self.signals() {
            let mut flushed = self.flushed[signal as usize].subscribe();
            // An error: the telemetry is gone.
            let _ = flushed.wait_for(|done| *done >= number).await;
        }
    }

    /// Sends one signal until nothing more will come and nothing is left.
    pub(super) async fn run(&self, signal: Signal, orders: Orders) {
        // An earlier run of the task may have died over something.
        self.custody.reclaim(signal);
        match signal {
            Signal::Metrics => self.run_pushes(orders).await,
            Signal::Traces | Signal::Logs => self.run_batches(signal, orders).await,
        }
        // A flush asked for meanwhile ends as well.
        self.end_flush(signal, u64::MAX);
    }

    fn endpoint(&self, signal: Signal) -> &Endpoint {
        &self.endpoints[signal as usize]
    }

    fn last_flush(&self, signal: Signal) -> u64 {
        *self.flushed[signal as usize].borrow()
    }

    fn end_flush(&self, signal: Signal, number: u64) {
        self.flushed[signal as usize].send_replace(number);
    }
}

/// How much an endpoint is waited for once shutdown has begun.
#[derive(Debug, Default)]
struct Patience {
    failures: u32,
}

impl Patience {
    fn failed(&mut self, is_last: bool) {
        self.failures += u32::from(is_last);
    }

    /// Whether what is left is given up. The endpoint is not asked sooner because we are in a hurry.
    fn is_over(&self, is_last: bool, pause: Option<Duration>) -> bool {
        let is_too_long = pause.is_some_and(|pause| pause > PAUSE_AT_THE_END);
        is_last && (self.failures >= PATIENCE_AT_THE_END || is_too_long)
    }
}

/// Ends after a while; without one, never.
async fn after(pause: Option<Duration>) {
    match pause {
        Some(pause) => time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("custody", &self.custody)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
