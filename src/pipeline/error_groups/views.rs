//! What others are shown of the groups: metrics, and the snapshot.

use super::{ErrorGroups, affected::Users, group::Group, site::Site};
use crate::{
    catalog::errors::{ERROR_GROUP_AFFECTED_USERS, ERROR_GROUPS_ACTIVE, ERROR_GROUPS_NEW},
    metrics::Registry,
    snapshot::ErrorGroup,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

/// Groups that a snapshot holds.
const MOST_SHOWN: usize = 100;

/// Of a group, or of all its sites together.
#[derive(Default)]
struct Sum {
    count: u64,
    recent: u64,
    first: Option<u64>,
    last: u64,
    users: Option<Box<Users>>,
    endpoints: Vec<(&'static str, &'static str)>,
}

impl Sum {
    fn add(&mut self, site: &Site, now: u64) {
        self.count += site.raised();
        self.recent += site.raised_recently(now);
        self.last = self.last.max(site.last());
        self.first = match (self.first, site.first()) {
            (Some(mine), Some(its)) => Some(mine.min(its)),
            (mine, its) => mine.or(its),
        };
        site.with_affected(|affected| {
            match (&mut self.users, &affected.users) {
                (Some(mine), Some(its)) => mine.unite(its),
                (mine @ None, Some(its)) => *mine = Some(its.clone()),
                (_, None) => {}
            }
            for endpoint in &affected.endpoints {
                if !self.endpoints.contains(endpoint) {
                    self.endpoints.push(*endpoint);
                }
            }
        });
    }
}

impl ErrorGroups {
    /// Each group that has had an error, with the sum of its sites.
    fn sums(&self, now: u64) -> Vec<(Arc<Group>, Sum)> {
        let mut sums: Vec<(Arc<Group>, Sum)> = Vec::new();
        for site in self.sites.all().filter(|site| site.raised() > 0) {
            // Until the worker has seen it, it is of none.
            let Some(group) = site.group() else {
                continue;
            };
            let known = sums.iter().position(|(known, _)| Arc::ptr_eq(known, group));
            let at = known.unwrap_or_else(|| {
                sums.push((Arc::clone(group), Sum::default()));
                sums.len() - 1
            });
            if let Some((_, sum)) = sums.get_mut(at) {
                sum.add(site, now);
            }
        }
        sums
    }

    /// Shows their metrics at each collection.
    pub(in crate::pipeline) fn observe(&'static self, registry: &Registry) {
        let active = registry.gauge(&ERROR_GROUPS_ACTIVE).kept(&[]);
        let affected = registry.gauge(&ERROR_GROUP_AFFECTED_USERS).kept(&[]);
        let found = registry.counter(&ERROR_GROUPS_NEW).kept(&[]);
        registry.observe(move || {
            let now = self.times.now();
            let sums = self.sums(now);
            let recent = sums.iter().filter(|(_, sum)| sum.recent > 0).count();
            let of_group = |(_, sum): &(_, Sum)| sum.users.as_ref().map_or(0, |u| u.recent(now));
            active.set(recent as f64);
            affected.set(sums.iter().map(of_group).max().unwrap_or_default() as f64);
            found.absolute(self.found.load(Ordering::Relaxed));
        });
    }

    /// The most frequent ones first. `release` is the version of the service that runs.
    pub(crate) fn shown(&self, release: Option<&str>) -> Vec<ErrorGroup> {
        let now = self.times.now();
        let mut sums = self.sums(now);
        sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.count));
        sums.truncate(MOST_SHOWN);
        let shown = sums.into_iter().map(|(group, sum)| {
            let last = group.last();
            let users = sum.users.as_deref();
            ErrorGroup {
                fingerprint: group.fingerprint().to_string(),
                exception_type: last.type_name,
                message: last.message,
                function: last.function,
                severity: last.severity.map_or("", |severity| severity.text()),
                is_handled: last.is_handled,
                first_seen: self.times.time(sum.first.unwrap_or(now)),
                last_seen: self.times.time(sum.last),
                count: sum.count,
                recent: sum.recent,
                affected_users: group.users_of_all().unwrap_or(users.map_or(0, Users::ever)),
                recently_affected_users: users.map_or(0, |users| users.recent(now)),
                endpoints: sum
                    .endpoints
                    .iter()
                    .map(|(m, r)| format!("{m} {r}"))
                    .collect(),
                release: release.map(str::to_owned),
                previous_release: group.previous_release(),
                regressions: group.regressions(),
            }
        });
        shown.collect()
    }
}

impl super::Times {
    pub(super) fn time(&self, at: u64) -> SystemTime {
        let (began, since) = (
            self.began.instant(),
            Duration::from_nanos(at.saturating_sub(1)),
        );
        self.began.time(began.checked_add(since).unwrap_or(began))
    }
}
