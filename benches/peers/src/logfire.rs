//! logfire with its sending off, and sinks in its place, so that what it records comes to an end as
//! the others' does. HTTP spans by `TraceLayer`, metrics by axum-otel-metrics, as its example has
//! them. The crate that takes over an incoming trace is on another release of OpenTelemetry.

use crate::{
    assembly::flushed,
    orders::{self, Handler},
    rounds::Subject,
    sinks::Sink,
};
use axum::{body::Body, extract::MatchedPath};
use axum_otel_metrics::HttpMetricsLayerBuilder;
use http::{Request, Response};
use logfire::config::{AdvancedOptions, MetricsOptions, SendToLogfire};
use opentelemetry_sdk_of_logfire::{
    logs::BatchLogProcessor, metrics::PeriodicReader, trace::BatchSpanProcessor,
};
use std::time::Duration;
use tower::ServiceBuilder;
use tower_http::trace::TraceLayer;
use tracing::{Span, field::Empty};

pub(crate) fn full(handler: Handler) -> Subject {
    let sink = Sink::default();
    let spans = BatchSpanProcessor::builder(sink.clone()).build();
    let logs = BatchLogProcessor::builder(sink.clone()).build();
    let reader = PeriodicReader::builder(sink.clone()).build();
    let logfire = logfire::configure()
        .send_to_logfire(SendToLogfire::No)
        .with_console(None)
        .with_additional_span_processor(spans)
        .with_advanced_options(AdvancedOptions::default().with_log_processor(logs))
        .with_metrics(Some(
            MetricsOptions::default().with_additional_reader(reader),
        ))
        .finish();
    let logfire = logfire.unwrap_or_else(|error| panic!("{error}"));

    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(|response: &Response<_>, _: Duration, span: &Span| {
            span.record("http.response.status_code", response.status().as_u16());
        });
    let layers = ServiceBuilder::new()
        .layer(HttpMetricsLayerBuilder::new().build())
        .layer(trace);
    let app = handler.router().layer(layers);
    // Flushes the metrics too: it has no other way.
    let settle = move || flushed(logfire.force_flush());
    orders::served(app, Box::new(settle), Box::new(move || sink.delivered()))
}

fn span(request: &Request<Body>) -> Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    tracing::info_span!(
        "request",
        otel.name = format!("{} {route}", request.method()),
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.route = route,
        http.response.status_code = Empty,
        url.path = request.uri().path(),
        url.scheme = "http",
        network.protocol.version = ?request.version(),
    )
}
