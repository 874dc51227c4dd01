//! Traces, errors and metrics of an installed telemetry: what comes by the panic hook, and by the
//! OpenTelemetry API.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use http_body_util::BodyExt;
use opentelemetry::trace::{
    FutureExt as _, Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use orderscope::export::{
    Destination, InMemory, ReceivedLog, ReceivedSpan, ReceivedSpanKind, ReceivedStatus,
};
use orderscope::telemetry::Builder;
use orderscope::{Telemetry, context};
use tower::ServiceExt;
use tracing::info_span;

use super::{SOON, alone, block_on, loopback, printed, scrape};

fn in_memory() -> (Builder, InMemory) {
    let backend = InMemory::new();
    let destination = Destination::in_memory("memory", &backend);
    (
        Telemetry::builder("orders").destination(destination),
        backend,
    )
}

/// Asks once; gives the status, the answer, and what the backend has then.
fn ask(
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
fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("{spans:#?}"));
    assert!(found.next().is_none(), "{spans:#?}");
    span
}

#[track_caller]
fn assert_child(child: &ReceivedSpan, parent: &ReceivedSpan) {
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
fn spans_of_the_opentelemetry_api_join_the_request_s_trace() {
    alone(&[], || {
        let (builder, backend) = in_memory();
        let telemetry = builder.install().unwrap();
        let handler = async || {
            let tracer = global::tracer("a-library");
            let mut charge = tracer
                .span_builder("charge")
                .with_kind(SpanKind::Client)
                .with_attributes([
                    KeyValue::new("card.brand", "visa"),
                    KeyValue::new("cents", 2350),
                ])
                .start(&tracer);
            charge.add_event("retried", vec![KeyValue::new("attempt", 2)]);
            charge.set_status(Status::error("declined"));
            let within = Context::current_with_span(charge);
            async {
                tokio::task::yield_now().await;
                global::tracer("another").start("ledger").end();
            }
            .with_context(within.clone())
            .await;
            within.span().end();
            let _cook = info_span!("cook").entered();
            tracer.start("under a span of tracing").end();
        };
        let routes = Router::new().route("/orders", get(handler));
        let (_, _, spans, _) = ask(&telemetry, &backend, routes, "/orders");
        assert_eq!(spans.len(), 5, "{spans:#?}");
        let request = named(&spans, "GET /orders");
        let (charge, cook) = (named(&spans, "charge"), named(&spans, "cook"));
        assert_child(charge, request);
        assert_child(named(&spans, "ledger"), charge);
        assert_child(cook, request);
        assert_child(named(&spans, "under a span of tracing"), cook);
        assert_eq!(charge.kind, ReceivedSpanKind::Client);
        assert_eq!(charge.scope, "a-library");
        assert_eq!(charge.status, ReceivedStatus::Error("declined".to_owned()));
        assert_eq!(
            charge.attribute("cents").and_then(|v| v.as_i64()),
            Some(2350)
        );
        assert_eq!(
            charge.attribute("card.brand").and_then(|v| v.as_str()),
            Some("visa")
        );
        assert_eq!(
            (charge.events.len(), charge.events[0].name.as_str()),
            (1, "retried")
        );
        let rows = telemetry.ledger();
        assert_eq!((rows[0].accepted(), rows[0].difference()), (5, 0));
    });
}

#[test]
fn instruments_of_both_facades_are_on_the_page_and_in_the_backend() {
    alone(&[], || {
        let (builder, backend) = in_memory();
        let telemetry = builder.metrics_listener(loopback()).install().unwrap();
        let meter = global::meter("a-library");
        let charged = meter
            .u64_counter("charges")
            .with_description("Charged.")
            .build();
        charged.add(3, &[KeyValue::new("brand", "visa")]);
        charged.add(4, &[KeyValue::new("brand", "visa")]);
        meter.i64_up_down_counter("open").build().add(-2, &[]);
        meter
            .f64_histogram("took")
            .with_unit("s")
            .build()
            .record(0.3, &[]);
        metrics::counter!("orders.placed", "city" => "Graz").increment(5);
        let page = scrape(telemetry.metrics_address().unwrap());
        for line in [
            "charges_total{brand=\"visa\"} 7\n",
            "open -2\n",
            "took_seconds_count 1\n",
            "orders_placed_total{city=\"Graz\"} 5\n",
        ] {
            assert!(page.contains(line), "{line}: {page}");
        }
        assert!(block_on(telemetry.flush(SOON)));
        let pushed = backend.metrics();
        for name in ["charges", "open", "took", "orders.placed"] {
            assert!(pushed.iter().any(|metric| metric.name == name), "{name}");
        }
    });
}

#[test]
fn without_opentelemetry_its_globals_are_left_alone() {
    alone(&[], || {
        let (builder, backend) = in_memory();
        let telemetry = builder.without_opentelemetry().install().unwrap();
        let handler = async || {
            let span = global::tracer("a-library").start("charge");
            assert!(!span.span_context().is_valid());
            global::meter("a-library")
                .u64_counter("charges")
                .build()
                .add(1, &[]);
        };
        let routes = Router::new().route("/", get(handler));
        let (status, _, spans, _) = ask(&telemetry, &backend, routes, "/");
        assert_eq!((status, spans.len()), (StatusCode::OK, 1));
        assert!(telemetry.snapshot().metric("charges").is_none());
        let mut headers = std::collections::HashMap::new();
        global::get_text_map_propagator(|propagator| propagator.inject(&mut headers));
        assert!(headers.is_empty());
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
