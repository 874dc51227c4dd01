//! Metrics, pushed: read from the storage that the Prometheus page is read from, when it is time.
//!
//! A cumulative request is read afresh each time. One with deltas is frozen when it is built: the
//! same bytes are sent until they were delivered, or perhaps were, and only then the cursor moves
//! to what had been read for them. What is recorded meanwhile is in the request after, whose
//! interval begins where the frozen one's ended. So nothing is counted twice, and nothing is missed
//! but what an ambiguous push may have lost: that gap is counted where the push is.

mod cursor;
mod points;

use super::{
    Encoder, OURS,
    wire::{self, VARINT, tag},
};
use crate::{
    clock::{Anchor, Clock},
    delivery::{Conclusion, Encode, Push},
    export::Temporality,
    metrics::{Instrument, Kind, Registry, Series, Storage},
    records::Signal,
    resource::Resource,
};
use cursor::Cursor;
use points::{Points, Window};
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// The fields of `Metric`.
const NAME: u8 = 1;
const DESCRIPTION: u8 = 2;
const UNIT: u8 = 3;
const GAUGE: u8 = 5;
const SUM: u8 = 7;
const HISTOGRAM: u8 = 9;
/// The fields of `Sum` and of `Histogram`, beside their points.
const TEMPORALITY: u8 = 2;
const IS_MONOTONIC: u8 = 3;

const OF_DELTA: u8 = 1;
const OF_CUMULATIVE: u8 = 2;

/// Whether the sums of an instrument are sent as what came since the last time.
fn is_delta(temporality: Temporality, storage: &Storage) -> bool {
    match storage {
        Storage::Counter(_) | Storage::Histogram(_) => temporality != Temporality::Cumulative,
        Storage::ObservedCounter(_) => temporality == Temporality::Delta,
        Storage::UpDownCounter(_) | Storage::Gauge(_) => false,
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
    encoder: Encoder,
    /// Nanoseconds since 1970.
    started: u64,
    cursor: Cursor,
    /// The epoch of the exemplars, and since when it is known.
    exemplars: (u64, Instant),
    /// Memory for what a request is made of: its metrics, each as a record.
    metrics: Vec<u8>,
    points: Points,
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
        let started = start.taken_at();
        Self {
            registry,
            temporality,
            encoder: Encoder::new(resource),
            started,
            cursor: Cursor::at(started),
            exemplars: (registry.exemplar_epoch(), clock.now()),
            clock,
            metrics: Vec::new(),
            points: Points::default(),
        }
    }

    fn read(&mut self) -> Vec<u8> {
        // A wall clock that was set back makes no interval that ends before it begins.
        let now = self.clock.anchor().taken_at().max(self.cursor.since());
        self.cursor.begin(now);
        let mut metrics = mem::take(&mut self.metrics);
        metrics.clear();
        let (mut series, mut ends) = (Vec::new(), Vec::new());
        for instrument in self.registry.collect() {
            instrument.all_series(&mut series);
            if self.metric(&instrument, &series, now, &mut metrics) {
                ends.push(metrics.len());
            }
        }
        let mut begin = 0;
        let mut records = ends.into_iter().map(|end| {
            let record = &metrics[begin..end];
            begin = end;
            record
        });
        let request = self.encoder.request(Signal::Metrics, &mut records);
        self.metrics = metrics;
        request
    }

    /// Appends one metric as a record of ours, unless no series has anything to say.
    fn metric(
        &mut self,
        instrument: &Instrument,
        series: &[Arc<Series>],
        now: u64,
        out: &mut Vec<u8>,
    ) -> bool {
        // The series of one instrument are stored alike.
        let Some(storage) = series.first().map(|series| &series.storage) else {
            return false;
        };
        let is_delta = is_delta(self.temporality, storage);
        let (start, temporality) = match is_delta {
            true => (self.cursor.since(), OF_DELTA),
            false => (self.started, OF_CUMULATIVE),
        };
        let cursor = is_delta.then_some(&mut self.cursor);
        let points = self.points.of(series, Window { start, now }, cursor);
        if points.is_empty() {
            return false;
        }
        let temporality = [tag(TEMPORALITY, VARINT), temporality];
        let is_monotonic = [tag(IS_MONOTONIC, VARINT), 1];
        let (field, tail): (u8, &[&[u8]]) = match (storage, instrument.kind) {
            (Storage::Histogram(_), _) => (HISTOGRAM, &[&temporality]),
            (_, Kind::Gauge) => (GAUGE, &[]),
            (_, Kind::Counter) => (SUM, &[&temporality, &is_monotonic]),
            (_, Kind::UpDownCounter | Kind::Histogram) => (SUM, &[&temporality]),
        };
        out.push(OURS);
        wire::text(out, NAME, &instrument.name);
        wire::text(out, DESCRIPTION, &instrument.description());
        wire::text(out, UNIT, instrument.unit.ucum());
        wire::head(out, field, points.len() + 2 * tail.len());
        out.extend_from_slice(points);
        tail.iter().for_each(|part| out.extend_from_slice(part));
        true
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
    fn requests(&mut self, _: usize) -> Vec<Vec<u8>> {
        if let Some(frozen) = self.cursor.frozen() {
            return vec![frozen.to_vec()];
        }
        let request = self.read();
        if self.temporality != Temporality::Cumulative {
            self.cursor.freeze(&request);
        }
        self.renew_unscraped_exemplars();
        vec![request]
    }

    fn concluded(&mut self, conclusions: &[Conclusion]) {
        let Some(conclusion) = conclusions.first() else {
            return;
        };
        match conclusion {
            Conclusion::Delivered | Conclusion::Refused | Conclusion::Ambiguous => {
                self.cursor.advance();
            }
            Conclusion::NotDelivered | Conclusion::TooLarge => {}
        }
    }
}

#[cfg(test)]
mod tests;
