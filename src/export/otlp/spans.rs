//! Spans, as messages `Span`.

use super::{
    attributes::{attribute, count},
    wire::{self, FIXED32, VARINT, tag},
};
use crate::{
    clock::Anchor,
    ids::{SpanContext, SpanId},
    records::{MESSAGE, RequestSpan, Span, SpanKind, Value, read},
    redaction, semconv,
};
use ::http::HeaderValue;
use std::time::{Duration, Instant};

/// The fields of `Span`.
const TRACE_ID: u8 = 1;
const SPAN_ID: u8 = 2;
const TRACE_STATE: u8 = 3;
const PARENT_SPAN_ID: u8 = 4;
const NAME: u8 = 5;
const KIND: u8 = 6;
const START: u8 = 7;
const END: u8 = 8;
const ATTRIBUTES: u8 = 9;
const STATUS: u8 = 15;
/// Field 16, whose tag takes two bytes: seven bits, and the rest.
const FLAGS: [u8; 2] = [0x80 | FIXED32, 16 >> 4];
/// The fields of `Status`.
const STATUS_MESSAGE: u8 = 2;
const STATUS_CODE: u8 = 3;

/// What the attributes of most requests take.
const ROOM: usize = 384;
const CODE_ERROR: u8 = 2;
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// Whether the parent is another process's is known; and it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// The server's span of a request, by the stable conventions of HTTP.
pub(super) fn request(span: &RequestSpan, anchor: &Anchor, out: &mut Vec<u8>) {
    let remote = match span.parent {
        Some(_) => HAS_IS_REMOTE | IS_REMOTE,
        None => 0,
    };
    identity(span.context, span.parent, remote, out);
    if let Some(state) = span.state.as_deref().map(HeaderValue::to_str) {
        wire::text(out, TRACE_STATE, state.unwrap_or_default());
    }
    // `{method} {route}`.
    let method = semconv::method_in_names(span.method);
    let route = span.route.map_or(0, |route| 1 + route.len());
    wire::head(out, NAME, method.len() + route);
    out.extend_from_slice(method.as_bytes());
    if let Some(route) = span.route {
        out.push(b' ');
        out.extend_from_slice(route.as_bytes());
    }
    kind_and_times(SERVER, span.started, span.duration, anchor, out);

    out.reserve(ROOM);
    let mut digits = itoa::Buffer::new();
    // The client wrote it. Searched here, not where the request waits.
    let path = redaction::text(&span.path);
    let mut say = |name, value| attribute(out, ATTRIBUTES, name, value);
    say(semconv::HTTP_REQUEST_METHOD, Value::Text(span.method));
    if let Some(route) = span.route {
        say(semconv::HTTP_ROUTE, Value::Text(route));
    }
    say(semconv::URL_PATH, Value::Text(&path));
    say(semconv::URL_SCHEME, Value::Text(span.scheme));
    if span.status != 0 {
        let status = Value::Integer(span.status.into());
        say(semconv::HTTP_RESPONSE_STATUS_CODE, status);
    }
    if !span.version.is_empty() {
        say(semconv::NETWORK_PROTOCOL_VERSION, Value::Text(span.version));
    }
    match span.error_type {
        Some(error_type) => say(semconv::ERROR_TYPE, Value::Text(error_type)),
        None if span.status >= 500 => {
            say(semconv::ERROR_TYPE, Value::Text(digits.format(span.status)));
        }
        None => {}
    }
    if let Some(bytes) = span.request_bytes {
        say(semconv::HTTP_REQUEST_BODY_SIZE, count(bytes));
    }
    say(semconv::HTTP_RESPONSE_BODY_SIZE, count(span.response_bytes));
    say(semconv::OUTCOME, Value::Text(span.outcome));
    partial(span.context, out);
    if span.is_error {
        status_error("", out);
    }
}

/// Any other span; its message tells of its error.
pub(super) fn span(span: &Span, fields: &[u8], anchor: &Anchor, out: &mut Vec<u8>) {
    // The parent is a span of this process.
    let remote = span.parent.map_or(0, |_| HAS_IS_REMOTE);
    identity(span.context, span.parent, remote, out);
    wire::text(out, NAME, &span.name);
    let kind = match span.kind {
        SpanKind::Internal => INTERNAL,
        SpanKind::Client => CLIENT,
    };
    kind_and_times(kind, span.started, span.duration, anchor, out);
    let mut message = "";
    for (name, value) in read(fields) {
        match (name, value) {
            (MESSAGE, Value::Text(text)) => message = text,
            (MESSAGE, _) => {}
            (name, value) => attribute(out, ATTRIBUTES, name, value),
        }
    }
    partial(span.context, out);
    if span.is_error {
        status_error(message, out);
    }
}

#[inline]
fn identity(context: SpanContext, parent: Option<SpanId>, remote: u32, out: &mut Vec<u8>) {
    wire::short(out, TRACE_ID, context.trace_id.to_bytes());
    wire::short(out, SPAN_ID, context.span_id.to_bytes());
    if let Some(parent) = parent {
        wire::short(out, PARENT_SPAN_ID, parent.to_bytes());
    }
    let flags = u32::from(context.flags()) | remote;
    out.extend_from_slice(&FLAGS);
    out.extend_from_slice(&flags.to_le_bytes());
}

#[inline]
fn kind_and_times(
    kind: u8,
    started: Instant,
    duration: Duration,
    anchor: &Anchor,
    out: &mut Vec<u8>,
) {
    let started = anchor.unix_nanos(started);
    // 584 years fit.
    let ended = started.saturating_add(duration.as_nanos() as u64);
    out.extend_from_slice(&[tag(KIND, VARINT), kind]);
    wire::fixed64(out, START, started);
    wire::fixed64(out, END, ended);
}

/// Of a trace that is not sampled, its other spans are missing.
#[inline]
fn partial(context: SpanContext, out: &mut Vec<u8>) {
    if !context.is_sampled {
        attribute(
            out,
            ATTRIBUTES,
            semconv::TRACE_PARTIAL,
            Value::Boolean(true),
        );
    }
}

fn status_error(message: &str, out: &mut Vec<u8>) {
    let text = match message {
        "" => 0,
        message => wire::field_length(message.len()),
    };
    wire::head(out, STATUS, text + 2);
    wire::text(out, STATUS_MESSAGE, message);
    out.extend_from_slice(&[tag(STATUS_CODE, VARINT), CODE_ERROR]);
}
