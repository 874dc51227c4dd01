//! The rows of the table of requests.

use crate::{
    assembly::{self, End},
    layers, logfire,
    orders::{self, Handler},
    ours,
    rounds::{self, Measured, Subject},
};
use orderscope::{http::RequestSpan, telemetry::Sampling};
use std::fmt;

/// Requests a turn: with two spans each, no stock queue of OpenTelemetry overflows at its 2,048
/// before it is flushed.
const A_TURN: u32 = 1_000;

pub(crate) struct Variant {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    /// M metrics, S spans, L logs, C correlation, P a panic becomes a 500, T incoming trace context.
    pub(crate) covers: &'static str,
    pub(crate) records: Records,
    /// The row of ours that does the same.
    pub(crate) against: &'static str,
    start: fn() -> Subject,
}

/// What becomes of spans and logs before the end of the clock of the CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Records {
    Encoded,
    /// Counted and dropped: to encode them would be dearer.
    Dropped,
    /// There are none.
    None,
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoded => "encoded",
            Self::Dropped => "dropped",
            Self::None => "–",
        })
    }
}

impl Variant {
    pub(crate) fn measure(&self, is_quick: bool) -> Measured {
        let subject = (self.start)();
        rounds::measure(Some(orders::bare()), subject, A_TURN, is_quick)
    }
}

pub(crate) static ALL: [Variant; 24] = [
    Variant {
        key: "ours-metrics",
        name: "**orderscope**, metrics only",
        covers: "MCPT",
        records: Records::None,
        against: "ours-metrics",
        start: ours::metrics_only,
    },
    Variant {
        key: "ours-full",
        name: "**orderscope**, every request sampled",
        covers: "MSLCPT",
        records: Records::Encoded,
        against: "ours-full",
        start: || ours::full(Handler::Silent, Sampling::ALL),
    },
    Variant {
        key: "ours-sampled",
        name: "**orderscope**, 1 % sampled",
        covers: "MSLCPT",
        records: Records::Encoded,
        against: "ours-sampled",
        start: || ours::full(Handler::Silent, Sampling::ratio(0.01)),
    },
    Variant {
        key: "ours-keep",
        name: "**orderscope**, what fails is kept, none does",
        covers: "MSLCPT",
        records: Records::Encoded,
        against: "ours-keep",
        start: || ours::full(Handler::Silent, Sampling::NONE),
    },
    Variant {
        key: "ours-keep-failing",
        name: "**orderscope**, what fails is kept, all do",
        covers: "MSLCPT",
        records: Records::Encoded,
        against: "ours-keep-failing",
        start: || ours::full(Handler::Failing, Sampling::NONE),
    },
    Variant {
        key: "ours-log",
        name: "**orderscope** + one access-log event",
        covers: "MSLCPT",
        records: Records::Encoded,
        against: "ours-log",
        start: || ours::full(Handler::AccessLog, Sampling::ALL),
    },
    Variant {
        key: "ours-child",
        name: "**orderscope** + a child span",
        covers: "MSLCPT",
        records: Records::Encoded,
        against: "ours-child",
        start: || ours::full(Handler::ChildSpan, Sampling::ALL),
    },
    Variant {
        key: "ours-request-span",
        name: "**orderscope** + `RequestSpan::On`",
        covers: "MSLCPT",
        records: Records::Encoded,
        against: "ours-request-span",
        start: || ours::with_span(Handler::Silent, Sampling::ALL, RequestSpan::On),
    },
    Variant {
        key: "otel-metrics",
        name: "axum-otel-metrics",
        covers: "M",
        records: Records::None,
        against: "ours-metrics",
        start: layers::axum_otel_metrics,
    },
    Variant {
        key: "prometheus-metrics",
        name: "axum-prometheus",
        covers: "M",
        records: Records::None,
        against: "ours-metrics",
        start: layers::axum_prometheus,
    },
    Variant {
        key: "assembly-metrics",
        name: "opentelemetry-instrumentation-tower, metrics only",
        covers: "MT",
        records: Records::None,
        against: "ours-metrics",
        start: assembly::metrics_only,
    },
    Variant {
        key: "assembly-full",
        name: "assembly of five crates",
        covers: "MSLCPT",
        records: Records::Dropped,
        against: "ours-full",
        start: || assembly::full(Handler::Silent, 1.0, End::Dropped),
    },
    Variant {
        key: "assembly-full-encoded",
        name: "assembly, encoded as ours",
        covers: "MSLCPT",
        records: Records::Encoded,
        against: "ours-full",
        start: || assembly::full(Handler::Silent, 1.0, End::Encoded),
    },
    Variant {
        key: "assembly-sampled",
        name: "assembly, 1 % sampled",
        covers: "MSLCPT",
        records: Records::Dropped,
        against: "ours-sampled",
        start: || assembly::full(Handler::Silent, 0.01, End::Dropped),
    },
    Variant {
        key: "assembly-failing",
        name: "assembly, all fail",
        covers: "MSLCPT",
        records: Records::Dropped,
        against: "ours-keep-failing",
        start: || assembly::full(Handler::Failing, 1.0, End::Dropped),
    },
    Variant {
        key: "assembly-log",
        name: "assembly + one access-log event",
        covers: "MSLCPT",
        records: Records::Dropped,
        against: "ours-log",
        start: || assembly::full(Handler::AccessLog, 1.0, End::Dropped),
    },
    Variant {
        key: "assembly-log-encoded",
        name: "assembly + one access-log event, encoded as ours",
        covers: "MSLCPT",
        records: Records::Encoded,
        against: "ours-log",
        start: || assembly::full(Handler::AccessLog, 1.0, End::Encoded),
    },
    Variant {
        key: "assembly-child",
        name: "assembly + a child span",
        covers: "MSLCPT",
        records: Records::Dropped,
        against: "ours-child",
        start: || assembly::full(Handler::ChildSpan, 1.0, End::Dropped),
    },
    Variant {
        key: "logfire-full",
        name: "logfire, `TraceLayer`, axum-otel-metrics",
        covers: "MSLC",
        records: Records::Dropped,
        against: "ours-full",
        start: || logfire::full(Handler::Silent),
    },
    Variant {
        key: "logfire-log",
        name: "logfire + one access-log event",
        covers: "MSLC",
        records: Records::Dropped,
        against: "ours-log",
        start: || logfire::full(Handler::AccessLog),
    },
    Variant {
        key: "logfire-child",
        name: "logfire + a child span",
        covers: "MSLC",
        records: Records::Dropped,
        against: "ours-child",
        start: || logfire::full(Handler::ChildSpan),
    },
    Variant {
        key: "sentry-full",
        name: "sentry-tower",
        covers: "SCT",
        records: Records::Dropped,
        against: "ours-full",
        start: || layers::sentry(1.0),
    },
    Variant {
        key: "sentry-sampled",
        name: "sentry-tower, 1 % sampled",
        covers: "SCT",
        records: Records::Dropped,
        against: "ours-sampled",
        start: || layers::sentry(0.01),
    },
    Variant {
        key: "fastrace-full",
        name: "fastrace-axum",
        covers: "ST",
        records: Records::Dropped,
        against: "ours-full",
        start: layers::fastrace,
    },
];
