//! One statement and what became of it.

use super::{Source, Traits, source::Found};
use crate::{
    ids::SpanContext,
    metrics::{Histogram, HistogramReading, InsertOnlyMap},
    pipeline::limit::Limit,
    records::{Composed, Fields, Limits},
    semconv,
    snapshot::{self, Distribution},
};
use compact_str::CompactString;
use rustc_hash::FxBuildHasher;
use std::{
    hash::BuildHasher as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Finer than the metric's: most statements take less than its first edge.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1.0,
    10.0,
];
/// Ways of one statement to fail.
const FAILURES: usize = 32;

/// A statement of one source, without its values.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) digest: u64,
    pub(crate) summary: CompactString,
    pub(crate) text: Arc<str>,
    /// Of the records that tell of it, composed when there is the first.
    fields: OnceLock<Option<Composed>>,
    durations: Histogram,
    rows: AtomicU64,
    errors: AtomicU64,
    slow: AtomicU64,
    repeated: AtomicU64,
    /// Executions that never had a connection.
    unserved: AtomicU64,
    /// Of the records that tell of it, one for each kind.
    told_slow: Limit,
    told_repeated: Limit,
    succeeded: OnceLock<Arc<Histogram>>,
    failed: InsertOnlyMap<CompactString, Arc<Histogram>>,
}

/// How an operation went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) duration: Duration,
    pub(crate) rows: u64,
    /// `error.type`; empty: it succeeded.
    pub(crate) error: &'a str,
    pub(crate) is_slow: bool,
    /// It had a connection; else `duration` is how long it waited for one.
    pub(crate) is_served: bool,
    pub(crate) exemplar: Option<SpanContext>,
}

impl Statement {
    pub(super) fn new(digest: u64, summary: CompactString, text: Arc<str>) -> Self {
        Self {
            digest,
            summary,
            text,
            fields: OnceLock::new(),
            durations: Histogram::apart(SECONDS),
            rows: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            unserved: AtomicU64::new(0),
            told_slow: Limit::default(),
            told_repeated: Limit::default(),
            succeeded: OnceLock::new(),
            failed: InsertOnlyMap::new(FAILURES / 8, FAILURES),
        }
    }

    /// What records say of it, as `compose` has it the first time. `None`: that is more than fits.
    #[inline]
    pub(crate) fn fields(
        &self,
        limits: Limits,
        compose: impl FnOnce(&mut Fields),
    ) -> Option<&Composed> {
        let composed = || Composed::new(limits, compose);
        self.fields.get_or_init(composed).as_ref()
    }

    /// It came again and again within one request.
    pub(crate) fn count_repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    fn record(&self, ended: &Ended<'_>) {
        // What the statement takes is not known of one that never ran.
        match ended.is_served {
            true => self.durations.record_duration(ended.duration, None),
            false => drop(self.unserved.fetch_add(1, Ordering::Relaxed)),
        }
        if ended.rows > 0 {
            self.rows.fetch_add(ended.rows, Ordering::Relaxed);
        }
        if !ended.error.is_empty() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if ended.is_slow {
            self.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `None`: it never ran.
    pub(super) fn shown(&self, of: &Traits) -> Option<snapshot::Statement> {
        let mut reading = HistogramReading::default();
        self.durations.read_into(&mut reading);
        let durations = Distribution::of(&self.durations, reading);
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let calls = durations.count() + count(&self.unserved);
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        (calls > 0).then(|| snapshot::Statement {
            pool: Some(of.pool.to_string()).filter(|pool| !pool.is_empty()),
            system: of.system.to_string(),
            digest: format!("{:016x}", self.digest),
            summary: self.summary.to_string(),
            text: self.text.to_string(),
            calls,
            total: seconds(durations.sum()),
            p99: seconds(durations.quantile(0.99).unwrap_or_default()),
            rows: count(&self.rows),
            errors: count(&self.errors),
            slow: count(&self.slow),
            repeated: count(&self.repeated),
        })
    }
}

impl Source {
    /// Whether a record may tell now that the statement is slow.
    pub(crate) fn tells_slow(&self, found: &Found, now: Instant) -> bool {
        found.statement.told_slow.admits(self.databases.nanos(now))
    }

    /// Whether a record may tell now that the statement comes again and again.
    pub(crate) fn tells_repeated(&self, found: &Found, now: Instant) -> bool {
        let limit = &found.statement.told_repeated;
        limit.admits(self.databases.nanos(now))
    }

    /// Counts an operation that ended.
    #[inline]
    pub(crate) fn record(&'static self, found: &Found, ended: &Ended<'_>) {
        let Found { statement, beyond } = found;
        statement.record(ended);
        match (ended.error, beyond) {
            ("", None) => match statement.succeeded.get() {
                Some(series) => series.record_duration(ended.duration, ended.exemplar),
                None => self.first(found, ended),
            },
            (error, None) => {
                let hash = FxBuildHasher.hash_one(error);
                match statement.failed.get(hash, |known| known == error) {
                    Some(series) => series.record_duration(ended.duration, ended.exemplar),
                    None => self.first(found, ended),
                }
            }
            _ => self.first(found, ended),
        }
    }

    /// Finds the series by its attributes, and keeps it with the statement.
    #[cold]
    fn first(&'static self, found: &Found, ended: &Ended<'_>) {
        let series = self.databases.durations.with(&[
            (semconv::DB_SYSTEM_NAME, &self.traits.system),
            (semconv::DB_QUERY_SUMMARY, found.summary()),
            (semconv::DB_NAMESPACE, &self.traits.namespace),
            (semconv::ERROR_TYPE, ended.error),
        ]);
        series.record_duration(ended.duration, ended.exemplar);
        let statement = found.statement;
        if found.beyond.is_some() || self.databases.durations.is_forked() {
            return;
        }
        match ended.error {
            "" => {
                statement.succeeded.get_or_init(|| series);
            }
            error => {
                let hash = FxBuildHasher.hash_one(error);
                let make = || (CompactString::from(error), series);
                statement.failed.insert(hash, |known| known == error, make);
            }
        }
    }
}
