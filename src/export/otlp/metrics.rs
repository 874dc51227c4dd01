//! Metrics, pushed: read from the storage that the Prometheus page is read from, when it is time.
//!
//! A push is one request, or several where it would be larger than the receiver takes. They are
//! built one at a time, and a push that was interrupted goes on at the first that is not over.
//!
//! Cumulative numbers are read afresh when a push begins: what an earlier one left unsaid is in
//! them. A reading with deltas is frozen: its parts are sent as the same numbers over the same
//! interval, each until it was delivered, or perhaps was. What is recorded meanwhile is in the reading after, whose interval begins where the frozen one's ended;
//! there is none before the last part is over, so that no more than one reading is ever kept. So
//! nothing is counted twice, and nothing is missed but what an ambiguous or a refused part may have
//! lost: that gap is counted where the push is.

mod cursor;
mod points;
mod reading;

use super::{
    Encoder,
    wire::{self, VARINT, tag},
};
use crate::{
    clock::{Anchor, Clock},
    delivery::{Conclusion, Push},
    export::Temporality,
    metrics::{Instrument, Kind, Registry, Series, Storage},
    resource::Resource,
};
use cursor::Cursor;
use points::{Points, Window};
use reading::Reading;
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

/// A receiver that takes no more than this is not believed for longer than a reading: pushes would
/// be all resource.
const LEAST_LIMIT: usize = 64 * 1024;

/// A limit that was learnt is doubted after so long: it may have been raised, or a proxy's that is
/// gone.
const LIMIT_HOLDS: Duration = Duration::from_secs(600);

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
    /// What was read, and is not over.
    reading: Reading,
    /// No request is larger: the receiver has said that it takes less, and when.
    limit: Option<(usize, Instant)>,
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
            reading: Reading::default(),
            limit: None,
            points: Points::default(),
        }
    }

    fn read(&mut self) {
        // A wall clock that was set back makes no interval that ends before it begins.
        let now = self.clock.anchor().taken_at().max(self.cursor.since());
        self.cursor.begin(now);
        // Not there before it is whole: should this break off, what it has is read again.
        let mut reading = mem::take(&mut self.reading);
        reading.clear();
        let mut series = Vec::new();
        for instrument in self.registry.collect() {
            instrument.all_series(&mut series);
            self.metric(&instrument, &series, now, &mut reading);
        }
        self.reading = reading;
        if self.has_deltas() {
            self.cursor.advance();
        }
    }

    fn has_deltas(&self) -> bool {
        self.temporality != Temporality::Cumulative
    }

    /// Appends one metric, unless no series has anything to say.
    fn metric(
        &mut self,
        instrument: &Instrument,
        series: &[Arc<Series>],
        now: u64,
        out: &mut Reading,
    ) {
        // The series of one instrument are stored alike.
        let Some(storage) = series.first().map(|series| &series.storage) else {
            return;
        };
        let is_delta = is_delta(self.temporality, storage);
        let (start, temporality) = match is_delta {
            true => (self.cursor.since(), OF_DELTA),
            false => (self.started, OF_CUMULATIVE),
        };
        let cursor = is_delta.then_some(&mut self.cursor);
        let points = self.points.of(series, Window { start, now }, cursor);
        if points.is_empty() {
            return;
        }
        let temporality = [tag(TEMPORALITY, VARINT), temporality];
        let is_monotonic = [tag(IS_MONOTONIC, VARINT), 1];
        let (field, tail): (u8, &[&[u8]]) = match (storage, instrument.kind) {
            (Storage::Histogram(_), _) => (HISTOGRAM, &[&temporality]),
            (_, Kind::Gauge) => (GAUGE, &[]),
            (_, Kind::Counter) => (SUM, &[&temporality, &is_monotonic]),
            (_, Kind::UpDownCounter | Kind::Histogram) => (SUM, &[&temporality]),
        };
        let own = |out: &mut Vec<u8>| {
            wire::text(out, NAME, &instrument.name);
            wire::text(out, DESCRIPTION, &instrument.description());
            wire::text(out, UNIT, instrument.unit.ucum());
        };
        out.metric(own, field, points, tail);
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

    /// The largest request that the receiver is known to take.
    fn limit(&mut self) -> usize {
        let now = self.clock.now();
        self.limit
            .take_if(|(_, since)| now.saturating_duration_since(*since) >= LIMIT_HOLDS);
        self.limit.map_or(usize::MAX, |(limit, _)| limit)
    }

    /// The request in hand was too large.
    fn learn_limit(&mut self) {
        let half = self.reading.request_length(&self.encoder) / 2;
        let limit = self.limit().min(half.max(LEAST_LIMIT));
        self.limit = Some((limit, self.clock.now()));
    }
}

impl Push for MetricsPush {
    fn begin(&mut self) {
        let is_frozen = self.has_deltas() && !self.reading.is_over();
        if !is_frozen {
            self.read();
            self.renew_unscraped_exemplars();
        }
    }

    fn request(&mut self, most_bytes: usize) -> Option<Vec<u8>> {
        let most_bytes = most_bytes.min(self.limit());
        self.reading.divide(&self.encoder, most_bytes);
        self.reading.request(&self.encoder)
    }

    fn concluded(&mut self, conclusion: Conclusion) -> bool {
        if self.reading.is_over() {
            return false;
        }
        match conclusion {
            Conclusion::NotDelivered => false,
            Conclusion::Delivered | Conclusion::Refused | Conclusion::Ambiguous => {
                self.reading.conclude();
                false
            }
            Conclusion::TooLarge => {
                self.learn_limit();
                let is_less = self.reading.halve();
                if !is_less {
                    self.reading.conclude();
                }
                !is_less
            }
        }
    }
}

#[cfg(test)]
mod tests;
