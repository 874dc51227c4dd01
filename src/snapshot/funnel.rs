//! What a funnel has come to.

use super::{Metric, Series, Snapshot, Value};

/// The attempts at one funnel since the process began.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Funnel {
    /// As it was declared.
    pub name: String,
    /// Attempts that were begun: those that ended, and those that are open.
    pub attempts: u64,
    /// Those that may still come to the last step.
    pub open: u64,
    /// Those that came to the last step within the window.
    pub converted: u64,
    /// Those whose window ended before.
    pub abandoned: u64,
    /// Those that an exclusion ended.
    pub excluded: u64,
    /// In order.
    pub steps: Vec<FunnelStep>,
}

/// One step of a [`Funnel`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FunnelStep {
    /// Its event.
    pub event: String,
    /// Attempts that came to it.
    pub reached: u64,
    /// Abandoned attempts that came no further: where users drop off.
    pub abandoned: u64,
    /// Seconds from the step before that half of them took at most; none of the first step, and of
    /// one that nobody came to.
    pub median_seconds: Option<f64>,
}

impl Funnel {
    /// The share of closed attempts that were abandoned, 0 to 1; `None`: none is closed.
    pub fn abandonment_rate(&self) -> Option<f64> {
        self.share(self.abandoned)
    }

    /// The share of closed attempts that were converted, 0 to 1; `None`: none is closed.
    pub fn conversion_rate(&self) -> Option<f64> {
        self.share(self.converted)
    }

    fn share(&self, of: u64) -> Option<f64> {
        let closed = self.converted + self.abandoned + self.excluded;
        (closed > 0).then(|| of as f64 / closed as f64)
    }

    pub(super) fn all_of(snapshot: &Snapshot) -> Vec<Self> {
        const ATTEMPTS: &str = "orderscope.funnel.attempts.opened";
        let names = snapshot.attribute_values(ATTEMPTS, NAME).into_iter();
        names.map(|name| Self::of(snapshot, name)).collect()
    }

    fn of(snapshot: &Snapshot, name: String) -> Self {
        const CLOSED: &str = "orderscope.funnel.attempts.closed";
        let here = (NAME, name.as_str());
        let closed = |outcome| snapshot.counter(CLOSED, &[here, ("outcome", outcome)]);
        let steps = steps(snapshot, &name).map(|event| {
            let step = (STEP, event);
            let took = snapshot.histogram("orderscope.funnel.step.duration", &[here, step]);
            FunnelStep {
                event: event.to_owned(),
                reached: snapshot.counter(REACHED, &[here, step]),
                abandoned: snapshot.counter(CLOSED, &[here, step, ("outcome", "abandoned")]),
                median_seconds: took.quantile(0.5),
            }
        });
        Self {
            attempts: snapshot.counter("orderscope.funnel.attempts.opened", &[here]),
            open: snapshot.gauge("orderscope.funnel.attempts.open", &[here]) as u64,
            converted: closed("converted"),
            abandoned: closed("abandoned"),
            excluded: closed("excluded"),
            steps: steps.collect(),
            name,
        }
    }
}

const NAME: &str = "funnel.name";
const STEP: &str = "funnel.step";
const REACHED: &str = "orderscope.funnel.step.reached";

/// In the order of their series, which is that of the declaration.
fn steps<'a>(snapshot: &'a Snapshot, funnel: &'a str) -> impl Iterator<Item = &'a str> {
    let series = snapshot.metric(REACHED).map_or(&[][..], Metric::series);
    let of_funnel = series
        .iter()
        .filter(move |s| s.attribute(NAME) == Some(funnel));
    of_funnel.filter_map(|series: &Series| match series.value {
        Value::Number(_) => series.attribute(STEP),
        Value::Distribution(_) => None,
    })
}
