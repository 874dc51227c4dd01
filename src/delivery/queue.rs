//! What waits for one destination, encoded, in lanes by priority and within a budget of bytes.

use super::ledger::{Ledger, Reason, add, take_off};
use crate::records::{Priority, Signal};
use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// The signals whose records wait; metrics are read when it is time.
const WAITING: [Signal; 2] = [Signal::Traces, Signal::Logs];

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
    /// Of one request, all its attempts included.
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

/// Encoded records that go in one request.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) signal: Signal,
    pub(super) since: Instant,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    fn new(signal: Signal, since: Instant) -> Self {
        Self {
            signal,
            since,
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub(super) fn records(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let record = &self.bytes[begin..*end];
            begin = *end;
            record
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// Two halves; `None` for the second: there was one record only.
    pub(super) fn split(mut self) -> (Self, Option<Self>) {
        let half = self.ends.len() / 2;
        if half == 0 {
            return (self, None);
        }
        let at = self.ends[half - 1];
        let mut second = Self::new(self.signal, self.since);
        second.bytes = self.bytes.split_off(at);
        second.ends = self.ends.split_off(half);
        second.ends.iter_mut().for_each(|end| *end -= at);
        (self, Some(second))
    }
}

/// The lanes of one destination.
#[derive(Debug)]
pub(crate) struct Queue {
    lanes: Mutex<Lanes>,
    bounds: Bounds,
    /// By signal.
    arrived: [Notify; WAITING.len()],
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

#[derive(Debug, Default)]
struct Lanes {
    /// By priority, then by signal.
    waiting: [[VecDeque<Batch>; WAITING.len()]; Priority::ALL.len()],
    /// Of all that waits and of what was taken and not settled.
    bytes: usize,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            lanes: Mutex::default(),
            bounds,
            arrived: Default::default(),
        }
    }

    /// Lets a record wait. Where there is no room, the oldest of what may be lost sooner makes it,
    /// else the record is given up.
    pub(super) fn push(
        &self,
        ledger: &Ledger,
        signal: Signal,
        priority: Priority,
        record: &[u8],
        now: Instant,
    ) {
        let Some(row) = ledger.row(signal) else {
            return;
        };
        let mut lanes = self.lock();
        while lanes.bytes + record.len() > self.bounds.bytes {
            if !lanes.evict_below(priority, ledger) {
                row.drop(Reason::BytesFull, 1);
                return;
            }
        }
        lanes.bytes += record.len();
        add(&row.queued, 1);
        let lane = &mut lanes.waiting[priority as usize][signal as usize];
        let has_room = lane.back().is_some_and(|last| {
            last.ends.len() < self.bounds.batching[signal as usize].records
                && last.bytes.len() + record.len() <= self.bounds.batch_bytes
        });
        if !has_room {
            lane.push_back(Batch::new(signal, now));
        }
        if let Some(last) = lane.back_mut() {
            last.push(record);
        }
    }

    /// Tells the destination that something was pushed.
    pub(super) fn announce(&self) {
        self.arrived.iter().for_each(Notify::notify_one);
    }

    /// Ends when something was pushed.
    pub(super) async fn arrived(&self, signal: Signal) {
        self.arrived[signal as usize].notified().await;
    }

    /// From the first attempt on: then a batch is given up.
    pub(super) fn timeout(&self, signal: Signal) -> Duration {
        self.bounds.batching[signal as usize].timeout
    }

    /// The most urgent batch of a signal that is due. It is in flight until it is settled.
    pub(super) fn take(
        &self,
        ledger: &Ledger,
        signal: Signal,
        now: Instant,
        due: Due,
    ) -> Option<Batch> {
        let Batching { records, delay, .. } = self.bounds.batching[signal as usize];
        let is_ready = |batch: &Batch, is_last: bool| {
            let is_full = !is_last || batch.ends.len() >= records;
            is_full || now.saturating_duration_since(batch.since) >= delay
        };
        let is_due = |batch: &Batch, is_last: bool| match due {
            Due::Ready => is_ready(batch, is_last),
            Due::Since(began) => batch.since <= began,
            Due::All => true,
        };
        let mut lanes = self.lock();
        let mut of_signal = lanes
            .waiting
            .iter_mut()
            .map(|lane| &mut lane[signal as usize]);
        let lane = of_signal.find(|lane| {
            let front = lane.front();
            front.is_some_and(|batch| is_due(batch, lane.len() == 1))
        })?;
        let mut batch = lane.pop_front()?;
        if let Some(row) = ledger.row(signal) {
            take_off(&row.queued, batch.len());
            add(&row.in_flight, batch.len());
        }
        batch.bytes.shrink_to_fit();
        Some(batch)
    }

    /// How long until a batch of a signal that waits is old enough to go; `None`: nothing waits.
    pub(super) fn next_ready(&self, signal: Signal, now: Instant) -> Option<Duration> {
        let delay = self.bounds.batching[signal as usize].delay;
        let lanes = self.lock();
        let waiting = lanes.waiting.iter().map(|lane| &lane[signal as usize]);
        let oldest = waiting.filter_map(VecDeque::front).map(|batch| batch.since);
        let waited = now.saturating_duration_since(oldest.min()?);
        Some(delay.saturating_sub(waited))
    }

    /// The bytes of what was taken are free again.
    pub(super) fn settle(&self, bytes: usize) {
        let mut lanes = self.lock();
        lanes.bytes = lanes.bytes.saturating_sub(bytes);
    }

    /// Bytes of what waits and of what is under way.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Gives up all that waits.
    pub(super) fn abandon(&self, ledger: &Ledger, reason: Reason) {
        let mut lanes = self.lock();
        let Lanes { waiting, bytes } = &mut *lanes;
        for batch in waiting.iter_mut().flatten().flat_map(mem::take) {
            *bytes = bytes.saturating_sub(batch.bytes.len());
            forget(&batch, ledger, reason);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    /// Gives up the oldest batch that is to be lost before one of `priority`, the least urgent
    /// first. Whether there was one.
    fn evict_below(&mut self, priority: Priority, ledger: &Ledger) -> bool {
        let lanes = self.waiting.iter_mut().enumerate().rev();
        let mut less_urgent = lanes
            .filter(|(lane, _)| *lane > priority as usize)
            .flat_map(|(_, lane)| lane);
        let Some(batch) = less_urgent.find_map(VecDeque::pop_front) else {
            return false;
        };
        self.bytes = self.bytes.saturating_sub(batch.bytes.len());
        forget(&batch, ledger, Reason::BytesFull);
        true
    }
}

fn forget(batch: &Batch, ledger: &Ledger, reason: Reason) {
    if let Some(row) = ledger.row(batch.signal) {
        take_off(&row.queued, batch.len());
        row.drop(reason, batch.len());
    }
}
