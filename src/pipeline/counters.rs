//! The counters that several sources raise, each found without a lock.

use crate::{
    catalog::{errors, events, logs, telemetry::EVICTIONS},
    metrics::{Counter, CountersByValue, Family, Registry},
    records::Severity,
    semconv,
};
use std::sync::Arc;

/// What is counted whether or not its record goes anywhere.
#[derive(Debug)]
pub(crate) struct Counters {
    log_records: [Arc<Counter>; Severity::ALL.len()],
    /// Handled, and not.
    exceptions: [[Arc<Counter>; Severity::ALL.len()]; 2],
    /// By `exception.type`.
    pub(crate) exceptions_by_type: CountersByValue,
    pub(crate) panics: Arc<Counter>,
    /// By the event's name.
    pub(crate) events: CountersByValue,
    /// By reason.
    pub(crate) events_refused: CountersByValue,
    /// By store.
    pub(super) evictions: Family<Counter>,
}

impl Counters {
    pub(super) fn new(registry: &Registry) -> Self {
        let log_records = registry.counter(&logs::LOG_RECORDS);
        let exceptions = registry.counter(&errors::EXCEPTIONS);
        let by_type = registry.counter(&errors::EXCEPTIONS_BY_TYPE);
        let events_refused = registry.counter(&events::EVENTS_REFUSED);
        let events_refused = CountersByValue::new(events_refused, semconv::REASON);
        // So that they are there, at 0, before the first.
        for reason in ["empty_id", "duplicate", "unknown_currency"] {
            events_refused.keep(reason);
        }
        Self {
            log_records: Severity::ALL
                .map(|severity| log_records.kept(&[(semconv::SEVERITY, severity.text())])),
            exceptions: ["true", "false"].map(|handled| {
                Severity::ALL.map(|severity| {
                    let severity = (semconv::SEVERITY, severity.text());
                    exceptions.kept(&[severity, (semconv::HANDLED, handled)])
                })
            }),
            exceptions_by_type: CountersByValue::new(by_type, semconv::EXCEPTION_TYPE),
            panics: registry.counter(&errors::PANICS).kept(&[]),
            events: CountersByValue::new(registry.counter(&events::EVENTS), semconv::EVENT),
            events_refused,
            evictions: registry.counter(&EVICTIONS),
        }
    }

    #[inline]
    pub(crate) fn log_records(&self, severity: Severity) -> &Counter {
        &self.log_records[severity as usize]
    }

    pub(crate) fn exceptions(&self, severity: Severity, is_handled: bool) -> &Counter {
        &self.exceptions[usize::from(!is_handled)][severity as usize]
    }
}
