//! How many records of one kind are told: ten at once, then one a second.

use std::sync::atomic::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000_000;
const AT_ONCE: u64 = 10;

/// The generic cell rate algorithm in one word: the time at which all that was admitted would have
/// been, at one a second.
#[derive(Debug, Default)]
pub(super) struct Limit(AtomicU64);

impl Limit {
    /// `now` in nanoseconds.
    #[inline]
    pub(super) fn admits(&self, now: u64) -> bool {
        let admit = |paid_until: u64| {
            let paid_until = paid_until.max(now);
            let is_within = paid_until - now <= (AT_ONCE - 1) * SECOND;
            is_within.then(|| paid_until.saturating_add(SECOND))
        };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit)
            .is_ok()
    }
}

/// One that has admitted as much.
impl Clone for Limit {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_are_told_at_once_then_one_a_second_and_ten_again_after_a_pause() {
        let limit = Limit::default();
        let told = |from: u64, to: u64| {
            let moments = (from * 1_000..to * 1_000).map(|millis| millis * (SECOND / 1_000));
            moments.filter(|now| limit.admits(*now)).count()
        };
        assert_eq!(told(1, 2), 10);
        assert_eq!(told(2, 7), 5);
        assert_eq!(told(60, 61), 10);
    }

    #[test]
    fn threads_together_are_told_no_more_than_one_alone() {
        let limit = Limit::default();
        let told: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..1_000).filter(|_| limit.admits(SECOND)).count()))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(told, 10);
    }

    proptest! {
        #[test]
        fn in_no_span_of_time_are_more_told_than_ten_and_one_a_second(
            pauses in proptest::collection::vec(0_u64..3 * SECOND, 1..200),
        ) {
            let limit = Limit::default();
            let mut now = SECOND;
            let mut admitted = Vec::new();
            for pause in pauses {
                now += pause;
                if limit.admits(now) {
                    admitted.push(now);
                }
            }
            for (at, first) in admitted.iter().enumerate() {
                for (more, last) in admitted[at..].iter().enumerate() {
                    prop_assert!(more as u64 <= AT_ONCE + (last - first) / SECOND);
                }
            }
        }
    }
}
