//! The `metrics` facade's recorder over our storage: any `metrics::counter!` of the process.

use super::{
    counter::Counter,
    descriptor::Unit,
    foreign::Form,
    gauge::Gauge,
    histogram::Histogram,
    insert_only::InsertOnlyMap,
    instrument::Stored,
    labels::cut,
    naming,
    registry::{DESCRIPTION_LIMIT, Registry},
};
use crate::fork::Lock;
use metrics::{CounterFn, GaugeFn, HistogramFn, Key, KeyName, Metadata, SharedString};
use std::{collections::HashMap, fmt, sync::Arc};

/// Label sets of each kind, as written at the call, whose series are found without a lock.
const REMEMBERED: usize = 8_192;
/// The longest of them, in bytes; a longer one is looked up each time.
const KEY_LIMIT: usize = 1024;
const CHAINS: usize = 1_024;

/// Serves `metrics::counter!`, `gauge!` and `histogram!`.
///
/// The first use of a label set looks its series up and remembers it; from then on it is found
/// without a lock and without an allocation.
pub(crate) struct Recorder {
    registry: &'static Registry,
    counters: Remembered<Counter>,
    gauges: Remembered<Gauge>,
    histograms: Remembered<Histogram>,
    /// Of instruments that are described but not used yet.
    descriptions: Lock<HashMap<String, (Unit, Box<str>)>>,
}

/// `None` is remembered as well: an instrument that was refused.
type Remembered<T> = InsertOnlyMap<Key, Option<Arc<T>>>;

impl Recorder {
    pub(crate) fn new(registry: &'static Registry) -> Self {
        Self {
            registry,
            counters: InsertOnlyMap::new(CHAINS, REMEMBERED),
            gauges: InsertOnlyMap::new(CHAINS, REMEMBERED),
            histograms: InsertOnlyMap::new(CHAINS, REMEMBERED),
            descriptions: Lock::default(),
        }
    }

    fn find<T: Stored>(&self, remembered: &Remembered<T>, key: &Key, form: Form) -> Option<Arc<T>> {
        let hash = key.get_hash();
        match remembered.get(hash, |known| is_same(known, key)) {
            Some(handle) => handle.clone(),
            None => self.register(remembered, hash, key, &form),
        }
    }

    #[cold]
    fn register<T: Stored>(
        &self,
        remembered: &Remembered<T>,
        hash: u64,
        key: &Key,
        form: &Form,
    ) -> Option<Arc<T>> {
        let described = || self.take_description(key.name());
        let labels = key.labels().map(|label| (label.key(), label.value()));
        let found = self
            .registry
            .foreign::<T>(key.name(), form, described)
            .and_then(|instrument| instrument.find(labels));
        // No lock is held here.
        let _ = found
            .as_ref()
            .inspect_err(|refused| refused.warn(key.name()));
        let (handle, is_without_number) = match found {
            Ok(found) => (Some(found.series), found.is_overflow),
            Err(_) => (None, false),
        };
        // What is remembered is bounded, in number and here in bytes.
        if is_without_number || bytes_of(key) > KEY_LIMIT {
            return handle;
        }
        let make = || (key.clone(), handle.clone());
        match remembered.insert(hash, |known| is_same(known, key), make) {
            Some(handle) => handle.clone(),
            None => handle,
        }
    }

    fn describe(&self, name: &KeyName, unit: Option<metrics::Unit>, description: &str) {
        let description = cut(description, DESCRIPTION_LIMIT);
        // The unit is part of the Prometheus name: it counts only before the first use.
        if let Some(instrument) = self.registry.find(name.as_str()) {
            // The catalog describes its own.
            if instrument.is_foreign {
                instrument.describe(description);
            }
            return;
        }
        let Some(mut waiting) = self.descriptions.hold() else {
            return;
        };
        if name.as_str().len() <= naming::NAME_LIMIT && waiting.len() < REMEMBERED {
            let unit = unit.map_or(Unit::NONE, unit_of);
            waiting.insert(name.as_str().to_owned(), (unit, description.into()));
        }
    }

    fn take_description(&self, name: &str) -> (Unit, Box<str>) {
        let mut waiting = self.descriptions.hold();
        let described = waiting.as_mut().and_then(|waiting| waiting.remove(name));
        described.unwrap_or((Unit::NONE, Box::default()))
    }
}

fn bytes_of(key: &Key) -> usize {
    let labels = key.labels();
    let labels = labels.map(|label| label.key().len() + label.value().len());
    key.name().len() + labels.sum::<usize>()
}

/// Equal as written, labels in their order. `Key`'s own equality sorts copies of the labels; two
/// orders of one set are two entries here, of one series.
#[inline]
fn is_same(known: &Key, key: &Key) -> bool {
    // A remembered key of literals holds the literals themselves.
    let same = |one: &str, other: &str| std::ptr::eq(one, other) || one == other;
    same(known.name(), key.name())
        && known.labels().len() == key.labels().len()
        && known
            .labels()
            .zip(key.labels())
            .all(|(one, other)| same(one.key(), other.key()) && same(one.value(), other.value()))
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, unit: Option<metrics::Unit>, text: SharedString) {
        self.describe(&key, unit, &text);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<metrics::Unit>, text: SharedString) {
        self.describe(&key, unit, &text);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<metrics::Unit>, text: SharedString) {
        self.describe(&key, unit, &text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        self.find(&self.counters, key, Form::Counter)
            .map_or_else(metrics::Counter::noop, metrics::Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        self.find(&self.gauges, key, Form::Gauge)
            .map_or_else(metrics::Gauge::noop, metrics::Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        self.find(&self.histograms, key, Form::Histogram(None))
            .map_or_else(metrics::Histogram::noop, metrics::Histogram::from_arc)
    }
}

impl CounterFn for Counter {
    fn increment(&self, value: u64) {
        self.add(value);
    }

    fn absolute(&self, value: u64) {
        self.absolute(value);
    }
}

impl GaugeFn for Gauge {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.set(value);
    }
}

impl HistogramFn for Histogram {
    fn record(&self, value: f64) {
        self.record_float(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.record_float(value, count as u64);
    }
}

fn unit_of(unit: metrics::Unit) -> Unit {
    use metrics::Unit as Foreign;
    match unit {
        Foreign::Seconds => Unit::SECONDS,
        Foreign::Milliseconds => Unit::named("ms", "milliseconds"),
        Foreign::Microseconds => Unit::named("us", "microseconds"),
        Foreign::Nanoseconds => Unit::named("ns", "nanoseconds"),
        Foreign::Bytes => Unit::BYTES,
        Foreign::Kibibytes => Unit::named("KiBy", "kibibytes"),
        Foreign::Mebibytes => Unit::named("MiBy", "mebibytes"),
        Foreign::Gibibytes => Unit::named("GiBy", "gibibytes"),
        Foreign::Tebibytes => Unit::named("TiBy", "tebibytes"),
        Foreign::Percent => Unit::named("%", "percent"),
        Foreign::BitsPerSecond => Unit::named("bit/s", "bits_per_second"),
        Foreign::KilobitsPerSecond => Unit::named("kbit/s", "kilobits_per_second"),
        Foreign::MegabitsPerSecond => Unit::named("Mbit/s", "megabits_per_second"),
        Foreign::GigabitsPerSecond => Unit::named("Gbit/s", "gigabits_per_second"),
        Foreign::TerabitsPerSecond => Unit::named("Tbit/s", "terabits_per_second"),
        Foreign::CountPerSecond => Unit::named("1/s", "per_second"),
        Foreign::Count => Unit::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, metrics::Limits};
    use metrics::{Recorder as _, with_local_recorder};

    #[test]
    fn long_labels_are_not_remembered_whether_they_are_taken_or_refused() {
        let registry = Registry::new(Limits::default(), Clock::system());
        let recorder = Recorder::new(Box::leak(Box::new(registry)));
        with_local_recorder(&recorder, || {
            for number in 0..100 {
                let long = format!("{number}{}", "x".repeat(KEY_LIMIT));
                metrics::counter!("orders", "tenant" => long.clone()).increment(1);
                metrics::counter!("orders", "__tenant" => long).increment(1);
                metrics::counter!("orders", "city" => number.to_string()).increment(1);
            }
        });
        assert_eq!(recorder.counters.len(), 100);
        assert_eq!(recorder.registry.refusals()[1], ("reserved_label", 1));
        let key = Key::from_parts("orders", vec![metrics::Label::new("city", "7")]);
        let metadata = Metadata::new("", metrics::Level::INFO, None);
        recorder.register_counter(&key, &metadata).increment(1);
        assert_eq!(recorder.counters.len(), 100);
    }

    #[test]
    fn an_application_cannot_describe_an_instrument_of_the_catalog() {
        let registry = Registry::new(Limits::default(), Clock::system());
        let registry: &'static Registry = Box::leak(Box::new(registry));
        let ours = crate::metrics::Descriptor::counter("ours", Unit::NONE, "Ours.");
        let _ = registry.counter(&ours).with(&[]);
        let recorder = Recorder::new(registry);
        recorder.describe_counter(KeyName::from("ours"), None, "theirs".into());
        assert_eq!(&*registry.collect()[0].description(), "Ours.");
    }
}
