//! Who was active, and who used a feature.

use super::Snapshot;

/// Different users by period, within a standard error of 0.81 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Users {
    /// Today.
    pub day: u64,
    /// On the last 7 days, today included.
    pub week: u64,
    /// On the last 28 days, today included.
    pub month: u64,
}

/// Calendar days that users are counted over, today included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Period {
    /// Today.
    Day,
    /// The last 7 days.
    Week,
    /// The last 28 days.
    Month,
}

/// What became of one feature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feature {
    /// As it was declared.
    pub name: String,
    /// Events that are a use of it, since the process began.
    pub uses: u64,
    /// `None`: the shared state does not answer, and nobody knows.
    pub users: Option<Users>,
    /// Everybody who was active; `None` also where that is not declared.
    pub active: Option<Users>,
}

impl Users {
    /// Daily over monthly users, 0 to 1: how many days of the month a user comes. `None`: there are
    /// none.
    pub fn stickiness(&self) -> Option<f64> {
        (self.month > 0).then(|| (self.day as f64 / self.month as f64).min(1.0))
    }

    /// Those of one period.
    pub fn within(&self, period: Period) -> u64 {
        match period {
            Period::Day => self.day,
            Period::Week => self.week,
            Period::Month => self.month,
        }
    }

    pub(super) fn active(snapshot: &Snapshot) -> Option<Self> {
        Self::of(snapshot, "orderscope.users.active", &[])
    }

    fn of(snapshot: &Snapshot, metric: &str, attributes: &[(&str, &str)]) -> Option<Self> {
        let within = |period| {
            let attributes = [attributes, &[("period", period)]].concat();
            let mut series = snapshot.matching(metric, &attributes);
            Some(series.next()?.number()?.round() as u64)
        };
        Some(Self {
            day: within("day")?,
            week: within("week")?,
            month: within("month")?,
        })
    }
}

impl Feature {
    /// The share of active users who used it in the period, 0 to 1; `None`: nobody was active, or
    /// nobody knows.
    pub fn usage(&self, within: Period) -> Option<f64> {
        let (users, active) = (self.users?.within(within), self.active?.within(within));
        // Each is within its own error.
        (active > 0).then(|| (users as f64 / active as f64).min(1.0))
    }

    pub(super) fn all_of(snapshot: &Snapshot) -> Vec<Self> {
        const USES: &str = "orderscope.feature.uses";
        const NAME: &str = "feature.name";
        let active = Users::active(snapshot);
        let names = snapshot.attribute_values(USES, NAME).into_iter();
        let of = |name: String| Self {
            uses: snapshot.counter(USES, &[(NAME, &name)]),
            users: Users::of(snapshot, "orderscope.feature.users", &[(NAME, &name)]),
            active,
            name,
        };
        names.map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nobody_is_none_and_none_is_more_than_all() {
        let users = |day, month| Users {
            day,
            week: month,
            month,
        };
        assert_eq!(users(0, 0).stickiness(), None);
        assert_eq!(users(1, 4).stickiness(), Some(0.25));
        assert_eq!(users(5, 4).stickiness(), Some(1.0));
        let feature = |active| Feature {
            name: "search".to_owned(),
            uses: 9,
            users: Some(users(2, 5)),
            active,
        };
        assert_eq!(feature(None).usage(Period::Day), None);
        assert_eq!(feature(Some(users(0, 4))).usage(Period::Day), None);
        assert_eq!(feature(Some(users(8, 4))).usage(Period::Day), Some(0.25));
        assert_eq!(feature(Some(users(8, 4))).usage(Period::Month), Some(1.0));
    }
}
