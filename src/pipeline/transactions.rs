//! Transactions: events that say that one ended are counted as its outcome, by who tracks them.

use crate::{
    catalog::{events::TRANSACTIONS, transaction::Transaction},
    metrics::{Counter, Registry},
    semconv,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What each event is counted as.
#[derive(Debug, Default)]
pub(crate) struct Transactions(FxHashMap<Box<str>, Vec<Arc<Counter>>>);

impl Transactions {
    pub(super) fn new(declared: &[Transaction], registry: &Registry) -> Self {
        let mut by_event = Self::default();
        if declared.is_empty() {
            // Then the instrument is not there.
            return by_event;
        }
        let family = registry.counter(&TRANSACTIONS);
        for transaction in declared {
            let name = (semconv::TRANSACTION_NAME, transaction.name());
            for (outcome, events) in [
                ("succeeded", transaction.succeeded()),
                ("failed", transaction.failed()),
            ] {
                let counter = family.kept(&[name, (semconv::OUTCOME, outcome)]);
                for event in events {
                    let counters = by_event.0.entry(event.as_str().into()).or_default();
                    counters.push(Arc::clone(&counter));
                }
            }
        }
        by_event
    }

    /// An event of that name was tracked.
    #[inline]
    pub(crate) fn count(&self, event: &str) {
        if self.0.is_empty() {
            return;
        }
        for counter in self.0.get(event).into_iter().flatten() {
            counter.add(1);
        }
    }
}
