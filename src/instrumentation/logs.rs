//! The log lines of the process: severities with [`critical!`](crate::critical) among them, lines
//! for people or for programs, on stderr or in files that roll.
//!
//! `install()` prints lines on stderr at the levels of `RUST_LOG`, `info` by default; each line knows
//! the request that it belongs to without an argument. What looks like a secret is masked, values
//! are cut at the limits of records, and characters that act on a terminal or turn the direction of
//! writing are spelled out, so that a line is one line whatever is logged.
//!
//! # A line of JSON
//!
//! One object a line. The keys are a contract: reports read them.
//!
//! | key | value | when |
//! | --- | --- | --- |
//! | `timestamp` | RFC 3339 in UTC with six digits after the second | always |
//! | `severity` | `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`, `CRITICAL` | always |
//! | `message` | text, empty when the event has none | always |
//! | `target` | the module, or what `target:` says | always |
//! | `trace_id`, `span_id` | 32 and 16 lower-case hexadecimal digits | within a request or a span |
//! | `service` | `service.name` of the resource | always |
//! | any other | a field of the event: text, number or boolean; NaN and the infinities as text | when given |
//! | `http.route`, `user.id`, `session.id` | of the current request | when known |
//!
//! A field that is named like one of the first seven keys is written with `field.` before its name;
//! of fields of one name the first is. An error is written with its causes, `a: b: c`.
//!
//! ```json
//! {"timestamp":"2026-11-23T18:04:05.123456Z","severity":"CRITICAL","message":"payment captured twice","target":"orders::checkout","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","service":"orders","order_id":1024,"http.route":"/orders/{id}","user.id":"u-7"}
//! ```
//!
//! # A line for people
//!
//! Coloured on a terminal, unless `NO_COLOR` is set to anything; the trace by its first eight digits.
//!
//! ```text
//! 2026-11-23T18:04:05.123456Z CRITICAL orders::checkout: payment captured twice order_id=1024 http.route=/orders/{id} user.id=u-7 trace=4bf92f35
//! ```

mod escape;
mod file;
mod line;
mod lines;
mod with_request;

pub use crate::records::{Levels, Severity};
pub use file::LogFile;
pub use with_request::{WithRequest, with_request};
pub(crate) use {
    file::LineCounts,
    lines::{Lines, To},
};

use tracing_subscriber::{
    Layer, Registry,
    filter::Filtered,
    layer::{Layered, SubscriberExt as _},
};

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// For people. The default.
    #[default]
    Human,
    /// For programs: the object that [the module's page](self#a-line-of-json) describes.
    Json,
}

/// What `install()` makes the process's `tracing` subscriber: `record` makes records, and `lines` are
/// printed, of what `levels` name. One filter for both costs a span 60 ns less than one for each.
pub(crate) fn recording_subscriber<R>(
    levels: Levels,
    record: R,
    lines: Lines,
) -> impl tracing::Subscriber + Send + Sync
where
    R: Layer<Layered<Levels, Registry>> + Send + Sync,
{
    Registry::default().with(levels).with(record).with(lines)
}

/// The same, and `beside` hears what it wants to, whatever the levels are.
pub(crate) fn recording_subscriber_beside<R, B>(
    levels: Levels,
    record: R,
    lines: Lines,
    beside: B,
) -> impl tracing::Subscriber + Send + Sync
where
    R: Layer<Registry> + Send + Sync,
    B: Layer<Layered<Filtered<Layered<Lines, R, Registry>, Levels, Registry>, Registry>>
        + Send
        + Sync,
{
    let records = record.and_then(lines).with_filter(levels);
    Registry::default().with(records).with(beside)
}
