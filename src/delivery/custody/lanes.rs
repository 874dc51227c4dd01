//! What waits, in lanes by priority and signal, within a budget of bytes.

use super::{Batching, Bounds, Due, batch::Batch, recovery::Recovery};
use crate::{
    mutation::{self, Mutation},
    records::{Priority, Signal},
};
use std::{
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};

/// The signals whose records wait; metrics are read when it is time.
pub(super) const WAITING: [Signal; 2] = [Signal::Traces, Signal::Logs];

/// Requests are not made smaller than this because of their size: a destination that takes less
/// is to be told record by record.
const SMALLEST_REQUEST: usize = 64 * 1024;

/// After this a size that was found too large is tried again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Lanes {
    /// By priority, then by signal; each in the order of coming.
    waiting: [[VecDeque<Batch>; WAITING.len()]; Priority::ALL.len()],
    /// Of all that waits and of what was taken and not settled.
    bytes: usize,
    sizes: [Size; WAITING.len()],
    recoveries: [Option<Recovery>; WAITING.len()],
}

/// How long until a batch is to go though it is not full.
fn ripens_in(
    lane: &VecDeque<Batch>,
    index: usize,
    now: Instant,
    batching: &Batching,
) -> Option<Duration> {
    let batch = lane.get(index)?;
    let is_closed = index + 1 < lane.len() || !batch.is_open();
    Some(if is_closed || batch.len() >= batching.records as u64 {
        Duration::ZERO
    } else {
        let waited = now.saturating_duration_since(batch.since);
        batching.delay.saturating_sub(waited)
    })
}

/// How large the records of a request may be: less once the destination found one too large.
#[derive(Clone, Copy, Debug)]
struct Size {
    most: usize,
    learnt: Option<Instant>,
}

impl Lanes {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self {
            waiting: Default::default(),
            bytes: 0,
            sizes: [Size {
                most: bounds.batch_bytes,
                learnt: None,
            }; WAITING.len()],
            recoveries: Default::default(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of what was taken are free again.
    pub(super) fn free(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Makes room for a record by the oldest of what may be lost sooner, which is put into
    /// `evicted`. `false`: there is none to be had.
    pub(super) fn make_room(
        &mut self,
        priority: Priority,
        record: &[u8],
        bounds: &Bounds,
        evicted: &mut Vec<Batch>,
    ) -> bool {
        let more = Batch::bytes_of(record);
        if more > bounds.bytes {
            return false;
        }
        let is_bounded = !mutation::is_on(Mutation::UnboundedQueue);
        while is_bounded && self.bytes + more > bounds.bytes {
            match self.evict_for(priority) {
                Some(batch) => evicted.push(batch),
                None => return false,
            }
        }
        true
    }

    /// Lets a record wait, for which there is room.
    pub(super) fn push(
        &mut self,
        signal: Signal,
        priority: Priority,
        record: &[u8],
        now: Instant,
        bounds: &Bounds,
    ) {
        self.bytes += Batch::bytes_of(record);
        let at = signal as usize;
        let most_records = bounds.batching[at].records;
        let most_payload = self.most_payload(signal, now, bounds);
        let fresh = self.recoveries[at].as_mut().map(|recovery| {
            recovery.arrived += 1;
            recovery.fresh
        });
        let lane = &mut self.waiting[priority as usize][at];
        let has_room = lane.back().is_some_and(|last| {
            last.is_open()
                && fresh.is_none_or(|fresh| last.since >= fresh)
                && last.len() < most_records as u64
                && last.payload() + record.len() <= most_payload
        });
        if !has_room {
            if let Some(last) = lane.back_mut() {
                last.seal();
            }
            lane.push_back(Batch::new(signal, priority, now));
        }
        if let Some(last) = lane.back_mut() {
            last.push(record);
        }
    }

    /// The oldest batch of what is lost before a record of `priority`, the least urgent first. Of
    /// errors the first are kept: they tell more of a cause than the last.
    fn evict_for(&mut self, priority: Priority) -> Option<Batch> {
        let sooner = match priority {
            Priority::Errors => Priority::Events,
            other => other,
        };
        let least_first = if mutation::is_on(Mutation::ErrorsFirst) {
            [Priority::Errors, Priority::Events, Priority::Routine]
        } else {
            [Priority::Routine, Priority::Events, Priority::Errors]
        };
        let mut candidates = least_first.into_iter().filter(|lane| {
            *lane as usize >= sooner as usize || mutation::is_on(Mutation::ErrorsFirst)
        });
        let batch = candidates.find_map(|lane| {
            let signals = &mut self.waiting[lane as usize];
            let oldest = signals.iter_mut().min_by_key(|lane| {
                lane.front()
                    .map_or((true, None), |b| (false, Some(b.since)))
            });
            oldest.and_then(VecDeque::pop_front)
        })?;
        self.free(batch.bytes());
        Some(batch)
    }

    /// The most urgent batch of a signal that is due, `most` of its records.
    pub(super) fn take(
        &mut self,
        signal: Signal,
        now: Instant,
        due: Due,
        most: usize,
        bounds: &Bounds,
    ) -> Option<Batch> {
        let (lane, index) = self.next(signal, now, due, bounds)?;
        let at = signal as usize;
        let most = most.min(self.most_records(signal, now, bounds, lane, index));
        let mut batch = self.waiting[lane][at].remove(index)?;
        batch.seal();
        if let Some(rest) = batch.cut(most) {
            self.waiting[lane][at].insert(index, rest);
        }
        if let Some(mut recovery) = self.recoveries[at] {
            if batch.since < recovery.fresh {
                recovery.drained += batch.len();
            }
            let has_more = self.of_signal(signal).any(|(_, lane)| {
                let oldest = lane.front();
                oldest.is_some_and(|batch| batch.since < recovery.fresh)
            });
            self.recoveries[at] = has_more.then_some(recovery);
        }
        Some(batch)
    }

    /// Of a batch that was put together before a smaller size was learnt.
    fn most_records(
        &mut self,
        signal: Signal,
        now: Instant,
        bounds: &Bounds,
        lane: usize,
        index: usize,
    ) -> usize {
        let most_payload = self.most_payload(signal, now, bounds);
        let batch = self.waiting[lane][signal as usize].get(index);
        batch.map_or(usize::MAX, |batch| batch.records_within(most_payload))
    }

    /// Where that batch is.
    fn next(
        &self,
        signal: Signal,
        now: Instant,
        due: Due,
        bounds: &Bounds,
    ) -> Option<(usize, usize)> {
        let batching = &bounds.batching[signal as usize];
        let recovery = match due {
            Due::Ready => self.recoveries[signal as usize],
            // Whoever asks for everything wants it now.
            Due::Since(_) | Due::All => None,
        };
        let is_due = |lane: &VecDeque<Batch>, index: usize| match (lane.get(index), due) {
            (None, _) => false,
            (Some(_), Due::Ready) => ripens_in(lane, index, now, batching) == Some(Duration::ZERO),
            (Some(batch), Due::Since(began)) => batch.began <= began,
            (Some(_), Due::All) => true,
        };
        self.of_signal(signal).find_map(|(priority, lane)| {
            let fresh = match recovery {
                Some(recovery) => lane.partition_point(|batch| batch.since < recovery.fresh),
                None => 0,
            };
            if is_due(lane, fresh) {
                return Some((priority, fresh));
            }
            let may_drain =
                fresh > 0 && recovery.is_some_and(|recovery| recovery.wait(now).is_zero());
            (may_drain && is_due(lane, 0)).then_some((priority, 0))
        })
    }

    pub(super) fn has_due(&self, signal: Signal, now: Instant, due: Due, bounds: &Bounds) -> bool {
        self.next(signal, now, due, bounds).is_some()
    }

    /// How long until a batch of a signal that waits is due of itself; `None`: nothing waits.
    pub(super) fn next_ready(
        &self,
        signal: Signal,
        now: Instant,
        bounds: &Bounds,
    ) -> Option<Duration> {
        let batching = &bounds.batching[signal as usize];
        let recovery = self.recoveries[signal as usize];
        let waits = self.of_signal(signal).flat_map(|(_, lane)| {
            // Of each lane the oldest, and the last that is still open.
            [0, lane.len().wrapping_sub(1)].map(|index| {
                let ripe = ripens_in(lane, index, now, batching)?;
                let since = lane.get(index)?.since;
                let had_to_wait = recovery.filter(|recovery| since < recovery.fresh);
                Some(ripe.max(had_to_wait.map_or(Duration::ZERO, |it| it.wait(now))))
            })
        });
        waits.flatten().min()
    }

    /// Puts back what was not taken, before all that came after it; behind the first of them where
    /// that is to be asked about before.
    pub(super) fn put_back(&mut self, batch: Batch, is_behind_one: bool) {
        let at = batch.signal as usize;
        if let Some(recovery) = &mut self.recoveries[at]
            && batch.since < recovery.fresh
        {
            recovery.drained = recovery.drained.saturating_sub(batch.len());
        }
        let lane = &mut self.waiting[batch.priority as usize][at];
        let first = lane.partition_point(|other| other.since < batch.since);
        let index = (first + usize::from(is_behind_one)).min(lane.len());
        lane.insert(index, batch);
    }

    /// The destination found so much too large.
    pub(super) fn make_smaller(&mut self, signal: Signal, payload: usize, now: Instant) {
        let size = &mut self.sizes[signal as usize];
        let most = size.most.min((payload / 2).max(SMALLEST_REQUEST));
        *size = Size {
            most,
            learnt: Some(now),
        };
    }

    /// Of one request's records. What was learnt is forgotten after a while: a limit may have been
    /// raised.
    fn most_payload(&mut self, signal: Signal, now: Instant, bounds: &Bounds) -> usize {
        let size = &mut self.sizes[signal as usize];
        let age = size.learnt.map(|at| now.saturating_duration_since(at));
        if age.is_some_and(|age| age >= FORGOTTEN_AFTER) {
            *size = Size {
                most: bounds.batch_bytes,
                learnt: None,
            };
        }
        size.most
    }

    /// The endpoint of a signal has come back after a long time.
    pub(super) fn recover(&mut self, signal: Signal, last_failure: Instant, now: Instant) {
        if let Some(recovery) = self.recoveries.get_mut(signal as usize) {
            for lanes in &mut self.waiting {
                // What was fresh already may have joined what had come before.
                if let Some(last) = lanes[signal as usize].back_mut()
                    && last.is_open()
                {
                    last.since = last.since.max(last_failure);
                }
            }
            *recovery = Some(Recovery::new(last_failure, now));
        }
    }

    /// Takes those of a signal out that are not to be sent any more.
    pub(super) fn remove(
        &mut self,
        signal: Signal,
        is_over: impl Fn(&Batch) -> bool,
    ) -> Vec<Batch> {
        let mut removed = Vec::new();
        for lanes in &mut self.waiting {
            let lane = &mut lanes[signal as usize];
            if lane.iter().any(&is_over) {
                let (over, left): (VecDeque<_>, _) = mem::take(lane)
                    .into_iter()
                    .partition(|batch| is_over(batch));
                *lane = left;
                removed.extend(over);
            }
        }
        let bytes = removed.iter().map(Batch::bytes).sum();
        self.free(bytes);
        removed
    }

    /// All that waits of these signals.
    pub(super) fn empty(&mut self, signals: &[Signal]) -> Vec<Batch> {
        let mut all = Vec::new();
        for lanes in &mut self.waiting {
            for signal in signals {
                all.extend(
                    lanes
                        .get_mut(*signal as usize)
                        .into_iter()
                        .flat_map(mem::take),
                );
            }
        }
        let bytes = all.iter().map(Batch::bytes).sum();
        self.free(bytes);
        all
    }

    /// Each lane of a signal with its priority, the most urgent first.
    fn of_signal(&self, signal: Signal) -> impl Iterator<Item = (usize, &VecDeque<Batch>)> {
        let lanes = self.waiting.iter().enumerate();
        lanes.filter_map(move |(priority, lanes)| Some((priority, lanes.get(signal as usize)?)))
    }
}
