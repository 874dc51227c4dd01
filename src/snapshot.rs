//! A read-only view of all numbers at one moment, bounded as their storage is.

mod error_group;
mod funnel;
mod pool;
mod sessions;
mod statement;
mod transaction;
mod users;

pub use error_group::ErrorGroup;
pub use funnel::{Funnel, FunnelStep};
pub use pool::Pool;
pub use sessions::Sessions;
pub use statement::Statement;
pub use transaction::Transaction;
pub use users::{Feature, Period, Users};

use crate::metrics::{
    Exemplar, Histogram, HistogramReading, Instrument, Kind, Registry, Storage, Unit,
};

/// All numbers of a [`Telemetry`](crate::Telemetry), as they were when it was asked.
#[derive(Clone, Debug)]
pub struct Snapshot {
    metrics: Vec<Metric>,
    error_groups: Vec<ErrorGroup>,
    statements: Vec<Statement>,
}

/// One instrument of a [`Snapshot`].
#[derive(Clone, Debug)]
pub struct Metric {
    name: String,
    kind: Kind,
    unit: Unit,
    series: Vec<Series>,
}

/// One attribute set of a [`Metric`].
#[derive(Clone, Debug)]
pub struct Series {
    attributes: Vec<(String, String)>,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Distribution(Distribution),
}

impl Snapshot {
    /// Reads everything, after letting the observed instruments look.
    pub(crate) fn of(registry: &Registry) -> Self {
        Self {
            metrics: registry
                .collect()
                .iter()
                .map(|instrument| Metric::of(instrument))
                .collect(),
            error_groups: Vec::new(),
            statements: Vec::new(),
        }
    }

    pub(crate) fn with_error_groups(self, error_groups: Vec<ErrorGroup>) -> Self {
        Self {
            error_groups,
            ..self
        }
    }

    pub(crate) fn with_statements(self, statements: Vec<Statement>) -> Self {
        Self { statements, ..self }
    }

    /// The statements that took the longest in all, the longest first, at most 100.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The pools that are [watched](crate::database), in the order of their names.
    pub fn pools(&self) -> Vec<Pool> {
        Pool::all_of(self)
    }

    /// Groups of errors since the process began, the most frequent first, at most 100. An error is
    /// in its group when the telemetry's own thread has resolved the first stack that came by its
    /// way, a moment after it was raised.
    pub fn error_groups(&self) -> &[ErrorGroup] {
        &self.error_groups
    }

    /// What the funnels have come to that were declared, in the order of their names.
    pub fn funnels(&self) -> Vec<Funnel> {
        Funnel::all_of(self)
    }

    /// How the transactions ended that were declared, in the order of their names.
    pub fn transactions(&self) -> Vec<Transaction> {
        Transaction::all_of(self)
    }

    /// Who was active, where that is [declared](crate::telemetry::Builder::active_users). `None` also
    /// while a shared state does not answer: then nobody knows.
    pub fn active_users(&self) -> Option<Users> {
        Users::active(self)
    }

    /// What sessions have come to, where they are
    /// [followed](crate::telemetry::Builder::sessions).
    pub fn sessions(&self) -> Option<Sessions> {
        Sessions::of(self)
    }

    /// What became of the features that were declared, in the order of their names.
    pub fn features(&self) -> Vec<Feature> {
        Feature::all_of(self)
    }

    /// Every instrument, in the order of their Prometheus names.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// An instrument by its OpenTelemetry name.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// The sum over the series of a counter that carry all of `attributes`; 0 when there is none.
    ///
    /// Here and below, an attribute of value `""` asks for series without that attribute.
    pub fn counter(&self, name: &str, attributes: &[(&str, &str)]) -> u64 {
        self.gauge(name, attributes) as u64
    }

    /// The sum over the series of a gauge or an up-down counter that carry all of `attributes`.
    pub fn gauge(&self, name: &str, attributes: &[(&str, &str)]) -> f64 {
        // Not `sum()`: that of no floats is -0.0.
        self.matching(name, attributes)
            .filter_map(|series| match &series.value {
                Value::Number(number) => Some(*number),
                Value::Distribution(_) => None,
            })
            .fold(0.0, |sum, number| sum + number)
    }

    /// The series of a histogram that carry all of `attributes`, merged.
    pub fn histogram(&self, name: &str, attributes: &[(&str, &str)]) -> Distribution {
        let mut merged = Distribution::default();
        for series in self.matching(name, attributes) {
            if let Value::Distribution(distribution) = &series.value {
                merged.merge(distribution);
            }
        }
        merged
    }

    /// The distinct values of one attribute over the series of an instrument, sorted; `""` stands
    /// for series without it.
    pub fn attribute_values(&self, name: &str, attribute: &str) -> Vec<String> {
        let series = self.metric(name).map_or(&[][..], Metric::series);
        let mut values: Vec<String> = series
            .iter()
            .map(|series| series.attribute(attribute).unwrap_or_default().to_owned())
            .collect();
        values.sort();
        values.dedup();
        values
    }

    fn matching(&self, name: &str, attributes: &[(&str, &str)]) -> impl Iterator<Item = &Series> {
        let series = self.metric(name).map_or(&[][..], Metric::series);
        series.iter().filter(move |series| {
            attributes
                .iter()
                .all(|(name, value)| series.attribute(name).unwrap_or_default() == *value)
        })
    }
}

impl Metric {
    fn of(instrument: &Instrument) -> Self {
        let mut all = Vec::new();
        instrument.all_series(&mut all);
        Self {
            name: instrument.name.to_string(),
            kind: instrument.kind,
            unit: instrument.unit,
            series: all
                .iter()
                .map(|series| Series {
                    attributes: series
                        .labels
                        .attributes
                        .iter()
                        .map(|(name, value)| (name.to_string(), value.to_string()))
                        .collect(),
                    value: Value::of(&series.storage),
                })
                .collect(),
        }
    }

    /// The OpenTelemetry name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does with what it is given.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The unit of its values.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Its attribute sets, in the order in which they were first met.
    pub fn series(&self) -> &[Series] {
        &self.series
    }
}

impl Series {
    /// Names and values, sorted by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of one attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The value of anything but a histogram.
    pub fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(number) => Some(*number),
            Value::Distribution(_) => None,
        }
    }

    /// The value of a histogram.
    pub fn distribution(&self) -> Option<&Distribution> {
        match &self.value {
            Value::Number(_) => None,
            Value::Distribution(distribution) => Some(distribution),
        }
    }
}

impl Value {
    fn of(storage: &Storage) -> Self {
        match storage {
            Storage::Counter(counter) => Self::Number(counter.read() as f64),
            Storage::ObservedCounter(counter) => Self::Number(counter.read()),
            Storage::UpDownCounter(level) => Self::Number(level.read() as f64),
            Storage::Gauge(gauge) => Self::Number(gauge.read()),
            Storage::Histogram(histogram) => {
                let mut reading = HistogramReading::default();
                histogram.read_into(&mut reading);
                Self::Distribution(Distribution::of(histogram, reading))
            }
        }
    }
}

/// What a histogram held.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    edges: Vec<f64>,
    /// One for each edge, and one beyond; not cumulative. Empty when nothing matched.
    buckets: Vec<u64>,
    sum: f64,
    exemplar: Option<Exemplar>,
}

impl Distribution {
    /// What `histogram` was read to hold.
    pub(crate) fn of(histogram: &Histogram, reading: HistogramReading) -> Self {
        Self {
            edges: histogram.edges().values().to_vec(),
            buckets: reading.buckets,
            sum: reading.sum,
            exemplar: histogram.exemplar(),
        }
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all values, in the histogram's unit.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Upper edges with the number of values in each bucket; the last edge is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let edges = self.edges.iter().copied().chain([f64::INFINITY]);
        edges.zip(self.buckets.iter().copied())
    }

    /// The value below which the share `q` of all values lies, interpolated within its bucket as
    /// PromQL's `histogram_quantile` does: beyond the last edge it is that edge. `None` when
    /// nothing was recorded, or `q` is not in 0 ..= 1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * count as f64;
        // The first bucket reaches down to 0; one that ends below 0 has no known lower end.
        let (mut below, mut lower) = (0.0, self.edges.first().map_or(0.0, |first| first.min(0.0)));
        for (edge, in_bucket) in self.buckets() {
            let in_bucket = in_bucket as f64;
            if in_bucket > 0.0 && below + in_bucket >= rank {
                if edge.is_infinite() {
                    break;
                }
                return Some(lower + (edge - lower) * ((rank - below) / in_bucket).max(0.0));
            }
            below += in_bucket;
            if edge.is_finite() {
                lower = edge;
            }
        }
        Some(lower)
    }

    /// The trace id of a request that stands for this distribution, the slowest one of late.
    pub fn exemplar_trace_id(&self) -> Option<crate::ids::TraceId> {
        self.exemplar.map(|exemplar| exemplar.trace.trace_id)
    }

    /// Series of one instrument share their edges.
    fn merge(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            *self = other.clone();
            return;
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.sum += other.sum;
        let bucket = |of: &Self| of.exemplar.map(|exemplar| exemplar.bucket);
        if bucket(other) > bucket(self) {
            self.exemplar = other.exemplar;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(buckets: [u64; 4]) -> Distribution {
        Distribution {
            edges: vec![1.0, 2.0, 4.0],
            buckets: buckets.to_vec(),
            ..Distribution::default()
        }
    }

    #[test]
    fn a_quantile_is_interpolated_as_promql_does() {
        let even = distribution([10, 10, 0, 0]);
        assert_eq!(even.quantile(0.5), Some(1.0));
        assert_eq!(even.quantile(0.75), Some(1.5));
        assert_eq!(even.quantile(0.0), Some(0.0));
        assert_eq!(even.quantile(1.0), Some(2.0));
        assert_eq!(distribution([0, 0, 0, 5]).quantile(0.5), Some(4.0));
        assert_eq!(distribution([0; 4]).quantile(0.5), None);
        assert_eq!(even.quantile(1.5), None);
        let below_zero = Distribution {
            edges: vec![-10.0, -5.0],
            buckets: vec![0, 10, 0],
            ..Distribution::default()
        };
        assert_eq!(below_zero.quantile(0.5), Some(-7.5));
    }
}
