//! What one destination is to have: what waits for it, what is under way, and what became of the
//! rest. All of it changes under one lock, so that no reader finds a record in two places, or in
//! none, and shutdown and the tasks that send agree on who counts it.

mod batch;
mod inquest;
mod lanes;
mod recovery;

pub(super) use batch::Batch;

use super::{
    handoff::Handoff,
    ledger::{LedgerRow, Reason, Row},
};
use crate::{
    records::{Priority, Signal},
    sync::{Mutex, MutexGuard, PoisonError},
};
use lanes::{Lanes, WAITING};
use std::time::{Duration, Instant};

/// How much goes into one request, and how much may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of all that waits and of what is under way.
    pub(crate) bytes: usize,
    pub(crate) batch_bytes: usize,
    /// Of spans, and of log records.
    pub(crate) batching: [Batching; WAITING.len()],
}

/// How records of one signal are put together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batching {
    /// Of one request.
    pub(crate) records: usize,
    /// How long a record waits for others to go with.
    pub(crate) delay: Duration,
    /// From a record's first request to its last.
    pub(crate) timeout: Duration,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            records: 512,
            delay: Duration::from_secs(1),
            timeout: Duration::from_secs(300),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            bytes: 24 << 20,
            // Some vendors refuse more than a megabyte.
            batch_bytes: 900_000,
            batching: Default::default(),
        }
    }
}

/// Which batches are to go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// Those that are full, or have waited long enough.
    Ready,
    /// Those that were begun by then.
    Since(Instant),
    All,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Taken, but for so many of its records.
    Taken {
        rejected: u64,
    },
    Dropped(Reason),
    Ambiguous,
}

#[derive(Debug)]
pub(super) struct Custody {
    destination: String,
    signals: Vec<Signal>,
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By signal.
    rows: [Row; Signal::ALL.len()],
    lanes: Lanes,
    /// By signal: of the request that was taken and not settled.
    out: [Option<Out>; Signal::ALL.len()],
    /// Shutdown is over: what comes now is given up.
    is_closed: bool,
}

/// A request that was taken.
#[derive(Clone, Copy, Debug)]
struct Out {
    records: u64,
    bytes: usize,
    /// Whether the destination may be reading it.
    is_sent: bool,
}

impl Out {
    /// It may have arrived, once it is sent.
    fn given_up(&self, reason: Reason) -> Fate {
        match self.is_sent {
            true => Fate::Ambiguous,
            false => Fate::Dropped(reason),
        }
    }
}

impl Custody {
    pub(super) fn new(destination: String, signals: Vec<Signal>, bounds: Bounds) -> Self {
        Self {
            destination,
            signals,
            state: Mutex::new(State {
                rows: Default::default(),
                lanes: Lanes::new(&bounds),
                out: Default::default(),
                is_closed: false,
            }),
            bounds,
        }
    }

    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    pub(super) fn signals(&self) -> &[Signal] {
        &self.signals
    }

    pub(super) fn takes(&self, signal: Signal) -> bool {
        self.signals.contains(&signal)
    }

    pub(super) fn batching(&self, signal: Signal) -> Option<&Batching> {
        self.bounds.batching.get(signal as usize)
    }

    /// Of one request.
    pub(super) fn batch_bytes(&self) -> usize {
        self.bounds.batch_bytes
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Bytes of what waits and of what is under way.
    pub(super) fn bytes(&self) -> usize {
        self.lock().lanes.bytes()
    }

    /// What became of everything so far.
    pub(super) fn rows(&self, handoff: &Handoff) -> impl Iterator<Item = LedgerRow> {
        // Before the hand-off is asked, and not after: see `Row::read`.
        let rows = self.lock().rows;
        self.signals.iter().map(move |signal| {
            let row = rows[*signal as usize];
            row.read(&self.destination, *signal, handoff.counts(*signal))
        })
    }

    /// Takes a record over, encoded.
    pub(super) fn accept(&self, signal: Signal, priority: Priority, record: &[u8], now: Instant) {
        let mut state = self.lock();
        state.rows[signal as usize].received += 1;
        if state.is_closed {
            return state.rows[signal as usize].drop(Reason::Deadline, 1);
        }
        let mut evicted = Vec::new();
        let lanes = &mut state.lanes;
        let has_room = lanes.make_room(priority, record, &self.bounds, &mut evicted);
        state.forget(&evicted, Reason::BytesFull);
        if has_room {
            state
                .lanes
                .push(signal, priority, record, now, &self.bounds);
            state.rows[signal as usize].queued += 1;
        } else {
            state.rows[signal as usize].drop(Reason::BytesFull, 1);
        }
    }

    /// Counts a record that could not be encoded.
    pub(super) fn forgo(&self, signal: Signal, reason: Reason) {
        let row = &mut self.lock().rows[signal as usize];
        row.received += 1;
        row.drop(reason, 1);
    }

    /// The most urgent batch of a signal that is due, `most` of its records. It is under way until
    /// it is settled or put back.
    pub(super) fn take(
        &self,
        signal: Signal,
        now: Instant,
        due: Due,
        most: usize,
    ) -> Option<Batch> {
        let mut state = self.lock();
        let batch = state.lanes.take(signal, now, due, most, &self.bounds)?;
        state.rows[signal as usize].queued -= batch.len();
        state.begin(signal, batch.len(), batch.bytes());
        Some(batch)
    }

    /// A push of metrics is under way, as one record; it may be one that was put back.
    pub(super) fn take_push(&self) {
        let mut state = self.lock();
        let row = &mut state.rows[Signal::Metrics as usize];
        match row.queued {
            0 => row.received += 1,
            _ => row.queued -= 1,
        }
        match state.is_closed {
            true => state.rows[Signal::Metrics as usize].drop(Reason::Deadline, 1),
            false => state.begin(Signal::Metrics, 1, 0),
        }
    }

    /// The request of a signal goes out now. `false`: shutdown is over and has counted it.
    pub(super) fn depart(&self, signal: Signal) -> bool {
        let mut state = self.lock();
        match &mut state.out[signal as usize] {
            Some(out) => {
                out.is_sent = true;
                true
            }
            None => false,
        }
    }

    /// Counts what became of the request of a signal, unless shutdown has counted it.
    pub(super) fn settle(&self, signal: Signal, fate: Fate) {
        self.lock().conclude(signal, |_| fate);
    }

    /// What was certainly not taken waits again, before all that came after it.
    pub(super) fn put_back(&self, signal: Signal, batch: Option<Batch>) {
        let mut state = self.lock();
        if state.wait_again(signal)
            && let Some(batch) = batch
        {
            state.lanes.put_back(batch, false);
        }
    }

    /// Two halves wait in place of one batch; behind its own other half, where it was a first one.
    pub(super) fn put_back_halves(&self, signal: Signal, halves: [Batch; 2], was_first: bool) {
        let mut state = self.lock();
        if state.wait_again(signal) {
            let [first, second] = halves;
            state.lanes.put_back(second, was_first);
            state.lanes.put_back(first, was_first);
        }
    }

    /// So much was too large for the destination: what comes later is made smaller.
    pub(super) fn make_smaller(&self, signal: Signal, payload: usize, now: Instant) {
        self.lock().lanes.make_smaller(signal, payload, now);
    }

    /// Counts what a task had under way that died over it.
    pub(super) fn reclaim(&self, signal: Signal) {
        self.lock()
            .conclude(signal, |out| out.given_up(Reason::ExporterPanic));
    }

    pub(super) fn has_due(&self, signal: Signal, now: Instant, due: Due) -> bool {
        let state = self.lock();
        state.lanes.has_due(signal, now, due, &self.bounds)
    }

    /// How long until a batch of a signal is due of itself; `None`: nothing waits.
    pub(super) fn next_ready(&self, signal: Signal, now: Instant) -> Option<Duration> {
        self.lock().lanes.next_ready(signal, now, &self.bounds)
    }

    /// The endpoint of a signal has come back after a long time; what came after the `last_failure`
    /// is fresh.
    pub(super) fn recover(&self, signal: Signal, last_failure: Instant, now: Instant) {
        self.lock().lanes.recover(signal, last_failure, now);
    }

    /// Gives up what was tried for too long.
    pub(super) fn expire(&self, signal: Signal, now: Instant) {
        let Some(batching) = self.batching(signal) else {
            return;
        };
        let Some(tried_before) = now.checked_sub(batching.timeout) else {
            return;
        };
        let mut state = self.lock();
        let is_over = |batch: &Batch| batch.tried.is_some_and(|tried| tried < tried_before);
        let expired = state.lanes.remove(signal, is_over);
        state.forget(&expired, Reason::RetryExhausted);
    }

    /// Gives up the parts of a signal that are not worth a request any more.
    pub(super) fn give_up(&self, signal: Signal, reason: Reason) {
        let mut state = self.lock();
        let is_over = |batch: &Batch| batch.given_up().is_some();
        let given_up = state.lanes.remove(signal, is_over);
        state.forget(&given_up, reason);
    }

    /// Gives up all of a signal that waits: its time is over.
    pub(super) fn abandon(&self, signal: Signal) {
        let mut state = self.lock();
        state.abandon(&[signal]);
    }

    /// Shutdown is over: all that is left is given up. What was being sent may have arrived.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.abandon(&self.signals);
        for signal in &self.signals {
            state.conclude(*signal, |out| out.given_up(Reason::Deadline));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(&mut self, signal: Signal, records: u64, bytes: usize) {
        self.rows[signal as usize].in_flight += records;
        self.out[signal as usize] = Some(Out {
            records,
            bytes,
            is_sent: false,
        });
    }

    fn end(&mut self, signal: Signal) -> Option<Out> {
        let out = self.out[signal as usize].take()?;
        self.rows[signal as usize].in_flight -= out.records;
        Some(out)
    }

    /// Counts what became of what was under way, where it is.
    fn conclude(&mut self, signal: Signal, fate: impl FnOnce(&Out) -> Fate) {
        let Some(out) = self.end(signal) else {
            return;
        };
        self.lanes.free(out.bytes);
        let row = &mut self.rows[signal as usize];
        match fate(&out) {
            Fate::Taken { rejected } => {
                let rejected = rejected.min(out.records);
                row.rejected += rejected;
                row.acknowledged += out.records - rejected;
            }
            Fate::Dropped(reason) => row.drop(reason, out.records),
            Fate::Ambiguous => row.ambiguous += out.records,
        }
    }

    /// What was under way waits. `false`: shutdown has counted it.
    fn wait_again(&mut self, signal: Signal) -> bool {
        let Some(out) = self.end(signal) else {
            return false;
        };
        self.rows[signal as usize].queued += out.records;
        true
    }

    fn abandon(&mut self, signals: &[Signal]) {
        let waiting = self.lanes.empty(signals);
        self.forget(&waiting, Reason::Deadline);
        // A push that waits is no batch.
        if signals.contains(&Signal::Metrics) {
            let row = &mut self.rows[Signal::Metrics as usize];
            let pushes = std::mem::take(&mut row.queued);
            row.drop(Reason::Deadline, pushes);
        }
    }

    fn forget(&mut self, batches: &[Batch], reason: Reason) {
        for batch in batches {
            let row = &mut self.rows[batch.signal as usize];
            row.queued -= batch.len();
            row.drop(reason, batch.len());
        }
    }
}
