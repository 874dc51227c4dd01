//! One way by which the program comes to an error.

use super::{affected::Affected, group::Group, minutes::Minutes};
use crate::{fork::Lock, pipeline::limit::Limit, shared_state::Id};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Whom one error met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whom<'a> {
    pub(crate) user: Option<&'a str>,
    /// Method and route.
    pub(crate) endpoint: Option<(&'static str, &'static str)>,
}

/// Counted by whoever raises its errors; no lock is waited for.
#[derive(Debug, Default)]
pub(crate) struct Site {
    count: AtomicU64,
    /// When the first error came, and the last: nanoseconds, 0 for never.
    first: AtomicU64,
    last: AtomicU64,
    minutes: Minutes,
    affected: Lock<Affected>,
    /// Until the group is known, which has one for all of its sites.
    limit: Limit,
    group: OnceLock<Arc<Group>>,
    /// Errors of other groups came by the same way, as far as it was looked.
    is_shared: AtomicBool,
}

impl Site {
    #[inline]
    pub(super) fn admits(&self, now: u64) -> bool {
        self.limit().admits(now)
    }

    pub(super) fn limit(&self) -> &Limit {
        match self.group.get() {
            Some(group) => group.limit(),
            None => &self.limit,
        }
    }

    #[inline]
    pub(super) fn count(&self, now: u64, whom: Whom<'_>, shares: bool) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.minutes.count(now);
        self.last.fetch_max(now, Ordering::Relaxed);
        if self.first.load(Ordering::Relaxed) == 0 {
            // An error: another came first.
            let _ = self
                .first
                .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
        let Whom { user, endpoint } = whom;
        if user.is_none() && endpoint.is_none() {
            return;
        }
        // Who meets another's note goes without: a user of many errors is met again, and the
        // figure is an estimate.
        if let Some(mut affected) = self.affected.hold_soon() {
            affected.note(now, user, endpoint, shares);
        }
    }

    pub(super) fn group(&self) -> Option<&Arc<Group>> {
        self.group.get()
    }

    /// The group that it is of, which is the first that it was told.
    pub(super) fn belongs_to(&self, group: Arc<Group>) -> &Arc<Group> {
        self.group.get_or_init(|| group)
    }

    /// Whether its errors are to be looked at further, since its way does not tell their group.
    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Relaxed)
    }

    /// One of its errors, raised then, turned out to be of another site.
    pub(super) fn give(
        &self,
        other: &Self,
        at: u64,
        user: Option<&str>,
        route: Option<&str>,
        shares: bool,
    ) {
        self.is_shared.store(true, Ordering::Relaxed);
        let endpoint = self.affected.hold().and_then(|affected| {
            let mut known = affected.endpoints.iter();
            known.find(|(_, known)| route == Some(known)).copied()
        });
        other.count(at, Whom { user, endpoint }, shares);
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.minutes.uncount(at);
    }

    pub(super) fn raised(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn raised_recently(&self, now: u64) -> u64 {
        self.minutes.sum(now)
    }

    /// `None`: never.
    pub(super) fn first(&self) -> Option<u64> {
        Some(self.first.load(Ordering::Relaxed)).filter(|first| *first > 0)
    }

    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Users that other replicas have not been told of.
    pub(super) fn take_untold(&self) -> Vec<Id> {
        let affected = self.affected.hold();
        affected
            .map(|mut affected| affected.take_untold())
            .unwrap_or_default()
    }

    pub(super) fn give_back(&self, untold: Vec<Id>) {
        if let Some(mut affected) = self.affected.hold() {
            affected.give_back(untold);
        }
    }

    pub(super) fn with_affected(&self, read: impl FnOnce(&Affected)) {
        if let Some(affected) = self.affected.hold() {
            read(&affected);
        }
    }
}
