//! How many errors, events and log lines there were, by the telemetry's own account.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use orderscope::{
    catalog::{errors::EXCEPTIONS_BY_TYPE, events::EVENTS, logs::LOG_RECORDS},
    snapshot::Snapshot,
};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Tallies {
    /// By type; panics under `panic`.
    errors: BTreeMap<String, u64>,
    /// By name.
    events: BTreeMap<String, u64>,
    /// By severity, at the levels of `RUST_LOG`.
    logs: BTreeMap<String, u64>,
}

impl Tallies {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self {
            errors: by(snapshot, EXCEPTIONS_BY_TYPE.name(), "exception.type"),
            events: by(snapshot, EVENTS.name(), "event"),
            logs: by(snapshot, LOG_RECORDS.name(), "severity"),
        }
    }
}

fn by(snapshot: &Snapshot, metric: &str, attribute: &str) -> BTreeMap<String, u64> {
    let values = snapshot.attribute_values(metric, attribute).into_iter();
    let count = |value: String| {
        let count = snapshot.counter(metric, &[(attribute, &value)]);
        (value, count)
    };
    values.map(count).collect()
}

impl Display for Tallies {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            errors,
            events,
            logs,
        } = self;
        for (what, tally) in [("errors", errors), ("events", events), ("logs", logs)] {
            writeln!(f, "{what}")?;
            for (name, count) in tally.iter().filter(|(_, count)| **count > 0) {
                writeln!(f, "  {count:>6}  {name}")?;
            }
        }
        Ok(())
    }
}
