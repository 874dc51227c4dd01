use super::*;
use crate::{
    clock::{Anchor, ManualClock},
    delivery::{Encode, Entry, Push},
    export::{
        Temporality,
        otlp::{Encoder, MetricsPush},
    },
    ids::{SpanContext, SpanId, TraceId},
    metrics::{Descriptor, Kind, Limits, Registry, Unit},
    records::{Fields, Limits as FieldLimits, Log, Record, RequestSpan, Severity},
    resource::Resource,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NOON: Duration = Duration::from_secs(43_200);

fn resource() -> Resource {
    let mut resource = Resource::detected();
    resource.set("service.name", "orders");
    resource
}

fn noon() -> (ManualClock, Anchor) {
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + NOON);
    let anchor = hands.clock().anchor();
    (hands, anchor)
}

fn send(backend: &InMemory, signal: Signal, body: Vec<u8>) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(backend.send(signal, body.into()))
}

fn request(record: &Record, fields: &[u8], anchor: &Anchor) -> Vec<u8> {
    let encoder = Encoder::new(&resource());
    let mut encoded = Vec::new();
    let entry = Entry {
        record,
        fields,
        anchor,
    };
    encoder.record(entry, &mut encoded);
    encoder.request(record.signal(), &mut std::iter::once(encoded.as_slice()))
}

fn context() -> SpanContext {
    SpanContext {
        trace_id: TraceId::random(),
        span_id: SpanId::random(),
        is_sampled: true,
    }
}

#[test]
fn a_span_is_received_as_it_was_sent() {
    let (hands, anchor) = noon();
    let (backend, context, parent) = (InMemory::new(), context(), SpanId::random());
    let span = Record::Request(RequestSpan {
        context,
        parent: Some(parent),
        state: None,
        started: hands.clock().now(),
        duration: Duration::from_millis(20),
        method: "POST",
        scheme: "https",
        version: "2",
        route: Some("/orders"),
        path: "/orders".into(),
        status: 503,
        outcome: "completed",
        error_type: Some("503"),
        request_bytes: Some(17),
        response_bytes: 0,
        is_error: true,
    });
    let answer = send(&backend, Signal::Traces, request(&span, &[], &anchor));
    assert!(matches!(answer, Answer::Accepted { rejected: 0, .. }));
    let spans = backend.spans();
    let [received] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(received.name, "POST /orders");
    assert_eq!(
        (received.trace_id, received.span_id, received.parent_span_id),
        (context.trace_id, context.span_id, Some(parent))
    );
    assert_eq!(received.kind, ReceivedSpanKind::Server);
    assert_eq!(received.status, ReceivedStatus::Error(String::new()));
    assert_eq!(received.started, UNIX_EPOCH + NOON);
    let took = received.ended.duration_since(received.started).unwrap();
    assert_eq!(took, Duration::from_millis(20));
    let attribute = |name| received.attribute(name).cloned();
    assert_eq!(
        attribute("http.response.status_code"),
        Some(ReceivedValue::Integer(503))
    );
    assert_eq!(
        attribute("error.type").unwrap().as_str().map(String::from),
        Some("503".to_owned())
    );
    assert_eq!(attribute("orderscope.trace.partial"), None);
    assert_eq!(received.scope, "orderscope");
    assert!(backend.logs().is_empty());
    let service = (
        "service.name".to_owned(),
        ReceivedValue::Text("orders".to_owned()),
    );
    assert!(backend.resource().contains(&service));
}

#[test]
fn a_log_record_is_received_as_it_was_sent() {
    let (hands, anchor) = noon();
    let (backend, context) = (InMemory::new(), context());
    let log = Record::Log(Log {
        context: Some(context),
        at: hands.clock().now(),
        severity: Severity::Critical,
        event_name: "order_placed".into(),
    });
    let mut fields = Fields::new(FieldLimits::default(), Vec::new());
    fields.message("paid twice");
    fields.float("order.value", 23.5);
    fields.boolean("is_first", true);
    let body = request(&log, fields.as_bytes(), &anchor);
    let _ = send(&backend, Signal::Logs, body);
    let logs = backend.logs();
    let expected = ReceivedLog {
        at: UNIX_EPOCH + NOON,
        severity_number: 21,
        severity_text: "CRITICAL".to_owned(),
        event_name: "order_placed".to_owned(),
        body: Some(ReceivedValue::Text("paid twice".to_owned())),
        attributes: vec![
            ("order.value".to_owned(), ReceivedValue::Float(23.5)),
            ("is_first".to_owned(), ReceivedValue::Boolean(true)),
        ],
        trace_id: Some(context.trace_id),
        span_id: Some(context.span_id),
        scope: "orderscope".to_owned(),
    };
    assert_eq!(logs, [expected]);
}

#[test]
fn metrics_are_received_as_they_were_pushed() {
    let (hands, anchor) = noon();
    let registry = Registry::new(Limits::default(), hands.clock());
    let registry: &'static Registry = Box::leak(Box::new(registry));
    let placed = Descriptor::counter("orders.placed", Unit::things("{order}"), "Placed.");
    registry.counter(&placed).with(&[("city", "Bari")]).add(3);
    let wait = Descriptor::histogram("wait", Unit::SECONDS, "").with_edges(&[1.0]);
    let wait = registry.histogram(&wait).with(&[]);
    wait.record_duration(Duration::from_millis(500), Some(context()));
    let delta = Temporality::Delta;
    let mut push = MetricsPush::new(registry, &resource(), hands.clock(), &anchor, delta);
    let backend = InMemory::new();
    push.begin();
    let body = push.request(usize::MAX).unwrap();
    let _ = send(&backend, Signal::Metrics, body);
    let metrics = backend.metrics();
    let [placed, wait] = &metrics[..] else {
        panic!("{metrics:?}");
    };
    assert_eq!((&*placed.name, &*placed.unit), ("orders.placed", "{order}"));
    assert_eq!((placed.kind, placed.is_delta), (Kind::Counter, true));
    assert_eq!(placed.points[0].value, ReceivedPointValue::Integer(3));
    let city = placed.points[0].attribute("city").unwrap();
    assert_eq!(city.as_str(), Some("Bari"));
    match &wait.points[0].value {
        ReceivedPointValue::Histogram {
            count,
            sum,
            edges,
            buckets,
            exemplars,
        } => {
            assert_eq!((*count, *sum, exemplars.len()), (1, Some(0.5), 1));
            assert_eq!((&edges[..], &buckets[..]), (&[1.0][..], &[1, 0][..]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn beyond_the_bound_the_oldest_request_goes_and_is_counted() {
    let (_, anchor) = noon();
    let body = |name: &str| {
        let log = Record::Log(Log {
            context: None,
            at: noon().0.clock().now(),
            severity: Severity::Info,
            event_name: name.into(),
        });
        request(&log, &[], &anchor)
    };
    let backend = InMemory::with_bound(2 * body("one").len());
    for name in ["one", "two", "six"] {
        let _ = send(&backend, Signal::Logs, body(name));
    }
    let names: Vec<_> = backend
        .logs()
        .into_iter()
        .map(|log| log.event_name)
        .collect();
    assert_eq!(names, ["two", "six"]);
    assert_eq!(backend.evicted(), 1);
    let _ = send(&backend, Signal::Logs, vec![0; 10_000]);
    assert_eq!((backend.logs().len(), backend.evicted()), (0, 4));
    backend.clear();
    assert_eq!(backend.evicted(), 4);
}
