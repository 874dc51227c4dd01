//! What the database was asked for the longest, and who waited for a connection to it.

use std::fmt::{self, Display, Formatter};

use orderscope::snapshot::{Pool, Snapshot, Statement};
use serde::Serialize;

/// As many are told.
const SLOWEST: usize = 10;

/// Those that took the longest in all.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Statements(Vec<Spent>);

#[derive(Serialize)]
struct Spent {
    digest: String,
    summary: String,
    text: String,
    pool: Option<String>,
    calls: u64,
    total_seconds: f64,
    p99_seconds: f64,
    rows: u64,
    errors: u64,
    slow: u64,
    /// Requests that ran it ten times or more.
    repeated: u64,
}

/// In the order of their names.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Pools(Vec<Waited>);

#[derive(Serialize)]
struct Waited {
    name: String,
    acquired: u64,
    timeouts: u64,
    wait_p99_seconds: Option<f64>,
    use_p99_seconds: Option<f64>,
}

impl Statements {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let slowest = snapshot.statements().iter().take(SLOWEST);
        Self(slowest.map(Spent::from).collect())
    }
}

impl From<&Statement> for Spent {
    fn from(statement: &Statement) -> Self {
        Self {
            digest: statement.digest.clone(),
            summary: statement.summary.clone(),
            text: statement.text.clone(),
            pool: statement.pool.clone(),
            calls: statement.calls,
            total_seconds: statement.total.as_secs_f64(),
            p99_seconds: statement.p99.as_secs_f64(),
            rows: statement.rows,
            errors: statement.errors,
            slow: statement.slow,
            repeated: statement.repeated,
        }
    }
}

impl Pools {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self(snapshot.pools().iter().map(Waited::from).collect())
    }
}

impl From<&Pool> for Waited {
    fn from(pool: &Pool) -> Self {
        Self {
            name: pool.name.clone(),
            acquired: pool.waits.count(),
            timeouts: pool.timeouts,
            wait_p99_seconds: pool.waits.quantile(0.99),
            use_p99_seconds: pool.uses.quantile(0.99),
        }
    }
}

impl Display for Statements {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "statements\n   calls  total, s  p99, ms    slow")?;
        for spent in &self.0 {
            let (calls, slow, summary) = (spent.calls, spent.slow, &spent.summary);
            let (total, p99) = (spent.total_seconds, spent.p99_seconds * 1_000.0);
            writeln!(f, "{calls:>8}{total:>10.3}{p99:>9.2}{slow:>8}  {summary}")?;
        }
        Ok(())
    }
}

impl Display for Pools {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "pools\nacquired  waited, p99 ms  used, p99 ms  timeouts")?;
        for pool in &self.0 {
            let milliseconds = |seconds: Option<f64>| seconds.unwrap_or_default() * 1_000.0;
            let (waited, used) = (
                milliseconds(pool.wait_p99_seconds),
                milliseconds(pool.use_p99_seconds),
            );
            let (acquired, timeouts) = (pool.acquired, pool.timeouts);
            writeln!(
                f,
                "{acquired:>8}{waited:>16.2}{used:>14.2}{timeouts:>10}  {}",
                pool.name
            )?;
        }
        Ok(())
    }
}
