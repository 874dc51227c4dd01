//! Sums: sharded integers, and sums that somebody else keeps and we read.

use super::{shards, shared::Shared};
use crate::fork::Lock;
use crossbeam_utils::CachePadded;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A sum that only grows.
#[derive(Debug)]
pub(crate) struct Counter {
    shards: Box<[CachePadded<AtomicU64>]>,
    /// Serialises [`absolute`](Self::absolute), which reads before it adds.
    absolute: Lock<()>,
}

impl Counter {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..shards::count()).map(|_| Default::default()).collect(),
            absolute: Lock::default(),
        }
    }

    #[inline]
    pub(crate) fn add(&self, by: u64) {
        let mine = shards::mine();
        mine.add(&self.shards[mine.index], by);
    }

    /// Raises the sum to `to`, unless it is there or beyond already.
    pub(crate) fn absolute(&self, to: u64) {
        if let Some(_one_at_a_time) = self.absolute.hold() {
            self.add(to.saturating_sub(self.read()));
        }
    }

    pub(crate) fn read(&self) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }

    pub(super) fn bytes() -> usize {
        shards::count() * size_of::<CachePadded<AtomicU64>>()
    }
}

/// A sum that grows and shrinks; what is added on one thread may be taken off on another.
#[derive(Debug)]
pub(crate) struct UpDownCounter {
    /// Two's complement: adding wraps around to the same bits.
    shards: Box<[CachePadded<AtomicU64>]>,
}

impl UpDownCounter {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..shards::count()).map(|_| Default::default()).collect(),
        }
    }

    #[inline]
    pub(crate) fn add(&self, by: i64) {
        let mine = shards::mine();
        mine.add(&self.shards[mine.index], by as u64);
    }

    pub(crate) fn read(&self) -> i64 {
        self.shards
            .iter()
            .map(|shard| shard.load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add) as i64
    }
}

/// A sum in floating point: one that the operating system keeps and we read, or one of fractions.
#[derive(Debug)]
pub(crate) struct ObservedCounter {
    bits: AtomicU64,
    shared: Arc<Shared>,
}

impl ObservedCounter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            bits: AtomicU64::new(0.0_f64.to_bits()),
            shared,
        }
    }

    /// NaN and infinities are refused and counted.
    pub(crate) fn set(&self, to: f64) {
        if self.shared.accepts(to) {
            self.bits.store(to.to_bits(), Ordering::Relaxed);
        }
    }

    /// As [`set`](Self::set); what is negative adds nothing.
    pub(crate) fn add(&self, by: f64) {
        if self.shared.accepts(by) {
            let add = |bits| Some((f64::from_bits(bits) + by.max(0.0)).min(f64::MAX).to_bits());
            // Never an error: there is always a sum.
            let _ = self
                .bits
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }

    pub(crate) fn read(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_add_together_lose_nothing() {
        let (counter, level) = (Counter::new(), UpDownCounter::new());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        counter.add(1);
                        level.add(2);
                        level.add(-1);
                    }
                });
            }
        });
        assert_eq!(counter.read(), 80_000);
        assert_eq!(level.read(), 80_000);
    }

    #[test]
    fn an_absolute_value_never_lowers_and_counts_on_from_there() {
        let counter = Counter::new();
        counter.add(5);
        counter.absolute(100);
        counter.absolute(50);
        counter.add(1);
        assert_eq!(counter.read(), 101);
    }
}
