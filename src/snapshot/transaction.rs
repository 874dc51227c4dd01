//! How transactions ended.

use super::Snapshot;

/// The ends of one kind of transaction since the process began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transaction {
    /// As it was declared.
    pub name: String,
    /// Events that say that one succeeded.
    pub succeeded: u64,
    /// Events that say that one failed.
    pub failed: u64,
}

impl Transaction {
    /// The share of failures, 0 to 1; `None`: none has ended.
    pub fn failure_rate(&self) -> Option<f64> {
        let ended = self.succeeded + self.failed;
        (ended > 0).then(|| self.failed as f64 / ended as f64)
    }

    pub(super) fn all_of(snapshot: &Snapshot) -> Vec<Self> {
        const TRANSACTIONS: &str = "orderscope.transactions";
        const NAME: &str = "transaction.name";
        let names = snapshot.attribute_values(TRANSACTIONS, NAME).into_iter();
        let of = |name: String| {
            let ended = |outcome| {
                let attributes = [(NAME, name.as_str()), ("outcome", outcome)];
                snapshot.counter(TRANSACTIONS, &attributes)
            };
            Self {
                succeeded: ended("succeeded"),
                failed: ended("failed"),
                name,
            }
        };
        names.map(of).collect()
    }
}
