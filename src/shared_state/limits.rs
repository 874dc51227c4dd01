//! How often something may be done: the generic cell rate algorithm, GCRA.
//!
//! Of each key one time is kept, up to which what was allowed has used the limit up. Each that is allowed
//! moves it on by the period's share of one, and may not move it more than a period beyond now.

use super::{Id, Unavailable};
use crate::fork::Lock;
use rustc_hash::FxHashMap;

/// Keys of one process that have used something up.
const MOST_KEYS: usize = 100_000;

/// So many in a period, all at once at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// At least one.
    pub(crate) most: u32,
    /// Microseconds.
    pub(crate) period: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// How many more there may be at once.
    Allowed { left: u32 },
    /// Microseconds until it is worth trying.
    Refused { after: u64 },
}

impl Limit {
    /// The period's share of one.
    pub(super) fn of_one(&self) -> u64 {
        (self.period / u64::from(self.most.max(1))).max(1)
    }

    /// What is decided, and up to when the limit is used up then.
    fn decide(&self, used_up: u64, now: u64) -> (Decision, u64) {
        let (of_one, used_up) = (self.of_one(), used_up.max(now));
        let (then, last) = (used_up + of_one, now + of_one * u64::from(self.most));
        match last.checked_sub(then) {
            Some(rest) => {
                let left = u32::try_from(rest / of_one).unwrap_or(u32::MAX);
                (Decision::Allowed { left }, then)
            }
            None => (Decision::Refused { after: then - last }, used_up),
        }
    }
}

/// Of one process.
#[derive(Debug, Default)]
pub(super) struct Limits(Lock<FxHashMap<Id, u64>>);

impl Limits {
    pub(super) fn decide(&self, limit: &Limit, key: Id, now: u64) -> Result<Decision, Unavailable> {
        let mut keys = self.0.hold().ok_or(Unavailable::Unreachable)?;
        if keys.len() >= MOST_KEYS && !keys.contains_key(&key) {
            keys.retain(|_, used_up| *used_up > now);
            if keys.len() >= MOST_KEYS {
                return Err(Unavailable::Refused);
            }
        }
        let used_up = keys.entry(key).or_default();
        let (decision, then) = limit.decide(*used_up, now);
        *used_up = then;
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        most: 5,
        period: 1_000,
    };

    #[test]
    fn as_many_as_the_limit_are_allowed_at_once_and_one_more_after_its_share_of_the_period() {
        let limits = Limits::default();
        let at = |now| limits.decide(&LIMIT, Id::from(1), now).unwrap();
        for left in (0..5).rev() {
            assert_eq!(at(10_000), Decision::Allowed { left });
        }
        assert_eq!(at(10_000), Decision::Refused { after: 200 });
        assert_eq!(at(10_150), Decision::Refused { after: 50 });
        assert_eq!(at(10_200), Decision::Allowed { left: 0 });
        assert_eq!(at(11_200), Decision::Allowed { left: 4 });
    }

    #[test]
    fn keys_are_bounded_and_those_that_used_nothing_up_make_room() {
        let limits = Limits::default();
        let decide = |key: usize, now| limits.decide(&LIMIT, Id::from(key as u128), now);
        for key in 0..MOST_KEYS {
            decide(key, 10).unwrap();
        }
        assert_eq!(decide(MOST_KEYS, 10), Err(Unavailable::Refused));
        decide(7, 10).unwrap();
        decide(MOST_KEYS, 10_000).unwrap();
    }
}
