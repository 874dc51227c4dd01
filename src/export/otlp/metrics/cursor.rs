//! Up to where a destination has been told, series by series.

use crate::metrics::{HistogramReading, Series};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What was told, and what was read to be told next.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Where the interval under way begins, in nanoseconds since 1970, and where it ends.
    since: u64,
    until: u64,
    /// By address: a registry never lets go of a series, so no other comes to stand there.
    counts: FxHashMap<usize, Marks<u64>>,
    sums: FxHashMap<usize, Marks<f64>>,
    distributions: FxHashMap<usize, Marks<HistogramReading>>,
}

/// One series.
#[derive(Debug, Default)]
struct Marks<T> {
    settled: T,
    read: T,
}

impl<T: Clone> Marks<T> {
    fn settle(&mut self) {
        self.settled.clone_from(&self.read);
    }
}

impl Cursor {
    /// Nothing was told, since all was zero at `started`.
    pub(super) fn at(started: u64) -> Self {
        Self {
            since: started,
            until: started,
            counts: FxHashMap::default(),
            sums: FxHashMap::default(),
            distributions: FxHashMap::default(),
        }
    }

    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// What is read from here on is of the interval that ends at `until`.
    pub(super) fn begin(&mut self, until: u64) {
        self.until = until;
    }

    /// What was read is kept until it is told: the next interval begins. Not before all was read,
    /// so that a reading which breaks off has lost nothing.
    pub(super) fn advance(&mut self) {
        self.since = self.until;
        self.counts.values_mut().for_each(Marks::settle);
        self.sums.values_mut().for_each(Marks::settle);
        self.distributions.values_mut().for_each(Marks::settle);
    }

    /// What a count has gained.
    pub(super) fn count(&mut self, series: &Arc<Series>, total: u64) -> u64 {
        let marks = self.counts.entry(address(series)).or_default();
        marks.read = total;
        total.wrapping_sub(marks.settled)
    }

    /// What a sum has gained that somebody else keeps; when it is less than it was, it began anew.
    pub(super) fn sum(&mut self, series: &Arc<Series>, total: f64) -> f64 {
        let marks = self.sums.entry(address(series)).or_default();
        marks.read = total;
        match total >= marks.settled {
            true => total - marks.settled,
            false => total,
        }
    }

    /// Turns what a histogram holds into what it has gained; whether that is anything.
    pub(super) fn distribution(
        &mut self,
        series: &Arc<Series>,
        reading: &mut HistogramReading,
    ) -> bool {
        let marks = self.distributions.entry(address(series)).or_default();
        marks.read.clone_from(reading);
        // Those of a new series are not there yet, and zero.
        for (bucket, settled) in reading.buckets.iter_mut().zip(&marks.settled.buckets) {
            *bucket = bucket.wrapping_sub(*settled);
        }
        reading.sum -= marks.settled.sum;
        let has_gained = reading.buckets.iter().any(|bucket| *bucket > 0);
        if !has_gained {
            // A value that is in the sum and not in its bucket yet is told with its bucket.
            marks.read.clone_from(&marks.settled);
        }
        has_gained
    }
}

fn address(series: &Arc<Series>) -> usize {
    Arc::as_ptr(series).addr()
}
