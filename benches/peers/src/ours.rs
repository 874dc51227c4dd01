//! orderscope, with a destination in memory: what is recorded is encoded as for any other, and
//! acknowledged. All is as by default, but no line of log is printed: the peers print none.

use crate::{
    orders::{self, Handler},
    rounds::{Delivered, Subject},
};
use orderscope::{
    Telemetry,
    clock::Clock,
    export::{Destination, InMemory, Signal},
    http::RequestSpan,
    logs::Levels,
    telemetry::{Builder, Sampling},
};
use std::time::Duration;
use tracing_subscriber::{layer::SubscriberExt as _, registry};

pub(crate) fn metrics_only() -> Subject {
    let telemetry = installed(Telemetry::builder("orders"));
    let app = Handler::Silent.router().layer(telemetry.http_layer());
    orders::served(
        app,
        Box::new(|| {}),
        Box::new(move || delivered(&telemetry)),
    )
}

pub(crate) fn full(handler: Handler, sampling: Sampling) -> Subject {
    with_span(handler, sampling, RequestSpan::Off)
}

/// The request as a span of `tracing` too.
pub(crate) fn with_span(handler: Handler, sampling: Sampling, span: RequestSpan) -> Subject {
    let telemetry = with_destination(sampling);
    let layer = telemetry.http_layer().request_span(span);
    let app = handler.router().layer(layer);
    let settle = settle(&telemetry);
    orders::served(app, settle, Box::new(move || delivered(&telemetry)))
}

/// As by default, in a time of its own where one is given.
pub(crate) fn timed_by(clock: Option<Clock>) -> Telemetry {
    configured(|builder| match clock {
        Some(clock) => builder.clock(clock),
        None => builder,
    })
}

pub(crate) fn with_destination(sampling: Sampling) -> Telemetry {
    configured(|builder| builder.sampling(sampling))
}

fn configured(configure: impl FnOnce(Builder) -> Builder) -> Telemetry {
    // So little is kept that it is soon dropped, as the peers' sinks do.
    let sink = InMemory::with_bound(1 << 20);
    // Metrics are pushed once a minute, which a flush would do after each turn.
    let destination = Destination::in_memory("memory", &sink).only([Signal::Traces, Signal::Logs]);
    installed(configure(
        Telemetry::builder("orders").destination(destination),
    ))
}

/// Of the whole process, its subscriber as `install()` would set it, but for the lines on stderr.
pub(crate) fn installed(builder: Builder) -> Telemetry {
    let telemetry = builder.without_subscriber().install();
    let telemetry = telemetry.unwrap_or_else(|error| panic!("{error}"));
    let subscriber = registry()
        .with(Levels::default())
        .with(telemetry.tracing_layer());
    let installed = tracing::subscriber::set_global_default(subscriber);
    installed.unwrap_or_else(|error| panic!("{error}"));
    telemetry
}

pub(crate) fn settle(telemetry: &Telemetry) -> Box<dyn FnMut()> {
    let (telemetry, runtime) = (telemetry.clone(), orders::runtime());
    Box::new(move || {
        let is_through = runtime.block_on(telemetry.flush(Duration::from_secs(10)));
        assert!(is_through, "not flushed: {:?}", telemetry.ledger());
    })
}

pub(crate) fn delivered(telemetry: &Telemetry) -> Delivered {
    let acknowledged = |signal| {
        let ledger = telemetry.ledger();
        let rows = ledger.iter().filter(|row| row.signal() == signal);
        rows.map(|row| row.acknowledged()).sum()
    };
    Delivered {
        requests: telemetry.snapshot().counter(
            "orderscope.http.server.requests.finished",
            &[("outcome", "completed")],
        ),
        spans: acknowledged("traces"),
        logs: acknowledged("logs"),
    }
}
