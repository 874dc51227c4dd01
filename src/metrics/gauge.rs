//! The last value.

use super::shared::Shared;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What nobody can set: a number that is none, of a payload of our own.
const WITHHELD: u64 = 0x7ff8_0000_0000_0b5c;

/// The last value that was set, in floating point.
#[derive(Debug)]
pub(crate) struct Gauge {
    bits: AtomicU64,
    shared: Arc<Shared>,
}

impl Gauge {
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

    /// As [`set`](Self::set); a sum that would leave the finite numbers is refused as well.
    pub(crate) fn add(&self, by: f64) {
        if !self.shared.accepts(by) {
            return;
        }
        let add = |bits| {
            let sum = f64::from_bits(bits) + by;
            sum.is_finite().then(|| sum.to_bits())
        };
        if self
            .bits
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_err()
        {
            self.shared.accepts(f64::INFINITY);
        }
    }

    /// Leaves the series out of every reading until the next value: there is none to be had, and the
    /// last one would be taken for today's.
    pub(crate) fn withhold(&self) {
        self.bits.store(WITHHELD, Ordering::Relaxed);
    }

    pub(crate) fn is_withheld(&self) -> bool {
        self.bits.load(Ordering::Relaxed) == WITHHELD
    }

    pub(crate) fn read(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withheld_is_so_until_the_next_value() {
        let gauge = Gauge::new(Arc::default());
        gauge.withhold();
        assert!(gauge.is_withheld());
        gauge.set(f64::NAN);
        assert!(gauge.is_withheld());
        gauge.set(7.0);
        assert_eq!((gauge.is_withheld(), gauge.read()), (false, 7.0));
    }

    #[test]
    fn what_is_no_number_is_refused_and_counted() {
        let shared = Arc::new(Shared::default());
        let gauge = Gauge::new(Arc::clone(&shared));
        gauge.set(f64::MAX);
        gauge.set(f64::NAN);
        gauge.add(f64::NEG_INFINITY);
        gauge.add(f64::MAX);
        assert_eq!(gauge.read(), f64::MAX);
        assert_eq!(shared.nan.load(Ordering::Relaxed), 1);
        assert_eq!(shared.infinite.load(Ordering::Relaxed), 2);
    }
}
