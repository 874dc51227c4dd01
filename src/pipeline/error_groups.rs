//! Which errors there are, how often each came, and whom it met.
//!
//! ```text
//! an error ─→ its Site (counted there, by who raises it) ─→ within its limit: a record ─→ the worker finds the Group
//! metrics, snapshot() ←─ a Group is the sum of its sites
//! ```
//!
//! A [`Site`] is one way by which the program comes to an error: known before its stack has names,
//! so that an error can be counted whole where it is raised, whatever becomes of its record. A
//! [`Group`] is what operators call one error; which one a site is of, the worker finds when it
//! resolves the site's first record, and the site keeps it. A way is looked at only as far as most
//! need; where a later record of the site is of another group, that error is given to a site of its
//! whole way, and from then on so is each that comes.

mod affected;
mod group;
mod minutes;
mod shared;
mod site;
mod sites;
mod templates;
mod views;

pub(crate) use group::Told;
use site::Site;
pub(crate) use site::Whom;

use super::Sharing;
use crate::{
    clock::{Anchor, Clock},
    fork::Lock,
    records::Raised,
    stack::{Fingerprint, RawStack},
};
use group::Group;
use rustc_hash::{FxHashMap, FxHasher};
use sites::Sites;
use std::{
    hash::{Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use templates::Templates;

/// All errors of one telemetry.
#[derive(Debug)]
pub(crate) struct ErrorGroups {
    sites: Sites,
    templates: Templates,
    groups: Lock<FxHashMap<Fingerprint, Arc<Group>>>,
    found: AtomicU64,
    /// An error that comes after so long without it has come back.
    quiet: Duration,
    times: Times,
    sharing: Arc<Sharing>,
    /// When it was last asked how many users groups met.
    counted: AtomicU64,
}

/// Instants as whole nanoseconds since the telemetry began, which fit an atomic.
#[derive(Debug)]
struct Times {
    clock: Clock,
    began: Anchor,
}

impl Times {
    fn now(&self) -> u64 {
        self.of(self.clock.now())
    }

    /// One more than there are, since 0 stands for never.
    fn of(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began.instant());
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        nanos.saturating_add(1)
    }

    fn unix_micros(&self, at: u64) -> u64 {
        let since_1970 = self.time(at).duration_since(SystemTime::UNIX_EPOCH);
        let micros = since_1970.unwrap_or_default().as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}

/// What the worker found out of one error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Of its group, so far.
    pub(crate) count: u64,
    /// It had been away for so long that it was taken for solved.
    pub(crate) has_come_back: bool,
}

impl ErrorGroups {
    pub(super) fn new(clock: Clock, quiet: Duration, sharing: Arc<Sharing>) -> Self {
        let sites = Sites::default();
        let of_others = Arc::new(Group::of_others());
        sites.others().belongs_to(Arc::clone(&of_others));
        Self {
            sites,
            templates: Templates::default(),
            groups: Lock::new(FxHashMap::from_iter([(of_others.fingerprint(), of_others)])),
            found: AtomicU64::new(0),
            quiet,
            times: Times {
                began: clock.anchor(),
                clock,
            },
            sharing,
            counted: AtomicU64::new(0),
        }
    }

    /// Whether what is known of errors is known to other replicas too.
    fn are_shared(&self) -> bool {
        !self.sharing.state().answers_at_once()
    }

    /// The site of that key. Allocates nothing and waits for nobody.
    #[inline]
    pub(crate) fn site(&self, key: u64) -> &Site {
        self.sites.of(key)
    }

    /// Whether errors of that place that say so have a site of their own; by their hashes.
    pub(crate) fn tells_apart(&self, place: u64, template: u64) -> bool {
        self.templates.admits(place, template)
    }

    /// Whether an error of the site is told whole now, or only counted.
    #[inline]
    pub(crate) fn admits(&self, site: &Site) -> bool {
        site.admits(self.times.now())
    }

    /// Counts an error of the site.
    #[inline]
    pub(crate) fn count(&self, site: &Site, whom: Whom<'_>) {
        site.count(self.times.now(), whom, self.are_shared());
    }

    /// On the worker: an error that was raised so is of this group.
    pub(crate) fn find(
        &self,
        raised: &Raised,
        fingerprint: Fingerprint,
        told: Told<'_>,
        at: Instant,
    ) -> Option<Found> {
        let mut site = self.site(raised.site);
        let is_another_s =
            |group: &Arc<Group>| !group.is_of_others() && group.fingerprint() != fingerprint;
        if site.group().is_some_and(is_another_s) {
            let of_whole_way = self.site(key_of_whole_way(raised.site, &raised.stack));
            site.give(
                of_whole_way,
                self.times.of(at),
                told.user,
                told.route,
                self.are_shared(),
            );
            site = of_whole_way;
        }
        let group = self.group_of(site, fingerprint)?;
        let count = self.sites.of_group(group).map(Site::raised).sum();
        if group.is_of_others() {
            // Many errors, of which none stands for the rest.
            let has_come_back = false;
            return Some(Found {
                count,
                has_come_back,
            });
        }
        // Where others may have met it meanwhile, it is for them to say.
        let quiet = match self.are_shared() {
            true => u64::MAX,
            false => u64::try_from(self.quiet.as_nanos()).unwrap_or(u64::MAX),
        };
        let has_come_back = group.tell(told, self.times.of(at), quiet);
        Some(Found {
            count,
            has_come_back,
        })
    }

    fn group_of<'a>(&self, site: &'a Site, fingerprint: Fingerprint) -> Option<&'a Arc<Group>> {
        if let Some(known) = site.group() {
            return Some(known);
        }
        let mut groups = self.groups.hold()?;
        let group = groups.entry(fingerprint).or_insert_with(|| {
            self.found.fetch_add(1, Ordering::Relaxed);
            Arc::new(Group::new(fingerprint, site.limit()))
        });
        Some(site.belongs_to(Arc::clone(group)))
    }
}

/// Of the site of errors that come to the one of that key by this whole stack.
pub(crate) fn key_of_whole_way(key: u64, stack: &RawStack) -> u64 {
    let mut hasher = FxHasher::default();
    (key, stack.frames()).hash(&mut hasher);
    hasher.finish()
}
