//! Counters that differ in one attribute, found by its value without a lock.

use super::{counter::Counter, insert_only::InsertOnlyMap, instrument::Family, labels};
use rustc_hash::FxBuildHasher;
use std::{
    hash::BuildHasher as _,
    sync::{Arc, OnceLock},
};

/// Distinct values; what names events and types of errors comes from the program's source.
const VALUES: usize = 1_000;
/// Where the values beyond the cap are gathered.
const OTHER: &str = "_OTHER";

/// The counters of one instrument by the value of its one attribute.
#[derive(Debug)]
pub(crate) struct CountersByValue {
    family: Family<Counter>,
    attribute: &'static str,
    known: InsertOnlyMap<Box<str>, Arc<Counter>>,
    other: OnceLock<Arc<Counter>>,
    /// Where a forked child counts what has no counter yet.
    nowhere: Arc<Counter>,
}

impl CountersByValue {
    pub(crate) fn new(family: Family<Counter>, attribute: &'static str) -> Self {
        Self {
            nowhere: family.detached(),
            family,
            attribute,
            known: InsertOnlyMap::new(VALUES / 4, VALUES),
            other: OnceLock::new(),
        }
    }

    /// Makes the counter of a value that the code spells: it has room under every cap, and stands at
    /// 0 before the first event.
    pub(crate) fn keep(&self, value: &'static str) {
        let hash = FxBuildHasher.hash_one(value);
        let series = || self.family.kept(&[(self.attribute, value)]);
        self.known
            .insert(hash, |known| **known == *value, || (value.into(), series()));
    }

    #[inline]
    pub(crate) fn get(&self, value: &str) -> &Counter {
        let value = labels::cut(value, labels::VALUE_LIMIT);
        let hash = FxBuildHasher.hash_one(value);
        let known = self.known.get(hash, |known| **known == *value);
        let known = known.or_else(|| {
            let series = || self.family.with(&[(self.attribute, value)]);
            self.known
                .insert(hash, |known| **known == *value, || (value.into(), series()))
        });
        known.unwrap_or_else(|| {
            if self.family.is_forked() {
                return &self.nowhere;
            }
            self.family.count_overflow();
            self.other
                .get_or_init(|| self.family.kept(&[(self.attribute, OTHER)]))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{clock::Clock, metrics::*};

    const EVENTS: Descriptor = Descriptor::counter("events", Unit::things("{event}"), "Events.")
        .with_attributes(&["event"]);

    #[test]
    fn values_beyond_the_cap_are_counted_together() {
        let registry = Registry::new(Limits::default(), Clock::system());
        let events = CountersByValue::new(registry.counter(&EVENTS), "event");
        for n in 0..super::VALUES + 10 {
            events.get(&format!("event_{n}")).add(1);
        }
        assert_eq!(events.get("event_3").read(), 1);
        assert_eq!(events.get("never_seen").read(), 10);
    }
}
