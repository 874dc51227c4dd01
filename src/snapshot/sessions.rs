//! What sessions have come to.

use super::{Metric, Snapshot};

/// The sessions since the process began.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sessions {
    /// Sessions that were begun, continuations among them.
    pub started: u64,
    /// Those that go on.
    pub open: u64,
    /// Those that ended for want of activity.
    pub timed_out: u64,
    /// Those that were cut off at their longest.
    pub cut_off: u64,
    /// Those that the application ended.
    pub ended_explicitly: u64,
    /// Seconds that half of those that ended took at most; none before the first.
    pub median_seconds: Option<f64>,
    /// Where they ended: the last steps, each with how many, the most frequent first, at most 10.
    pub exits: Vec<(String, u64)>,
}

impl Sessions {
    pub(super) fn of(snapshot: &Snapshot) -> Option<Self> {
        const EXITS: &str = "orderscope.session.exits";
        const MOST: usize = 10;
        snapshot.metric("orderscope.sessions.started")?;
        let ended = |reason| snapshot.counter("orderscope.sessions.ended", &[("reason", reason)]);
        let series = snapshot.metric(EXITS).map_or(&[][..], Metric::series);
        let mut exits: Vec<_> = series
            .iter()
            .filter_map(|series| {
                let step = series.attribute("session.step")?;
                Some((step.to_owned(), series.number()? as u64))
            })
            .collect();
        exits.sort_by(|(one, ones), (other, others)| others.cmp(ones).then_with(|| one.cmp(other)));
        exits.truncate(MOST);
        let lasted = snapshot.histogram("orderscope.session.duration", &[]);
        Some(Self {
            started: snapshot.counter("orderscope.sessions.started", &[]),
            open: snapshot.gauge("orderscope.sessions.open", &[]) as u64,
            timed_out: ended("timeout"),
            cut_off: ended("max_duration"),
            ended_explicitly: ended("explicit"),
            median_seconds: lasted.quantile(0.5),
            exits,
        })
    }
}
