//! From the bytes of a request to what they say. Only spans and points without an id or a value,
//! which OTLP calls invalid, are left out.

use super::received::{
    ReceivedEvent, ReceivedLog, ReceivedMetric, ReceivedPoint, ReceivedPointValue, ReceivedSpan,
    ReceivedSpanKind, ReceivedStatus, ReceivedValue,
};
use crate::{
    ids::{SpanId, TraceId},
    metrics::Kind,
    records::Signal,
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{
        AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, metric::Data,
        number_data_point,
    },
    trace::v1::{Span, span::Event, span::SpanKind, status::StatusCode},
};
use prost::Message;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) fn spans(request: &[u8]) -> Vec<ReceivedSpan> {
    let request = ExportTraceServiceRequest::decode(request).unwrap_or_default();
    let resources = request.resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes
        .flat_map(|scope| {
            let name = scope_name(scope.scope);
            let spans = scope.spans.into_iter();
            spans.filter_map(move |one| span(one, &name))
        })
        .collect()
}

pub(super) fn logs(request: &[u8]) -> Vec<ReceivedLog> {
    let request = ExportLogsServiceRequest::decode(request).unwrap_or_default();
    let resources = request.resource_logs.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_logs);
    scopes
        .flat_map(|scope| {
            let name = scope_name(scope.scope);
            let records = scope.log_records.into_iter();
            records.map(move |one| log(one, &name))
        })
        .collect()
}

pub(super) fn metrics(request: &[u8]) -> Vec<ReceivedMetric> {
    let request = ExportMetricsServiceRequest::decode(request).unwrap_or_default();
    let resources = request.resource_metrics.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| scope.metrics);
    metrics.filter_map(metric).collect()
}

pub(super) fn resource(signal: Signal, request: &[u8]) -> Vec<(String, ReceivedValue)> {
    let resource = match signal {
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(request).unwrap_or_default();
            let last = request.resource_spans.into_iter().next_back();
            last.and_then(|of_spans| of_spans.resource)
        }
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(request).unwrap_or_default();
            let last = request.resource_logs.into_iter().next_back();
            last.and_then(|of_logs| of_logs.resource)
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(request).unwrap_or_default();
            let last = request.resource_metrics.into_iter().next_back();
            last.and_then(|of_metrics| of_metrics.resource)
        }
    };
    attributes(resource.unwrap_or_default().attributes)
}

fn scope_name(scope: Option<InstrumentationScope>) -> String {
    scope.unwrap_or_default().name
}

fn span(span: Span, scope: &str) -> Option<ReceivedSpan> {
    let kind = match span.kind() {
        SpanKind::Unspecified => ReceivedSpanKind::Unspecified,
        SpanKind::Internal => ReceivedSpanKind::Internal,
        SpanKind::Server => ReceivedSpanKind::Server,
        SpanKind::Client => ReceivedSpanKind::Client,
        SpanKind::Producer => ReceivedSpanKind::Producer,
        SpanKind::Consumer => ReceivedSpanKind::Consumer,
    };
    let status = span.status.unwrap_or_default();
    Some(ReceivedSpan {
        trace_id: trace_id(&span.trace_id)?,
        span_id: span_id(&span.span_id)?,
        parent_span_id: span_id(&span.parent_span_id),
        trace_state: span.trace_state,
        is_sampled: span.flags & 1 != 0,
        name: span.name,
        kind,
        started: time(span.start_time_unix_nano),
        ended: time(span.end_time_unix_nano),
        attributes: attributes(span.attributes),
        events: span.events.into_iter().map(event).collect(),
        status: match status.code() {
            StatusCode::Unset => ReceivedStatus::Unset,
            StatusCode::Ok => ReceivedStatus::Ok,
            StatusCode::Error => ReceivedStatus::Error(status.message),
        },
        scope: scope.to_owned(),
    })
}

fn event(event: Event) -> ReceivedEvent {
    ReceivedEvent {
        at: time(event.time_unix_nano),
        name: event.name,
        attributes: attributes(event.attributes),
    }
}

fn log(log: LogRecord, scope: &str) -> ReceivedLog {
    ReceivedLog {
        at: time(log.time_unix_nano),
        severity_number: u8::try_from(log.severity_number).unwrap_or_default(),
        severity_text: log.severity_text,
        event_name: log.event_name,
        body: log.body.map(value),
        attributes: attributes(log.attributes),
        trace_id: trace_id(&log.trace_id),
        span_id: span_id(&log.span_id),
        scope: scope.to_owned(),
    }
}

/// `None` of the kinds that orderscope has not.
fn metric(metric: Metric) -> Option<ReceivedMetric> {
    const DELTA: i32 = AggregationTemporality::Delta as i32;
    let (kind, temporality, points) = match metric.data? {
        Data::Gauge(gauge) => (Kind::Gauge, 0, numbers(gauge.data_points)),
        Data::Sum(sum) => {
            let kind = match sum.is_monotonic {
                true => Kind::Counter,
                false => Kind::UpDownCounter,
            };
            (kind, sum.aggregation_temporality, numbers(sum.data_points))
        }
        Data::Histogram(histogram) => {
            let points = histogram.data_points.into_iter().map(distribution);
            (
                Kind::Histogram,
                histogram.aggregation_temporality,
                points.collect(),
            )
        }
        Data::ExponentialHistogram(_) | Data::Summary(_) => return None,
    };
    Some(ReceivedMetric {
        name: metric.name,
        description: metric.description,
        unit: metric.unit,
        kind,
        is_delta: temporality == DELTA,
        points,
    })
}

fn numbers(points: Vec<NumberDataPoint>) -> Vec<ReceivedPoint> {
    let point = |point: NumberDataPoint| {
        Some(ReceivedPoint {
            value: match point.value? {
                number_data_point::Value::AsInt(integer) => ReceivedPointValue::Integer(integer),
                number_data_point::Value::AsDouble(float) => ReceivedPointValue::Float(float),
            },
            attributes: attributes(point.attributes),
            started: time(point.start_time_unix_nano),
            at: time(point.time_unix_nano),
        })
    };
    points.into_iter().filter_map(point).collect()
}

fn distribution(point: HistogramDataPoint) -> ReceivedPoint {
    let exemplars = point.exemplars.iter();
    ReceivedPoint {
        value: ReceivedPointValue::Histogram {
            count: point.count,
            sum: point.sum,
            exemplars: exemplars
                .filter_map(|exemplar| trace_id(&exemplar.trace_id))
                .collect(),
            edges: point.explicit_bounds,
            buckets: point.bucket_counts,
        },
        attributes: attributes(point.attributes),
        started: time(point.start_time_unix_nano),
        at: time(point.time_unix_nano),
    }
}

fn attributes(attributes: Vec<KeyValue>) -> Vec<(String, ReceivedValue)> {
    let pair = |attribute: KeyValue| {
        let given = attribute.value.map_or(ReceivedValue::Empty, value);
        (attribute.key, given)
    };
    attributes.into_iter().map(pair).collect()
}

fn value(given: AnyValue) -> ReceivedValue {
    match given.value {
        Some(Value::StringValue(text)) => ReceivedValue::Text(text),
        Some(Value::BoolValue(boolean)) => ReceivedValue::Boolean(boolean),
        Some(Value::IntValue(integer)) => ReceivedValue::Integer(integer),
        Some(Value::DoubleValue(float)) => ReceivedValue::Float(float),
        Some(Value::BytesValue(bytes)) => ReceivedValue::Bytes(bytes),
        Some(Value::ArrayValue(list)) => {
            ReceivedValue::List(list.values.into_iter().map(value).collect())
        }
        Some(Value::KvlistValue(map)) => ReceivedValue::Map(attributes(map.values)),
        // An index into a table that only profiles have.
        Some(Value::StringValueStrindex(_)) | None => ReceivedValue::Empty,
    }
}

fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    let id = bytes.try_into().ok()?;
    TraceId::new(u128::from_be_bytes(id))
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    let id = bytes.try_into().ok()?;
    SpanId::new(u64::from_be_bytes(id))
}

fn time(unix_nanos: u64) -> SystemTime {
    let since_1970 = Duration::from_nanos(unix_nanos);
    UNIX_EPOCH.checked_add(since_1970).unwrap_or(UNIX_EPOCH)
}
