//! What a careful team puts together today: `TraceLayer` with tracing-opentelemetry for spans,
//! opentelemetry-instrumentation-tower for metrics, `CatchPanicLayer`, and the appender for logs.
//! Processors and reader as the SDK has them by default.

use crate::{
    encoded::Encoded,
    orders::{self, Handler},
    rounds::Subject,
    sinks::Sink,
};
use axum::{Router, body::Body, extract::MatchedPath};
use http::{Request, Response};
use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_instrumentation_tower::http::server as http_server;
use opentelemetry_sdk::{
    logs::SdkLoggerProvider,
    metrics::{PeriodicReader, SdkMeterProvider},
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use std::time::Duration;
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt as _, registry};

/// What becomes of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Counted and dropped: the least that it can cost.
    Dropped,
    /// Encoded first, as ours is.
    Encoded,
}

pub(crate) fn metrics_only() -> Subject {
    let sink = Sink::default();
    let meters = meters(&sink);
    let app = Handler::Silent.router().layer(metrics_layer());
    let at_the_end = move || {
        flushed(meters.force_flush());
        sink.delivered()
    };
    orders::served(app, Box::new(|| {}), Box::new(at_the_end))
}

/// What goes on as long as the assembly does.
pub(crate) struct Started {
    meters: SdkMeterProvider,
    spans: SdkTracerProvider,
    logs: SdkLoggerProvider,
}

impl Started {
    pub(crate) fn flush(&self) {
        flushed(self.spans.force_flush());
        flushed(self.logs.force_flush());
        flushed(self.meters.force_flush());
    }
}

/// Of the whole process.
pub(crate) fn started(sink: &Sink, ratio: f64, end: End) -> Started {
    let meters = meters(sink);
    let spans = spans(sink, ratio, end);
    let logs = logs(sink, end);
    global::set_text_map_propagator(TraceContextPropagator::new());
    let subscriber = registry()
        .with(LevelFilter::INFO)
        .with(tracing_opentelemetry::layer().with_tracer(spans.tracer("orders")))
        .with(OpenTelemetryTracingBridge::new(&logs));
    let installed = tracing::subscriber::set_global_default(subscriber);
    installed.unwrap_or_else(|error| panic!("{error}"));
    Started {
        meters,
        spans,
        logs,
    }
}

/// Adds the layers as one: each costs axum's own boxes.
pub(crate) fn layered(router: Router) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(|response: &Response<_>, _: Duration, span: &Span| {
            span.record("http.response.status_code", response.status().as_u16());
        })
        // By default a line of log for each request that fails, which nobody else here writes.
        .on_failure(());
    let layers = ServiceBuilder::new()
        .layer(metrics_layer())
        .layer(trace)
        .layer(CatchPanicLayer::new());
    router.layer(layers)
}

pub(crate) fn full(handler: Handler, ratio: f64, end: End) -> Subject {
    let sink = Sink::default();
    let Started {
        meters,
        spans,
        logs,
    } = started(&sink, ratio, end);
    let settle = move || {
        flushed(spans.force_flush());
        flushed(logs.force_flush());
    };
    let at_the_end = move || {
        flushed(meters.force_flush());
        sink.delivered()
    };
    orders::served(
        layered(handler.router()),
        Box::new(settle),
        Box::new(at_the_end),
    )
}

/// By the semantic conventions, as far as a request without a peer and without headers has them.
fn span(request: &Request<Body>) -> Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{} {route}", request.method()),
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.route = route,
        http.response.status_code = Empty,
        url.path = request.uri().path(),
        url.scheme = "http",
        network.protocol.version = ?request.version(),
    );
    let headers = HeaderExtractor(request.headers());
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&headers));
    // It fails for a span that nobody wants.
    span.set_parent(parent).ok();
    span
}

fn metrics_layer() -> http_server::Layer {
    let layer = http_server::LayerBuilder::builder()
        .with_tracing(false)
        .build();
    layer.unwrap_or_else(|error| panic!("{error}"))
}

fn meters(sink: &Sink) -> SdkMeterProvider {
    let reader = PeriodicReader::builder(sink.clone()).build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    global::set_meter_provider(meters.clone());
    meters
}

fn spans(sink: &Sink, ratio: f64, end: End) -> SdkTracerProvider {
    let sampler = Sampler::ParentBased(Box::new(match ratio {
        1.0 => Sampler::AlwaysOn,
        ratio => Sampler::TraceIdRatioBased(ratio),
    }));
    let spans = SdkTracerProvider::builder().with_sampler(sampler);
    let spans = match end {
        End::Dropped => spans.with_batch_exporter(sink.clone()),
        End::Encoded => spans.with_batch_exporter(Encoded::into(sink.clone())),
    };
    spans.build()
}

pub(crate) fn logs(sink: &Sink, end: End) -> SdkLoggerProvider {
    let logs = SdkLoggerProvider::builder();
    let logs = match end {
        End::Dropped => logs.with_batch_exporter(sink.clone()),
        End::Encoded => logs.with_batch_exporter(Encoded::into(sink.clone())),
    };
    logs.build()
}

pub(crate) fn flushed<E: std::fmt::Display>(outcome: Result<(), E>) {
    outcome.unwrap_or_else(|error| panic!("not flushed: {error}"));
}
