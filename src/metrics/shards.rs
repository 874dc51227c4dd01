//! Shards: a thread records into a cache line of its own, a reader adds the lines up.
//!
//! The first few threads own a shard each, for as long as they live. An owner is the only writer
//! of its shard, so it adds by a load and a store, at a fifth of the price of a locked addition.
//! Later threads share the remaining shards and pay for the lock.

use crate::fork::Lock;
use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

/// The most threads that own a shard; more would cost memory for each series.
const MOST_OWNERS: usize = 8;
const MOST_SHARED: usize = 4;

/// How many shards an instrument has: owned ones, two for each core since more threads than cores
/// record, then shared ones, more of them the more threads there may be.
#[derive(Clone, Copy, Debug)]
struct Layout {
    owned: usize,
    shared: usize,
}

fn layout() -> Layout {
    static LAYOUT: OnceLock<Layout> = OnceLock::new();
    *LAYOUT.get_or_init(|| {
        let cores = thread::available_parallelism().map_or(4, usize::from);
        Layout {
            owned: (2 * cores).min(MOST_OWNERS),
            shared: (cores / 4).clamp(1, MOST_SHARED),
        }
    })
}

/// How many shards an instrument has.
pub(super) fn count() -> usize {
    let Layout { owned, shared } = layout();
    owned + shared
}

/// The shard that the calling thread records into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mine {
    pub(super) index: usize,
    is_owned: bool,
}

impl Mine {
    /// Adds to a word of this shard, wrapping around.
    #[inline]
    pub(super) fn add(self, word: &AtomicU64, by: u64) {
        if self.is_owned {
            let sum = word.load(Ordering::Relaxed).wrapping_add(by);
            word.store(sum, Ordering::Relaxed);
        } else {
            word.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Adds to a word of this shard that holds the bits of a float.
    #[inline]
    pub(super) fn add_float(self, word: &AtomicU64, by: f64) {
        let add = |bits| (f64::from_bits(bits) + by).to_bits();
        if self.is_owned {
            word.store(add(word.load(Ordering::Relaxed)), Ordering::Relaxed);
        } else {
            // Never refuses: there is always a sum.
            let add = |bits| Some(add(bits));
            let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }
}

/// The shard of the calling thread.
#[inline]
pub(super) fn mine() -> Mine {
    thread_local! {
        static CLAIM: Claim = Claim::take();
    }
    // A thread that is going has given its shard back.
    CLAIM.try_with(|claim| claim.0).unwrap_or_else(|_| shared())
}

/// One of the shared shards, in turn.
fn shared() -> Mine {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let Layout { owned, shared } = layout();
    Mine {
        index: owned + NEXT.fetch_add(1, Ordering::Relaxed) % shared,
        is_owned: false,
    }
}

/// A thread's hold on its shard, given back when the thread ends. The lock orders what the old
/// owner wrote before what the new one reads.
#[derive(Debug)]
struct Claim(Mine);

/// Shards without an owner; `None` before the first claim. In a forked child new threads share.
static FREE: Lock<Option<Vec<usize>>> = Lock::of_the_program(None);

impl Claim {
    #[cold]
    fn take() -> Self {
        let Some(mut free) = FREE.hold() else {
            return Self(shared());
        };
        let free = free.get_or_insert_with(|| (0..layout().owned).rev().collect());
        Self(free.pop().map_or_else(shared, |index| Mine {
            index,
            is_owned: true,
        }))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.0.is_owned
            && let Some(mut free) = FREE.hold()
        {
            free.get_or_insert_default().push(self.0.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, sync::Barrier};

    #[test]
    fn no_two_living_threads_own_one_shard() {
        let threads = 2 * count();
        let all_hold = Barrier::new(threads);
        let held: Vec<Mine> = thread::scope(|scope| {
            let claim = || {
                let mine = mine();
                all_hold.wait();
                mine
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(claim)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let owned: Vec<_> = held.iter().filter(|mine| mine.is_owned).collect();
        let distinct: HashSet<_> = owned.iter().map(|mine| mine.index).collect();
        assert_eq!(owned.len(), distinct.len());
        assert!(held.iter().all(|mine| mine.index < count()));
    }

    #[test]
    fn threads_that_come_and_go_lose_nothing() {
        let words: Vec<AtomicU64> = (0..count()).map(|_| AtomicU64::new(0)).collect();
        for _ in 0..50 {
            thread::scope(|scope| {
                for _ in 0..2 * count() {
                    scope.spawn(|| {
                        for _ in 0..100 {
                            let mine = mine();
                            mine.add(&words[mine.index], 1);
                        }
                    });
                }
            });
        }
        let sum: u64 = words.iter().map(|word| word.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, 50 * 2 * count() as u64 * 100);
    }
}
