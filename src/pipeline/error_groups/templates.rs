//! Which messages have a site of their own, where nothing else tells errors apart: a message may have a
//! client's words in it, so those of one place, and of all, are bounded.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
};

/// Of all places together: a quarter of the sites.
const MOST: usize = 128;
/// Of one place.
const MOST_OF_A_PLACE: usize = 8;
/// Bits of an entry that tell the message; those above tell the place.
const OF_MESSAGE: u32 = 40;

/// Only ever added to, without a lock and without memory taken.
#[derive(Debug)]
pub(super) struct Templates([AtomicU64; MOST]);

impl Default for Templates {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Templates {
    /// Whether a message has its own, by the hashes of its template and of its place. Those that come
    /// together may be some more than fit.
    pub(super) fn admits(&self, place: u64, template: u64) -> bool {
        let message = template >> (u64::BITS - OF_MESSAGE);
        let entry = (place >> OF_MESSAGE << OF_MESSAGE | message).max(1);
        let mut of_place = 0;
        for slot in &self.0 {
            let known = match slot.load(Ordering::Relaxed) {
                0 if of_place == MOST_OF_A_PLACE => return false,
                0 => match slot.compare_exchange(0, entry, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return true,
                    Err(taken) => taken,
                },
                known => known,
            };
            if known == entry {
                return true;
            }
            of_place += usize::from(known >> OF_MESSAGE == entry >> OF_MESSAGE);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustc_hash::FxBuildHasher;
    use std::hash::BuildHasher as _;

    #[test]
    fn the_first_messages_of_a_place_have_their_own_and_a_place_takes_none_from_another() {
        let templates = Templates::default();
        let hash = |n: u64| FxBuildHasher.hash_one(n);
        let admitted = |place: u64, messages: u64| {
            let messages = (0..messages).map(hash);
            messages
                .filter(|message| templates.admits(hash(place), *message))
                .count()
        };
        assert_eq!(admitted(1, 1_000), MOST_OF_A_PLACE);
        assert_eq!(admitted(1, 1_000), MOST_OF_A_PLACE, "the same again");
        assert_eq!(admitted(2, 3), 3);
        let of_all: usize = (3..1_000).map(|place| admitted(place, 10)).sum();
        assert_eq!(of_all, MOST - MOST_OF_A_PLACE - 3);
        assert_eq!(admitted(2, 3), 3, "who has it keeps it");
    }
}
