//! From the attributes of a measurement to its series: without a lock once they were met.

use crate::metrics::{Foreign, Found, InsertOnlyMap, Stored};
use ::opentelemetry::KeyValue;
use rustc_hash::FxBuildHasher;
use std::{
    borrow::Cow,
    hash::BuildHasher as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Attribute sets that all instruments together remember as they are given.
const REMEMBERED: usize = 8_192;
/// The longest of them, in bytes of names and texts.
const LONGEST: usize = 1_024;
const CHAINS: usize = 32;

/// The series of one instrument by their attributes, as a library gives them.
#[derive(Debug)]
pub(super) struct SeriesByAttributes<T> {
    /// `None`: the instrument was refused, and records nothing.
    instrument: Option<Foreign<T>>,
    /// `None` is remembered as well: an attribute set that was refused.
    known: InsertOnlyMap<Box<[KeyValue]>, Option<Arc<T>>>,
    remembered: Arc<AtomicUsize>,
}

impl<T: Stored> SeriesByAttributes<T> {
    /// `remembered` counts the sets of all instruments.
    pub(super) fn new(instrument: Option<Foreign<T>>, remembered: Arc<AtomicUsize>) -> Self {
        Self {
            instrument,
            known: InsertOnlyMap::new(CHAINS, REMEMBERED),
            remembered,
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.instrument.is_none()
    }

    /// Runs `measure` on the series of an attribute set, unless it is refused.
    pub(super) fn with(&self, attributes: &[KeyValue], measure: impl FnOnce(&T)) {
        let Some(instrument) = &self.instrument else {
            return;
        };
        let hash = FxBuildHasher.hash_one(attributes);
        let registered;
        let series = match self.known.get(hash, |known| **known == *attributes) {
            Some(known) => known,
            None => {
                registered = self.register(instrument, hash, attributes);
                &registered
            }
        };
        if let Some(series) = series {
            measure(series);
        }
    }

    #[cold]
    fn register(
        &self,
        instrument: &Foreign<T>,
        hash: u64,
        attributes: &[KeyValue],
    ) -> Option<Arc<T>> {
        let texts: Vec<(&str, Cow<'_, str>)> = attributes
            .iter()
            .map(|attribute| (attribute.key.as_str(), attribute.value.as_str()))
            .collect();
        let found = instrument.series(texts.iter().map(|(name, value)| (*name, &**value)));
        let bytes = texts.iter().map(|(name, value)| name.len() + value.len());
        let is_short = bytes.sum::<usize>() <= LONGEST;
        let (series, is_overflow) = match found {
            Some(Found {
                series,
                is_overflow,
            }) => (Some(series), is_overflow),
            None => (None, false),
        };
        let has_room = || self.remembered.fetch_add(1, Ordering::Relaxed) < REMEMBERED;
        if is_short && !is_overflow && has_room() {
            let make = || (attributes.into(), series.clone());
            self.known
                .insert(hash, |known| **known == *attributes, make);
        }
        series
    }
}
