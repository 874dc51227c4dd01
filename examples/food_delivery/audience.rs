//! Who comes, how long they stay, and what of the platform they use.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    time::Duration,
};

use orderscope::{
    events::{ActiveUsers, DishViewed, FavoriteAdded, Feature, OrderTracked, Search, Sessions},
    snapshot::{self, Period, Snapshot},
    telemetry::Builder,
};
use serde::Serialize;

/// Declares whom and what the platform counts.
pub(crate) fn declare(telemetry: Builder) -> Builder {
    let features = [
        Feature::new("favorites").used_by(FavoriteAdded::NAME),
        Feature::new("search").used_by(Search::NAME),
        Feature::new("menu").used_by(DishViewed::NAME),
        Feature::new("tracking").used_by(OrderTracked::NAME),
    ];
    // A visit takes seconds here, and one process tells of it in order.
    let sessions = Sessions::new()
        .idle_after(Duration::from_secs(4))
        .lateness(Duration::ZERO);
    let telemetry = telemetry
        .sessions(sessions)
        .active_users(ActiveUsers::new().time_zone("Europe/Vienna"));
    features.into_iter().fold(telemetry, Builder::feature)
}

/// Different users by period.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Users {
    day: u64,
    week: u64,
    month: u64,
}

#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Active(Option<Users>);

#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Features(BTreeMap<String, Used>);

#[derive(Serialize)]
struct Used {
    uses: u64,
    users: Option<Users>,
    /// The share of today's users who used it.
    usage: Option<f64>,
}

#[derive(Serialize)]
pub(crate) struct Visits {
    started: u64,
    open: u64,
    timed_out: u64,
    cut_off: u64,
    ended_explicitly: u64,
    median_seconds: Option<f64>,
    /// Where most of them ended.
    exits: Vec<(String, u64)>,
}

impl From<snapshot::Sessions> for Visits {
    fn from(sessions: snapshot::Sessions) -> Self {
        Self {
            started: sessions.started,
            open: sessions.open,
            timed_out: sessions.timed_out,
            cut_off: sessions.cut_off,
            ended_explicitly: sessions.ended_explicitly,
            median_seconds: sessions.median_seconds,
            exits: sessions.exits,
        }
    }
}

impl Display for Visits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { started, open, .. } = self;
        let ended = started - open;
        let median = self.median_seconds.unwrap_or_default();
        writeln!(
            f,
            "sessions: {started} started, {ended} ended after {median:.1} s in the median"
        )?;
        for (step, count) in self.exits.iter().take(3) {
            writeln!(f, "  {count:>6}  ended with {step}")?;
        }
        Ok(())
    }
}

impl From<snapshot::Users> for Users {
    fn from(users: snapshot::Users) -> Self {
        Self {
            day: users.day,
            week: users.week,
            month: users.month,
        }
    }
}

impl Active {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self(snapshot.active_users().map(Users::from))
    }
}

impl Features {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let used = |feature: snapshot::Feature| {
            let used = Used {
                uses: feature.uses,
                users: feature.users.map(Users::from),
                usage: feature.usage(Period::Day),
            };
            (feature.name, used)
        };
        Self(snapshot.features().into_iter().map(used).collect())
    }
}

impl Display for Active {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(Users { day, week, month }) = self.0 else {
            return Ok(());
        };
        writeln!(
            f,
            "active users: {day} today, {week} in 7 days, {month} in 28"
        )
    }
}

impl Display for Features {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, Used { uses, users, usage }) in &self.0 {
            let users = users.map_or(0, |users| users.day);
            let share = usage.unwrap_or_default() * 100.0;
            writeln!(
                f,
                "feature {name}: {uses} uses by {users} known users, {share:.0} % of those active today"
            )?;
        }
        Ok(())
    }
}
