//! The layer that makes records of what `tracing` emits: log records with their severity, and the
//! spans of the application as children of the request's.
//!
//! [`install()`](crate::telemetry::Builder::install) puts it in place. An application that has a
//! subscriber of its own builds with
//! [`without_subscriber()`](crate::telemetry::Builder::without_subscriber) and adds the layer to it.
//! Each layer then reads at levels of its own: a filter belongs to a layer by
//! [`with_filter`](tracing_subscriber::Layer::with_filter). An `EnvFilter` that is itself added to
//! the registry decides for every layer, this one included.
//!
//! ```
//! use orderscope::tracing_layer::{Levels, TracingLayer};
//! use tracing_subscriber::{EnvFilter, Layer as _, fmt, layer::SubscriberExt as _, registry};
//!
//! # fn compose(layer: TracingLayer) -> impl tracing::Subscriber {
//! // `layer` reads INFO and up, whatever the other's filter says.
//! registry()
//!     .with(layer.at(Levels::default()))
//!     .with(fmt::layer().with_filter(EnvFilter::new("warn")))
//! # }
//! ```
//!
//! # When what is recorded
//!
//! | what | record |
//! | --- | --- |
//! | an event | counted in `orderscope.log.records`; a log record, when logs have a destination |
//! | a span that closes | a span of kind INTERNAL, from its creation to its close, when traces have a destination and its trace is recorded |
//! | either, from the telemetry's own thread | nothing |
//!
//! An event has its message as the body; its other values keep their type, and one of type
//! `&dyn Error` is written with its causes, `a: b: c`. One of level ERROR that carries such a value is
//! an error event as well, with the error's stack: [`crate::errors`] says what that holds. A span's values are attributes, a later one
//! in the place of an earlier one of the same name. Both say `target`, `code.file.path` and
//! `code.line.number`; an event also the route, user and session of its request. What looks like a
//! secret is masked.
//!
//! A span's parent is the one given explicitly, else the innermost span that was entered, else the
//! request's; without any of these it begins a trace. `follows_from` has no effect. Its status is
//! Error when an event of level ERROR came within it (as `#[instrument(err)]` emits one), or its
//! field `error` is anything but `false`. The fields that users of `tracing-opentelemetry` know are
//! understood: `otel.name`; `otel.kind`, of which `client` is, and any other stays an attribute;
//! `otel.status_code`, where `OK` has the last word.

mod entered;
mod event;
mod places;
mod span;
mod spare;

pub use crate::records::Levels;

use crate::{
    context,
    ids::SpanContext,
    mutation::{self, Mutation},
    pipeline::Pipeline,
    records::{REQUEST_TARGET, Severity, Signal, unless_too_deep},
    worker,
};
use places::Places;
use span::Open;
use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::Filtered,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

/// Makes records of events and spans. Without a filter it reads all that any layer of its
/// subscriber reads, and asks for every level: add it by [`at`](Self::at).
#[derive(Debug)]
pub struct TracingLayer {
    pipeline: &'static Pipeline,
    places: Places,
}

/// A [`TracingLayer`] that reads at levels of its own.
pub type Leveled<S> = Filtered<TracingLayer, Levels, S>;

impl TracingLayer {
    pub(crate) fn new(pipeline: &'static Pipeline) -> Self {
        Self {
            pipeline,
            places: Places::new(),
        }
    }

    /// The layer, reading what `levels` name, whatever other layers read.
    pub fn at<S>(self, levels: Levels) -> Leveled<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.with_filter(levels)
    }

    #[inline]
    fn wants_spans(&self) -> bool {
        self.pipeline.handoff.wants(Signal::Traces)
    }

    /// In a forked child another thread may have been about to change what is kept of a span.
    #[inline]
    fn sees_spans(&self) -> bool {
        self.wants_spans() && !self.pipeline.handoff.is_forked()
    }
}

impl<S> Layer<S> for TracingLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if speaks_of_telemetry() || self.pipeline.handoff.is_lost_by_fork(Signal::Logs) {
            return;
        }
        let severity = Severity::of(event.metadata());
        self.pipeline.counters.log_records(severity).add(1);
        if severity >= Severity::Error && self.wants_spans() {
            change(context.event_span(event), span::failed);
        }
        // An error that a line carries is counted and grouped whether or not lines are sent.
        if severity >= Severity::Error || self.pipeline.handoff.wants(Signal::Logs) {
            // A root event is within no span; its request is the same.
            let parent = event.parent().and_then(|id| known(context.span(id)));
            let within = parent.or_else(context::active);
            unless_too_deep(|| event::record(self.pipeline, &self.places, severity, within, event));
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !self.wants_spans()
            || attributes.metadata().target().starts_with(REQUEST_TARGET)
            || speaks_of_telemetry()
            || self.pipeline.handoff.is_lost_by_fork(Signal::Traces)
        {
            return;
        }
        let parent = match attributes.is_root() {
            true => None,
            false => attributes
                .parent()
                .and_then(|id| known(context.span(id)))
                .or_else(context::active),
        };
        let open = Open::begin(self.pipeline, &self.places, parent, attributes);
        entered::created(self.pipeline, id, open.context);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(open);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if self.sees_spans() {
            let is_drafted = |span: &SpanRef<'_, S>| {
                let extensions = span.extensions();
                extensions.get::<Open>().is_some_and(Open::is_drafted)
            };
            if let Some(span) = context.span(id).filter(is_drafted) {
                // The values' own formatting runs while nothing is locked.
                span::with_values(self.pipeline, values, |said, fields| {
                    change(Some(span), |open| open.overlay(said, fields));
                });
            }
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if self.sees_spans()
            && let Some(span) =
                entered::was_just_created(self.pipeline, id).or_else(|| known(context.span(id)))
        {
            entered::enter(self.pipeline, id, span);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if self.sees_spans() {
            entered::exit(self.pipeline, id);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if self.sees_spans()
            && let Some(span) = context.span(&id)
            && let Some(open) = { span.extensions_mut().remove::<Open>() }
        {
            open.end(self.pipeline);
        }
    }
}

/// Whether this is the telemetry's own thread: at TRACE each request that it sends would make the
/// next one.
#[inline]
fn speaks_of_telemetry() -> bool {
    worker::is_this_thread() && !mutation::is_on(Mutation::RecordsItself)
}

/// Where in which trace a span of ours is.
fn known<S: for<'a> LookupSpan<'a>>(span: Option<SpanRef<'_, S>>) -> Option<SpanContext> {
    Some(span?.extensions().get::<Open>()?.context)
}

fn change<S: for<'a> LookupSpan<'a>>(span: Option<SpanRef<'_, S>>, change: impl FnOnce(&mut Open)) {
    if let Some(span) = span
        && let Some(open) = span.extensions_mut().get_mut()
    {
        change(open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        context::Request,
        records::{self, Record},
    };
    use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, registry};

    const BOTH: &[Signal] = &[Signal::Logs, Signal::Traces];

    /// The records that `emit` makes, with their fields.
    fn recorded(pipeline: &'static Pipeline, emit: impl FnOnce()) -> Vec<(Record, Vec<u8>)> {
        let layer = TracingLayer::new(pipeline).at(Levels::default());
        tracing::subscriber::with_default(registry().with(layer), emit);
        pipeline.handoff.drain()
    }

    #[test]
    fn a_filter_of_another_layer_does_not_starve_ours_nor_ours_the_other() {
        let pipeline = Pipeline::for_tests(BOTH);
        let quiet = fmt::layer().with_writer(std::io::sink);
        let subscriber = registry()
            .with(TracingLayer::new(pipeline).at(Levels::default()))
            .with(quiet.with_filter(EnvFilter::new("error")));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("read");
            tracing::debug!("not read");
            tracing::info_span!("read").in_scope(|| ());
            tracing::debug_span!("not read").in_scope(|| tracing::warn!("read"));
        });
        assert_eq!(pipeline.handoff.drain().len(), 3);
        let other = Pipeline::for_tests(BOTH);
        let layer = TracingLayer::new(other).at("error".parse().unwrap());
        let all = TracingLayer::new(pipeline).at("trace".parse().unwrap());
        tracing::subscriber::with_default(registry().with(layer).with(all), || {
            tracing::trace!("read by one");
            tracing::error!("read by both");
        });
        let counts = [other, pipeline].map(|pipeline| pipeline.handoff.drain().len());
        assert_eq!(counts, [1, 2]);
    }

    #[test]
    fn a_directive_that_names_a_span_is_heeded() {
        let pipeline = Pipeline::for_tests(BOTH);
        let levels = "warn,[checkout]=debug".parse().unwrap();
        let subscriber = registry().with(TracingLayer::new(pipeline).at(levels));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("not read");
            tracing::info_span!("checkout").in_scope(|| tracing::debug!("read"));
        });
        assert_eq!(pipeline.handoff.drain().len(), 2);
    }

    #[test]
    fn levels_that_are_a_layer_decide_for_all() {
        let pipeline = Pipeline::for_tests(BOTH);
        for levels in ["info,noisy=warn", "info,noisy=warn,[x]=trace"] {
            let levels: Levels = levels.parse().unwrap();
            let subscriber = registry().with(levels).with(TracingLayer::new(pipeline));
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!("read");
                tracing::debug!("not read");
                tracing::info!(target: "noisy", "not read");
                tracing::debug_span!("not read").in_scope(|| ());
                tracing::info_span!("read").in_scope(|| ());
            });
            assert_eq!(pipeline.handoff.drain().len(), 2);
        }
    }

    #[test]
    fn the_telemetry_s_own_thread_is_not_recorded() {
        let pipeline = Pipeline::for_tests(BOTH);
        let emit = || {
            let _span = tracing::info_span!("delivery").entered();
            tracing::error!("telemetry of telemetry");
        };
        let worker = worker::Worker::start().unwrap();
        let dispatch = tracing::Dispatch::new(
            registry().with(TracingLayer::new(pipeline).at("trace".parse().unwrap())),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap();
        let on_worker = dispatch.clone();
        runtime.block_on(worker.run(move || tracing::dispatcher::with_default(&on_worker, emit)));
        assert!(pipeline.handoff.drain().is_empty());
        assert_eq!(pipeline.counters.log_records(Severity::Error).read(), 0);
        tracing::dispatcher::with_default(&dispatch, emit);
        assert_eq!(pipeline.handoff.drain().len(), 2);
    }

    #[test]
    fn a_request_s_own_span_is_not_recorded_again() {
        let made = recorded(Pipeline::for_tests(BOTH), || {
            tracing::info_span!(target: REQUEST_TARGET, "request").in_scope(|| ());
        });
        assert!(made.is_empty());
    }

    #[test]
    fn what_has_no_destination_is_counted_and_not_built() {
        struct NeverShown;
        impl std::fmt::Debug for NeverShown {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("built")
            }
        }
        let pipeline = Pipeline::for_tests(&[]);
        let made = recorded(pipeline, || {
            let _span = tracing::info_span!("span", value = ?NeverShown).entered();
            tracing::error!(value = ?NeverShown, "line");
        });
        assert!(made.is_empty());
        assert_eq!(pipeline.counters.log_records(Severity::Error).read(), 1);
    }

    #[test]
    fn without_spans_a_line_belongs_to_the_request_s_own() {
        let pipeline = Pipeline::for_tests(&[Signal::Logs]);
        let request = Request::for_tests(pipeline, true);
        let span = request.trace.span();
        let mut request = Some(request);
        let made = recorded(pipeline, || {
            let _request = context::enter(&mut request);
            tracing::info_span!("span").in_scope(|| tracing::info!("line"));
        });
        let [(Record::Log(log), fields)] = &made[..] else {
            panic!("{made:?}");
        };
        assert_eq!(log.context, Some(span));
        assert!(
            records::read(fields)
                .any(|field| field == ("http.route", records::Value::Text("/orders/{id}")))
        );
    }
}
