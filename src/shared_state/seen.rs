//! Ids that were met, for a day.

use super::Id;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// How long an id is known, in microseconds.
pub(super) const KEPT: u64 = 24 * 3_600 * 1_000_000;
/// With 48 bytes each, 12 MiB.
const MOST: usize = 262_144;

/// Ids of one process.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    known: FxHashSet<Id>,
    /// In the order in which they came.
    since: VecDeque<(u64, Id)>,
    evicted: u64,
}

impl Seen {
    /// Whether it comes for the first time within a day.
    pub(crate) fn is_first(&mut self, id: Id, now: u64) -> bool {
        while let Some((at, oldest)) = self.since.front()
            && at.saturating_add(KEPT) <= now
        {
            self.known.remove(oldest);
            self.since.pop_front();
        }
        if !self.known.insert(id) {
            return false;
        }
        if self.since.len() >= MOST
            && let Some((_, oldest)) = self.since.pop_front()
        {
            self.known.remove(&oldest);
            self.evicted += 1;
        }
        self.since.push_back((now, id));
        true
    }

    /// Ids that made room for later ones within their day.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_a_day() {
        let mut seen = Seen::default();
        assert!(seen.is_first(Id::from(1), 5));
        assert!(!seen.is_first(Id::from(1), 5 + KEPT - 1));
        assert!(seen.is_first(Id::from(1), 5 + KEPT));
        assert!(!seen.is_first(Id::from(1), 6 + KEPT));
    }

    #[test]
    fn ids_are_bounded_and_the_oldest_make_room_and_are_counted() {
        let mut seen = Seen::default();
        for id in 0..=MOST {
            assert!(seen.is_first(Id::from(id as u128), 5));
        }
        assert_eq!(seen.evicted(), 1);
        assert!(!seen.is_first(Id::from(1), 6));
        assert!(seen.is_first(Id::from(0), 6));
    }
}
