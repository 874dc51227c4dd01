//! One destination: what waits for it is sent by a task of its own, request by request.

mod sending;

use super::{
    Encode, Entry, Push, Transport,
    handoff::Handoff,
    ledger::{Ledger, LedgerRow, Reason, Row, add, take_off},
    queue::{Bounds, Queue},
};
use crate::{clock::Clock, metrics::Histogram, records::Signal};
use sending::Session;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::watch, time};

/// What a destination is made of.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) signals: Vec<Signal>,
    pub(crate) encode: Arc<dyn Encode>,
    pub(crate) transport: Arc<dyn Transport>,
    /// `None`: metrics do not go there.
    pub(crate) push: Option<Box<dyn Push>>,
    pub(crate) push_interval: Duration,
    pub(crate) bounds: Bounds,
    /// Time of each request.
    pub(crate) duration: Arc<Histogram>,
}

/// A destination with what waits for it.
pub(crate) struct Outlet {
    queue: Queue,
    ledger: Ledger,
    encode: Arc<dyn Encode>,
    transport: Arc<dyn Transport>,
    push: Mutex<Option<Box<dyn Push>>>,
    push_interval: Duration,
    duration: Arc<Histogram>,
    clock: Clock,
    is_open: AtomicBool,
    /// What was taken and not settled, should the task die over it.
    under_way: Mutex<Option<UnderWay>>,
    /// The flush that has come to its end here.
    pub(super) flushed: watch::Sender<u64>,
    last_failure: Mutex<Option<String>>,
}

/// Records that were taken out of the queue.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    signal: Signal,
    /// Of the request that is tried.
    tried: u64,
    /// Of those that come after it.
    waiting: u64,
    /// Whether the destination may be reading it just now.
    is_sent: bool,
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
        Self {
            queue: Queue::new(parts.bounds),
            ledger: Ledger::new(parts.name, &parts.signals),
            encode: parts.encode,
            transport: parts.transport,
            push: Mutex::new(parts.push),
            push_interval: parts.push_interval,
            duration: parts.duration,
            clock,
            is_open: AtomicBool::new(false),
            under_way: Mutex::new(None),
            flushed: watch::Sender::new(0),
            last_failure: Mutex::new(None),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.ledger.destination()
    }

    pub(crate) fn rows(&self, handoff: &Handoff) -> impl Iterator<Item = LedgerRow> {
        self.ledger.read(handoff)
    }

    /// Bytes of what waits and of what is under way.
    pub(crate) fn bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Whether the destination is left alone for a while.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Why the last attempt failed, if it did.
    #[cfg(test)]
    pub(super) fn last_failure(&self) -> Option<String> {
        lock(&self.last_failure).clone()
    }

    /// Encodes a record and lets it wait. `buffer` is memory to use again.
    pub(super) fn accept(&self, entry: Entry<'_>, now: Instant, buffer: &mut Vec<u8>) {
        let signal = entry.record.signal();
        let Some(row) = self.ledger.row(signal) else {
            return;
        };
        buffer.clear();
        let encoded = catch_unwind(AssertUnwindSafe(|| self.encode.record(entry, buffer)));
        match encoded {
            Ok(()) => {
                let priority = entry.record.priority();
                self.queue.push(&self.ledger, signal, priority, buffer, now);
            }
            Err(_) => row.drop(Reason::ExporterPanic, 1),
        }
    }

    pub(super) fn announce(&self) {
        self.queue.announce();
    }

    /// Gives up what is left when the time for shutdown is over. What was being sent may have
    /// arrived.
    pub(super) fn close(&self) {
        self.queue.abandon(&self.ledger, Reason::Deadline);
        self.give_up_under_way(
            |row, under_way| match under_way.is_sent {
                true => add(&row.ambiguous, under_way.tried),
                false => row.drop(Reason::Deadline, under_way.tried),
            },
            Reason::Deadline,
        );
    }

    /// Counts what was taken and not settled: `tried` by the one, the rest by the other.
    fn give_up_under_way(&self, tried: impl FnOnce(&Row, UnderWay), waiting: Reason) {
        let Some(under_way) = lock(&self.under_way).take() else {
            return;
        };
        let Some(row) = self.ledger.row(under_way.signal) else {
            return;
        };
        take_off(&row.in_flight, under_way.tried + under_way.waiting);
        row.drop(waiting, under_way.waiting);
        tried(row, under_way);
    }

    /// Sends what waits until nothing more will come and nothing is left.
    pub(super) async fn run(&self, orders: Orders) {
        // An earlier run of the task may have died over something.
        let died = |row: &Row, it: UnderWay| row.drop(Reason::ExporterPanic, it.tried);
        self.give_up_under_way(died, Reason::ExporterPanic);
        let mut session = Session::new(orders);
        let mut next_push = self.clock.now() + self.push_interval;
        let mut told = *self.flushed.borrow();
        loop {
            let wanted = *session.orders.emptied.borrow();
            let is_last = *session.orders.is_last.borrow();
            let all = is_last || wanted > told;
            let now = self.clock.now();
            // Before the batches: there may always be another one.
            if now >= next_push {
                next_push = now + self.push_interval;
                self.push_metrics(&mut session).await;
                continue;
            }
            if let Some(batch) = self.queue.take(&self.ledger, now, all) {
                self.deliver(batch, &mut session).await;
                continue;
            }
            if all {
                next_push = now + self.push_interval;
                let was_owed = session.owes_a_push;
                self.push_metrics(&mut session).await;
                if was_owed && !session.owes_a_push {
                    // That was what had been read earlier; this is what came since.
                    self.push_metrics(&mut session).await;
                }
                if is_last {
                    // A flush asked for meanwhile ends as well.
                    self.flushed.send_replace(u64::MAX);
                    return;
                }
                told = wanted;
                self.flushed.send_replace(told);
                continue;
            }
            let until_push = next_push - now;
            let wait = self
                .queue
                .next_ready(now)
                .unwrap_or(until_push)
                .min(until_push);
            tokio::select! {
                () = self.queue.arrived() => {}
                () = time::sleep(wait) => {}
                _ = session.orders.emptied.changed() => {}
                _ = session.orders.is_last.changed() => {}
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("ledger", &self.ledger)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
