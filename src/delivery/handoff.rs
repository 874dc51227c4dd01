//! Where sources leave their records: a lock for a few nanoseconds, no allocation once the memory
//! is there, and never a wait for anything but another thread's copy.

use super::ledger::Reason;
use crate::{
    fork::Process,
    mutation::{self, Mutation},
    records::{Priority, Record, Signal},
    sync::{
        LOOKS, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        rest, yield_now,
    },
};
use crossbeam_utils::CachePadded;
use std::{mem, sync::atomic::AtomicUsize, thread};
use tokio::sync::Notify;

const MOST_SHARDS: usize = 8;
/// Of a shard's memory, what is kept when nothing much comes.
const MOST_KEPT_RECORDS: usize = 2_048;
const MOST_KEPT_BYTES: usize = 512 * 1024;
/// A shard that holds this much wakes the worker before its time.
const ENOUGH_TO_WAKE: usize = 256 * 1024;

/// Takes records from any thread and holds them until the worker comes.
#[derive(Debug)]
pub(crate) struct Handoff {
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    shard_bytes: usize,
    /// By [`Signal`]: whether somebody wants its records.
    wanted: [bool; Signal::ALL.len()],
    is_closed: AtomicBool,
    /// Those of each signal that found no shard free.
    found_none_free: [AtomicU64; Signal::ALL.len()],
    filled: Notify,
    /// The worker looks again in a while, unless it is woken.
    is_asleep: AtomicBool,
    process: Process,
    /// By signal: those of a forked child.
    forked: [AtomicU64; Signal::ALL.len()],
}

#[derive(Debug, Default)]
struct Shard {
    held: Held,
    offered: [Counts; Signal::ALL.len()],
}

/// Records that lie in the hand-off, or were taken out of it together.
#[derive(Debug)]
pub(crate) struct Held {
    /// Each with the end of its fields, which begin where those of the one before end.
    records: Vec<(Record, usize)>,
    fields: Vec<u8>,
    boxed_bytes: usize,
}

/// What became of records of one signal at the hand-off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All that were offered, those that found no room included.
    pub(crate) accepted: u64,
    /// Dropped for want of room, or of a free shard to a thread that must not wait.
    pub(crate) queue_full: u64,
    /// Dropped because the telemetry was shut down.
    pub(crate) after_shutdown: u64,
}

impl Counts {
    /// What was dropped at the hand-off, by reason.
    pub(super) fn dropped(&self) -> [(Reason, u64); 2] {
        [
            (Reason::QueueFull, self.queue_full),
            (Reason::AfterShutdown, self.after_shutdown),
        ]
    }

    /// What was let in.
    pub(super) fn passed(&self) -> u64 {
        let dropped: u64 = self.dropped().iter().map(|(_, count)| count).sum();
        self.accepted.saturating_sub(dropped)
    }
}

impl Handoff {
    /// Holds at most `bytes`; of records of the other signals none are to be built.
    pub(crate) fn new(bytes: usize, wanted: &[Signal]) -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        Self::with_shards((2 * cores).min(MOST_SHARDS), bytes, wanted)
    }

    pub(super) fn with_shards(shards: usize, bytes: usize, wanted: &[Signal]) -> Self {
        Self {
            shards: (0..shards).map(|_| CachePadded::default()).collect(),
            shard_bytes: bytes / shards,
            wanted: Signal::ALL.map(|signal| wanted.contains(&signal)),
            is_closed: AtomicBool::new(false),
            found_none_free: Default::default(),
            filled: Notify::new(),
            is_asleep: AtomicBool::new(false),
            process: Process::current(),
            forked: Default::default(),
        }
    }

    /// Whether records of this signal have somewhere to go. Where they have not, a source builds
    /// none; error records are always built, since they are grouped in the process.
    #[inline]
    pub(crate) fn wants(&self, signal: Signal) -> bool {
        self.wanted[signal as usize]
    }

    /// Whether the caller runs in a forked child, which has nobody to take what lies here; then the
    /// record that it is about to make is lost, and counted without a lock.
    #[inline]
    pub(crate) fn is_lost_by_fork(&self, signal: Signal) -> bool {
        let is_forked = self.is_forked();
        if is_forked {
            self.forked[signal as usize].fetch_add(1, Ordering::Relaxed);
        }
        is_forked
    }

    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.process.is_forked()
    }

    /// Records of a forked child, and in the child itself.
    pub(crate) fn lost_by_fork(&self, signal: Signal) -> u64 {
        self.forked[signal as usize].load(Ordering::Relaxed)
    }

    /// Leaves a record; one that finds no room, or comes after the end, is counted.
    ///
    /// As a rule no call to the system: who finds its shard taken takes another, and the worker is
    /// woken only when it comes to look rarely.
    #[inline]
    pub(crate) fn offer(&self, record: Record, fields: &[u8]) {
        if self.is_lost_by_fork(record.signal()) {
            return;
        }
        let mine = shard_of_this_thread();
        if mutation::is_on(Mutation::WaitsForRoom) {
            while lock(self.shard(mine)).held.bytes() > self.shard_bytes / 2 {
                self.wake();
                yield_now();
            }
        }
        // None free: as many threads lost the processor amid a copy. Then one waits.
        let mut shard = self
            .free_shard(mine)
            .unwrap_or_else(|| lock(self.shard(mine)));
        let is_enough = self.leave(&mut shard, record, fields);
        drop(shard);
        if is_enough && self.is_asleep.swap(false, Ordering::Relaxed) {
            self.filled.notify_one();
        }
    }

    /// As [`offer`](Self::offer), for a thread that must not wait and may hold any lock, such as
    /// one that panics. `false`: every shard was taken, and the record is lost, counted as one that
    /// found no room.
    pub(crate) fn offer_without_waiting(&self, record: Record, fields: &[u8]) -> bool {
        // A shard is held for a fraction of a microsecond, unless its holder lost the processor:
        // then it may have this one.
        const ROUNDS: usize = 16;
        if self.is_lost_by_fork(record.signal()) {
            return false;
        }
        let mine = shard_of_this_thread();
        let free = (0..ROUNDS).find_map(|round| {
            if round > 0 {
                yield_now();
            }
            self.free_shard(mine)
        });
        match free {
            Some(mut shard) => {
                self.leave(&mut shard, record, fields);
                true
            }
            None => {
                let signal = record.signal() as usize;
                self.found_none_free[signal].fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// The first that nobody holds, beginning with `mine`.
    #[inline]
    fn free_shard(&self, mine: usize) -> Option<MutexGuard<'_, Shard>> {
        (0..self.shards.len()).find_map(|next| {
            match self.shard(mine.wrapping_add(next)).try_lock() {
                Ok(shard) => Some(shard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        })
    }

    #[inline]
    fn shard(&self, number: usize) -> &Mutex<Shard> {
        &self.shards[number % self.shards.len()]
    }

    /// Whether the worker is to be woken.
    fn leave(&self, shard: &mut Shard, record: Record, fields: &[u8]) -> bool {
        let is_closed = self.is_closed.load(Ordering::Relaxed);
        if is_closed && mutation::is_on(Mutation::SilentAfterShutdown) {
            return false;
        }
        let counts = &mut shard.offered[record.signal() as usize];
        counts.accepted += 1;
        if is_closed {
            counts.after_shutdown += 1;
            return false;
        }
        let before = shard.held.bytes();
        let after =
            before + mem::size_of::<(Record, usize)>() + fields.len() + record.boxed_bytes();
        // The last eighths are kept for what is lost last.
        let room = match record.priority() {
            Priority::Errors => self.shard_bytes,
            Priority::Events => self.shard_bytes / 8 * 7,
            Priority::Routine => self.shard_bytes / 8 * 6,
        };
        if after > room {
            counts.queue_full += 1;
            return false;
        }
        shard.held.boxed_bytes += record.boxed_bytes();
        shard.held.fields.extend_from_slice(fields);
        let end = shard.held.fields.len();
        shard.held.records.push((record, end));
        let enough = ENOUGH_TO_WAKE.min(self.shard_bytes / 2);
        before < enough && after >= enough
    }

    /// From here on the worker is to be woken when a shard holds so much that it should come.
    pub(super) fn await_filling(&self) {
        self.is_asleep.store(true, Ordering::SeqCst);
    }

    /// Ends when one does.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Wakes the worker before its time.
    pub(super) fn wake(&self) {
        self.filled.notify_one();
    }

    /// Hands over what lies in each shard in turn, and says whether one was so full that it is to
    /// be looked after soon. `taken` may be empty memory to use again.
    pub(super) fn take(&self, taken: &mut Held, mut each: impl FnMut(&mut Held)) -> bool {
        let mut was_full = false;
        for shard in &self.shards {
            taken.clear();
            {
                let mut shard = lock_patiently(shard);
                // Memory that has grown goes to shards that are written: where nothing came, it would lie
                // idle, and the next burst have to make its own grow anew.
                if shard.held.records.is_empty() {
                    continue;
                }
                mem::swap(&mut shard.held, taken);
            }
            was_full |= taken.bytes() > self.shard_bytes / 16;
            each(taken);
        }
        taken.clear();
        was_full
    }

    /// Gives the memory of a burst back, when it is over: amid one, to have it given again would be
    /// a call to the system for who records.
    pub(super) fn shrink(&self, taken: &mut Held) {
        for shard in &self.shards {
            lock_patiently(shard).held.shrink();
        }
        taken.shrink();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// From here on records are counted and dropped.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// What was offered of one signal so far, and what became of it here.
    pub(crate) fn counts(&self, signal: Signal) -> Counts {
        let found_none_free = self.found_none_free[signal as usize].load(Ordering::Relaxed);
        let before = Counts {
            accepted: found_none_free,
            queue_full: found_none_free,
            ..Counts::default()
        };
        self.shards.iter().fold(before, |sum, shard| {
            let counts = lock_patiently(shard).offered[signal as usize];
            Counts {
                accepted: sum.accepted + counts.accepted,
                queue_full: sum.queue_full + counts.queue_full,
                after_shutdown: sum.after_shutdown + counts.after_shutdown,
            }
        })
    }
}

#[cfg(test)]
impl Handoff {
    /// What lies here, each record with its fields.
    pub(crate) fn drain(&self) -> Vec<(Record, Vec<u8>)> {
        let (mut taken, mut all) = (Held::default(), Vec::new());
        self.take(&mut taken, |held| {
            let held = mem::take(held);
            let fields: Vec<_> = held.iter().map(|(_, fields)| fields.to_vec()).collect();
            let records = held.records.into_iter().map(|(record, _)| record);
            all.extend(records.zip(fields));
        });
        all
    }
}

/// With room for the first records, so that even they allocate nothing.
impl Default for Held {
    fn default() -> Self {
        Self {
            records: Vec::with_capacity(64),
            fields: Vec::with_capacity(16 * 1024),
            boxed_bytes: 0,
        }
    }
}

impl Held {
    fn bytes(&self) -> usize {
        self.records.len() * mem::size_of::<(Record, usize)>()
            + self.fields.len()
            + self.boxed_bytes
    }

    fn clear(&mut self) {
        self.records.clear();
        self.fields.clear();
        self.boxed_bytes = 0;
    }

    fn shrink(&mut self) {
        self.records.shrink_to(MOST_KEPT_RECORDS);
        self.fields.shrink_to(MOST_KEPT_BYTES);
    }

    /// Each record with its fields, in the order of their coming.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Record, &[u8])> {
        let mut begin = 0;
        self.records.iter().map(move |(record, end)| {
            let fields = &self.fields[begin..*end];
            begin = *end;
            (record, fields)
        })
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For who is not recording: who waits for a lock makes its holder call the system to pass it on.
fn lock_patiently(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    for look in 0..LOOKS {
        match shard.try_lock() {
            Ok(shard) => return shard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if look < LOOKS / 2 => yield_now(),
            // Its holder lost the processor.
            Err(TryLockError::WouldBlock) => rest(),
        }
    }
    lock(shard)
}

/// Threads take shards in turn, so that few share one.
#[inline]
fn shard_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    MINE.try_with(|mine| *mine).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        records::{EXCEPTION, Log, Severity},
    };

    fn log() -> Record {
        Record::Log(Log {
            context: None,
            at: Clock::system().now(),
            severity: Severity::Error,
            event_name: EXCEPTION.into(),
        })
    }

    #[test]
    fn memory_that_has_grown_is_used_again_where_it_grew() {
        let handoff = Handoff::with_shards(4, 1 << 20, &[Signal::Logs]);
        let mut taken = Held::default();
        for _ in 0..2 {
            for _ in 0..500 {
                handoff.offer(log(), &[]);
            }
            handoff.take(&mut taken, |held| assert_eq!(held.records.len(), 500));
        }
        let mine = lock(handoff.shard(shard_of_this_thread()));
        assert!(mine.held.records.is_empty());
        assert!(mine.held.records.capacity() >= 500);
    }

    #[test]
    fn a_record_that_finds_every_shard_taken_is_counted_as_one_without_room() {
        let handoff = Handoff::new(1 << 20, &[Signal::Logs]);
        let offer = || handoff.offer_without_waiting(log(), &[]);
        let mut taken: Vec<_> = handoff.shards.iter().map(|shard| lock(shard)).collect();
        assert!(!offer());
        taken.pop();
        assert!(offer());
        drop(taken);
        let counts = handoff.counts(Signal::Logs);
        assert_eq!((counts.accepted, counts.queue_full), (2, 1));
        assert_eq!(handoff.drain().len(), 1);
    }
}
