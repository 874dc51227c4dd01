//! Traces and errors of an installed telemetry: what its panic hook tells, and what is disabled.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use http_body_util::BodyExt;
use opentelemetry::global;
use opentelemetry::trace::{Span as _, Tracer as _};
use orderscope::export::{Destination, InMemory, ReceivedLog, ReceivedSpan, ReceivedStatus};
use orderscope::telemetry::Builder;
use orderscope::{Telemetry, context};
use tower::ServiceExt;
use tracing::info_span;

use super::{SOON, alone, block_on, printed};

pub(super) fn in_memory() -> (Builder, InMemory) {
    let backend = InMemory::new();
    let destination = Destination::in_memory("memory", &backend);
    (
        Telemetry::builder("orders").destination(destination),
        backend,
    )
}

/// Asks once; gives the status, the answer, and what the backend has then.
pub(super) fn ask(
    telemetry: &Telemetry,
    backend: &InMemory,
    routes: Router,
    path: &str,
) -> (StatusCode, String, Vec<ReceivedSpan>, Vec<ReceivedLog>) {
    let app = routes.layer(telemetry.http_layer());
    block_on(async {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (head, body) = app.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!(telemetry.flush(SOON).await);
        let body = String::from_utf8(body.into()).unwrap();
        (head.status, body, backend.spans(), backend.logs())
    })
}

fn text<'a>(log: &'a ReceivedLog, name: &str) -> &'a str {
    let value = log.attribute(name).and_then(|value| value.as_str());
    value.unwrap_or_default()
}

#[track_caller]
pub(super) fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("{spans:#?}"));
    assert!(found.next().is_none(), "{spans:#?}");
    span
}

#[track_caller]
pub(super) fn assert_child(child: &ReceivedSpan, parent: &ReceivedSpan) {
    assert_eq!(child.trace_id, parent.trace_id, "{child:#?} {parent:#?}");
    assert_eq!(
        child.parent_span_id,
        Some(parent.span_id),
        "{child:#?} {parent:#?}"
    );
}

const EXPLODES: u32 = line!() + 4;

#[inline(never)]
fn light_the_oven(number: u32) -> String {
    panic!("oven {number} exploded")
}

#[test]
fn a_handler_s_panic_is_one_record_with_its_stack_and_is_counted_once() {
    alone(&[], || {
        let (builder, backend) = in_memory();
        let telemetry = builder.install().unwrap();
        let handler = async || {
            context::identify("u-7", "s-9");
            tokio::task::yield_now().await;
            let _cook = info_span!("cook").entered();
            light_the_oven(7)
        };
        let routes = Router::new().route("/ovens/{id}", get(handler));
        let (status, answer, spans, logs) = ask(&telemetry, &backend, routes, "/ovens/7");
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!answer.contains("exploded"), "{answer}");
        let [log] = &logs[..] else {
            panic!("{logs:#?}");
        };
        for (name, value) in [
            ("exception.type", "panic"),
            ("exception.message", "oven 7 exploded"),
            ("code.function.name", "install::signals::light_the_oven"),
            ("code.file.path", file!()),
            ("http.route", "/ovens/{id}"),
            ("http.request.method", "GET"),
            ("user.id", "u-7"),
            ("session.id", "s-9"),
        ] {
            assert_eq!(text(log, name), value, "{name}");
        }
        let line = log.attribute("code.line.number").and_then(|v| v.as_i64());
        assert_eq!(line, Some(EXPLODES.into()));
        let stack = text(log, "exception.stacktrace");
        assert!(
            stack.contains("install::signals::light_the_oven"),
            "{stack}"
        );
        assert!(
            stack.contains(&format!("{}:{EXPLODES}", file!())),
            "{stack}"
        );
        assert_eq!(
            (log.event_name.as_str(), log.severity_number),
            ("exception", 17)
        );

        let (request, cook) = (named(&spans, "GET /ovens/{id}"), named(&spans, "cook"));
        assert_child(cook, request);
        assert_eq!(
            (log.trace_id, log.span_id),
            (Some(request.trace_id), Some(cook.span_id))
        );
        assert!(matches!(request.status, ReceivedStatus::Error(_)));
        let numbers = telemetry.snapshot();
        let unhandled = [("severity", "ERROR"), ("handled", "false")];
        for (name, attributes) in [
            ("orderscope.panics", &[][..]),
            ("orderscope.exceptions", &unhandled),
            ("orderscope.exceptions", &[]),
            (
                "orderscope.http.server.requests.finished",
                &[("outcome", "panicked")],
            ),
        ] {
            assert_eq!(numbers.counter(name, attributes), 1, "{name}");
        }
    });
}

#[test]
fn a_panic_of_a_carried_task_belongs_to_the_request_and_of_another_to_none() {
    alone(&[], || {
        let (builder, backend) = in_memory();
        let telemetry = builder.install().unwrap();
        let handler = async || {
            let carried = tokio::spawn(context::carry(async { light_the_oven(1) }));
            assert!(carried.await.is_err());
            let other = tokio::spawn(async { light_the_oven(2) });
            assert!(other.await.is_err());
        };
        let routes = Router::new().route("/", get(handler));
        let (status, _, spans, logs) = ask(&telemetry, &backend, routes, "/");
        assert_eq!((status, spans.len(), logs.len()), (StatusCode::OK, 1, 2));
        let of = |message| {
            logs.iter()
                .find(|l| text(l, "exception.message") == message)
        };
        let (carried, other) = (
            of("oven 1 exploded").unwrap(),
            of("oven 2 exploded").unwrap(),
        );
        assert_eq!(carried.trace_id, Some(spans[0].trace_id));
        assert_eq!(text(carried, "http.route"), "/");
        assert_eq!((other.trace_id, text(other, "http.route")), (None, ""));
        assert_eq!(telemetry.snapshot().counter("orderscope.panics", &[]), 2);
    });
}

#[test]
fn what_is_disabled_sends_nothing_and_serves_on() {
    let variables = [
        ("OTEL_SDK_DISABLED", "true"),
        // Nobody listens there.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_TRACES_SAMPLER", "no such sampler"),
    ];
    let output = alone(&variables, || {
        let (builder, backend) = in_memory();
        let telemetry = builder.install().unwrap();
        let handler = async || {
            tracing::warn!("printed all the same");
            assert!(!context::current_trace().unwrap().is_sampled());
            global::tracer("a-library").start("charge").end();
            light_the_oven(7)
        };
        let routes = Router::new().route("/", get(handler));
        let (status, _, spans, logs) = ask(&telemetry, &backend, routes, "/");
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(spans.is_empty() && logs.is_empty() && backend.metrics().is_empty());
        assert!(telemetry.ledger().is_empty());
        let numbers = telemetry.snapshot();
        assert_eq!(numbers.counter("orderscope.panics", &[]), 1);
        let durations = numbers.histogram("http.server.request.duration", &[]);
        assert_eq!(
            (durations.count(), durations.exemplar_trace_id()),
            (1, None)
        );
        assert!(block_on(telemetry.shutdown(SOON)).is_complete());
    });
    assert!(printed(&output).contains("printed all the same"));
}
