//! The data points of one instrument.

use super::cursor::Cursor;
use crate::{
    export::otlp::{
        attributes::attribute,
        typed,
        wire::{self, LENGTH, ONE_BYTE, field_length, tag},
    },
    metrics::{Exemplar, Histogram, HistogramReading, Series, Storage},
};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Where the points stand in a `Gauge`, a `Sum` or a `Histogram`.
const POINTS: u8 = 1;
/// The fields of `NumberDataPoint` and of `HistogramDataPoint`.
const START: u8 = 2;
const TIME: u8 = 3;
/// The fields of `NumberDataPoint`.
const AS_FLOAT: u8 = 4;
const AS_INTEGER: u8 = 6;
const NUMBER_ATTRIBUTES: u8 = 7;
const NUMBER_EXEMPLARS: u8 = 5;
/// The fields of `HistogramDataPoint`.
const COUNT: u8 = 4;
const HISTOGRAM_SUM: u8 = 5;
const BUCKETS: u8 = 6;
const BOUNDS: u8 = 7;
const EXEMPLARS: u8 = 8;
const HISTOGRAM_ATTRIBUTES: u8 = 9;
/// The fields of `Exemplar`.
const EXEMPLAR_TIME: u8 = 2;
const EXEMPLAR_VALUE: u8 = 3;
const SPAN_ID: u8 = 4;
const TRACE_ID: u8 = 5;

/// A fixed 64-bit field: its tag and itself.
const FIXED: usize = 9;
/// A time, a value, the ids of a span and of a trace.
const EXEMPLAR: usize = 2 * FIXED + 10 + 18;

/// What the points speak of, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) now: u64,
}

impl Window {
    /// Older ones have been told.
    fn holds(self, exemplar: &Exemplar) -> bool {
        unix_nanos(exemplar.at) >= self.start
    }
}

/// Writes the points of one instrument after another, into memory that it keeps.
#[derive(Debug, Default)]
pub(super) struct Points {
    out: Vec<u8>,
    attributes: Vec<u8>,
    reading: HistogramReading,
}

impl Points {
    /// With a `cursor`, what was gained since it moved, of the series that have gained anything.
    pub(super) fn of(
        &mut self,
        series: &[Arc<Series>],
        window: Window,
        mut cursor: Option<&mut Cursor>,
    ) -> &[u8] {
        self.out.clear();
        for series in series {
            let cursor = cursor.as_deref_mut();
            if let Storage::Histogram(histogram) = &series.storage {
                self.histogram(series, histogram, window, cursor);
            } else if let Some((field, bits)) = number(series, cursor) {
                self.number(series, field, bits, window);
            }
        }
        &self.out
    }

    fn number(&mut self, series: &Series, field: u8, bits: u64, window: Window) {
        self.attributes(series, NUMBER_ATTRIBUTES);
        let exemplar = match &series.storage {
            Storage::Counter(counter) => counter.exemplar(),
            _ => None,
        };
        let exemplar = exemplar.filter(|exemplar| window.holds(exemplar));
        let out = &mut self.out;
        let length = self.attributes.len() + 3 * FIXED + length_of(exemplar);
        wire::head(out, POINTS, length);
        out.extend_from_slice(&self.attributes);
        wire::fixed64(out, START, window.start);
        wire::fixed64(out, TIME, window.now);
        wire::fixed64(out, field, bits);
        if let Some(exemplar) = exemplar {
            write_exemplar(out, NUMBER_EXEMPLARS, &exemplar);
        }
    }

    fn histogram(
        &mut self,
        series: &Arc<Series>,
        histogram: &Histogram,
        window: Window,
        cursor: Option<&mut Cursor>,
    ) {
        histogram.read_into(&mut self.reading);
        let (edges, has_sum) = (histogram.edges(), has_sum(histogram, self.reading.sum));
        if let Some(cursor) = cursor
            && !cursor.distribution(series, &mut self.reading)
        {
            return;
        }
        let exemplar = histogram
            .exemplar()
            .filter(|exemplar| window.holds(exemplar));
        self.attributes(series, HISTOGRAM_ATTRIBUTES);
        let (out, buckets) = (&mut self.out, &self.reading.buckets);
        let length = self.attributes.len()
            + 3 * FIXED
            + usize::from(has_sum) * FIXED
            + field_length(8 * buckets.len())
            + field_length(8 * edges.values().len())
            + length_of(exemplar);
        wire::head(out, POINTS, length);
        out.extend_from_slice(&self.attributes);
        wire::fixed64(out, START, window.start);
        wire::fixed64(out, TIME, window.now);
        wire::fixed64(out, COUNT, buckets.iter().sum());
        if has_sum {
            wire::fixed64(out, HISTOGRAM_SUM, self.reading.sum.to_bits());
        }
        packed(out, BUCKETS, buckets.iter().copied());
        packed(
            out,
            BOUNDS,
            edges.values().iter().map(|edge| edge.to_bits()),
        );
        if let Some(exemplar) = exemplar {
            write_exemplar(out, EXEMPLARS, &exemplar);
        }
    }

    fn attributes(&mut self, series: &Series, on: u8) {
        self.attributes.clear();
        for (name, value) in &series.labels.attributes {
            attribute(&mut self.attributes, on, name, typed(name, value));
        }
    }
}

/// The field and the bits of a series' value; `None` when it has gained nothing.
fn number(series: &Arc<Series>, cursor: Option<&mut Cursor>) -> Option<(u8, u64)> {
    match &series.storage {
        Storage::Counter(counter) => {
            let total = counter.read();
            let count = match cursor {
                Some(cursor) => Some(cursor.count(series, total)).filter(|gain| *gain > 0)?,
                None => total,
            };
            Some((AS_INTEGER, count.min(i64::MAX.cast_unsigned())))
        }
        Storage::ObservedCounter(counter) => {
            let total = counter.read();
            let sum = match cursor {
                Some(cursor) => Some(cursor.sum(series, total)).filter(|gain| *gain != 0.0)?,
                None => total,
            };
            Some((AS_FLOAT, sum.to_bits()))
        }
        Storage::UpDownCounter(level) => Some((AS_INTEGER, level.read().cast_unsigned())),
        Storage::Gauge(gauge) => Some((AS_FLOAT, gauge.read().to_bits())),
        Storage::Histogram(_) => None,
    }
}

/// There is no sum where values may be negative: OTLP has it so for the sake of OpenMetrics.
fn has_sum(histogram: &Histogram, sum: f64) -> bool {
    let mut edges = histogram.edges().values().iter();
    edges.next().is_none_or(|edge| *edge >= 0.0) && sum >= 0.0
}

fn packed(out: &mut Vec<u8>, field: u8, words: impl ExactSizeIterator<Item = u64>) {
    wire::head(out, field, 8 * words.len());
    out.reserve(8 * words.len());
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn length_of(exemplar: Option<Exemplar>) -> usize {
    exemplar.map_or(0, |_| field_length(EXEMPLAR))
}

fn write_exemplar(out: &mut Vec<u8>, field: u8, exemplar: &Exemplar) {
    const { assert!(EXEMPLAR <= ONE_BYTE) };
    out.extend_from_slice(&[tag(field, LENGTH), EXEMPLAR as u8]);
    wire::fixed64(out, EXEMPLAR_TIME, unix_nanos(exemplar.at));
    wire::fixed64(out, EXEMPLAR_VALUE, exemplar.value.to_bits());
    wire::short(out, SPAN_ID, exemplar.trace.span_id.to_bytes());
    wire::short(out, TRACE_ID, exemplar.trace.trace_id.to_bytes());
}

fn unix_nanos(at: SystemTime) -> u64 {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}
