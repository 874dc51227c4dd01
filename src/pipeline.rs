//! What every source records into.

use crate::{
    catalog,
    clock::Clock,
    metrics::{Counter, Limits, Registry},
    semconv,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The registry and the clock of one telemetry. Made once and leaked: a source holds a
/// `&'static` to it, since an `Arc` cloned for each request would cost 250 ns under contention.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) registry: Registry,
    pub(crate) clock: Clock,
}

impl Pipeline {
    /// `restarts` is the worker's own count of its tenants' restarts.
    pub(crate) fn leaked(limits: Limits, clock: Clock, restarts: Arc<AtomicU64>) -> &'static Self {
        let pipeline: &'static Self = Box::leak(Box::new(Self {
            registry: Registry::new(limits, clock.clone()),
            clock,
        }));
        pipeline.observe_itself(restarts);
        pipeline
    }

    /// What the telemetry refused, cut or could not hold, as metrics.
    fn observe_itself(&'static self, worker_restarts: Arc<AtomicU64>) {
        use catalog::telemetry::{
            INSTRUMENTS_REFUSED, SERIES_OVERFLOWED, VALUES_REFUSED, VALUES_TRUNCATED,
            WORKER_RESTARTS,
        };
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
        let truncated = registry.counter(&VALUES_TRUNCATED).kept(&[METRICS]);
        let restarts = registry.counter(&WORKER_RESTARTS).kept(&[]);
        registry.observe(move || {
            for (metric, count) in registry.overflows() {
                overflowed
                    .kept(&[(semconv::METRIC, &metric)])
                    .absolute(count);
            }
            follow(&refused, registry.refusals());
            follow(&values, registry.refused_values());
            truncated.absolute(registry.truncated_values());
            restarts.absolute(worker_restarts.load(Ordering::Relaxed));
        });
    }
}

fn follow<const N: usize>(counters: &[Arc<Counter>; N], counts: [(&str, u64); N]) {
    for (counter, (_, count)) in counters.iter().zip(counts) {
        counter.absolute(count);
    }
}
