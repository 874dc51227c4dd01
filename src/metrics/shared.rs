//! What the instruments of one registry share: the epoch of their exemplars, and the counts of the
//! values that they refuse or cut.

use crate::clock::Clock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the instruments of one registry share.
#[derive(Debug)]
pub(crate) struct Shared {
    clock: Clock,
    /// Moves on at each collection; an exemplar of an earlier one may be replaced by any.
    epoch: AtomicU64,
    pub(super) nan: AtomicU64,
    pub(super) infinite: AtomicU64,
    pub(super) truncated: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(Clock::default())
    }
}

impl Shared {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            epoch: AtomicU64::new(1),
            nan: AtomicU64::new(0),
            infinite: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn next_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether `value` is a number; what is not is counted.
    #[inline]
    pub(super) fn accepts(&self, value: f64) -> bool {
        if value.is_finite() {
            return true;
        }
        let refused = if value.is_nan() {
            &self.nan
        } else {
            &self.infinite
        };
        refused.fetch_add(1, Ordering::Relaxed);
        false
    }
}
