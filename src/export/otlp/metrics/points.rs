//! The data points of one instrument.

use super::{cursor::Cursor, key_value};
use crate::metrics::{self, Edges, HistogramReading, Series, Storage};
use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        Exemplar, HistogramDataPoint, NumberDataPoint, exemplar, number_data_point::Value,
    },
};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// What the points speak of, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) now: u64,
}

/// With a `cursor`, what was gained since it moved, of the series that have gained anything.
pub(super) fn numbers(
    series: &[Arc<Series>],
    window: Window,
    mut cursor: Option<&mut Cursor>,
) -> Vec<NumberDataPoint> {
    let point = |series: &Arc<Series>| {
        Some(NumberDataPoint {
            value: Some(number(series, cursor.as_deref_mut())?),
            attributes: attributes(series),
            start_time_unix_nano: window.start,
            time_unix_nano: window.now,
            ..NumberDataPoint::default()
        })
    };
    series.iter().filter_map(point).collect()
}

fn number(series: &Arc<Series>, cursor: Option<&mut Cursor>) -> Option<Value> {
    match &series.storage {
        Storage::Counter(counter) => {
            let total = counter.read();
            let count = match cursor {
                Some(cursor) => Some(cursor.count(series, total)).filter(|gain| *gain > 0)?,
                None => total,
            };
            Some(Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX)))
        }
        Storage::ObservedCounter(counter) => {
            let total = counter.read();
            let sum = match cursor {
                Some(cursor) => Some(cursor.sum(series, total)).filter(|gain| *gain != 0.0)?,
                None => total,
            };
            Some(Value::AsDouble(sum))
        }
        Storage::UpDownCounter(level) => Some(Value::AsInt(level.read())),
        Storage::Gauge(gauge) => Some(Value::AsDouble(gauge.read())),
        Storage::Histogram(_) => None,
    }
}

/// As [`numbers`], of histograms.
pub(super) fn distributions(
    series: &[Arc<Series>],
    window: Window,
    mut cursor: Option<&mut Cursor>,
) -> Vec<HistogramDataPoint> {
    let mut reading = HistogramReading::default();
    let point = |series: &Arc<Series>| {
        let Storage::Histogram(histogram) = &series.storage else {
            return None;
        };
        histogram.read_into(&mut reading);
        let is_monotonic = is_monotonic(histogram.edges(), reading.sum);
        if let Some(cursor) = cursor.as_deref_mut()
            && !cursor.distribution(series, &mut reading)
        {
            return None;
        }
        let exemplar = histogram
            .exemplar()
            .filter(|exemplar| unix_nanos(exemplar.at) >= window.start);
        Some(HistogramDataPoint {
            attributes: attributes(series),
            start_time_unix_nano: window.start,
            time_unix_nano: window.now,
            count: reading.buckets.iter().sum(),
            sum: is_monotonic.then_some(reading.sum),
            bucket_counts: reading.buckets.clone(),
            explicit_bounds: histogram.edges().values().to_vec(),
            exemplars: Vec::from_iter(exemplar.as_ref().map(exemplar_message)),
            ..HistogramDataPoint::default()
        })
    };
    series.iter().filter_map(point).collect()
}

/// There is no sum where values may be negative: OTLP has it so for the sake of OpenMetrics.
fn is_monotonic(edges: &Edges, sum: f64) -> bool {
    edges.values().first().is_none_or(|edge| *edge >= 0.0) && sum >= 0.0
}

fn exemplar_message(exemplar: &metrics::Exemplar) -> Exemplar {
    Exemplar {
        time_unix_nano: unix_nanos(exemplar.at),
        trace_id: exemplar.trace.trace_id.to_bytes().into(),
        span_id: exemplar.trace.span_id.to_bytes().into(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..Exemplar::default()
    }
}

fn attributes(series: &Series) -> Vec<KeyValue> {
    let attributes = series.labels.attributes.iter();
    attributes
        .map(|(name, value)| key_value(name, value))
        .collect()
}

fn unix_nanos(at: SystemTime) -> u64 {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}
