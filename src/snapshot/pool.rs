//! One pool of connections.

use super::{Distribution, Snapshot};

/// A pool as it is now. What it cannot tell is `None`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pool {
    /// As it was given.
    pub name: String,
    /// Connections in use.
    pub used: Option<u64>,
    /// Connections that wait for use.
    pub idle: Option<u64>,
    /// How many there may be.
    pub max: Option<u64>,
    /// Who waits for one now.
    pub pending: Option<u64>,
    /// Who waited for too long, since the process began.
    pub timeouts: u64,
    /// Seconds from asking for a connection to having it, or to waiting no more.
    pub waits: Distribution,
    /// Seconds from having a connection to giving it back.
    pub uses: Distribution,
}

impl Pool {
    /// In the order of their names.
    pub(super) fn all_of(snapshot: &Snapshot) -> Vec<Self> {
        const NAME: &str = "db.client.connection.pool.name";
        const COUNT: &str = "db.client.connection.count";
        let metrics = [
            COUNT,
            "db.client.connection.max",
            "db.client.connection.pending_requests",
            "db.client.connection.wait_time",
            "db.client.connection.timeouts",
        ];
        let names = metrics.map(|metric| snapshot.attribute_values(metric, NAME));
        let mut names = names.concat();
        names.sort();
        names.dedup();
        let of = |name: String| {
            let pool = (NAME, name.as_str());
            let level = |metric: &str, attributes: &[(&str, &str)]| {
                let mut series = snapshot.matching(metric, attributes);
                series
                    .next()
                    .and_then(super::Series::number)
                    .map(|level| level as u64)
            };
            let state = |state| level(COUNT, &[pool, ("db.client.connection.state", state)]);
            Self {
                used: state("used"),
                idle: state("idle"),
                max: level("db.client.connection.max", &[pool]),
                pending: level("db.client.connection.pending_requests", &[pool]),
                timeouts: snapshot.counter("db.client.connection.timeouts", &[pool]),
                waits: snapshot.histogram("db.client.connection.wait_time", &[pool]),
                uses: snapshot.histogram("db.client.connection.use_time", &[pool]),
                name,
            }
        };
        names.into_iter().map(of).collect()
    }
}
