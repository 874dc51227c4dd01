//! What cannot be summed: spans and log records. An event and an error are log records that have a
//! name, as OpenTelemetry has it.
//!
//! A record is compact while the code that it speaks of waits: numbers, static words, and the bytes
//! of its [`Fields`]. What a wire wants is made of it on the worker.

mod composed;
mod critical;
mod event;
mod fields;
mod levels;

pub(crate) use composed::Composed;
pub(crate) use event::{
    REQUEST_TARGET, REQUEST_TARGET_ALWAYS, SQLX_TARGET, Written, unless_too_deep,
};
pub(crate) use fields::{Fields, Limits, MESSAGE, Value, cut, names, overlay, read};
pub use levels::Levels;

use crate::{
    ids::{SpanContext, SpanId},
    stack::{Fingerprint, RawStack},
};
use ::http::HeaderValue;
use bytes::Bytes;
use compact_str::CompactString;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// The streams that a destination takes, as OTLP names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records, events and errors.
    Logs,
    /// Counters, gauges and histograms.
    Metrics,
}

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    /// The attribute `signal`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }
}

/// How grave a log record is. `tracing` ends at ERROR; [`critical!`](crate::critical) goes beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// 1 in OpenTelemetry's numbering.
    Trace,
    /// 5.
    Debug,
    /// 9.
    Info,
    /// 13.
    Warn,
    /// 17.
    Error,
    /// 21, which OpenTelemetry calls FATAL.
    Critical,
}

impl Severity {
    /// From the least grave on.
    pub const ALL: [Self; 6] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Critical,
    ];

    /// OpenTelemetry's severity number.
    pub fn number(self) -> u8 {
        self as u8 * 4 + 1
    }

    /// `TRACE` to `ERROR`, and `CRITICAL`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// What one record says beside its [`Fields`].
#[derive(Debug)]
pub(crate) enum Record {
    /// The server's span of one request; it has no fields.
    Request(RequestSpan),
    /// Any other span.
    Span(Span),
    Log(Log),
    /// A log record whose stack is resolved on the worker, before it is encoded.
    Error(Log, Box<Raised>),
    /// A span of the OpenTelemetry API, already a `ScopeSpans` message; it has no fields.
    Foreign(Bytes),
}

/// How the EventNames begin of what we make of queries, which is no event of the business.
pub(crate) const OF_DATABASES: &str = "orderscope.db.";

/// Which records are lost first when there is no room: the last of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// Errors and panics.
    Errors,
    /// Business events.
    Events,
    /// Log lines, spans, and what is told of queries.
    Routine,
}

impl Priority {
    pub(crate) const ALL: [Self; 3] = [Self::Errors, Self::Events, Self::Routine];
}

impl Record {
    pub(crate) fn signal(&self) -> Signal {
        match self {
            Self::Request(_) | Self::Span(_) | Self::Foreign(_) => Signal::Traces,
            Self::Log(_) | Self::Error(..) => Signal::Logs,
        }
    }

    pub(crate) fn priority(&self) -> Priority {
        match self {
            Self::Error(..) => Priority::Errors,
            Self::Log(log) if log.event_name == EXCEPTION => Priority::Errors,
            Self::Log(log) if log.event_name.starts_with(OF_DATABASES) => Priority::Routine,
            Self::Log(log) if !log.event_name.is_empty() => Priority::Events,
            Self::Log(_) | Self::Request(_) | Self::Span(_) | Self::Foreign(_) => Priority::Routine,
        }
    }

    /// About the bytes that it holds in memory beyond its own.
    pub(crate) fn boxed_bytes(&self) -> usize {
        match self {
            Self::Error(..) => size_of::<Raised>(),
            Self::Foreign(message) => message.len(),
            Self::Request(span) => {
                let path = if span.path.is_heap_allocated() {
                    span.path.len()
                } else {
                    0
                };
                path + span
                    .state
                    .as_ref()
                    .map_or(0, |state| state.len() + size_of::<HeaderValue>())
            }
            Self::Span(_) | Self::Log(_) => 0,
        }
    }
}

/// The EventName of errors.
pub(crate) const EXCEPTION: &str = "exception";

/// One request that the service answered, as a span of kind SERVER.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    pub(crate) context: SpanContext,
    /// The caller's span.
    pub(crate) parent: Option<SpanId>,
    pub(crate) state: Option<Box<HeaderValue>>,
    pub(crate) started: Instant,
    pub(crate) duration: Duration,
    /// The conventions' name, `_OTHER` for one that they lack.
    pub(crate) method: &'static str,
    pub(crate) scheme: &'static str,
    /// `network.protocol.version`; empty when unknown.
    pub(crate) version: &'static str,
    /// `None`: no route matched.
    pub(crate) route: Option<&'static str>,
    /// Without the query.
    pub(crate) path: CompactString,
    /// 0: no head was made.
    pub(crate) status: u16,
    pub(crate) outcome: &'static str,
    /// `error.type`; `None` leaves it to the status, from 500 on.
    pub(crate) error_type: Option<&'static str>,
    pub(crate) request_bytes: Option<u64>,
    pub(crate) response_bytes: u64,
    /// Whether the span's status is Error: on 5xx, a panic, a timeout.
    pub(crate) is_error: bool,
}

/// OpenTelemetry's kinds that we make beside the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanKind {
    Internal,
    Client,
}

/// A span that ended.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) context: SpanContext,
    pub(crate) parent: Option<SpanId>,
    pub(crate) kind: SpanKind,
    pub(crate) name: CompactString,
    pub(crate) started: Instant,
    pub(crate) duration: Duration,
    pub(crate) is_error: bool,
}

/// A log record; its message is the field without a name.
#[derive(Debug)]
pub(crate) struct Log {
    /// `None`: outside every trace.
    pub(crate) context: Option<SpanContext>,
    pub(crate) at: Instant,
    pub(crate) severity: Severity,
    /// Empty: a line of log, no event.
    pub(crate) event_name: CompactString,
}

/// Where an error was raised.
#[derive(Clone, Debug)]
pub(crate) struct Raised {
    pub(crate) stack: RawStack,
    /// The key of the site by which it was counted.
    pub(crate) site: u64,
    /// The one that the application gave it.
    pub(crate) fingerprint: Option<Fingerprint>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_numbered_as_opentelemetry_numbers_them() {
        let numbers = Severity::ALL.map(Severity::number);
        assert_eq!(numbers, [1, 5, 9, 13, 17, 21]);
        assert!(Severity::ALL.is_sorted());
    }
}
