//! What either succeeded or failed.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use orderscope::snapshot::Snapshot;
use serde::{Deserialize, Serialize};

/// By the transaction's name.
#[derive(Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Transactions(BTreeMap<String, Ended>);

/// How transactions of one kind ended.
#[derive(Default, Deserialize, Serialize)]
struct Ended {
    succeeded: u64,
    failed: u64,
}

impl Transactions {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let ended = snapshot.transactions().into_iter().map(|transaction| {
            let ended = Ended {
                succeeded: transaction.succeeded,
                failed: transaction.failed,
            };
            (transaction.name, ended)
        });
        Self(ended.collect())
    }

    /// Adds another replica's: each ended in one of them.
    pub(crate) fn add(&mut self, other: &Self) {
        for (name, Ended { succeeded, failed }) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            sum.succeeded += succeeded;
            sum.failed += failed;
        }
    }
}

impl Display for Transactions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, Ended { succeeded, failed }) in &self.0 {
            writeln!(
                f,
                "transaction {name}: {succeeded} succeeded, {failed} failed"
            )?;
        }
        Ok(())
    }
}
