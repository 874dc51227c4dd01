//! A table of sites that is only ever added to, without a lock and without memory taken: fit for a
//! panic hook.

use super::{group::Group, site::Site};
use std::{
    array,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Places for sites, of 150 bytes each; with users known a site takes 10 KB.
const PLACES: usize = 512;
/// Places that are looked at for one site, from the one that its key names. Beyond, the table is as
/// good as full.
const LOOKS: usize = 32;

#[derive(Debug)]
pub(super) struct Sites {
    places: Box<[Place]>,
    /// Those that found no place, together.
    others: Site,
}

#[derive(Debug, Default)]
struct Place {
    /// 0: nobody's.
    key: AtomicU64,
    site: Site,
}

impl Default for Sites {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Place::default()).collect(),
            others: Site::default(),
        }
    }
}

impl Sites {
    pub(super) fn of(&self, key: u64) -> &Site {
        let key = key.max(1);
        let begin = key as usize % PLACES;
        let (before, from) = self.places.split_at(begin);
        for place in from.iter().chain(before).take(LOOKS) {
            let known = place.key.load(Ordering::Acquire);
            let is_ours = known == key
                || known == 0
                    && match place
                        .key
                        .compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire)
                    {
                        Ok(_) => true,
                        Err(taken) => taken == key,
                    };
            if is_ours {
                return &place.site;
            }
        }
        &self.others
    }

    pub(super) fn others(&self) -> &Site {
        &self.others
    }

    /// Those that the worker has found to be of a group.
    pub(super) fn of_group(&self, group: &Arc<Group>) -> impl Iterator<Item = &Site> {
        let is_of = |site: &&Site| site.group().is_some_and(|of| Arc::ptr_eq(of, group));
        self.all().filter(is_of)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Site> {
        let taken = |place: &&Place| place.key.load(Ordering::Relaxed) != 0;
        let sites = self.places.iter().filter(taken).map(|place| &place.site);
        sites.chain(array::from_ref(&self.others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ptr, thread};

    #[test]
    fn a_key_has_one_site_whichever_thread_asks_first() {
        let sites = Sites::default();
        let keys: Vec<u64> = (0_u64..100)
            .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .collect();
        let ask = || {
            keys.iter()
                .map(|key| ptr::from_ref(sites.of(*key)) as usize)
        };
        let found: Vec<Vec<usize>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| ask().collect())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(found.iter().all(|of_thread| *of_thread == found[0]));
        let mut distinct = found[0].clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 100);
        assert_eq!(sites.all().count(), 101);
    }

    #[test]
    fn what_finds_no_place_shares_one() {
        let sites = Sites::default();
        // All of them want one place.
        let found = (0..100_u64).map(|n| sites.of(1 + n * PLACES as u64));
        let others = found.filter(|site| ptr::eq(*site, sites.others())).count();
        assert_eq!(others, 100 - LOOKS);
        for key in 0..10_000 {
            sites.of(key);
        }
        assert!(sites.all().count() <= PLACES + 1);
    }
}
