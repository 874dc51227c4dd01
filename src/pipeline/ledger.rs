//! The ledger of delivery, as metrics.

use super::Pipeline;
use crate::{
    catalog::delivery::{
        ACCEPTED, ACKNOWLEDGED, AMBIGUOUS, BREAKER_OPEN, DROPPED, EXPORT_DURATION, IN_FLIGHT,
        QUEUE_SIZE, QUEUED, REJECTED, SPOOLED,
    },
    delivery::{Delivery, LedgerRow, Reason},
    metrics::Histogram,
    semconv,
};
use std::sync::Arc;

impl Pipeline {
    /// Where the time of each request to a destination is recorded.
    pub(crate) fn export_duration(&self, destination: &str) -> Arc<Histogram> {
        let durations = self.registry.histogram(&EXPORT_DURATION);
        durations.kept(&[(semconv::DESTINATION, destination)])
    }

    /// Shows the ledger at each collection.
    pub(crate) fn observe_delivery(&'static self, delivery: Arc<Delivery>) {
        let registry = &self.registry;
        let sums = [&ACCEPTED, &ACKNOWLEDGED, &REJECTED, &AMBIGUOUS].map(|d| registry.counter(d));
        let levels = [&QUEUED, &IN_FLIGHT, &SPOOLED].map(|d| registry.gauge(d));
        let dropped = registry.counter(&DROPPED);
        let (size, open) = (registry.gauge(&QUEUE_SIZE), registry.gauge(&BREAKER_OPEN));
        let observe = move || {
            for outlet in delivery.outlets() {
                let destination = [(semconv::DESTINATION, outlet.name())];
                size.kept(&destination).set(outlet.bytes() as f64);
                open.kept(&destination)
                    .set(f64::from(u8::from(outlet.is_paused())));
            }
            for row in delivery.rows() {
                let of = [
                    (semconv::DESTINATION, row.destination()),
                    (semconv::SIGNAL, row.signal()),
                ];
                for (sum, count) in sums.iter().zip(so_far(&row)) {
                    sum.kept(&of).absolute(count);
                }
                for (level, count) in levels.iter().zip(now(&row)) {
                    level.kept(&of).set(count as f64);
                }
                for (reason, count) in row.dropped() {
                    let reason: (&str, &str) = (semconv::REASON, Reason::as_str(reason));
                    dropped.kept(&[of[0], of[1], reason]).absolute(count);
                }
            }
        };
        // At once, so that every row stands at 0 before the first record.
        observe();
        registry.observe(observe);
    }
}

fn so_far(row: &LedgerRow) -> [u64; 4] {
    [
        row.accepted(),
        row.acknowledged(),
        row.rejected(),
        row.ambiguous(),
    ]
}

fn now(row: &LedgerRow) -> [u64; 3] {
    [row.queued(), row.in_flight(), row.spooled()]
}
