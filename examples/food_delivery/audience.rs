//! Who comes, how long they stay, and what of the platform they use.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    time::Duration,
};

use orderscope::{
    events::{ActiveUsers, DishViewed, FavoriteAdded, Feature, OrderTracked, Search, Sessions},
    snapshot::{self, Period, Snapshot},
    telemetry::Builder,
};
use serde::{Deserialize, Serialize};

/// Declares whom and what the platform counts.
pub(crate) fn declare(telemetry: Builder, lateness: Duration) -> Builder {
    let features = [
        Feature::new("favorites").used_by(FavoriteAdded::NAME),
        Feature::new("search").used_by(Search::NAME),
        Feature::new("menu").used_by(DishViewed::NAME),
        Feature::new("tracking").used_by(OrderTracked::NAME),
    ];
    // A visit takes seconds here.
    let sessions = Sessions::new()
        .idle_after(Duration::from_secs(4))
        .lateness(lateness);
    let telemetry = telemetry
        .sessions(sessions)
        .active_users(ActiveUsers::new().time_zone("Europe/Vienna"));
    features.into_iter().fold(telemetry, Builder::feature)
}

/// Different users by period.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub(crate) struct Users {
    day: u64,
    week: u64,
    month: u64,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Active(Option<Users>);

#[derive(Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Features(BTreeMap<String, Used>);

#[derive(Default, Deserialize, Serialize)]
struct Used {
    uses: u64,
    users: Option<Users>,
    /// The share of today's users who used it.
    usage: Option<f64>,
}

#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Visits {
    started: u64,
    open: u64,
    timed_out: u64,
    cut_off: u64,
    ended_explicitly: u64,
    /// Of one process: those of several make none together.
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

impl Visits {
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Adds another replica's: each session is begun in one of them, and ends in one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.started += other.started;
        self.open += other.open;
        self.timed_out += other.timed_out;
        self.cut_off += other.cut_off;
        self.ended_explicitly += other.ended_explicitly;
        for (step, count) in &other.exits {
            match self.exits.iter_mut().find(|(known, _)| known == step) {
                Some((_, sum)) => *sum += count,
                None => self.exits.push((step.clone(), *count)),
            }
        }
        self.exits.sort_by_key(|(_, count)| Reverse(*count));
    }
}

impl Display for Visits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { started, open, .. } = self;
        let ended = started - open;
        write!(f, "sessions: {started} started, {ended} ended")?;
        if let Some(median) = self.median_seconds {
            write!(f, " after {median:.1} s in the median")?;
        }
        writeln!(f)?;
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

impl Users {
    /// Where several tell one number, the newest is the largest.
    fn newest(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(one), Some(other)) = (one, other) else {
            return one.or(other);
        };
        Some(Self {
            day: one.day.max(other.day),
            week: one.week.max(other.week),
            month: one.month.max(other.month),
        })
    }
}

impl Active {
    pub(crate) fn today(&self) -> Option<u64> {
        self.0.map(|users| users.day)
    }

    /// Which share of today's users so many are.
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 users")]
    fn share(&self, users: u64) -> Option<f64> {
        let active = self.today().filter(|active| *active > 0)?;
        Some((users as f64 / active as f64).min(1.0))
    }

    /// Looks at another replica's, which are the same users.
    pub(crate) fn look_at(&mut self, other: &Self) {
        self.0 = Users::newest(self.0, other.0);
    }

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

    /// Adds another replica's uses, by users who are the same.
    pub(crate) fn add(&mut self, other: &Self, active: &Active) {
        for (name, used) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            sum.uses += used.uses;
            sum.users = Users::newest(sum.users, used.users);
            sum.usage = sum.users.and_then(|users| active.share(users.day));
        }
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
