//! What takes a service's telemetry: the collector that the environment names, or a backend within
//! this process.

use std::{collections::BTreeMap, env};

use orderscope::{
    export::{Destination, InMemory},
    telemetry::Builder,
};
use serde::Serialize;

/// The backend of one service; with an endpoint in the environment, none of ours.
pub(crate) struct Backend(Option<InMemory>);

/// What a backend in memory holds at the end.
#[derive(Serialize)]
pub(crate) struct Received {
    spans: usize,
    /// Log lines, errors and events.
    log_records: usize,
    /// Of the log records, those that are business events, by name.
    events: BTreeMap<String, u64>,
    /// Requests that went for want of room: what they brought is not in the counts above.
    evicted: u64,
}

impl Backend {
    pub(crate) fn chosen() -> Self {
        let names_an_endpoint = ENDPOINTS
            .into_iter()
            .any(|variable| env::var_os(variable).is_some_and(|value| !value.is_empty()));
        Self((!names_an_endpoint).then(InMemory::new))
    }

    /// Has the telemetry send there. An endpoint of the environment it finds by itself.
    pub(crate) fn take_from(&self, telemetry: Builder) -> Builder {
        match &self.0 {
            Some(memory) => telemetry.destination(Destination::in_memory("memory", memory)),
            None => telemetry,
        }
    }

    pub(crate) fn received(&self) -> Option<Received> {
        let memory = self.0.as_ref()?;
        let logs = memory.logs();
        let mut events = BTreeMap::new();
        for log in &logs {
            // Sessions and queries are told of by the telemetry itself.
            let by_itself = ["session.", "orderscope."];
            let is_by_itself = by_itself
                .iter()
                .any(|name| log.event_name.starts_with(name));
            if !is_by_itself && !matches!(&*log.event_name, "" | "exception") {
                *events.entry(log.event_name.clone()).or_default() += 1;
            }
        }
        Some(Received {
            spans: memory.spans().len(),
            log_records: logs.len(),
            events,
            evicted: memory.evicted(),
        })
    }
}

/// Any of these sends telemetry out of the process.
const ENDPOINTS: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
];
