//! All instruments of one telemetry, and what guards them: names, caps, refusals.

use super::{
    counter::{Counter, ObservedCounter, UpDownCounter},
    descriptor::{Descriptor, Unit},
    foreign::Form,
    gauge::Gauge,
    histogram::{Edges, Histogram, Scale},
    instrument::{Budget, Declaration, Family, Instrument, Shape},
    labels::cut,
    naming,
    shared::Shared,
};
use crate::{clock::Clock, fork::Lock};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The longest description of an instrument of somebody else's that is kept, in bytes.
pub(super) const DESCRIPTION_LIMIT: usize = 1024;

/// The bounds of a registry.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Attribute sets of one instrument.
    pub(crate) series: usize,
    /// Instruments that others may register.
    pub(crate) instruments: usize,
    /// Bytes over all series.
    pub(crate) bytes: usize,
    /// Bucket edges by OpenTelemetry name, over those declared or derived.
    pub(crate) edges: HashMap<String, Vec<f64>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series: 2_000,
            instruments: 2_000,
            bytes: 32 << 20,
            edges: HashMap::new(),
        }
    }
}

/// Why an instrument of somebody else's was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NameCollision,
    ReservedLabel,
    InvalidName,
    Limit,
}

impl Refusal {
    pub(crate) const ALL: [Self; 4] = [
        Self::NameCollision,
        Self::ReservedLabel,
        Self::InvalidName,
        Self::Limit,
    ];

    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NameCollision => "name_collision",
            Self::ReservedLabel => "reserved_label",
            Self::InvalidName => "invalid_name",
            Self::Limit => "limit",
        }
    }
}

/// An instrument was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// For the first time under its name: worth a warning.
    pub(super) is_new: bool,
}

type Observer = Arc<dyn Fn() + Send + Sync>;

/// All instruments of one telemetry.
pub(crate) struct Registry {
    limits: Limits,
    names: Lock<Names>,
    observers: Lock<Vec<Observer>>,
    refusals: [AtomicU64; Refusal::ALL.len()],
    budget: Arc<Budget>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Names {
    /// By family: the order of the page.
    instruments: BTreeMap<Box<str>, Arc<Instrument>>,
    by_name: HashMap<Box<str>, Arc<Instrument>>,
    /// Prometheus sample names in use.
    claimed: HashSet<String>,
    foreign: usize,
    refused: HashSet<Box<str>>,
}

impl Registry {
    pub(crate) fn new(limits: Limits, clock: Clock) -> Self {
        let names = Names {
            // The resource's own metric.
            claimed: ["target", "target_info"].map(String::from).into(),
            ..Names::default()
        };
        Self {
            budget: Arc::new(Budget::new(limits.bytes)),
            names: Lock::new(names),
            observers: Lock::default(),
            refusals: Default::default(),
            shared: Arc::new(Shared::new(clock)),
            limits,
        }
    }

    /// Where exemplars, and spans that are recorded beside them, take their time from.
    pub(crate) fn clock(&self) -> &Clock {
        self.shared.clock()
    }

    pub(crate) fn counter(&self, descriptor: &Descriptor) -> Family<Counter> {
        Family::new(self.declared(descriptor, Shape::Counter))
    }

    /// For sums that the operating system keeps.
    pub(crate) fn observed_counter(&self, descriptor: &Descriptor) -> Family<ObservedCounter> {
        Family::new(self.declared(descriptor, Shape::ObservedCounter))
    }

    pub(crate) fn up_down_counter(&self, descriptor: &Descriptor) -> Family<UpDownCounter> {
        Family::new(self.declared(descriptor, Shape::UpDownCounter))
    }

    /// A gauge, or an up-down counter whose level somebody else keeps.
    pub(crate) fn gauge(&self, descriptor: &Descriptor) -> Family<Gauge> {
        Family::new(self.declared(descriptor, Shape::Gauge))
    }

    pub(crate) fn histogram(&self, descriptor: &Descriptor) -> Family<Histogram> {
        let per_one = match descriptor.unit() {
            Unit::SECONDS => 1_000_000_000,
            _ => 1,
        };
        let edges = self
            .limits
            .edges
            .get(descriptor.name())
            .map_or(descriptor.edges(), Vec::as_slice);
        let edges = Arc::new(Edges::new(edges, Scale::Whole { per_one }));
        Family::new(self.declared(descriptor, Shape::Histogram(edges)))
    }

    fn declared(&self, descriptor: &Descriptor, shape: Shape) -> Arc<Instrument> {
        let family = naming::family(descriptor.name(), descriptor.kind(), descriptor.unit());
        let declaration = Declaration {
            name: descriptor.name(),
            family: &family,
            kind: descriptor.kind(),
            unit: descriptor.unit(),
            description: descriptor.description(),
            shape,
            is_foreign: false,
        };
        let instrument = self.instrument(declaration);
        if let Some(mut names) = self.names.hold()
            && names.claim(&instrument).is_err()
        {
            self.count_refusal(&mut names, descriptor.name(), Refusal::NameCollision);
        }
        instrument
    }

    /// An instrument of somebody else's, registered when it is first met.
    pub(super) fn foreign_by_name(
        &self,
        name: &str,
        form: &Form,
        described: impl FnOnce() -> (Unit, Box<str>),
    ) -> Result<Arc<Instrument>, Refused> {
        let kind = form.kind();
        let Some(mut names) = self.names.hold() else {
            return Err(Refused {
                refusal: Refusal::Limit,
                is_new: false,
            });
        };
        if let Some(known) = names.by_name.get(name) {
            // The catalog's own instruments are ours alone to record into.
            if known.is_foreign && known.kind == kind {
                return Ok(Arc::clone(known));
            }
            return Err(self.count_refusal(&mut names, name, Refusal::NameCollision));
        }
        if name.is_empty() || name.len() > naming::NAME_LIMIT {
            return Err(self.count_refusal(&mut names, name, Refusal::InvalidName));
        }
        if names.foreign >= self.limits.instruments {
            return Err(self.count_refusal(&mut names, name, Refusal::Limit));
        }
        let (unit, description) = described();
        let family = naming::family(name, kind, unit);
        let configured = self.limits.edges.get(name).map(Vec::as_slice);
        let instrument = self.instrument(Declaration {
            name,
            family: &family,
            kind,
            unit,
            description: cut(&description, DESCRIPTION_LIMIT),
            shape: form.shape(configured, unit),
            is_foreign: true,
        });
        if names.claim(&instrument).is_err() {
            return Err(self.count_refusal(&mut names, name, Refusal::NameCollision));
        }
        names.foreign += 1;
        Ok(instrument)
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Instrument>> {
        self.names.hold()?.by_name.get(name).cloned()
    }

    pub(super) fn refuse(&self, name: &str, refusal: Refusal) -> Refused {
        match self.names.hold() {
            Some(mut names) => self.count_refusal(&mut names, name, refusal),
            None => Refused {
                refusal,
                is_new: false,
            },
        }
    }

    /// An instrument counts once for each name, as long as there is room to remember the names.
    fn count_refusal(&self, names: &mut Names, name: &str, refusal: Refusal) -> Refused {
        let remembers = names.refused.len() < self.limits.instruments;
        let has_room = remembers && name.len() <= naming::NAME_LIMIT;
        let is_new = has_room && names.refused.insert(name.into());
        if is_new || !has_room {
            self.refusals[refusal as usize].fetch_add(1, Ordering::Relaxed);
        }
        Refused { refusal, is_new }
    }

    fn instrument(&self, declaration: Declaration<'_>) -> Arc<Instrument> {
        Arc::new(Instrument::new(
            declaration,
            self.limits.series,
            Arc::clone(&self.budget),
            Arc::clone(&self.shared),
        ))
    }

    /// `observer` runs before each collection and sets what it watches.
    pub(crate) fn observe(&self, observer: impl Fn() + Send + Sync + 'static) {
        if let Some(mut observers) = self.observers.hold() {
            observers.push(Arc::new(observer));
        }
    }

    /// Lets the observers look, and returns every instrument, in the order of their families; in a
    /// forked child none, and nobody looks.
    pub(crate) fn collect(&self) -> Vec<Arc<Instrument>> {
        // Copied out: an observer of the application's may register an instrument.
        let observers = self.observers.hold().map(|observers| observers.clone());
        for observer in observers.unwrap_or_default() {
            observer();
        }
        let all = |names: &Names| names.instruments.values().cloned().collect();
        self.names.hold().map_or_else(Vec::new, |names| all(&names))
    }

    /// After this, each series takes a fresh exemplar.
    pub(crate) fn renew_exemplars(&self) {
        self.shared.next_epoch();
    }

    /// Which exemplars are current: another number after each renewal.
    pub(crate) fn exemplar_epoch(&self) -> u64 {
        self.shared.epoch()
    }

    /// Instruments with measurements that found a cap, and how many.
    pub(crate) fn overflows(&self) -> Vec<(Box<str>, u64)> {
        let Some(names) = self.names.hold() else {
            return Vec::new();
        };
        let counts = names.instruments.values().map(|i| (i, i.overflowed()));
        let above = counts.filter(|(_, count)| *count > 0);
        above.map(|(i, count)| (i.name.clone(), count)).collect()
    }

    pub(crate) fn refusals(&self) -> [(&'static str, u64); Refusal::ALL.len()] {
        Refusal::ALL.map(|refusal| {
            let count = &self.refusals[refusal as usize];
            (refusal.reason(), count.load(Ordering::Relaxed))
        })
    }

    /// Values that are no finite number: NaN, infinite.
    pub(crate) fn refused_values(&self) -> [(&'static str, u64); 2] {
        [
            ("nan", self.shared.nan.load(Ordering::Relaxed)),
            ("infinite", self.shared.infinite.load(Ordering::Relaxed)),
        ]
    }

    /// Attribute names and values that were cut.
    pub(crate) fn truncated_values(&self) -> u64 {
        self.shared.truncated.load(Ordering::Relaxed)
    }
}

impl Names {
    /// Enters an instrument under its name and its sample names, all of them or none.
    fn claim(&mut self, instrument: &Arc<Instrument>) -> Result<(), ()> {
        let samples = naming::sample_names(&instrument.family, instrument.kind);
        if self.by_name.contains_key(&instrument.name)
            || samples.iter().any(|sample| self.claimed.contains(sample))
        {
            return Err(());
        }
        self.claimed.extend(samples);
        self.by_name
            .insert(instrument.name.clone(), Arc::clone(instrument));
        self.instruments
            .insert(instrument.family.clone(), Arc::clone(instrument));
        Ok(())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Edges for histograms of others that ask for none, by their unit.
pub(super) fn default_edges(unit: Unit) -> Vec<f64> {
    // As of requests.
    const SECONDS: [f64; 16] = [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0,
    ];
    match unit.ucum() {
        "s" => SECONDS.to_vec(),
        "ms" => SECONDS.map(|edge| edge * 1e3).to_vec(),
        "us" => SECONDS.map(|edge| edge * 1e6).to_vec(),
        "ns" => SECONDS.map(|edge| edge * 1e9).to_vec(),
        // 64 B to 64 MiB.
        "By" => (0..11)
            .map(|step| 64.0 * f64::from(4_u32.pow(step)))
            .collect(),
        // The OpenTelemetry default.
        _ => vec![
            0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3,
            1e4,
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(limits: Limits) -> Registry {
        Registry::new(limits, Clock::system())
    }

    fn foreign(registry: &Registry, name: &str, form: Form) -> Result<Arc<Instrument>, Refusal> {
        let foreign = registry.foreign_by_name(name, &form, || (Unit::NONE, Box::default()));
        foreign.map_err(|refused| refused.refusal)
    }

    #[test]
    fn names_that_collide_after_sanitising_are_refused_once_each() {
        let registry = registry(Limits::default());
        assert!(foreign(&registry, "orders.placed", Form::Counter).is_ok());
        for _ in 0..3 {
            let refused = foreign(&registry, "orders_placed", Form::Counter);
            assert_eq!(refused.unwrap_err(), Refusal::NameCollision);
        }
        assert_eq!(registry.refusals()[0], ("name_collision", 1));
    }

    #[test]
    fn a_name_is_refused_that_another_metrics_sample_has() {
        let registry = registry(Limits::default());
        assert!(foreign(&registry, "wait", Form::Histogram(None)).is_ok());
        for (name, form) in [
            ("wait.count", Form::Gauge),
            ("wait", Form::Counter),
            ("target.info", Form::Gauge),
        ] {
            assert_eq!(
                foreign(&registry, name, form).unwrap_err(),
                Refusal::NameCollision
            );
        }
    }

    #[test]
    fn an_application_cannot_record_into_an_instrument_of_the_catalog() {
        let registry = registry(Limits::default());
        registry
            .counter(&Descriptor::counter("ours", Unit::NONE, ""))
            .with(&[]);
        let refused = foreign(&registry, "ours", Form::Counter);
        assert_eq!(refused.unwrap_err(), Refusal::NameCollision);
    }

    #[test]
    fn beyond_the_cap_there_is_one_more_set_and_it_is_counted() {
        let registry = registry(Limits {
            series: 3,
            ..Limits::default()
        });
        let counter = registry.counter(&Descriptor::counter("c", Unit::NONE, ""));
        for user in 0..100 {
            counter.with(&[("user", &user.to_string())]).add(1);
        }
        let instrument = &registry.collect()[0];
        let mut series = Vec::new();
        instrument.all_series(&mut series);
        assert_eq!(series.len(), 4);
        assert_eq!(&*series[3].labels.text, r#"otel_metric_overflow="true""#);
        assert_eq!(instrument.overflowed(), 97);
        assert_eq!(registry.overflows(), [("c".into(), 97)]);
    }

    #[test]
    fn beyond_the_budget_of_bytes_as_well() {
        let registry = registry(Limits {
            bytes: 100_000,
            ..Limits::default()
        });
        let counter = registry.counter(&Descriptor::counter("c", Unit::NONE, ""));
        for tenant in 0..1_000 {
            counter.with(&[("tenant", &format!("{tenant:0>1000}"))]);
        }
        assert!(registry.overflows()[0].1 > 900);
    }

    #[test]
    fn edges_of_the_builder_replace_the_declared_ones() {
        let registry = registry(Limits {
            edges: [("h".to_owned(), vec![7.0])].into(),
            ..Limits::default()
        });
        let declared = Descriptor::histogram("h", Unit::SECONDS, "").with_edges(&[1.0]);
        let histogram = registry.histogram(&declared).with(&[]);
        assert_eq!(histogram.edges().values(), [7.0]);
    }
}
