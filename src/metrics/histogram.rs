//! Fixed-bucket histograms in a few shards: 10 ns a value, no lock, no allocation.

use super::{
    exemplar::{Exemplar, Slot},
    shards,
    shared::Shared,
};
use crate::ids::SpanContext;
use crossbeam_utils::CachePadded;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const WORDS: usize = 16;

/// A distribution over fixed edges.
#[derive(Debug)]
pub(crate) struct Histogram {
    edges: Arc<Edges>,
    /// Word 0 of a shard is its sum, the others are its buckets. `count` is not kept: it is the
    /// sum of the buckets, so the two cannot disagree.
    lines: Box<[CachePadded<[AtomicU64; WORDS]>]>,
    lines_per_shard: usize,
    shards: usize,
    exemplar: Slot,
    shared: Arc<Shared>,
}

/// How values become keys that compare as integers, and what the sum is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Durations and bytes of our own: whole units, `per_one` of them to one of the unit.
    Whole { per_one: u64 },
    /// Values of the `metrics` facade: any finite number; the sum is a float.
    Float,
}

impl Scale {
    /// Whole units in the instrument's unit.
    fn value(self, units: u64) -> f64 {
        match self {
            Self::Whole { per_one } => units as f64 / per_one as f64,
            Self::Float => f64::from_bits(units),
        }
    }
}

/// The edges of an instrument's histograms, shared by its series.
#[derive(Debug)]
pub(crate) struct Edges {
    values: Box<[f64]>,
    keys: Box<[u64]>,
    scale: Scale,
    /// `le="0.005"` and so on, the last one `le="+Inf"`.
    labels: Box<[Box<str>]>,
}

impl Edges {
    /// `edges` in any order, duplicates allowed; what is not finite is left out.
    pub(super) fn new(edges: &[f64], scale: Scale) -> Self {
        let finite = edges.iter().copied().filter(|edge| edge.is_finite());
        // Adding zero makes -0.0 an ordinary zero.
        let mut values: Vec<f64> = finite.map(|edge| edge + 0.0).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let labels = values
            .iter()
            // `Debug` keeps the point in whole numbers: `1.0` in both text formats.
            .map(|edge| format!("le=\"{edge:?}\"").into_boxed_str())
            .chain([Box::from("le=\"+Inf\"")])
            .collect();
        let keys = values
            .iter()
            .map(|&edge| match scale {
                Scale::Whole { per_one } => (edge * per_one as f64).round() as u64,
                Scale::Float => ordered_bits(edge),
            })
            .collect();
        Self {
            values: values.into(),
            keys,
            scale,
            labels,
        }
    }

    /// Ascending, without the infinite one.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// The rendered `le` labels, one for each bucket.
    pub(crate) fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    fn words_per_shard(&self) -> usize {
        (self.values.len() + 2).next_multiple_of(WORDS)
    }

    pub(super) fn bytes(&self) -> usize {
        shards::count() * self.words_per_shard() * size_of::<u64>()
    }
}

/// Maps finite floats to integers of the same order.
fn ordered_bits(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}

/// What a histogram held when it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistogramReading {
    /// One for each edge, and one beyond; not cumulative.
    pub(crate) buckets: Vec<u64>,
    /// In the instrument's unit.
    pub(crate) sum: f64,
}

impl Histogram {
    pub(super) fn new(edges: Arc<Edges>, shared: Arc<Shared>) -> Self {
        let (shards, lines_per_shard) = (shards::count(), edges.words_per_shard() / WORDS);
        Self {
            lines: (0..shards * lines_per_shard)
                .map(|_| CachePadded::default())
                .collect(),
            lines_per_shard,
            shards,
            edges,
            exemplar: Slot::default(),
            shared,
        }
    }

    /// One of no instrument, of seconds.
    pub(crate) fn apart(edges: &[f64]) -> Self {
        let per_one = 1_000_000_000;
        let edges = Edges::new(edges, Scale::Whole { per_one });
        Self::new(Arc::new(edges), Arc::default())
    }

    pub(crate) fn edges(&self) -> &Edges {
        &self.edges
    }

    /// Records a duration into a histogram of seconds.
    #[inline]
    pub(crate) fn record_duration(&self, duration: Duration, trace: Option<SpanContext>) {
        // 584 years fit.
        self.record_whole(duration.as_nanos() as u64, trace);
    }

    /// Records whole units: bytes, or nanoseconds of a histogram of seconds.
    #[inline]
    pub(crate) fn record_whole(&self, units: u64, trace: Option<SpanContext>) {
        debug_assert!(self.edges.scale != Scale::Float);
        let bucket = self.bucket_of(units);
        let mine = shards::mine();
        mine.add(self.word(mine.index, 1 + bucket), 1);
        mine.add(self.word(mine.index, 0), units);
        if let Some(trace) = trace {
            let exemplar = || (bucket, self.edges.scale.value(units));
            self.exemplar.offer(&self.shared, units, trace, exemplar);
        }
    }

    /// Records a value of the `metrics` facade, `times` times. NaN and infinities are refused and
    /// counted.
    pub(crate) fn record_float(&self, value: f64, times: u64) {
        debug_assert!(self.edges.scale == Scale::Float);
        if !self.shared.accepts(value) {
            return;
        }
        let bucket = self.bucket_of(ordered_bits(value));
        let mine = shards::mine();
        mine.add(self.word(mine.index, 1 + bucket), times);
        mine.add_float(self.word(mine.index, 0), value * times as f64);
    }

    /// Adds up the shards. A record that races with the read is in it or not, but never half in
    /// the count.
    pub(crate) fn read_into(&self, reading: &mut HistogramReading) {
        reading.buckets.clear();
        reading
            .buckets
            .extend((0..=self.edges.values.len()).map(|bucket| {
                (0..self.shards)
                    .map(|shard| self.word(shard, 1 + bucket).load(Ordering::Relaxed))
                    .sum::<u64>()
            }));
        let sums = (0..self.shards).map(|shard| self.word(shard, 0).load(Ordering::Relaxed));
        reading.sum = match self.edges.scale {
            whole @ Scale::Whole { .. } => whole.value(sums.fold(0, u64::wrapping_add)),
            Scale::Float => sums.map(f64::from_bits).sum(),
        };
    }

    pub(crate) fn exemplar(&self) -> Option<Exemplar> {
        self.exemplar.read()
    }

    #[inline]
    fn bucket_of(&self, key: u64) -> usize {
        // Most values fall low, and a scan that ends early beats a search by halves.
        let keys = &self.edges.keys;
        keys.iter()
            .position(|edge| key <= *edge)
            .unwrap_or(keys.len())
    }

    #[inline]
    fn word(&self, shard: usize, word: usize) -> &AtomicU64 {
        &self.lines[shard * self.lines_per_shard + word / WORDS][word % WORDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(edges: &[f64], scale: Scale) -> Histogram {
        Histogram::new(Arc::new(Edges::new(edges, scale)), Arc::default())
    }

    fn read(histogram: &Histogram) -> HistogramReading {
        let mut reading = HistogramReading::default();
        histogram.read_into(&mut reading);
        reading
    }

    #[test]
    fn a_value_on_an_edge_belongs_below_it() {
        let seconds = Scale::Whole {
            per_one: 1_000_000_000,
        };
        let histogram = histogram(&[0.2, 2.0], seconds);
        for nanos in [200_000_000, 200_000_001, 2_000_000_000, 2_000_000_001] {
            histogram.record_whole(nanos, None);
        }
        assert_eq!(read(&histogram).buckets, [1, 2, 1]);
        assert_eq!(read(&histogram).sum, 4.400000002);
    }

    #[test]
    fn whole_edges_are_written_with_their_point() {
        let edges = Edges::new(&[2.0, 0.005, 1.0], Scale::Float);
        let labels: Vec<_> = edges.labels().iter().map(|label| &**label).collect();
        assert_eq!(
            labels,
            ["le=\"0.005\"", "le=\"1.0\"", "le=\"2.0\"", "le=\"+Inf\""]
        );
    }

    #[test]
    fn what_is_no_number_enters_neither_buckets_nor_sum() {
        let histogram = histogram(&[1.0], Scale::Float);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.5] {
            histogram.record_float(value, 1);
        }
        assert_eq!(read(&histogram).buckets, [1, 0]);
        assert_eq!(read(&histogram).sum, 0.5);
    }

    proptest! {
        #[test]
        fn floats_fall_where_a_linear_search_puts_them(
            values in prop::collection::vec(-1e9..1e9_f64, 0..50),
            edges in prop::collection::vec(-1e9..1e9_f64, 0..20),
        ) {
            let histogram = histogram(&edges, Scale::Float);
            for value in &values {
                histogram.record_float(*value, 1);
            }
            let sorted = histogram.edges().values();
            let mut expected = vec![0; sorted.len() + 1];
            for value in &values {
                let bucket = sorted.iter().position(|edge| value <= edge);
                expected[bucket.unwrap_or(sorted.len())] += 1;
            }
            prop_assert_eq!(read(&histogram).buckets, expected);
        }

        #[test]
        fn order_of_bits_is_order_of_numbers(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite() && a != b);
            prop_assert_eq!(a < b, ordered_bits(a) < ordered_bits(b));
        }
    }
}
