//! What was received, in types of our own.

use crate::{
    ids::{SpanId, TraceId},
    metrics::Kind,
};
use std::time::SystemTime;

/// A span, as a backend receives it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReceivedSpan {
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// `None`: the root of its trace.
    pub parent_span_id: Option<SpanId>,
    /// The W3C `tracestate`; empty when there was none.
    pub trace_state: String,
    /// Whether its trace is sampled. A span that was kept although it is not carries the attribute
    /// `orderscope.trace.partial`.
    pub is_sampled: bool,
    /// What happened: `GET /orders/{id}` of a request.
    pub name: String,
    /// On which side of a call it stands.
    pub kind: ReceivedSpanKind,
    /// When it began.
    pub started: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Names and values, in the order in which they were sent.
    pub attributes: Vec<(String, ReceivedValue)>,
    /// What happened within it; the spans of orderscope have none, those of the OpenTelemetry API
    /// may.
    pub events: Vec<ReceivedEvent>,
    /// How it ended.
    pub status: ReceivedStatus,
    /// The library that made it; `orderscope` for its own.
    pub scope: String,
}

/// On which side of a call a span stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReceivedSpanKind {
    /// None was given.
    #[default]
    Unspecified,
    /// Within the process.
    Internal,
    /// It answered a request.
    Server,
    /// It asked somebody else.
    Client,
    /// It left a message.
    Producer,
    /// It took a message.
    Consumer,
}

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceivedStatus {
    /// Not as an error.
    #[default]
    Unset,
    /// Well, as the application said.
    Ok,
    /// As an error, with its message, which may be empty.
    Error(String),
}

/// Something that happened within a span.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReceivedEvent {
    /// When.
    pub at: SystemTime,
    /// What.
    pub name: String,
    /// Names and values, in the order in which they were sent.
    pub attributes: Vec<(String, ReceivedValue)>,
}

/// A log record, as a backend receives it: a line of log, an error, or a business event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReceivedLog {
    /// When it happened.
    pub at: SystemTime,
    /// OpenTelemetry's number: 9 is INFO, 17 is ERROR, 21 is CRITICAL; 0 when there was none.
    pub severity_number: u8,
    /// `INFO`, `ERROR`, `CRITICAL` …
    pub severity_text: String,
    /// `exception` of an error, the event's name of a business event; empty of a line of log.
    pub event_name: String,
    /// Its message.
    pub body: Option<ReceivedValue>,
    /// Names and values, in the order in which they were sent.
    pub attributes: Vec<(String, ReceivedValue)>,
    /// The trace within which it happened.
    pub trace_id: Option<TraceId>,
    /// The span within which it happened.
    pub span_id: Option<SpanId>,
    /// The library that made it; `orderscope` for its own.
    pub scope: String,
}

/// A metric of one push.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReceivedMetric {
    /// The OpenTelemetry name, with dots.
    pub name: String,
    /// One sentence: what is counted when.
    pub description: String,
    /// The UCUM code: `s`, `By`, `{request}`.
    pub unit: String,
    /// What it does with what it is given.
    pub kind: Kind,
    /// Whether the points tell what came since the last push, and not all since the start.
    pub is_delta: bool,
    /// One for each attribute set.
    pub points: Vec<ReceivedPoint>,
}

/// One attribute set of a metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReceivedPoint {
    /// Names and values, sorted by name.
    pub attributes: Vec<(String, ReceivedValue)>,
    /// Where the time begins that it speaks of.
    pub started: SystemTime,
    /// When it was read.
    pub at: SystemTime,
    /// What it says.
    pub value: ReceivedPointValue,
}

/// What a point of a metric says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReceivedPointValue {
    /// A count or a level.
    Integer(i64),
    /// A number in floating point.
    Float(f64),
    /// A distribution.
    #[non_exhaustive]
    Histogram {
        /// How many values there were.
        count: u64,
        /// Their sum; absent where values may be negative.
        sum: Option<f64>,
        /// The upper edges of all buckets but the last.
        edges: Vec<f64>,
        /// How many values lie in each bucket; one more than there are edges.
        buckets: Vec<u64>,
        /// Traces that stand for it.
        exemplars: Vec<TraceId>,
    },
}

/// The value of an attribute, or the body of a log record.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum ReceivedValue {
    /// None was given.
    #[default]
    Empty,
    /// A text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A number in floating point.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in their order.
    List(Vec<ReceivedValue>),
    /// Names and values.
    Map(Vec<(String, ReceivedValue)>),
}

impl ReceivedValue {
    /// The text, of one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, of one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }
}

macro_rules! with_attributes {
    ($($received:ty),+) => {$(
        impl $received {
            /// The value of one attribute.
            #[must_use]
            pub fn attribute(&self, name: &str) -> Option<&ReceivedValue> {
                let mut attributes = self.attributes.iter();
                attributes.find(|(known, _)| known == name).map(|(_, value)| value)
            }
        }
    )+};
}

with_attributes!(ReceivedSpan, ReceivedEvent, ReceivedLog, ReceivedPoint);
