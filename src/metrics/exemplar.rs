//! Exemplars: of the requests since the last scrape, the slowest of each series, by trace id.

use super::shared::Shared;
use crate::ids::SpanContext;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// One measurement that stands for its series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exemplar {
    pub(crate) trace: SpanContext,
    pub(crate) value: f64,
    pub(crate) at: SystemTime,
    /// The index of the bucket that holds it.
    pub(crate) bucket: usize,
}

/// Bits of a rank that hold the size: 4.8 hours in nanoseconds, 16 TiB in bytes.
const SIZE_BITS: u32 = 44;
const LARGEST: u64 = (1 << SIZE_BITS) - 1;

/// Room for the exemplar of one series.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Epoch and size of what is held: another epoch, or a larger value within one, replaces it.
    /// One load and one comparison decide, so most measurements stop there.
    held: AtomicU64,
    exemplar: Mutex<Option<Exemplar>>,
}

impl Slot {
    #[inline]
    pub(super) fn offer(
        &self,
        shared: &Shared,
        units: u64,
        trace: SpanContext,
        exemplar: impl FnOnce() -> (usize, f64),
    ) {
        let epoch = shared.epoch() << SIZE_BITS;
        let rank = epoch | units.min(LARGEST);
        if self.is_outranked_by(rank) {
            let (bucket, value) = exemplar();
            self.replace(shared, rank, bucket, trace, value);
        }
    }

    #[inline]
    fn is_outranked_by(&self, rank: u64) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        // Epochs go round: another one is a later one.
        rank >> SIZE_BITS != held >> SIZE_BITS || rank > held
    }

    #[cold]
    fn replace(&self, shared: &Shared, rank: u64, bucket: usize, trace: SpanContext, value: f64) {
        // Whoever comes while another writes goes without: an exemplar is no count.
        if let Ok(mut exemplar) = self.exemplar.try_lock()
            && self.is_outranked_by(rank)
        {
            self.held.store(rank, Ordering::Relaxed);
            *exemplar = Some(Exemplar {
                trace,
                value,
                at: shared.clock().wall(),
                bucket,
            });
        }
    }

    pub(super) fn read(&self) -> Option<Exemplar> {
        self.exemplar.lock().map_or(None, |exemplar| *exemplar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SpanId, TraceId};

    #[test]
    fn the_slowest_since_the_last_collection_is_kept() {
        let (shared, slot) = (Shared::default(), Slot::default());
        let offer = |units: u64| {
            let trace = SpanContext {
                trace_id: TraceId::random(),
                span_id: SpanId::random(),
                is_sampled: true,
            };
            slot.offer(&shared, units, trace, || (0, units as f64));
        };
        let held = || slot.read().map(|exemplar| exemplar.value);
        offer(3);
        offer(7);
        offer(5);
        assert_eq!(held(), Some(7.0));
        shared.next_epoch();
        assert_eq!(held(), Some(7.0), "kept until a newer one comes");
        offer(0);
        assert_eq!(held(), Some(0.0));
    }
}
