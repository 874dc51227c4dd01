//! What waits, in lanes by priority and signal, within a budget of bytes.

use super::{Batching, Bounds, Due, batch::Batch};
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

#[derive(Debug)]
pub(super) struct Lanes {
    /// By priority, then by signal; each in the order of coming.
    waiting: [[VecDeque<Batch>; WAITING.len()]; Priority::ALL.len()],
    /// Of all that waits and of what was taken and not settled.
    bytes: usize,
    /// Of one request's records, by signal: less once the destination found one too large.
    most_payload: [usize; WAITING.len()],
    recoveries: [Option<Recovery>; WAITING.len()],
}

/// An endpoint has come back after a long time: what is fresh goes first, and what had to wait goes
/// no faster than that, so that a fleet does not overrun who has just come back.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    since: Instant,
    /// What came from here on is fresh: the endpoint may have been back already.
    fresh: Instant,
    /// Records that came since.
    arrived: u64,
    /// Of those that had to wait, what went since.
    drained: u64,
}

impl Recovery {
    /// Records a second that may go though nothing comes.
    const FLOOR: u64 = 1_000;

    /// How many may have gone by now.
    fn allowance(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.since).as_millis();
        let floor = u64::try_from(millis)
            .unwrap_or(u64::MAX)
            .saturating_mul(Self::FLOOR)
            / 1_000;
        self.arrived.max(floor)
    }

    /// How long until the next batch may go at the latest. The first goes at once.
    fn wait(&self, now: Instant) -> Duration {
        let missing = self.drained.saturating_sub(self.allowance(now));
        Duration::from_millis((missing * 1_000).div_ceil(Self::FLOOR))
    }
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

impl Lanes {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self {
            waiting: Default::default(),
            bytes: 0,
            most_payload: [bounds.batch_bytes; WAITING.len()],
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

    /// Lets a record wait. Where there is no room, the oldest of what may be lost sooner makes it,
    /// and is handed to `evicted`; else the record finds none, and this is false.
    pub(super) fn push(
        &mut self,
        signal: Signal,
        priority: Priority,
        record: &[u8],
        now: Instant,
        bounds: &Bounds,
        mut evicted: impl FnMut(Batch),
    ) -> bool {
        let more = Batch::bytes_of(record);
        if more > bounds.bytes {
            return false;
        }
        let is_bounded = !mutation::is_on(Mutation::UnboundedQueue);
        while is_bounded && self.bytes + more > bounds.bytes {
            match self.evict_for(priority) {
                Some(batch) => evicted(batch),
                None => return false,
            }
        }
        self.bytes += more;
        let at = signal as usize;
        let most_records = bounds.batching[at].records;
        let fresh = self.recoveries[at].as_mut().map(|recovery| {
            recovery.arrived += 1;
            recovery.fresh
        });
        let lane = &mut self.waiting[priority as usize][at];
        let has_room = lane.back().is_some_and(|last| {
            last.is_open()
                && fresh.is_none_or(|fresh| last.since >= fresh)
                && last.len() < most_records as u64
                && last.payload() + record.len() <= self.most_payload[at]
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
        true
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

    /// The most urgent batch of a signal that is due.
    pub(super) fn take(
        &mut self,
        signal: Signal,
        now: Instant,
        due: Due,
        bounds: &Bounds,
    ) -> Option<Batch> {
        let (lane, index) = self.next(signal, now, due, bounds)?;
        let at = signal as usize;
        let mut batch = self.waiting[lane][at].remove(index)?;
        batch.seal();
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
            (Some(batch), Due::Since(began)) => batch.since <= began,
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

    /// Puts back what was not taken, before all that came after it.
    pub(super) fn put_back(&mut self, batch: Batch) {
        let lane = &mut self.waiting[batch.priority as usize][batch.signal as usize];
        let at = lane.partition_point(|other| other.since < batch.since);
        lane.insert(at, batch);
    }

    /// The destination found so much too large.
    pub(super) fn make_smaller(&mut self, signal: Signal, payload: usize) {
        let most = &mut self.most_payload[signal as usize];
        *most = (*most).min((payload / 2).max(SMALLEST_REQUEST));
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
            *recovery = Some(Recovery {
                since: now,
                fresh: last_failure,
                arrived: 0,
                drained: 0,
            });
        }
    }

    /// Those of a signal that were first sent before `tried_before`.
    pub(super) fn expired(&mut self, signal: Signal, tried_before: Instant) -> Vec<Batch> {
        let mut expired = Vec::new();
        for lanes in &mut self.waiting {
            let lane = &mut lanes[signal as usize];
            // What was tried is at the front.
            while let Some(front) = lane.front()
                && front.tried.is_some_and(|tried| tried < tried_before)
            {
                expired.extend(lane.pop_front());
            }
        }
        let bytes = expired.iter().map(Batch::bytes).sum();
        self.free(bytes);
        expired
    }

    /// The parts of a signal that are not worth a request any more.
    pub(super) fn given_up(&mut self, signal: Signal) -> Vec<Batch> {
        let mut given_up = Vec::new();
        for lanes in &mut self.waiting {
            let lane = &mut lanes[signal as usize];
            let (lost, left) = mem::take(lane)
                .into_iter()
                .partition(|batch| batch.given_up().is_some());
            *lane = left;
            given_up.extend::<VecDeque<_>>(lost);
        }
        let bytes = given_up.iter().map(Batch::bytes).sum();
        self.free(bytes);
        given_up
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
