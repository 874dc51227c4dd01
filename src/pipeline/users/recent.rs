//! Who was seen today, as far as there is room to remember: of most sightings nothing need be told.

use crate::shared_state::Id;
use std::sync::atomic::{AtomicU64, Ordering};

const SLOTS: usize = 8_192;
/// No day is shorter. What is seen before this much is left of one is told in any case, since it may
/// have been yesterday.
const SHORTEST_DAY: u64 = 22 * 3_600 * 1_000_000;

/// One that is forgotten is only told again. One that was not told is never taken for one that was,
/// but for the chance of 2⁻⁶⁴.
#[derive(Debug)]
pub(super) struct Recent {
    slots: Box<[AtomicU64]>,
    /// When today ends, in microseconds since 1970; 0: it is not known yet.
    day_ends: AtomicU64,
    forgotten: AtomicU64,
}

impl Recent {
    /// `is_needed`: otherwise it has no room.
    pub(super) fn new(is_needed: bool) -> Self {
        let slots = if is_needed { SLOTS } else { 0 };
        Self {
            slots: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            day_ends: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    /// What is remembered of a sighting at some time, unless it is too far from the end of a day.
    #[inline]
    pub(super) fn key(&self, sketch: u16, user: Id, at: u64) -> Option<u64> {
        let ends = self.day_ends.load(Ordering::Relaxed);
        let is_today = at < ends && ends - at <= SHORTEST_DAY;
        let user = user.as_u128();
        let mix = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let of = mix(u64::from(sketch) + 1)
            ^ mix(ends)
            ^ mix(self.forgotten.load(Ordering::Relaxed)).rotate_left(17);
        is_today.then_some((user >> 64) as u64 ^ user as u64 ^ of)
    }

    #[inline]
    pub(super) fn has(&self, key: Option<u64>) -> bool {
        let Some((slot, key)) = self.slot(key) else {
            return false;
        };
        slot.load(Ordering::Relaxed) == key
    }

    pub(super) fn put(&self, key: Option<u64>) {
        if let Some((slot, key)) = self.slot(key) {
            slot.store(key, Ordering::Relaxed);
        }
    }

    fn slot(&self, key: Option<u64>) -> Option<(&AtomicU64, u64)> {
        let key = key.filter(|key| *key != 0)?;
        Some((self.slots.get(key as usize % SLOTS)?, key))
    }

    /// Today ends then; who was seen before it began is not remembered.
    pub(super) fn day_ends(&self, at: u64) {
        self.day_ends.store(at, Ordering::Relaxed);
    }

    /// Everybody: not all that was told could be kept.
    pub(super) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_seen_is_remembered_for_the_day_and_by_sketch() {
        const DAY: u64 = 24 * 3_600 * 1_000_000;
        let recent = Recent::new(true);
        let seen = |sketch, user: u128, at| {
            let key = recent.key(sketch, Id::from(user), at);
            let was_seen = recent.has(key);
            recent.put(key);
            was_seen
        };
        assert!(!seen(0, 7, DAY / 2) && !seen(0, 7, DAY / 2), "no day yet");
        recent.day_ends(DAY);
        assert!(!seen(0, 7, DAY / 2) && seen(0, 7, DAY - 1));
        assert!(!seen(1, 7, DAY / 2) && !seen(0, 8, DAY / 2));
        assert!(!seen(0, 7, DAY) && !seen(0, 7, DAY), "tomorrow");
        assert!(!seen(0, 7, 1), "perhaps yesterday");
        recent.forget();
        assert!(!seen(0, 7, DAY / 2) && seen(0, 7, DAY / 2));
        recent.day_ends(2 * DAY);
        assert!(!seen(0, 7, DAY + DAY / 2));
    }
}
