//! The OpenTelemetry API's meters over our registry.
//!
//! Instruments of one name are one instrument, whatever the scopes of their meters. What an
//! observable instrument once observed stays at its last value.

use super::{
    instruments::{Measured, observe},
    series::SeriesByAttributes,
};
use crate::metrics::{
    Counter, Foreign, Form, Gauge, Histogram, ObservedCounter, Registry, Unit, UpDownCounter,
};
use ::opentelemetry::{
    InstrumentationScope,
    metrics::{
        self as api, AsyncInstrumentBuilder, HistogramBuilder, InstrumentBuilder,
        InstrumentProvider, Meter,
    },
};
use std::{
    borrow::Cow,
    sync::{Arc, atomic::AtomicUsize},
};

/// Makes the meters of libraries.
#[derive(Clone, Debug)]
pub(crate) struct MeterProvider {
    instruments: Instruments,
}

impl MeterProvider {
    pub(super) fn new(registry: &'static Registry) -> Self {
        Self {
            instruments: Instruments {
                registry,
                remembered: Arc::default(),
            },
        }
    }
}

impl api::MeterProvider for MeterProvider {
    fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(self.instruments.clone()))
    }
}

#[derive(Clone, Debug)]
struct Instruments {
    registry: &'static Registry,
    /// Attribute sets that the instruments remember, together.
    remembered: Arc<AtomicUsize>,
}

/// What every builder of the API says of its instrument.
struct Described {
    name: Cow<'static, str>,
    unit: Option<Cow<'static, str>>,
    description: Option<Cow<'static, str>>,
}

impl Instruments {
    fn measured<V, T: crate::metrics::Stored>(
        &self,
        form: &Form,
        described: Described,
        measure: fn(&T, V),
    ) -> Measured<V, T> {
        let Described {
            name,
            unit,
            description,
        } = described;
        let describe = || {
            let description = description.unwrap_or_default();
            let unit = unit.map_or(Unit::NONE, Unit::from_ucum);
            (unit, Box::from(&*description))
        };
        let instrument: Option<Foreign<T>> =
            self.registry.foreign_instrument(&name, form, describe);
        Measured {
            series: SeriesByAttributes::new(instrument, Arc::clone(&self.remembered)),
            measure,
        }
    }
}

macro_rules! described {
    ($builder:ident) => {
        Described {
            name: $builder.name,
            unit: $builder.unit,
            description: $builder.description,
        }
    };
}

/// An instrument that the library calls.
macro_rules! called {
    ($($method:ident: $api:ident<$value:ty> = $form:ident, $measure:expr;)+) => {$(
        fn $method(&self, builder: InstrumentBuilder<'_, api::$api<$value>>) -> api::$api<$value> {
            let measured = self.measured(&Form::$form, described!(builder), $measure);
            api::$api::new(Arc::new(measured))
        }
    )+};
}

/// An instrument that calls the library.
macro_rules! observed {
    ($($method:ident: $api:ident<$value:ty> = $form:ident, $measure:expr;)+) => {$(
        fn $method(
            &self,
            builder: AsyncInstrumentBuilder<'_, api::$api<$value>, $value>,
        ) -> api::$api<$value> {
            let callbacks = builder.callbacks;
            let measured = self.measured(&Form::$form, described!(builder), $measure);
            observe(self.registry, measured, callbacks);
            api::$api::new()
        }
    )+};
}

macro_rules! histogram {
    ($($method:ident: $value:ty;)+) => {$(
        fn $method(
            &self,
            builder: HistogramBuilder<'_, api::Histogram<$value>>,
        ) -> api::Histogram<$value> {
            let form = Form::Histogram(builder.boundaries);
            let record = |histogram: &Histogram, value: $value| histogram.record_float(value as f64, 1);
            api::Histogram::new(Arc::new(self.measured(&form, described!(builder), record)))
        }
    )+};
}

impl InstrumentProvider for Instruments {
    called! {
        u64_counter: Counter<u64> = Counter, Counter::add;
        f64_counter: Counter<f64> = FloatCounter, ObservedCounter::add;
        i64_up_down_counter: UpDownCounter<i64> = UpDownCounter, UpDownCounter::add;
        f64_up_down_counter: UpDownCounter<f64> = FloatUpDownCounter, Gauge::add;
        u64_gauge: Gauge<u64> = Gauge, |gauge: &Gauge, value| gauge.set(value as f64);
        i64_gauge: Gauge<i64> = Gauge, |gauge: &Gauge, value| gauge.set(value as f64);
        f64_gauge: Gauge<f64> = Gauge, Gauge::set;
    }

    observed! {
        u64_observable_counter: ObservableCounter<u64> =
            FloatCounter, |sum: &ObservedCounter, value| sum.set(value as f64);
        f64_observable_counter: ObservableCounter<f64> = FloatCounter, ObservedCounter::set;
        i64_observable_up_down_counter: ObservableUpDownCounter<i64> =
            FloatUpDownCounter, |level: &Gauge, value| level.set(value as f64);
        f64_observable_up_down_counter: ObservableUpDownCounter<f64> =
            FloatUpDownCounter, Gauge::set;
        u64_observable_gauge: ObservableGauge<u64> =
            Gauge, |gauge: &Gauge, value| gauge.set(value as f64);
        i64_observable_gauge: ObservableGauge<i64> =
            Gauge, |gauge: &Gauge, value| gauge.set(value as f64);
        f64_observable_gauge: ObservableGauge<f64> = Gauge, Gauge::set;
    }

    histogram! {
        u64_histogram: u64;
        f64_histogram: f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        metrics::{Kind, Limits},
        snapshot::Snapshot,
    };
    use ::opentelemetry::{Array, KeyValue, Value, metrics::MeterProvider as _};
    use std::sync::atomic::{AtomicU64, Ordering};

    fn leaked(limits: Limits) -> (&'static Registry, Meter) {
        let registry: &'static Registry =
            Box::leak(Box::new(Registry::new(limits, Clock::system())));
        (registry, MeterProvider::new(registry).meter("lib"))
    }

    #[test]
    fn instruments_of_a_library_are_in_the_snapshot_with_their_units_and_attributes() {
        let (registry, meter) = leaked(Limits::default());
        let sent = meter
            .u64_counter("queue.sent")
            .with_unit("{message}")
            .with_description("Messages sent.")
            .build();
        let attributes = [
            KeyValue::new("queue", "orders"),
            KeyValue::new("partition", 3),
            KeyValue::new("retried", true),
            KeyValue::new("tags", Value::Array(Array::I64(vec![1, 2]))),
        ];
        sent.add(2, &attributes);
        sent.add(3, &attributes);
        meter.f64_counter("cost").build().add(0.25, &[]);
        meter.f64_counter("cost").build().add(0.5, &[]);
        meter.f64_counter("cost").build().add(-9.0, &[]);
        let level = meter.i64_up_down_counter("level").build();
        level.add(5, &[]);
        level.add(-7, &[]);
        meter.f64_up_down_counter("load").build().add(-0.5, &[]);
        meter.u64_gauge("workers").build().record(4, &[]);
        let snapshot = Snapshot::of(registry);
        let metric = snapshot.metric("queue.sent").unwrap();
        assert_eq!(metric.unit().ucum(), "{message}");
        assert_eq!(metric.kind(), Kind::Counter);
        let series = &metric.series()[0];
        let attributes: Vec<_> = series.attributes().collect();
        assert_eq!(
            attributes,
            [
                ("partition", "3"),
                ("queue", "orders"),
                ("retried", "true"),
                ("tags", "[1,2]")
            ]
        );
        assert_eq!(series.number(), Some(5.0));
        for (name, value) in [
            ("cost", 0.75),
            ("level", -2.0),
            ("load", -0.5),
            ("workers", 4.0),
        ] {
            assert_eq!(snapshot.gauge(name, &[]), value, "{name}");
        }
        let described = registry.collect();
        let described = described.iter().find(|i| &*i.name == "queue.sent").unwrap();
        assert_eq!(&*described.description(), "Messages sent.");
        assert_eq!(&*described.family, "queue_sent");
    }

    #[test]
    fn a_histogram_has_the_edges_it_asks_for_unless_the_application_gave_others() {
        let (registry, meter) = leaked(Limits {
            edges: [("configured".to_owned(), vec![7.0])].into(),
            ..Limits::default()
        });
        for name in ["configured", "asked"] {
            let asked = meter.f64_histogram(name).with_boundaries(vec![1.0, 2.0]);
            asked.build().record(1.5, &[]);
        }
        let by_unit = meter.u64_histogram("plain").with_unit("By").build();
        by_unit.record(100, &[]);
        let snapshot = Snapshot::of(registry);
        let edges = |name: &str| -> Vec<f64> {
            let distribution = snapshot.histogram(name, &[]);
            assert_eq!(distribution.count(), 1);
            distribution.buckets().map(|(edge, _)| edge).collect()
        };
        assert_eq!(edges("asked"), [1.0, 2.0, f64::INFINITY]);
        assert_eq!(edges("configured"), [7.0, f64::INFINITY]);
        assert_eq!(edges("plain")[0], 64.0);
        assert_eq!(snapshot.histogram("asked", &[]).sum(), 1.5);
    }

    #[test]
    fn observable_instruments_are_asked_at_each_collection() {
        let (registry, meter) = leaked(Limits::default());
        let sum = Arc::new(AtomicU64::new(0));
        let asked = Arc::clone(&sum);
        let _counter = meter
            .u64_observable_counter("reads")
            .with_callback(move |counter| {
                let sum = asked.fetch_add(10, Ordering::Relaxed) + 10;
                counter.observe(sum, &[KeyValue::new("disk", "a")]);
            })
            .build();
        let _level = meter
            .i64_observable_up_down_counter("depth")
            .with_callback(|level| level.observe(-3, &[]))
            .build();
        let _gauge = meter
            .f64_observable_gauge("temperature")
            .with_callback(|gauge| gauge.observe(f64::NAN, &[]))
            .with_callback(|gauge| gauge.observe(21.5, &[]))
            .build();
        Snapshot::of(registry);
        let snapshot = Snapshot::of(registry);
        assert_eq!(snapshot.counter("reads", &[("disk", "a")]), 20);
        assert_eq!(snapshot.gauge("depth", &[]), -3.0);
        assert_eq!(snapshot.gauge("temperature", &[]), 21.5);
        assert_eq!(registry.refused_values()[0], ("nan", 2));
    }

    #[test]
    fn a_callback_may_panic_register_an_instrument_or_ask_for_a_snapshot() {
        let (registry, meter) = leaked(Limits::default());
        let inner = meter.clone();
        let _panics = meter
            .u64_observable_gauge("panics")
            .with_callback(|_| panic!("planted"))
            .build();
        let _curious = meter
            .u64_observable_gauge("curious")
            .with_callback(move |gauge| {
                inner.u64_counter("made_there").build().add(1, &[]);
                inner
                    .u64_observable_gauge("too")
                    .with_callback(|_| ())
                    .build();
                gauge.observe(Snapshot::of(registry).metrics().len() as u64, &[]);
            })
            .build();
        let snapshot = Snapshot::of(registry);
        assert!(snapshot.gauge("curious", &[]) > 0.0);
        assert_eq!(snapshot.counter("made_there", &[]), 1);
    }

    #[test]
    fn caps_and_refusals_are_those_of_the_metrics_facade() {
        let (registry, meter) = leaked(Limits {
            series: 3,
            ..Limits::default()
        });
        let by_user = meter.u64_counter("by_user").build();
        for user in 0..50 {
            by_user.add(1, &[KeyValue::new("user", user)]);
        }
        assert_eq!(registry.overflows(), [("by_user".into(), 47)]);
        // Names that collide, and a counter kept as another thing.
        for _ in 0..2 {
            meter.u64_gauge("by.user").build().record(1, &[]);
        }
        meter.f64_counter("by_user").build().add(1.0, &[]);
        assert_eq!(registry.refusals()[0], ("name_collision", 2));
        meter
            .u64_histogram("h")
            .build()
            .record(1, &[KeyValue::new("le", "1")]);
        assert_eq!(registry.refusals()[1], ("reserved_label", 1));
        assert_eq!(Snapshot::of(registry).gauge("by.user", &[]), 0.0);
    }
}
