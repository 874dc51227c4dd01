//! Peers of one layer each: a part of what ours does.

use crate::{
    assembly::flushed,
    orders::{self, Handler},
    rounds::{Delivered, Subject},
    sentry_client::{self, Ends},
    sinks::Sink,
};
use axum_otel_metrics::HttpMetricsLayerBuilder;
use axum_prometheus::PrometheusMetricLayer;
use fastrace::collector::{Config, Reporter, SpanRecord};
use fastrace_axum::FastraceLayer;
use opentelemetry_sdk_of_logfire::metrics::{PeriodicReader, SdkMeterProvider};
use sentry::{
    ClientOptions,
    integrations::tower::{NewSentryLayer, SentryHttpLayer},
};
use tower::ServiceBuilder;

pub(crate) fn axum_otel_metrics() -> Subject {
    let sink = Sink::default();
    let reader = PeriodicReader::builder(sink.clone()).build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    let layer = HttpMetricsLayerBuilder::new().with_provider(meters.clone());
    let app = Handler::Silent.router().layer(layer.build());
    let at_the_end = move || {
        flushed(meters.force_flush());
        sink.delivered()
    };
    orders::served(app, Box::new(|| {}), Box::new(at_the_end))
}

pub(crate) fn axum_prometheus() -> Subject {
    // What it puts off goes on in a task, which is run by hand here.
    let runtime = orders::runtime();
    let entered = runtime.enter();
    let (layer, page) = PrometheusMetricLayer::pair();
    drop(entered);
    let app = Handler::Silent.router().layer(layer);
    let upkeep = page.clone();
    let at_the_end = move || Delivered {
        requests: requests_on(&page.render()),
        ..Delivered::default()
    };
    orders::served(
        app,
        Box::new(move || upkeep.run_upkeep()),
        Box::new(at_the_end),
    )
}

fn requests_on(page: &str) -> u64 {
    let lines = page.lines();
    let counts = lines.filter(|line| line.starts_with("axum_http_requests_duration_seconds_count"));
    counts
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum()
}

/// Its two layers, with a transaction for each request.
pub(crate) fn sentry(rate: f32) -> Subject {
    let sink = Sink::default();
    let options = ClientOptions::new().traces_sample_rate(rate);
    let guard = sentry_client::init(&sink, Ends::Dropped, options);
    let layers = ServiceBuilder::new()
        .layer(NewSentryLayer::new_from_top())
        .layer(SentryHttpLayer::new().enable_transaction());
    let at_the_end = move || {
        let _kept = &guard;
        sink.delivered()
    };
    orders::served(
        Handler::Silent.router().layer(layers),
        Box::new(|| {}),
        Box::new(at_the_end),
    )
}

struct Counted(Sink);

impl Reporter for Counted {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        self.0.count_spans(spans.len());
    }
}

pub(crate) fn fastrace() -> Subject {
    let sink = Sink::default();
    fastrace::set_reporter(Counted(sink.clone()), Config::default());
    let app = Handler::Silent.router().layer(FastraceLayer::default());
    orders::served(
        app,
        Box::new(fastrace::flush),
        Box::new(move || sink.delivered()),
    )
}
