//! One destination: what waits for it is sent by a task of its own for each signal, so that an
//! endpoint that is away holds up its own signal alone.

mod line;
mod sending;

use super::{
    Encode, Entry, Push, Transport,
    breaker::Breaker,
    handoff::Handoff,
    ledger::{Ledger, LedgerRow, Reason, Row, add},
    queue::{Bounds, Due, Queue},
};
use crate::{clock::Clock, metrics::Histogram, records::Signal};
use line::Line;
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
    /// By signal: those of one number go to one endpoint, and are paused together.
    pub(crate) endpoints: [usize; Signal::ALL.len()],
    pub(crate) encode: Arc<dyn Encode>,
    pub(crate) transport: Arc<dyn Transport>,
    /// `None`: metrics do not go there.
    pub(crate) push: Option<Box<dyn Push>>,
    pub(crate) push_interval: Duration,
    /// Of one push, all its attempts included.
    pub(crate) push_timeout: Duration,
    pub(crate) bounds: Bounds,
    /// Time of each request.
    pub(crate) duration: Arc<Histogram>,
}

/// A destination with what waits for it.
pub(crate) struct Outlet {
    queue: Queue,
    ledger: Ledger,
    /// By signal; `None`: not sent there.
    lines: [Option<Line>; Signal::ALL.len()],
    encode: Arc<dyn Encode>,
    transport: Arc<dyn Transport>,
    push: Mutex<Option<Box<dyn Push>>>,
    push_interval: Duration,
    push_timeout: Duration,
    duration: Arc<Histogram>,
    clock: Clock,
    /// Shutdown is over: what comes now is given up.
    is_closed: AtomicBool,
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
        let breakers: [Arc<Mutex<Breaker>>; Signal::ALL.len()] = Default::default();
        let line = |signal: Signal| {
            let breaker = &breakers[parts.endpoints[signal as usize] % breakers.len()];
            let is_taken = parts.signals.contains(&signal);
            is_taken.then(|| Line::new(signal, Arc::clone(breaker)))
        };
        Self {
            queue: Queue::new(parts.bounds),
            ledger: Ledger::new(parts.name, &parts.signals),
            lines: Signal::ALL.map(line),
            encode: parts.encode,
            transport: parts.transport,
            push: Mutex::new(parts.push),
            push_interval: parts.push_interval,
            push_timeout: parts.push_timeout,
            duration: parts.duration,
            clock,
            is_closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.ledger.destination()
    }

    /// The signals that are sent there.
    pub(crate) fn signals(&self) -> impl Iterator<Item = Signal> {
        Signal::ALL
            .into_iter()
            .filter(|signal| self.lines[*signal as usize].is_some())
    }

    pub(crate) fn rows(&self, handoff: &Handoff) -> impl Iterator<Item = LedgerRow> {
        self.ledger.read(handoff)
    }

    /// Bytes of what waits and of what is under way.
    pub(crate) fn bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Whether an endpoint of it is left alone for a while.
    pub(crate) fn is_paused(&self) -> bool {
        let now = self.clock.now();
        self.lines.iter().flatten().any(|line| line.is_paused(now))
    }

    /// Encodes a record and lets it wait. `buffer` is memory to use again.
    pub(super) fn accept(&self, entry: Entry<'_>, now: Instant, buffer: &mut Vec<u8>) {
        let signal = entry.record.signal();
        let Some(row) = self.ledger.row(signal) else {
            return;
        };
        if self.is_closed() {
            return row.drop(Reason::Deadline, 1);
        }
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

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Gives up what is left when the time for shutdown is over. What was being sent may have
    /// arrived.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.queue.abandon(&self.ledger, Reason::Deadline);
        for line in self.lines.iter().flatten() {
            line.give_up(
                &self.ledger,
                Reason::Deadline,
                |row, under_way| match under_way.is_sent {
                    true => add(&row.ambiguous, under_way.tried),
                    false => row.drop(Reason::Deadline, under_way.tried),
                },
            );
        }
    }

    /// Ends when flush number `number` has come to its end for every signal.
    pub(super) async fn flushed(&self, number: u64) {
        for line in self.lines.iter().flatten() {
            line.flushed(number).await;
        }
    }

    /// Sends one signal until nothing more will come and nothing is left.
    pub(super) async fn run(&self, signal: Signal, orders: Orders) {
        let Some(line) = &self.lines[signal as usize] else {
            return;
        };
        // An earlier run of the task may have died over something.
        let lost = line.give_up(
            &self.ledger,
            Reason::ExporterPanic,
            |row: &Row, under_way| {
                row.drop(Reason::ExporterPanic, under_way.tried);
            },
        );
        self.queue.settle(lost);
        let session = Session::new(line, orders);
        match signal {
            Signal::Metrics => self.run_pushes(session).await,
            Signal::Traces | Signal::Logs => self.run_batches(session).await,
        }
        // A flush asked for meanwhile ends as well.
        line.end_flush(u64::MAX);
    }

    async fn run_batches(&self, mut session: Session<'_>) {
        let signal = session.line.signal();
        let mut told = session.line.last_flush();
        // A flush that has begun, and when: what comes later is not its own.
        let mut flush: Option<(u64, Instant)> = None;
        loop {
            let wanted = *session.orders.emptied.borrow();
            let is_last = *session.orders.is_last.borrow();
            let now = self.clock.now();
            if flush.is_none() && wanted > told {
                flush = Some((wanted, now));
            }
            let due = match (is_last, flush) {
                (true, _) => Due::All,
                (false, Some((_, began))) => Due::Since(began),
                (false, None) => Due::Ready,
            };
            if let Some(batch) = self.queue.take(&self.ledger, signal, now, due) {
                self.deliver(batch, &mut session).await;
                continue;
            }
            if let Some((number, _)) = flush.take() {
                told = number;
                session.line.end_flush(number);
                continue;
            }
            if is_last {
                return;
            }
            let ready = self.queue.next_ready(signal, now);
            let until_ready = async {
                match ready {
                    Some(ready) => time::sleep(ready).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.queue.arrived(signal) => {}
                () = until_ready => {}
                _ = session.orders.emptied.changed() => {}
                _ = session.orders.is_last.changed() => {}
            }
        }
    }

    async fn run_pushes(&self, mut session: Session<'_>) {
        let mut told = session.line.last_flush();
        let mut last_push = self.clock.now();
        loop {
            let wanted = *session.orders.emptied.borrow();
            let is_last = *session.orders.is_last.borrow();
            let now = self.clock.now();
            let left = self
                .push_interval
                .saturating_sub(now.saturating_duration_since(last_push));
            if is_last || wanted > told || left.is_zero() {
                last_push = now;
                let was_owed = session.owes_a_push;
                self.push_metrics(&mut session).await;
                if was_owed && !session.owes_a_push {
                    // That was what had been read earlier; this is what came since.
                    self.push_metrics(&mut session).await;
                }
                told = wanted;
                session.line.end_flush(told);
                if is_last {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = time::sleep(left) => {}
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
