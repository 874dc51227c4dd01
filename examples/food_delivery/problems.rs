//! The errors that somebody is to act on: the groups that the telemetry made of them.

use std::fmt::{self, Display, Formatter};

use orderscope::snapshot::{ErrorGroup, Snapshot};
use serde::Serialize;

/// The most frequent first.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Problems(Vec<Problem>);

#[derive(Serialize)]
struct Problem {
    fingerprint: String,
    #[serde(rename = "type")]
    kind: String,
    message: String,
    function: Option<String>,
    is_handled: bool,
    count: u64,
    affected_users: u64,
    endpoints: Vec<String>,
    release: Option<String>,
}

impl Problems {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self(snapshot.error_groups().iter().map(Problem::from).collect())
    }
}

impl From<&ErrorGroup> for Problem {
    fn from(group: &ErrorGroup) -> Self {
        Self {
            fingerprint: group.fingerprint.clone(),
            kind: group.exception_type.clone(),
            message: group.message.clone(),
            function: group.function.clone(),
            is_handled: group.is_handled,
            count: group.count,
            affected_users: group.affected_users,
            endpoints: group.endpoints.clone(),
            release: group.release.clone(),
        }
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "error groups")?;
        if !self.0.is_empty() {
            writeln!(f, "   count   users")?;
        }
        for problem in &self.0 {
            let Problem {
                count,
                affected_users,
                kind,
                message,
                ..
            } = problem;
            let message = message.lines().next().unwrap_or_default();
            writeln!(f, "  {count:>6}  {affected_users:>6}  {kind}: {message}")?;
            for endpoint in &problem.endpoints {
                writeln!(f, "{:>18}{endpoint}", "")?;
            }
        }
        Ok(())
    }
}
