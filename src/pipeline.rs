//! What every source records into.

mod counters;
mod databases;
mod error_groups;
mod following;
mod funnels;
mod given_ids;
mod ledger;
mod limit;
mod sampler;
mod sessions;
mod sharing;
mod subject;
mod tap;
mod transactions;
mod user_ids;
mod users;

#[cfg(feature = "sqlx")]
pub(crate) use databases::PoolSeries;
pub(crate) use databases::{Databases, Ended, Found, Gauged, Source, Traits};
pub(crate) use error_groups::{ErrorGroups, Told, Whom, key_of_whole_way};
pub(crate) use funnels::{Funnels, Step};
pub(crate) use given_ids::{GivenIds, Held};
pub(crate) use sampler::Exemplars;
pub use sampler::Sampling;
pub(crate) use sessions::{Activity, Named, Sessions, Who};
pub(crate) use sharing::Sharing;
pub(crate) use tap::{ErrorTap, LoggedError, ResponseTap};
pub(crate) use transactions::Transactions;
pub(crate) use user_ids::{LONGEST as LONGEST_ID, UserIds};
pub(crate) use users::{Sighting, Users};

use crate::{
    catalog::{self, declared::Declared},
    clock::Clock,
    delivery::Handoff,
    metrics::{Counter, Limits, Registry},
    records::{self, Fields, Record},
    semconv,
    shared_state::{Memory, SharedState},
};
use counters::Counters;
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What the sources of one telemetry record into. Made once and leaked: a source holds a
/// `&'static` to it, since an `Arc` cloned for each request would cost 250 ns under contention.
pub(crate) struct Pipeline {
    pub(crate) registry: Registry,
    pub(crate) clock: Clock,
    pub(crate) handoff: Handoff,
    pub(crate) counters: Counters,
    pub(crate) settings: Settings,
    pub(crate) error_groups: ErrorGroups,
    pub(crate) sharing: Arc<Sharing>,
    pub(crate) given_ids: GivenIds,
    pub(crate) funnels: Funnels,
    pub(crate) transactions: Transactions,
    pub(crate) users: Users,
    pub(crate) sessions: Sessions,
    /// Told of requests that fail.
    pub(crate) response_tap: OnceLock<Box<dyn ResponseTap>>,
    /// Told of lines of log that carry an error.
    pub(crate) error_tap: OnceLock<Box<dyn ErrorTap>>,
    truncated_in_records: AtomicU64,
    /// Made when the first database is watched.
    databases: OnceLock<&'static Databases>,
}

/// Without what it holds: what it holds refers back to it.
impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Pipeline");
        shown.field("settings", &self.settings);
        shown.finish_non_exhaustive()
    }
}

/// How sources record.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) sampling: Sampling,
    /// A request that takes longer keeps its span, whatever was decided on its trace.
    pub(crate) slow_after: Duration,
    /// An error that comes after so long without it has come back.
    pub(crate) error_quiet_period: Duration,
    /// How ids of users leave.
    pub(crate) user_ids: UserIds,
    /// Whether a caller's trace is taken over, and ours given to those we call.
    pub(crate) propagates: bool,
    pub(crate) exemplars: Exemplars,
    /// What one record may hold.
    pub(crate) record_limits: records::Limits,
    pub(crate) declared: Declared,
    pub(crate) shared_state: Arc<dyn SharedState>,
    /// The version of the service.
    pub(crate) release: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sampling: Sampling::default(),
            // The product's threshold on response time.
            slow_after: Duration::from_secs(2),
            error_quiet_period: Duration::from_secs(3600),
            user_ids: UserIds::Raw,
            propagates: true,
            exemplars: Exemplars::default(),
            record_limits: records::Limits::default(),
            declared: Declared::default(),
            shared_state: Arc::<Memory>::default(),
            release: None,
        }
    }
}

/// The pipeline of the installed telemetry.
static INSTALLED: OnceLock<&'static Pipeline> = OnceLock::new();
/// Records that came before there was one.
static UNCLAIMED: AtomicU64 = AtomicU64::new(0);

/// The installed one.
#[inline]
pub(crate) fn installed() -> Option<&'static Pipeline> {
    INSTALLED.get().copied()
}

/// Counts a record that no telemetry was there to take.
pub(crate) fn count_unclaimed() {
    UNCLAIMED.fetch_add(1, Ordering::Relaxed);
}

impl Pipeline {
    /// `restarts` is the worker's own count of its tenants' restarts.
    pub(crate) fn leaked(
        limits: Limits,
        clock: Clock,
        handoff: Handoff,
        settings: Settings,
        restarts: Arc<AtomicU64>,
    ) -> &'static Self {
        let registry = Registry::new(limits, clock.clone());
        let sharing = Arc::new(Sharing::new(
            Arc::clone(&settings.shared_state),
            clock.clone(),
            &registry,
        ));
        let pipeline: &'static Self = Box::leak(Box::new(Self {
            counters: Counters::new(&registry),
            given_ids: GivenIds::new(clock.clone(), &registry, Arc::clone(&sharing)),
            funnels: Funnels::new(
                &settings.declared.funnels,
                clock.clone(),
                &registry,
                Arc::clone(&sharing),
            ),
            users: Users::new(
                &settings.declared,
                clock.clone(),
                &registry,
                Arc::clone(&sharing),
            ),
            sessions: Sessions::new(
                settings.declared.sessions.as_ref(),
                clock.clone(),
                &registry,
                Arc::clone(&sharing),
            ),
            sharing: Arc::clone(&sharing),
            transactions: Transactions::new(&settings.declared.transactions, &registry),
            registry,
            error_groups: ErrorGroups::new(
                clock.clone(),
                settings.error_quiet_period,
                Arc::clone(&sharing),
            ),
            clock,
            handoff,
            settings,
            response_tap: OnceLock::new(),
            error_tap: OnceLock::new(),
            truncated_in_records: AtomicU64::new(0),
            databases: OnceLock::new(),
        }));
        pipeline.observe_itself(restarts);
        pipeline.error_groups.observe(&pipeline.registry);
        pipeline.funnels.observe(&pipeline.registry);
        let evictions = &pipeline.counters.evictions;
        pipeline.given_ids.observe(&pipeline.registry, evictions);
        pipeline.users.observe(&pipeline.registry);
        Sessions::observe(pipeline);
        pipeline
    }

    /// One for unit tests, whose records wait in its hand-off.
    #[cfg(test)]
    pub(crate) fn for_tests(wanted: &[records::Signal]) -> &'static Self {
        Self::for_tests_by(Clock::system(), wanted)
    }

    /// As [`for_tests`](Self::for_tests), in a time of its own.
    #[cfg(test)]
    pub(crate) fn for_tests_by(clock: Clock, wanted: &[records::Signal]) -> &'static Self {
        Self::leaked(
            Limits::default(),
            clock,
            Handoff::new(1 << 20, wanted),
            Settings::default(),
            Arc::default(),
        )
    }

    /// Makes this the process's, for as long as it lives.
    pub(crate) fn install(&'static self) {
        INSTALLED.get_or_init(|| self);
    }

    /// Composes the fields of a record and hands it off.
    #[inline]
    pub(crate) fn record(&self, record: Record, compose: impl FnOnce(&mut Fields)) {
        Fields::compose(self.settings.record_limits, |fields| {
            compose(fields);
            self.count_truncated(fields);
            self.handoff.offer(record, fields.as_bytes());
        });
    }

    /// What is known of databases, from the first time on that somebody asks.
    #[inline]
    pub(crate) fn databases(&'static self) -> &'static Databases {
        match self.databases.get() {
            Some(known) => known,
            // Another thread of the parent may have been about to make it.
            None if self.handoff.is_forked() => Databases::leaked(self),
            None => self.databases.get_or_init(|| Databases::leaked(self)),
        }
    }

    /// The same, where somebody has asked.
    pub(crate) fn known_databases(&self) -> Option<&'static Databases> {
        self.databases.get().copied()
    }

    /// Counts the values of `fields` that were cut or left out.
    #[inline]
    pub(crate) fn count_truncated(&self, fields: &Fields) {
        if fields.truncated() > 0 {
            self.count_truncated_values(fields.truncated());
        }
    }

    /// Counts values of a record that somebody else wrote.
    pub(crate) fn count_truncated_values(&self, count: u64) {
        self.truncated_in_records
            .fetch_add(count, Ordering::Relaxed);
    }

    /// What the telemetry refused, cut or could not hold, as metrics.
    fn observe_itself(&'static self, worker_restarts: Arc<AtomicU64>) {
        use catalog::telemetry::{
            INSTRUMENTS_REFUSED, RECORDS_UNCLAIMED, SERIES_OVERFLOWED, VALUES_REFUSED,
            VALUES_TRUNCATED, WORKER_RESTARTS,
        };
        const RECORDS: (&str, &str) = (semconv::SIGNAL, "records");
        const METRICS: (&str, &str) = (semconv::SIGNAL, "metrics");
        let registry = &self.registry;
        let overflowed = registry.counter(&SERIES_OVERFLOWED);
        for declared in catalog::ALL.iter().filter(|d| !d.attributes().is_empty()) {
            overflowed.kept(&[(semconv::METRIC, declared.name())]);
        }
        let refused = registry.counter(&INSTRUMENTS_REFUSED);
        let refused = registry
            .refusals()
            .map(|(reason, _)| refused.kept(&[(semconv::REASON, reason)]));
        let values = registry.counter(&VALUES_REFUSED);
        let values = registry
            .refused_values()
            .map(|(reason, _)| values.kept(&[(semconv::REASON, reason), METRICS]));
        let truncated = registry.counter(&VALUES_TRUNCATED);
        let truncated = [METRICS, RECORDS].map(|of| truncated.kept(&[of]));
        let unclaimed = registry.counter(&RECORDS_UNCLAIMED).kept(&[]);
        let restarts = registry.counter(&WORKER_RESTARTS).kept(&[]);
        registry.observe(move || {
            for (metric, count) in registry.overflows() {
                overflowed
                    .kept(&[(semconv::METRIC, &metric)])
                    .absolute(count);
            }
            follow(&refused, registry.refusals());
            follow(&values, registry.refused_values());
            truncated[0].absolute(registry.truncated_values());
            truncated[1].absolute(self.truncated_in_records.load(Ordering::Relaxed));
            unclaimed.absolute(UNCLAIMED.load(Ordering::Relaxed));
            restarts.absolute(worker_restarts.load(Ordering::Relaxed));
        });
    }
}

fn follow<const N: usize>(counters: &[Arc<Counter>; N], counts: [(&str, u64); N]) {
    for (counter, (_, count)) in counters.iter().zip(counts) {
        counter.absolute(count);
    }
}
