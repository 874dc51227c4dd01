//! Queries of sqlx that no handle of ours sees, by the events that it emits of them.

use crate::{
    pipeline::{Ended, Pipeline, Traits},
    records::SQLX_TARGET,
    redaction::sql::Dialect,
};
use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::{Filtered, Targets},
    layer::Context,
    registry::LookupSpan,
};

/// Our mark on queries that a handle measures; a span of the request's own target, which is no
/// record's.
const MEASURED: &str = "orderscope::request::measured";

/// Whether any layer listens: else nothing is marked.
static IS_LISTENED_TO: AtomicBool = AtomicBool::new(false);

/// Measures the queries that sqlx tells of by itself, made by
/// [`Telemetry::bare_queries_layer`](crate::Telemetry::bare_queries_layer).
#[derive(Debug)]
pub struct BareQueries {
    pipeline: &'static Pipeline,
}

/// [`BareQueries`], reading the events of sqlx alone, whatever other layers read.
pub type BareQueriesLayer<S> = Filtered<BareQueries, Targets, S>;

pub(crate) fn bare_queries_layer<S>(pipeline: &'static Pipeline) -> BareQueriesLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    IS_LISTENED_TO.store(true, Ordering::Relaxed);
    let targets = [SQLX_TARGET, MEASURED].map(|target| (target, LevelFilter::TRACE));
    let targets: Targets = targets.into_iter().collect();
    BareQueries { pipeline }.with_filter(targets)
}

/// Marks what `run` does: it is measured already.
#[cfg(feature = "sqlx")]
#[inline]
pub(super) fn measured<T>(run: impl FnOnce() -> T) -> T {
    match IS_LISTENED_TO.load(Ordering::Relaxed) {
        false => run(),
        // sqlx takes it along to the thread where SQLite runs.
        true => tracing::trace_span!(target: MEASURED, "measured").in_scope(run),
    }
}

impl<S> Layer<S> for BareQueries
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != SQLX_TARGET || self.pipeline.handoff.is_forked() {
            return;
        }
        let mut scope = context.event_scope(event).into_iter().flatten();
        if scope.any(|span| span.metadata().target() == MEASURED) {
            return;
        }
        let mut told = Told::default();
        event.record(&mut told);
        let traits = Traits::of_system("other_sql", Dialect::Unknown);
        let source = self.pipeline.databases().source(&traits);
        // What is short stands in the summary, and nowhere else.
        let text = match told.statement.trim() {
            "" => &told.summary,
            statement => statement,
        };
        let ended = Ended {
            duration: Duration::try_from_secs_f64(told.seconds).unwrap_or_default(),
            rows: told.rows,
            error: "",
            is_slow: false,
            is_served: true,
            exemplar: None,
        };
        source.record(&source.statement(text), &ended);
    }
}

#[derive(Default)]
struct Told {
    summary: String,
    statement: String,
    seconds: f64,
    rows: u64,
}

impl Visit for Told {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.seconds = value;
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows_returned" {
            self.rows = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
