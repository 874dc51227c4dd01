//! One instrument and its series, capped in number and in bytes.

use super::{
    counter::{Counter, ObservedCounter, UpDownCounter},
    descriptor::{Kind, Unit},
    gauge::Gauge,
    histogram::{Edges, Histogram, Scale},
    labels::{Labels, Reserved},
    shared::Shared,
};
use crate::fork::Lock;
use std::{
    collections::HashMap,
    marker::PhantomData,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// The attribute that marks the set where measurements beyond a cap are gathered, as the
/// OpenTelemetry specification has it.
const OVERFLOW: &str = "otel_metric_overflow";
/// What a series costs beside its storage and its text: allocations, map entry, list entry.
const SERIES_OVERHEAD: usize = 256;

/// The value of one series.
#[derive(Debug)]
pub(crate) enum Storage {
    Counter(Arc<Counter>),
    ObservedCounter(Arc<ObservedCounter>),
    UpDownCounter(Arc<UpDownCounter>),
    Gauge(Arc<Gauge>),
    Histogram(Arc<Histogram>),
}

impl Storage {
    fn is_withheld(&self) -> bool {
        matches!(self, Self::Gauge(gauge) if gauge.is_withheld())
    }
}

/// One attribute set of one instrument.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) storage: Storage,
}

/// Whether a series has to find room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Within the caps: its attributes' values come from outside.
    Capped,
    /// One of a set that is bounded by the code, however low the caps are.
    Kept,
}

/// What an instrument makes a new series of.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Counter,
    ObservedCounter,
    UpDownCounter,
    Gauge,
    Histogram(Arc<Edges>),
}

/// The bytes that all series of a registry may take together.
#[derive(Debug)]
pub(super) struct Budget {
    spent: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            spent: AtomicUsize::new(0),
            limit,
        }
    }

    fn take(&self, bytes: usize) -> bool {
        let add = |spent: usize| spent.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.spent
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_ok()
    }
}

/// A registered instrument.
#[derive(Debug)]
pub(crate) struct Instrument {
    pub(crate) name: Box<str>,
    pub(crate) family: Box<str>,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    /// Of somebody else's, not of the catalog.
    pub(super) is_foreign: bool,
    description: Lock<Arc<str>>,
    shape: Shape,
    table: Lock<Table>,
    overflow: OnceLock<Arc<Series>>,
    overflowed: AtomicU64,
    limit: usize,
    budget: Arc<Budget>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Table {
    by_text: HashMap<Box<str>, Arc<Series>>,
    in_order: Vec<Arc<Series>>,
}

pub(super) struct Declaration<'a> {
    pub(super) name: &'a str,
    pub(super) family: &'a str,
    pub(super) kind: Kind,
    pub(super) unit: Unit,
    pub(super) description: &'a str,
    pub(super) shape: Shape,
    pub(super) is_foreign: bool,
}

impl Instrument {
    pub(super) fn new(
        declaration: Declaration<'_>,
        limit: usize,
        budget: Arc<Budget>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            name: declaration.name.into(),
            family: declaration.family.into(),
            kind: declaration.kind,
            unit: declaration.unit,
            is_foreign: declaration.is_foreign,
            description: Lock::new(declaration.description.into()),
            shape: declaration.shape,
            table: Lock::default(),
            overflow: OnceLock::new(),
            overflowed: AtomicU64::new(0),
            limit,
            budget,
            shared,
        }
    }

    /// The series of an attribute set; beyond the caps, the overflow series, and it is counted.
    pub(super) fn series<'a>(
        &self,
        attributes: impl Iterator<Item = (&'a str, &'a str)>,
        room: Room,
    ) -> Result<Arc<Series>, Reserved> {
        let le_is_reserved = self.kind == Kind::Histogram;
        let labels = Labels::new(attributes, le_is_reserved, &self.shared)?;
        let Some(mut table) = self.table.hold() else {
            // One that no reader sees.
            return Ok(Arc::new(Series {
                storage: self.storage(),
                labels,
            }));
        };
        if let Some(series) = table.by_text.get(&labels.text) {
            return Ok(Arc::clone(series));
        }
        let bytes = SERIES_OVERHEAD + 3 * labels.text.len() + self.storage_bytes();
        let has_room = table.in_order.len() < self.limit && self.budget.take(bytes);
        if room == Room::Capped && !has_room {
            drop(table);
            self.count_overflow();
            return Ok(Arc::clone(self.overflow()));
        }
        let series = Arc::new(Series {
            storage: self.storage(),
            labels,
        });
        let text = series.labels.text.clone();
        table.by_text.insert(text, Arc::clone(&series));
        table.in_order.push(Arc::clone(&series));
        Ok(series)
    }

    /// The series are copied out, so that a reader never holds up who registers one.
    pub(crate) fn all_series(&self, into: &mut Vec<Arc<Series>>) {
        into.clear();
        if let Some(table) = self.table.hold() {
            // In one piece, though some are left out.
            into.reserve(table.in_order.len() + 1);
            let is_told = |series: &&Arc<Series>| !series.storage.is_withheld();
            into.extend(table.in_order.iter().filter(is_told).cloned());
        }
        into.extend(self.overflow.get().cloned());
    }

    pub(crate) fn description(&self) -> Arc<str> {
        let description = self.description.hold();
        description.map_or_else(|| "".into(), |description| Arc::clone(&description))
    }

    pub(super) fn describe(&self, description: &str) {
        if let Some(mut known) = self.description.hold() {
            *known = description.into();
        }
    }

    /// Measurements that found a cap.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    pub(super) fn is_overflow(&self, series: &Arc<Series>) -> bool {
        self.overflow
            .get()
            .is_some_and(|overflow| Arc::ptr_eq(overflow, series))
    }

    fn count_overflow(&self) {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
    }

    fn overflow(&self) -> &Arc<Series> {
        self.overflow.get_or_init(|| {
            let mut text = String::new();
            super::labels::push(&mut text, OVERFLOW, "true");
            Arc::new(Series {
                labels: Labels {
                    attributes: [(OVERFLOW.into(), "true".into())].into(),
                    text: text.into(),
                },
                storage: self.storage(),
            })
        })
    }

    fn storage(&self) -> Storage {
        let shared = || Arc::clone(&self.shared);
        match &self.shape {
            Shape::Counter => Storage::Counter(Arc::new(Counter::new(shared()))),
            Shape::ObservedCounter => {
                Storage::ObservedCounter(Arc::new(ObservedCounter::new(shared())))
            }
            Shape::UpDownCounter => Storage::UpDownCounter(Arc::new(UpDownCounter::new())),
            Shape::Gauge => Storage::Gauge(Arc::new(Gauge::new(shared()))),
            Shape::Histogram(edges) => {
                Storage::Histogram(Arc::new(Histogram::new(Arc::clone(edges), shared())))
            }
        }
    }

    fn storage_bytes(&self) -> usize {
        match &self.shape {
            Shape::Counter => Counter::bytes(),
            Shape::UpDownCounter => UpDownCounter::bytes(),
            Shape::ObservedCounter | Shape::Gauge => size_of::<Gauge>(),
            Shape::Histogram(edges) => edges.bytes() + size_of::<Histogram>(),
        }
    }
}

/// An instrument whose series hold a `T`.
#[derive(Debug)]
pub(crate) struct Family<T> {
    instrument: Arc<Instrument>,
    of: PhantomData<fn() -> T>,
}

impl<T: Stored> Family<T> {
    pub(super) fn new(instrument: Arc<Instrument>) -> Self {
        Self {
            instrument,
            of: PhantomData,
        }
    }

    /// The series of an attribute set; keep it, this is not for hot paths.
    pub(crate) fn with(&self, attributes: &[(&str, &str)]) -> Arc<T> {
        self.in_room(attributes, Room::Capped)
    }

    /// As [`with`](Self::with), for sets that the code bounds: they have room under every cap.
    pub(crate) fn kept(&self, attributes: &[(&str, &str)]) -> Arc<T> {
        self.in_room(attributes, Room::Kept)
    }

    fn in_room(&self, attributes: &[(&str, &str)], room: Room) -> Arc<T> {
        self.instrument
            .series(attributes.iter().copied(), room)
            .ok()
            .and_then(|series| T::of(&series.storage).cloned())
            // A label of our own that is reserved would be a bug of ours: the test over the
            // catalog finds it, and the host does not pay for it.
            .unwrap_or_else(|| self.detached())
    }

    /// Where what has no room of its own is gathered.
    pub(crate) fn overflow(&self) -> Arc<T> {
        if self.is_forked() {
            return self.detached();
        }
        T::of(&self.instrument.overflow().storage)
            .cloned()
            .unwrap_or_else(|| self.detached())
    }

    /// One that no reader sees.
    pub(crate) fn detached(&self) -> Arc<T> {
        T::detached(&self.instrument.shared)
    }

    /// Whether the caller runs in a forked child, which must not wait for somebody's first use.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.instrument.table.is_forked()
    }

    pub(crate) fn count_overflow(&self) {
        self.instrument.count_overflow();
    }
}

/// A value that a series can hold.
pub(crate) trait Stored: Sized {
    fn of(storage: &Storage) -> Option<&Arc<Self>>;
    /// One that no reader sees.
    fn detached(shared: &Arc<Shared>) -> Arc<Self>;
}

macro_rules! stored {
    ($kind:ident, $detached:expr) => {
        impl Stored for $kind {
            fn of(storage: &Storage) -> Option<&Arc<Self>> {
                match storage {
                    Storage::$kind(value) => Some(value),
                    _ => None,
                }
            }

            fn detached(shared: &Arc<Shared>) -> Arc<Self> {
                let detached: fn(&Arc<Shared>) -> Self = $detached;
                Arc::new(detached(shared))
            }
        }
    };
}

stored!(Counter, |shared| Counter::new(Arc::clone(shared)));
stored!(ObservedCounter, |shared| ObservedCounter::new(Arc::clone(
    shared
)));
stored!(UpDownCounter, |_| UpDownCounter::new());
stored!(Gauge, |shared| Gauge::new(Arc::clone(shared)));
stored!(Histogram, |shared| {
    let no_edges = Edges::new(&[], Scale::Whole { per_one: 1 });
    Histogram::new(Arc::new(no_edges), Arc::clone(shared))
});
