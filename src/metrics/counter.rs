//! Sums: sharded integers, and sums that somebody else keeps and we read.

use super::{
    exemplar::{Exemplar, Slot},
    shards,
    shared::Shared,
};
use crate::{fork::Lock, ids::SpanContext};
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
    exemplar: Slot,
    shared: Arc<Shared>,
}

impl Counter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shards: (0..shards::count()).map(|_| Default::default()).collect(),
            absolute: Lock::default(),
            exemplar: Slot::default(),
            shared,
        }
    }

    #[inline]
    pub(crate) fn add(&self, by: u64) {
        let mine = shards::mine();
        mine.add(&self.shards[mine.index], by);
    }

    /// As [`add`](Self::add); the first of each epoch that is of a trace stands for the series. Waits
    /// for nobody: fit for a panic hook.
    #[inline]
    pub(crate) fn add_of(&self, by: u64, trace: Option<SpanContext>) {
        self.add(by);
        if let Some(trace) = trace {
            // All of one size, so that the first stays.
            self.exemplar
                .offer(&self.shared, 1, trace, || (0, by as f64));
        }
    }

    pub(crate) fn exemplar(&self) -> Option<Exemplar> {
        self.exemplar.read()
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
        shards::count() * size_of::<CachePadded<AtomicU64>>() + size_of::<Self>()
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

    pub(super) fn bytes() -> usize {
        shards::count() * size_of::<CachePadded<AtomicU64>>()
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
        let (counter, level) = (Counter::new(Arc::default()), UpDownCounter::new());
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
    fn the_first_of_a_trace_since_the_last_collection_stands_for_the_sum() {
        use crate::ids::{SpanId, TraceId};
        let shared = Arc::<Shared>::default();
        let counter = Counter::new(Arc::clone(&shared));
        let trace = || SpanContext {
            trace_id: TraceId::random(),
            span_id: SpanId::random(),
            is_sampled: true,
        };
        let named = || {
            counter
                .exemplar()
                .map(|exemplar| (exemplar.trace, exemplar.value))
        };
        counter.add_of(1, None);
        assert_eq!(named(), None);
        let (first, second, third) = (trace(), trace(), trace());
        counter.add_of(1, Some(first));
        counter.add_of(1, Some(second));
        assert_eq!(named(), Some((first, 1.0)));
        shared.next_epoch();
        counter.add_of(2, Some(third));
        assert_eq!(named(), Some((third, 2.0)));
        assert_eq!(counter.read(), 5);
    }

    #[test]
    fn an_absolute_value_never_lowers_and_counts_on_from_there() {
        let counter = Counter::new(Arc::default());
        counter.add(5);
        counter.absolute(100);
        counter.absolute(50);
        counter.add(1);
        assert_eq!(counter.read(), 101);
    }
}
