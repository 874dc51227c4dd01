//! Whom the errors of a site met: users, by sketches that do not keep their ids, and endpoints.

use super::minutes::{MINUTES, is_recent, minute_of};
use crate::{pipeline::subject, shared_state::Id};
use hyperloglockless::HyperLogLog;
use rustc_hash::FxHasher;
use std::{fmt, hash::BuildHasherDefault, mem};

/// Of a group's whole life, 4 KB: a standard error of 1.6 %.
const PRECISION: u8 = 12;
/// Of a minute, 1 KB: 3.3 %; what is below a hundred is exact but for one or two.
const PRECISION_OF_A_MINUTE: u8 = 10;
/// Endpoints that are named.
const MOST_ENDPOINTS: usize = 16;
/// Users that wait to be told to others, for a quarter of a second: beyond, those of a storm are too few.
const MOST_UNTOLD: usize = 4_096;

/// Its hasher is not asked: users come hashed.
type Sketch = HyperLogLog<BuildHasherDefault<FxHasher>>;

/// Users of one kind of error.
#[derive(Clone)]
pub(super) struct Users {
    ever: Sketch,
    minutes: [(u32, Sketch); MINUTES],
}

impl Users {
    pub(super) fn new() -> Self {
        let of_a_minute = || (0, sketch(PRECISION_OF_A_MINUTE));
        Self {
            ever: sketch(PRECISION),
            minutes: std::array::from_fn(|_| of_a_minute()),
        }
    }

    fn add(&mut self, now: u64, user: u64) {
        self.ever.insert_hash(user);
        let minute = minute_of(now);
        if let Some((of, sketch_of_it)) = self.minutes.get_mut(minute as usize % MINUTES) {
            if *of != minute {
                (*of, *sketch_of_it) = (minute, sketch(PRECISION_OF_A_MINUTE));
            }
            sketch_of_it.insert_hash(user);
        }
    }

    /// Those of both.
    pub(super) fn unite(&mut self, others: &Self) {
        // Never an error: of one precision.
        let _ = self.ever.union(&others.ever);
        for (mine, theirs) in self.minutes.iter_mut().zip(&others.minutes) {
            match mine.0.cmp(&theirs.0) {
                std::cmp::Ordering::Less => mine.clone_from(theirs),
                std::cmp::Ordering::Equal => _ = mine.1.union(&theirs.1),
                std::cmp::Ordering::Greater => {}
            }
        }
    }

    pub(super) fn ever(&self) -> u64 {
        rounded(&self.ever)
    }

    /// Of the recent minutes.
    pub(super) fn recent(&self, now: u64) -> u64 {
        let now = minute_of(now);
        let mut all = sketch(PRECISION_OF_A_MINUTE);
        for (_, recent) in self.minutes.iter().filter(|(of, _)| is_recent(*of, now)) {
            let _ = all.union(recent);
        }
        rounded(&all)
    }
}

fn sketch(precision: u8) -> Sketch {
    Sketch::with_hasher(precision, BuildHasherDefault::default())
}

fn rounded(sketch: &Sketch) -> u64 {
    sketch.raw_count().round() as u64
}

/// Registers are nothing to read.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("ever", &self.ever())
            .finish_non_exhaustive()
    }
}

/// Whom the errors of one site met.
#[derive(Debug, Default)]
pub(super) struct Affected {
    /// Made when the first user is known.
    pub(super) users: Option<Box<Users>>,
    /// Method and route, in the order in which they were met first.
    pub(super) endpoints: Vec<(&'static str, &'static str)>,
    /// Users that other replicas have not been told of.
    untold: Vec<Id>,
}

impl Affected {
    /// As many as there is room for.
    pub(super) fn give_back(&mut self, untold: Vec<Id>) {
        let room = MOST_UNTOLD.saturating_sub(self.untold.len());
        self.untold.extend(untold.into_iter().take(room));
    }

    pub(super) fn take_untold(&mut self) -> Vec<Id> {
        mem::take(&mut self.untold)
    }

    pub(super) fn note(
        &mut self,
        now: u64,
        user: Option<&str>,
        endpoint: Option<(&'static str, &'static str)>,
        shares: bool,
    ) {
        if let Some(user) = user {
            let user = subject::hashed(user);
            let users = self.users.get_or_insert_with(|| Box::new(Users::new()));
            users.add(now, user.as_u128() as u64);
            if shares && self.untold.len() < MOST_UNTOLD {
                self.untold.push(user);
            }
        }
        if let Some(endpoint) = endpoint
            && self.endpoints.len() < MOST_ENDPOINTS
            && !self.endpoints.contains(&endpoint)
        {
            self.endpoints.push(endpoint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn noted(users: impl Iterator<Item = u64>, now: u64) -> Affected {
        let mut affected = Affected::default();
        for user in users {
            affected.note(now, Some(&format!("u-{user}")), None, false);
        }
        affected
    }

    #[test]
    fn users_are_counted_once_within_three_standard_errors() {
        for (users, tolerance) in [(1, 0), (10, 0), (100, 2), (10_000, 490), (100_000, 4_900)] {
            let affected = noted((0..users).chain(0..users), MINUTE);
            let ever = affected.users.unwrap().ever();
            assert!(ever.abs_diff(users) <= tolerance, "{ever} of {users}");
        }
    }

    #[test]
    fn users_of_two_sites_are_those_of_either() {
        let mut users = noted(0..60, MINUTE).users.unwrap();
        users.unite(&noted(30..90, 3 * MINUTE).users.unwrap());
        assert!(users.ever().abs_diff(90) <= 1, "{users:?}");
        let recent = users.recent(3 * MINUTE);
        assert!(recent.abs_diff(90) <= 6, "{recent}");
        let recent = users.recent(6 * MINUTE);
        assert!(recent.abs_diff(60) <= 2, "{recent}");
        assert_eq!(users.recent(20 * MINUTE), 0);
    }

    #[test]
    fn endpoints_are_named_once_and_in_a_bounded_number() {
        const ROUTES: [&str; 20] = [
            "/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j", "/k", "/l", "/m", "/n",
            "/o", "/p", "/q", "/r", "/s", "/t",
        ];
        let mut affected = Affected::default();
        for route in ROUTES.iter().chain(&ROUTES) {
            affected.note(1, None, Some(("GET", route)), false);
        }
        assert_eq!(affected.endpoints.len(), MOST_ENDPOINTS);
        assert_eq!(affected.endpoints[1], ("GET", "/b"));
        assert!(affected.users.is_none());
    }
}
