//! The rows of the table of requests.

use crate::{
    assembly::{self, End},
    logfire,
    orders::{self, Handler},
    ours,
    rounds::{self, Measured, Subject},
};
use orderscope::telemetry::Sampling;

/// Requests a turn: with two spans each, no stock queue of OpenTelemetry overflows at its 2,048
/// before it is flushed.
const A_TURN: u32 = 1_000;

pub(crate) struct Variant {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    /// M metrics, S spans, L logs, C correlation, P a panic becomes a 500, T incoming trace context.
    pub(crate) covers: &'static str,
    /// The row of ours that does the same.
    pub(crate) against: &'static str,
    start: fn() -> Subject,
}

impl Variant {
    pub(crate) fn measure(&self, is_quick: bool) -> Measured {
        let subject = (self.start)();
        rounds::measure(Some(orders::bare()), subject, A_TURN, is_quick)
    }
}

pub(crate) static ALL: [Variant; 15] = [
    Variant {
        key: "ours-metrics",
        name: "**orderscope**, metrics only",
        covers: "MCPT",
        against: "ours-metrics",
        start: ours::metrics_only,
    },
    Variant {
        key: "ours-full",
        name: "**orderscope**, every request sampled",
        covers: "MSLCPT",
        against: "ours-full",
        start: || ours::full(Handler::Silent, Sampling::ALL),
    },
    Variant {
        key: "ours-sampled",
        name: "**orderscope**, 1 % sampled",
        covers: "MSLCPT",
        against: "ours-sampled",
        start: || ours::full(Handler::Silent, Sampling::ratio(0.01)),
    },
    Variant {
        key: "ours-log",
        name: "**orderscope** + one access-log event",
        covers: "MSLCPT",
        against: "ours-log",
        start: || ours::full(Handler::AccessLog, Sampling::ALL),
    },
    Variant {
        key: "ours-child",
        name: "**orderscope** + a child span",
        covers: "MSLCPT",
        against: "ours-child",
        start: || ours::full(Handler::ChildSpan, Sampling::ALL),
    },
    Variant {
        key: "assembly-metrics",
        name: "opentelemetry-instrumentation-tower, metrics only",
        covers: "MT",
        against: "ours-metrics",
        start: assembly::metrics_only,
    },
    Variant {
        key: "assembly-full",
        name: "assembly of five crates",
        covers: "MSLCPT",
        against: "ours-full",
        start: || assembly::full(Handler::Silent, 1.0, End::Dropped),
    },
    Variant {
        key: "assembly-full-encoded",
        name: "assembly, encoded as ours",
        covers: "MSLCPT",
        against: "ours-full",
        start: || assembly::full(Handler::Silent, 1.0, End::Encoded),
    },
    Variant {
        key: "assembly-sampled",
        name: "assembly, 1 % sampled",
        covers: "MSLCPT",
        against: "ours-sampled",
        start: || assembly::full(Handler::Silent, 0.01, End::Dropped),
    },
    Variant {
        key: "assembly-log",
        name: "assembly + one access-log event",
        covers: "MSLCPT",
        against: "ours-log",
        start: || assembly::full(Handler::AccessLog, 1.0, End::Dropped),
    },
    Variant {
        key: "assembly-log-encoded",
        name: "assembly + one access-log event, encoded as ours",
        covers: "MSLCPT",
        against: "ours-log",
        start: || assembly::full(Handler::AccessLog, 1.0, End::Encoded),
    },
    Variant {
        key: "assembly-child",
        name: "assembly + a child span",
        covers: "MSLCPT",
        against: "ours-child",
        start: || assembly::full(Handler::ChildSpan, 1.0, End::Dropped),
    },
    Variant {
        key: "logfire-full",
        name: "logfire, `TraceLayer`, axum-otel-metrics",
        covers: "MSLC",
        against: "ours-full",
        start: || logfire::full(Handler::Silent),
    },
    Variant {
        key: "logfire-log",
        name: "logfire + one access-log event",
        covers: "MSLC",
        against: "ours-log",
        start: || logfire::full(Handler::AccessLog),
    },
    Variant {
        key: "logfire-child",
        name: "logfire + a child span",
        covers: "MSLC",
        against: "ours-child",
        start: || logfire::full(Handler::ChildSpan),
    },
];
