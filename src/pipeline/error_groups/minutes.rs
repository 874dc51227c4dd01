//! Counts of the last minutes.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
};

const MINUTE: u64 = 60 * 1_000_000_000;
/// What is called recent: the minute that is under way, and those before.
pub(super) const MINUTES: usize = 5;

/// The minute that a moment, in nanoseconds, falls in.
pub(super) fn minute_of(now: u64) -> u32 {
    u32::try_from(now / MINUTE).unwrap_or(u32::MAX)
}

/// Whether a minute is recent, seen from a later one.
pub(super) fn is_recent(minute: u32, now: u32) -> bool {
    (now.saturating_sub(MINUTES as u32 - 1)..=now).contains(&minute)
}

/// A ring of minutes: in each word, the number of its minute above, its count below.
#[derive(Debug)]
pub(super) struct Minutes([AtomicU64; MINUTES]);

impl Default for Minutes {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Minutes {
    #[inline]
    pub(super) fn count(&self, now: u64) {
        let minute = minute_of(now);
        let Some(slot) = self.0.get(minute as usize % MINUTES) else {
            return;
        };
        let add = |word: u64| {
            let (of, count) = split(word);
            Some(match of == minute {
                true => join(minute, count.saturating_add(1)),
                false => join(minute, 1),
            })
        };
        // Never an error: there is always a next word.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes one back that was counted at that moment, unless its minute is gone.
    pub(super) fn uncount(&self, at: u64) {
        let minute = minute_of(at);
        let Some(slot) = self.0.get(minute as usize % MINUTES) else {
            return;
        };
        let subtract = |word: u64| {
            let (of, count) = split(word);
            (of == minute).then(|| join(minute, count.saturating_sub(1)))
        };
        // An error: another minute has its place.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract);
    }

    /// Of the recent minutes together.
    pub(super) fn sum(&self, now: u64) -> u64 {
        let now = minute_of(now);
        let words = self
            .0
            .iter()
            .map(|slot| split(slot.load(Ordering::Relaxed)));
        words
            .filter(|(minute, _)| is_recent(*minute, now))
            .map(|(_, count)| u64::from(count))
            .sum()
    }
}

fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

fn join(minute: u32, count: u32) -> u64 {
    u64::from(minute) << 32 | u64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_counted_for_five_and_then_forgotten() {
        let minutes = Minutes::default();
        for _ in 0..3 {
            minutes.count(10 * MINUTE);
        }
        minutes.count(12 * MINUTE);
        let sums = [10, 12, 14, 15, 16, 17, 40].map(|minute| minutes.sum(minute * MINUTE));
        assert_eq!(sums, [3, 4, 4, 1, 1, 0, 0]);
        // A minute takes the place of the one five before.
        minutes.count(15 * MINUTE);
        assert_eq!(minutes.sum(15 * MINUTE), 2);
    }

    #[test]
    fn threads_that_count_together_lose_nothing() {
        let minutes = Minutes::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..10_000).for_each(|_| minutes.count(MINUTE)));
            }
        });
        assert_eq!(minutes.sum(MINUTE), 80_000);
    }
}
