//! The OpenTelemetry API and the `metrics` facade under an installed telemetry.

use axum::http::StatusCode;
use axum::{Router, routing::get};
use opentelemetry::trace::{
    FutureExt as _, Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use orderscope::export::{ReceivedSpanKind, ReceivedStatus};
use orderscope::telemetry::Sampling;
use tracing::info_span;

use super::signals::{ask, assert_child, in_memory, named};
use super::{SOON, alone, block_on, loopback, scrape};

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
fn spans_of_the_opentelemetry_api_are_sampled_as_the_request_is() {
    alone(&[], || {
        let (builder, backend) = in_memory();
        let telemetry = builder.sampling(Sampling::NONE).install().unwrap();
        let handler = async || {
            let tracer = global::tracer("a-library");
            let mut span = tracer.start("charge");
            assert!(span.span_context().is_valid() && !span.span_context().is_sampled());
            assert!(!span.is_recording());
            span.end();
        };
        let routes = Router::new().route("/", get(handler));
        let (status, _, spans, _) = ask(&telemetry, &backend, routes, "/");
        assert_eq!((status, spans.len()), (StatusCode::OK, 0));
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
