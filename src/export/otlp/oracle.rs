//! The tests of the direct writer: what it wrote decodes to what the types of
//! `opentelemetry-proto` hold when they are filled from the same record.

use super::*;
use crate::{
    clock::{Anchor, Clock},
    ids::{SpanContext, SpanId, TraceId},
    records::{Fields, Limits, Log, Raised, RequestSpan, Severity, Span, SpanKind},
    redaction,
};
use ::http::HeaderValue;
use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest as LogsRequest,
        trace::v1::ExportTraceServiceRequest as TracesRequest,
    },
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource as ResourceMessage,
    trace::v1::{ResourceSpans, ScopeSpans, Span as SpanMessage, Status},
};
use prop::{collection::vec, option, sample::select};
use proptest::prelude::*;
use prost::Message;
use std::time::{Duration, Instant};

/// A record with its fields, as a source leaves it.
#[derive(Debug)]
struct Given {
    record: Record,
    fields: Vec<(String, Field)>,
}

#[derive(Clone, Debug)]
enum Field {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

impl Given {
    fn field_bytes(&self) -> Vec<u8> {
        let mut fields = Fields::new(Limits::default(), Vec::new());
        for (name, value) in &self.fields {
            match value {
                Field::Text(text) => fields.word(name, text),
                Field::Integer(integer) => fields.integer(name, *integer),
                Field::Float(float) => fields.float(name, *float),
                Field::Boolean(boolean) => fields.boolean(name, *boolean),
            }
        }
        fields.into_bytes()
    }

    fn encoded(&self, encoder: &Encoder, anchor: &Anchor) -> Vec<u8> {
        let fields = self.field_bytes();
        let mut out = Vec::new();
        let entry = Entry {
            record: &self.record,
            fields: &fields,
            anchor,
        };
        encoder.record(entry, &mut out);
        out
    }
}

fn any_value(value: &Field) -> AnyValue {
    let value = match value.clone() {
        Field::Text(text) => Any::StringValue(text),
        Field::Integer(integer) => Any::IntValue(integer),
        Field::Float(float) => Any::DoubleValue(float),
        Field::Boolean(boolean) => Any::BoolValue(boolean),
    };
    AnyValue { value: Some(value) }
}

fn key_value(name: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(value),
        ..KeyValue::default()
    }
}

fn text(name: &str, value: &str) -> KeyValue {
    key_value(name, any_value(&Field::Text(value.to_owned())))
}

fn integer(name: &str, value: impl TryInto<i64>) -> KeyValue {
    let value = value.try_into().unwrap_or(i64::MAX);
    key_value(name, any_value(&Field::Integer(value)))
}

fn attributes(fields: &[(String, Field)]) -> Vec<KeyValue> {
    let named = fields.iter().filter(|(name, _)| !name.is_empty());
    named
        .map(|(name, value)| key_value(name, any_value(value)))
        .collect()
}

fn message(fields: &[(String, Field)]) -> Option<&Field> {
    let mut unnamed = fields.iter().filter(|(name, _)| name.is_empty());
    unnamed.next_back().map(|(_, value)| value)
}

fn error(message: &str) -> Status {
    Status {
        message: message.to_owned(),
        code: 2,
    }
}

fn request_message(span: &RequestSpan, anchor: &Anchor) -> SpanMessage {
    let method = match span.method {
        "_OTHER" => "HTTP",
        method => method,
    };
    let mut attributes = vec![
        text("http.request.method", span.method),
        text("url.path", &redaction::text(&span.path)),
        text("url.scheme", span.scheme),
        integer("http.response.body.size", span.response_bytes),
        text("outcome", span.outcome),
    ];
    attributes.extend(span.route.map(|route| text("http.route", route)));
    if span.status != 0 {
        attributes.push(integer("http.response.status_code", span.status));
    }
    if !span.version.is_empty() {
        attributes.push(text("network.protocol.version", span.version));
    }
    let code = span.status.to_string();
    let of_status = (span.status >= 500).then_some(code.as_str());
    let error_type = span.error_type.or(of_status);
    attributes.extend(error_type.map(|error| text("error.type", error)));
    let request_bytes = span.request_bytes;
    attributes.extend(request_bytes.map(|bytes| integer("http.request.body.size", bytes)));
    let state = span.state.as_ref().map(|state| state.to_str().unwrap());
    SpanMessage {
        trace_state: state.unwrap_or_default().to_owned(),
        name: match span.route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        },
        kind: 2,
        attributes,
        status: span.is_error.then(|| error("")),
        ..common(
            (span.context, span.parent, 0x300),
            (span.started, span.duration),
            anchor,
        )
    }
}

fn span_message(span: &Span, fields: &[(String, Field)], anchor: &Anchor) -> SpanMessage {
    let said = fields.iter().rev().find_map(|field| match field {
        (name, Field::Text(text)) if name.is_empty() => Some(text.as_str()),
        _ => None,
    });
    SpanMessage {
        name: span.name.to_string(),
        kind: match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Client => 3,
        },
        attributes: attributes(fields),
        status: span.is_error.then(|| error(said.unwrap_or_default())),
        ..common(
            (span.context, span.parent, 0x100),
            (span.started, span.duration),
            anchor,
        )
    }
}

fn common(
    (context, parent, of_parent): (SpanContext, Option<SpanId>, u32),
    (started, duration): (Instant, Duration),
    anchor: &Anchor,
) -> SpanMessage {
    SpanMessage {
        trace_id: context.trace_id.to_bytes().into(),
        span_id: context.span_id.to_bytes().into(),
        parent_span_id: parent.map_or(Vec::new(), |parent| parent.to_bytes().into()),
        flags: u32::from(context.is_sampled) | parent.map_or(0, |_| of_parent),
        start_time_unix_nano: anchor.unix_nanos(started),
        end_time_unix_nano: anchor.unix_nanos(started) + duration.as_nanos() as u64,
        ..SpanMessage::default()
    }
}

/// Of a trace that is not sampled, the span says so.
fn marked(mut span: SpanMessage) -> SpanMessage {
    if span.flags & 1 == 0 {
        let partial = any_value(&Field::Boolean(true));
        span.attributes
            .push(key_value("orderscope.trace.partial", partial));
    }
    sorted(span)
}

/// The order of attributes means nothing.
fn sorted(mut span: SpanMessage) -> SpanMessage {
    span.attributes.sort_by(|one, next| one.key.cmp(&next.key));
    span
}

fn log_message(log: &Log, fields: &[(String, Field)], anchor: &Anchor) -> LogRecord {
    let context = log.context;
    LogRecord {
        time_unix_nano: anchor.unix_nanos(log.at),
        observed_time_unix_nano: anchor.unix_nanos(log.at),
        severity_number: log.severity.number().into(),
        severity_text: log.severity.to_string(),
        body: message(fields).map(any_value),
        attributes: attributes(fields),
        flags: context.map_or(0, |context| context.is_sampled.into()),
        trace_id: context.map_or(Vec::new(), |context| context.trace_id.to_bytes().into()),
        span_id: context.map_or(Vec::new(), |context| context.span_id.to_bytes().into()),
        event_name: log.event_name.to_string(),
        ..LogRecord::default()
    }
}

fn resource() -> Resource {
    let mut resource = Resource::detected();
    resource.set("service.name", "orders");
    resource
}

fn resource_message(resource: &Resource) -> ResourceMessage {
    ResourceMessage {
        attributes: resource
            .iter()
            .map(|(name, value)| match name {
                "process.pid" => integer(name, value.parse::<i64>().unwrap()),
                name => text(name, value),
            })
            .collect(),
        ..ResourceMessage::default()
    }
}

fn scope_message() -> InstrumentationScope {
    InstrumentationScope {
        name: "orderscope".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// The whole request that carries these spans.
fn traces_request(given: &[Given], resource: &Resource, anchor: &Anchor) -> TracesRequest {
    let mut scope_spans: Vec<ScopeSpans> = Vec::new();
    let mut is_ours = false;
    for one in given {
        let span = match &one.record {
            Record::Request(span) => request_message(span, anchor),
            Record::Span(span) => span_message(span, &one.fields, anchor),
            Record::Foreign(message) => {
                scope_spans.push(ScopeSpans::decode(message.clone()).unwrap());
                is_ours = false;
                continue;
            }
            Record::Log(_) | Record::Error(..) => unreachable!("no span"),
        };
        if !is_ours {
            scope_spans.push(ScopeSpans {
                scope: Some(scope_message()),
                schema_url: semconv::SCHEMA_URL.to_owned(),
                ..ScopeSpans::default()
            });
            is_ours = true;
        }
        scope_spans.last_mut().unwrap().spans.push(marked(span));
    }
    TracesRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource_message(resource)),
            scope_spans,
            schema_url: semconv::SCHEMA_URL.to_owned(),
        }],
    }
}

fn logs_request(given: &[Given], resource: &Resource, anchor: &Anchor) -> LogsRequest {
    let logs = given.iter().map(|one| match &one.record {
        Record::Log(log) | Record::Error(log, _) => log_message(log, &one.fields, anchor),
        _ => unreachable!("no log record"),
    });
    let scope = ScopeLogs {
        scope: Some(scope_message()),
        log_records: logs.collect(),
        schema_url: semconv::SCHEMA_URL.to_owned(),
    };
    LogsRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource_message(resource)),
            scope_logs: Vec::from_iter((!scope.log_records.is_empty()).then_some(scope)),
            schema_url: semconv::SCHEMA_URL.to_owned(),
        }],
    }
}

fn context() -> impl Strategy<Value = SpanContext> {
    (1..u128::MAX, 1..u64::MAX, any_bool()).prop_map(|(trace, span, is_sampled)| SpanContext {
        trace_id: TraceId::new(trace).unwrap(),
        span_id: SpanId::new(span).unwrap(),
        is_sampled,
    })
}

fn any_bool() -> impl Strategy<Value = bool> {
    proptest::bool::ANY
}

fn parent() -> impl Strategy<Value = Option<SpanId>> {
    option::of((1..u64::MAX).prop_map(|id| SpanId::new(id).unwrap()))
}

/// An hour around the anchor's time.
fn instant() -> impl Strategy<Value = Instant> {
    const HOUR: u64 = 3_600_000_000_000;
    let now = Clock::system().now();
    (0..2 * HOUR).prop_map(move |nanos| {
        now.checked_sub(Duration::from_nanos(HOUR)).unwrap_or(now) + Duration::from_nanos(nanos)
    })
}

fn duration() -> impl Strategy<Value = Duration> {
    (0..u64::MAX >> 8).prop_map(Duration::from_nanos)
}

/// Lengths on both sides of what one byte can tell.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![".{0,20}", "[a-zé ]{100,300}"]
}

fn fields() -> impl Strategy<Value = Vec<(String, Field)>> {
    let value = prop_oneof![
        words().prop_map(Field::Text),
        proptest::num::i64::ANY.prop_map(Field::Integer),
        (-9_i64..9).prop_map(Field::Integer),
        proptest::num::f64::NORMAL.prop_map(Field::Float),
        any_bool().prop_map(Field::Boolean),
    ];
    // Dotted, so that none is the name of a secret; empty: the message.
    let name = prop_oneof![
        1 => Just(String::new()),
        6 => "[a-z]{1,8}\\.[a-z_]{0,20}",
        1 => "[a-z]{60,130}\\.x",
    ];
    let name = name.prop_filter("masked", |name| !redaction::is_secret_name(name));
    vec((name, value), 0..6).prop_map(|mut fields| {
        // A stable order for both sides of the comparison.
        fields.sort_by(|one, next| one.0.cmp(&next.0));
        fields.dedup_by(|one, next| one.0 == next.0 && !one.0.is_empty());
        fields
    })
}

fn request_span() -> impl Strategy<Value = Record> {
    let how = (
        select(&["GET", "POST", "_OTHER"][..]),
        select(&["http", "https"][..]),
        select(&["", "1.1", "2"][..]),
        option::of(select(&["/orders/{id}", "/{a}/{b}/é", "_OTHER"][..])),
        words(),
        select(&[0, 200, 404, 503][..]),
        select(&["completed", "client_closed", "panicked"][..]),
        option::of(select(&["503", "panic"][..])),
    );
    let state = option::of("[a-z]{1,8}=[!-+]{1,200}");
    let sizes = (option::of(any::<u64>()), any::<u64>());
    (
        (context(), parent(), state),
        (instant(), duration()),
        how,
        sizes,
        any_bool(),
    )
        .prop_map(|((context, parent, state), times, how, sizes, is_error)| {
            Record::Request(RequestSpan {
                context,
                parent,
                state: state.map(|state| Box::new(HeaderValue::try_from(state).unwrap())),
                started: times.0,
                duration: times.1,
                method: how.0,
                scheme: how.1,
                version: how.2,
                route: how.3,
                path: how.4.into(),
                status: how.5,
                outcome: how.6,
                error_type: how.7,
                request_bytes: sizes.0,
                response_bytes: sizes.1,
                is_error,
            })
        })
}

fn other_span() -> impl Strategy<Value = Record> {
    let kind = select(&[SpanKind::Internal, SpanKind::Client][..]);
    (
        (context(), parent()),
        kind,
        words(),
        (instant(), duration()),
        any_bool(),
    )
        .prop_map(|((context, parent), kind, name, times, is_error)| {
            Record::Span(Span {
                context,
                parent,
                kind,
                name: name.into(),
                started: times.0,
                duration: times.1,
                is_error,
            })
        })
}

fn foreign() -> impl Strategy<Value = Record> {
    (words(), vec(words(), 0..3)).prop_map(|(scope, names)| {
        let span = |name| SpanMessage {
            name,
            ..SpanMessage::default()
        };
        let message = ScopeSpans {
            scope: Some(InstrumentationScope {
                name: scope,
                ..InstrumentationScope::default()
            }),
            spans: names.into_iter().map(span).collect(),
            ..ScopeSpans::default()
        };
        Record::Foreign(Bytes::from(message.encode_to_vec()))
    })
}

fn traces() -> impl Strategy<Value = Given> {
    let without_fields = prop_oneof![3 => request_span(), 1 => foreign()];
    prop_oneof![
        without_fields.prop_map(|record| Given {
            record,
            fields: Vec::new()
        }),
        (other_span(), fields()).prop_map(|(record, fields)| Given { record, fields }),
    ]
}

fn logs() -> impl Strategy<Value = Given> {
    let severity = select(&Severity::ALL[..]);
    let name = prop_oneof![Just(String::new()), words()];
    let log = (option::of(context()), instant(), severity, name);
    (log, fields(), any_bool()).prop_map(|((context, at, severity, name), fields, is_error)| {
        let log = Log {
            context,
            at,
            severity,
            event_name: name.into(),
        };
        let stack = crate::stack::capture();
        let record = match is_error {
            true => Record::Error(
                log,
                Box::new(Raised {
                    stack,
                    site: 0,
                    fingerprint: None,
                }),
            ),
            false => Record::Log(log),
        };
        Given { record, fields }
    })
}

/// The records, each encoded once, in two requests cut somewhere between records.
fn requests(given: &[Given], signal: Signal, at: usize, anchor: &Anchor) -> [Vec<u8>; 2] {
    let encoder = Encoder::new(&resource_of_the_test());
    let encoded: Vec<_> = given
        .iter()
        .map(|one| one.encoded(&encoder, anchor))
        .collect();
    let (one, other) = encoded.split_at(at);
    [one, other].map(|part| encoder.request(signal, &mut part.iter().map(Vec::as_slice)))
}

/// Made once: each has an instance id of its own.
fn resource_of_the_test() -> Resource {
    static RESOURCE: std::sync::OnceLock<Resource> = std::sync::OnceLock::new();
    RESOURCE.get_or_init(resource).clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn spans_decode_to_what_was_recorded_wherever_the_batch_is_cut(
        given in vec(traces(), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (anchor, resource) = (Clock::system().anchor(), resource_of_the_test());
        let at = cut.index(given.len() + 1);
        let [one, other] = requests(&given, Signal::Traces, at, &anchor);
        let (first, second) = given.split_at(at);
        for (bytes, part) in [(one, first), (other, second)] {
            let mut decoded = TracesRequest::decode(bytes.as_slice()).unwrap();
            for scope in &mut decoded.resource_spans[0].scope_spans {
                for span in &mut scope.spans {
                    *span = sorted(std::mem::take(span));
                }
            }
            prop_assert_eq!(decoded, traces_request(part, &resource, &anchor));
        }
    }

    #[test]
    fn log_records_decode_to_what_was_recorded_wherever_the_batch_is_cut(
        given in vec(logs(), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (anchor, resource) = (Clock::system().anchor(), resource_of_the_test());
        let at = cut.index(given.len() + 1);
        let [one, other] = requests(&given, Signal::Logs, at, &anchor);
        let (first, second) = given.split_at(at);
        for (bytes, part) in [(one, first), (other, second)] {
            let decoded = LogsRequest::decode(bytes.as_slice()).unwrap();
            prop_assert_eq!(decoded, logs_request(part, &resource, &anchor));
        }
    }
}

/// `cargo test --release --lib export::otlp -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn price_of_a_span_and_of_a_log_record() {
    let (encoder, clock) = (Encoder::new(&resource_of_the_test()), Clock::system());
    let anchor = clock.anchor();
    let context = SpanContext {
        trace_id: TraceId::random(),
        span_id: SpanId::random(),
        is_sampled: true,
    };
    let request = Record::Request(RequestSpan {
        context,
        parent: Some(SpanId::random()),
        state: None,
        started: clock.now(),
        duration: Duration::from_millis(12),
        method: "GET",
        scheme: "http",
        version: "1.1",
        route: Some("/orders/{id}"),
        path: "/orders/12345".into(),
        status: 200,
        outcome: "completed",
        error_type: None,
        request_bytes: None,
        response_bytes: 1_234,
        is_error: false,
    });
    let log = Record::Log(Log {
        context: Some(context),
        at: clock.now(),
        severity: Severity::Error,
        event_name: "".into(),
    });
    let mut fields = Fields::new(Limits::default(), Vec::new());
    fields.message("the payment was refused");
    fields.word("target", "orders::payment");
    fields.integer("order.id", 12_345);
    fields.word("http.route", "/orders/{id}");
    let fields = fields.into_bytes();
    for (name, record) in [("a request's span", &request), ("a log record", &log)] {
        let mut out = Vec::with_capacity(1 << 20);
        let (mut least, mut all) = (Duration::MAX, Duration::ZERO);
        for _ in 0..200 {
            out.clear();
            let before = clock.now();
            for _ in 0..1_000 {
                let entry = Entry {
                    record: std::hint::black_box(record),
                    fields: &fields,
                    anchor: &anchor,
                };
                encoder.record(entry, &mut out);
            }
            let took = clock.now() - before;
            (least, all) = (least.min(took), all + took);
        }
        let (mean, least, bytes) = (all / 200_000, least / 1_000, out.len() / 1_000);
        eprintln!("{name}: mean {mean:?}, least {least:?}, {bytes} bytes");
    }
}
