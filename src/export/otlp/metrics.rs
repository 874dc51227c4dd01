//! Metrics, pushed: read from the storage that the Prometheus page is read from, when it is time.
//!
//! A cumulative request is read afresh each time. One with deltas is frozen when it is built: the
//! same bytes are sent until they were delivered, or perhaps were, and only then the cursor moves
//! to what had been read for them. What is recorded meanwhile is in the request after, whose
//! interval begins where the frozen one's ended. So nothing is counted twice, and nothing is missed
//! but what an ambiguous push may have lost: that gap is counted where the push is.

mod cursor;
mod points;

use super::typed;
use crate::{
    clock::{Anchor, Clock},
    delivery::{Conclusion, Push},
    metrics::{Instrument, Kind, Registry, Series, Storage},
    resource::Resource,
    semconv,
};
use cursor::Cursor;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum,
        metric::Data,
    },
    resource::v1::Resource as ResourceMessage,
};
use points::Window;
use prost::Message;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What sums and histograms say: all since the start, or what came since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Temporality {
    #[default]
    Cumulative,
    /// Deltas of whatever only grows.
    Delta,
    /// Deltas of what is recorded; what is only looked at stays cumulative.
    LowMemory,
}

impl Temporality {
    /// By the values of `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [
            ("cumulative", Self::Cumulative),
            ("delta", Self::Delta),
            ("lowmemory", Self::LowMemory),
        ]
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, temporality)| temporality)
    }

    fn is_delta(self, storage: &Storage) -> bool {
        match storage {
            Storage::Counter(_) | Storage::Histogram(_) => self != Self::Cumulative,
            Storage::ObservedCounter(_) => self == Self::Delta,
            Storage::UpDownCounter(_) | Storage::Gauge(_) => false,
        }
    }
}

/// After so long without a scraper, which renews the exemplars that it has read, a push does.
const UNSCRAPED: Duration = Duration::from_secs(120);

/// The metrics of one registry for one destination.
#[derive(Debug)]
pub(crate) struct MetricsPush {
    registry: &'static Registry,
    clock: Clock,
    temporality: Temporality,
    resource: ResourceMessage,
    /// Nanoseconds since 1970.
    started: u64,
    cursor: Cursor,
    /// The epoch of the exemplars, and since when it is known.
    exemplars: (u64, Instant),
}

impl MetricsPush {
    /// `start` is when the registry's sums began at zero.
    pub(crate) fn new(
        registry: &'static Registry,
        resource: &Resource,
        clock: Clock,
        start: &Anchor,
        temporality: Temporality,
    ) -> Self {
        let attributes = resource.iter();
        let started = start.taken_at();
        Self {
            registry,
            temporality,
            resource: ResourceMessage {
                attributes: attributes
                    .map(|(name, value)| key_value(name, value))
                    .collect(),
                ..ResourceMessage::default()
            },
            started,
            cursor: Cursor::at(started),
            exemplars: (registry.exemplar_epoch(), clock.now()),
            clock,
        }
    }

    fn read(&mut self) -> Vec<Metric> {
        // A wall clock that was set back makes no interval that ends before it begins.
        let now = self.clock.anchor().taken_at().max(self.cursor.since());
        self.cursor.begin(now);
        let mut series = Vec::new();
        let mut metrics = Vec::new();
        for instrument in self.registry.collect() {
            instrument.all_series(&mut series);
            if let Some(data) = self.data(&instrument, &series, now) {
                metrics.push(Metric {
                    name: instrument.name.to_string(),
                    description: instrument.description().to_string(),
                    unit: instrument.unit.ucum().to_owned(),
                    data: Some(data),
                    ..Metric::default()
                });
            }
        }
        metrics
    }

    /// `None` when no series has anything to say.
    fn data(&mut self, instrument: &Instrument, series: &[Arc<Series>], now: u64) -> Option<Data> {
        // The series of one instrument are stored alike.
        let storage = &series.first()?.storage;
        let is_delta = self.temporality.is_delta(storage);
        let window = Window {
            start: match is_delta {
                true => self.cursor.since(),
                false => self.started,
            },
            now,
        };
        let aggregation_temporality = match is_delta {
            true => AggregationTemporality::Delta.into(),
            false => AggregationTemporality::Cumulative.into(),
        };
        let cursor = is_delta.then_some(&mut self.cursor);
        if let Storage::Histogram(_) = storage {
            let data_points = points::distributions(series, window, cursor);
            return (!data_points.is_empty()).then_some(Data::Histogram(Histogram {
                data_points,
                aggregation_temporality,
            }));
        }
        let data_points = points::numbers(series, window, cursor);
        (!data_points.is_empty()).then(|| match instrument.kind {
            Kind::Gauge => Data::Gauge(Gauge { data_points }),
            kind => Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic: kind == Kind::Counter,
            }),
        })
    }

    fn message(&mut self) -> Vec<u8> {
        let metrics = self.read();
        let scope = ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            metrics,
            schema_url: semconv::SCHEMA_URL.to_owned(),
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![scope],
                schema_url: semconv::SCHEMA_URL.to_owned(),
            }],
        };
        request.encode_to_vec()
    }

    /// The exemplars are the scraper's, who renews them: then each scrape shows the slowest since
    /// the one before. Where none comes, the slowest of all times would stay.
    fn renew_unscraped_exemplars(&mut self) {
        let (epoch, now) = (self.registry.exemplar_epoch(), self.clock.now());
        let (known, since) = self.exemplars;
        if epoch != known {
            self.exemplars = (epoch, now);
        } else if now.saturating_duration_since(since) >= UNSCRAPED {
            self.registry.renew_exemplars();
        }
    }
}

impl Push for MetricsPush {
    fn request(&mut self) -> Vec<u8> {
        if let Some(frozen) = self.cursor.frozen() {
            return frozen.to_vec();
        }
        let request = self.message();
        if self.temporality != Temporality::Cumulative {
            self.cursor.freeze(&request);
        }
        self.renew_unscraped_exemplars();
        request
    }

    fn concluded(&mut self, conclusion: Conclusion) {
        match conclusion {
            Conclusion::Delivered | Conclusion::Ambiguous => self.cursor.advance(),
            Conclusion::NotDelivered => {}
        }
    }
}

fn key_value(name: &str, value: &str) -> KeyValue {
    use crate::records::Value;
    let value = match typed(name, value) {
        Value::Integer(integer) => any_value::Value::IntValue(integer),
        _ => any_value::Value::StringValue(value.to_owned()),
    };
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests;
