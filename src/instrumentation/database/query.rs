//! One operation: measured, and told where it was slow or came too often.

use crate::{
    context::{self, Happened, Millis},
    ids::{SpanContext, SpanId, TraceId},
    pipeline::{Ended, Found, Source},
    records::{Fields, Log, Record, Severity, Signal, Span, SpanKind},
    semconv,
};
use compact_str::CompactString;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// An operation that takes longer is slow: the product's threshold.
pub(super) const SLOW_AFTER: Duration = Duration::from_millis(300);
/// As often does one statement come within one request before that is told.
const REPEATED: u32 = 10;
/// The `error.type` of an operation that was given up.
const CANCELLED: &str = "cancelled";
/// The EventNames.
const SLOW_EVENT: &str = "orderscope.db.slow_query";
const REPEATED_EVENT: &str = "orderscope.db.repeated_query";

/// It starts as one that is given up, is told how it ended, and records when it is dropped.
#[derive(Debug)]
pub(super) struct Query {
    source: &'static Source,
    found: Found,
    parent: Option<SpanContext>,
    started: Instant,
    slow_after: Duration,
    pub(super) returned: u64,
    affected: u64,
    /// It has a connection.
    is_served: bool,
    /// `None`: it succeeded.
    failure: Option<Failure>,
}

/// How an operation failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// `error.type`.
    pub(super) kind: CompactString,
    /// Whether that is the database's own code.
    pub(super) is_code: bool,
}

impl Failure {
    /// By a word of ours, or of whoever runs the operation.
    pub(super) fn of_kind(kind: CompactString) -> Self {
        Self {
            kind,
            is_code: false,
        }
    }

    /// Its future was dropped.
    fn cancelled() -> Self {
        Self::of_kind(CompactString::const_new(CANCELLED))
    }
}

impl Query {
    #[inline]
    pub(super) fn begin(source: &'static Source, found: Found, slow_after: Duration) -> Self {
        // Of all that found no room, nobody knows which came again.
        if found.beyond.is_none() && context::repeated(found.statement.digest) == REPEATED {
            tell_repeated(source, &found);
        }
        Self::of(source, found, slow_after, context::active())
    }

    /// One within `parent`, which may have come again and again.
    #[inline]
    pub(super) fn of(
        source: &'static Source,
        found: Found,
        slow_after: Duration,
        parent: Option<SpanContext>,
    ) -> Self {
        Self {
            source,
            found,
            parent,
            started: source.databases.pipeline.clock.now(),
            slow_after,
            returned: 0,
            affected: 0,
            is_served: true,
            failure: Some(Failure::cancelled()),
        }
    }

    /// It has waited for a connection since then, and has none.
    #[cfg(feature = "sqlx")]
    pub(super) fn waited_in_vain(&mut self, since: Instant) {
        self.started = since;
        self.is_served = false;
    }

    /// Until it goes on, whoever goes gives it up.
    #[cfg(feature = "sqlx")]
    #[inline]
    pub(super) fn waits(&mut self) {
        if self.failure.is_none() {
            self.failure = Some(Failure::cancelled());
        }
    }

    #[inline]
    pub(super) fn succeeded(&mut self) {
        self.failure = None;
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// `error.type`; empty: it succeeded.
    fn error(&self) -> &str {
        self.failure.as_ref().map_or("", |failure| &failure.kind)
    }

    /// Of what reads, drivers tell the rows that were read, or those that were changed before.
    #[cfg(feature = "sqlx")]
    pub(super) fn affected(&mut self, rows: u64) {
        const CHANGING: [&str; 6] = ["INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "UPSERT"];
        let (operation, _) = parts(self.found.summary());
        if CHANGING.contains(&operation) {
            self.affected += rows;
        }
    }

    fn describe(&self, fields: &mut Fields) {
        tell_statement(self.source, &self.found, fields);
        if self.returned > 0 {
            let rows = i64::try_from(self.returned).unwrap_or(i64::MAX);
            fields.number(semconv::DB_RESPONSE_RETURNED_ROWS, rows);
        }
        if self.affected > 0 {
            let rows = i64::try_from(self.affected).unwrap_or(i64::MAX);
            fields.number(semconv::DB_AFFECTED_ROWS, rows);
        }
        if let Some(failure) = &self.failure {
            if failure.is_code {
                fields.word(semconv::DB_RESPONSE_STATUS_CODE, &failure.kind);
            }
            fields.word(semconv::ERROR_TYPE, &failure.kind);
        }
    }

    /// A span of a trace that is recorded; it may begin one.
    fn span(&self) -> Option<(SpanContext, Option<SpanId>)> {
        let pipeline = self.source.databases.pipeline;
        if !pipeline.handoff.wants(Signal::Traces) {
            return None;
        }
        let Some(parent) = self.parent else {
            let trace_id = TraceId::random();
            let root = SpanContext {
                trace_id,
                span_id: SpanId::random(),
                is_sampled: true,
            };
            let is_sampled = pipeline.settings.sampling.begins(trace_id);
            return is_sampled.then_some((root, None));
        };
        let span = SpanContext {
            span_id: SpanId::random(),
            ..parent
        };
        parent.is_sampled.then_some((span, Some(parent.span_id)))
    }

    fn tell_slow(&self, within: Option<SpanContext>, now: Instant, duration: Duration) {
        let pipeline = self.source.databases.pipeline;
        let log = Log {
            context: within.or(self.parent),
            at: now,
            severity: Severity::Warn,
            event_name: CompactString::const_new(SLOW_EVENT),
        };
        pipeline.record(Record::Log(log), |fields| {
            fields.message_display(format_args!("slow query: {}", Said(self, duration)));
            self.describe(fields);
            fields.float(semconv::DB_DURATION, duration.as_secs_f64());
            if self.is_at_home() {
                context::describe(fields);
            }
        });
    }

    /// Whether the current request is its own.
    fn is_at_home(&self) -> bool {
        self.parent
            .is_some_and(|parent| context::is_of(parent.trace_id))
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        let pipeline = self.source.databases.pipeline;
        let now = pipeline.clock.now();
        let duration = now.saturating_duration_since(self.started);
        // Else it is the pool that was slow.
        let is_slow = self.is_served && duration > self.slow_after;
        let span = self.span();
        let own = span.map(|(span, _)| span).or(self.parent);
        let ended = Ended {
            duration,
            // A changed row that is returned is one.
            rows: self.returned.max(self.affected),
            error: self.error(),
            is_slow,
            is_served: self.is_served,
            exemplar: own.and_then(|own| pipeline.settings.exemplars.choose(own)),
        };
        self.source.record(&self.found, &ended);
        if (is_slow || self.failure.is_some()) && pipeline.handoff.wants(Signal::Logs) {
            if self.is_at_home() {
                let said = [self.found.summary(), self.error()];
                context::note(now, Happened::Call(duration), &said);
            }
            if is_slow && self.source.tells_slow(&self.found, now) {
                self.tell_slow(span.map(|(span, _)| span), now, duration);
            }
        }
        if let Some((context, parent)) = span {
            let record = Span {
                context,
                parent,
                kind: SpanKind::Client,
                name: self.found.summary().clone(),
                started: self.started,
                duration,
                is_error: self.failure.is_some(),
            };
            pipeline.record(Record::Span(record), |fields| self.describe(fields));
        }
    }
}

#[cold]
fn tell_repeated(source: &'static Source, found: &Found) {
    let pipeline = source.databases.pipeline;
    found.statement.count_repeated();
    let now = pipeline.clock.now();
    if !pipeline.handoff.wants(Signal::Logs) || !source.tells_repeated(found, now) {
        return;
    }
    let log = Log {
        context: context::active(),
        at: now,
        severity: Severity::Warn,
        event_name: CompactString::const_new(REPEATED_EVENT),
    };
    pipeline.record(Record::Log(log), |fields| {
        let summary = found.summary();
        fields.message_display(format_args!(
            "{summary} ran {REPEATED} times within one request: can one query do it?"
        ));
        tell_statement(source, found, fields);
        fields.number(semconv::DB_REPEATED, REPEATED.into());
        context::describe(fields);
    });
}

/// What is the same each time was composed once.
fn tell_statement(source: &Source, found: &Found, fields: &mut Fields) {
    if found.beyond.is_none() && !source.databases.pipeline.handoff.is_forked() {
        let compose = |fields: &mut Fields| describe_statement(source, found, fields);
        let composed = found.statement.fields(fields.limits(), compose);
        if composed.is_some_and(|composed| fields.append(composed)) {
            return;
        }
    }
    describe_statement(source, found, fields);
}

fn describe_statement(source: &Source, found: &Found, fields: &mut Fields) {
    let (traits, summary) = (&source.traits, found.summary());
    fields.word(semconv::DB_SYSTEM_NAME, &traits.system);
    fields.word(semconv::DB_QUERY_SUMMARY, summary);
    let (operation, collection) = parts(summary);
    fields.word(semconv::DB_OPERATION_NAME, operation);
    if let Some(collection) = collection {
        fields.word(semconv::DB_COLLECTION_NAME, collection);
    }
    // What is only called by a summary has no text.
    if found.text() != summary {
        fields.word(semconv::DB_QUERY_TEXT, found.text());
    }
    let known = [
        (semconv::DB_NAMESPACE, &traits.namespace),
        (semconv::DB_CLIENT_CONNECTION_POOL_NAME, &traits.pool),
        (semconv::SERVER_ADDRESS, &traits.address),
    ];
    for (name, value) in known {
        if !value.is_empty() {
            fields.word(name, value);
        }
    }
    if traits.port > 0 {
        fields.number(semconv::SERVER_PORT, traits.port.into());
    }
}

/// The operation, and the table where there is one alone.
fn parts(summary: &str) -> (&str, Option<&str>) {
    let Some((operation, rest)) = summary.split_once(' ') else {
        return (summary, None);
    };
    let table = match operation {
        // What is called is none.
        "CALL" | "EXEC" => None,
        "CREATE" | "ALTER" | "DROP" => rest.strip_prefix("TABLE "),
        _ => Some(rest),
    };
    (operation, table.filter(|table| !table.contains(' ')))
}

/// `SELECT orders 40001 12.3ms`
struct Said<'a>(&'a Query, Duration);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(query, took) = self;
        f.write_str(query.found.summary())?;
        if let Some(failure) = &query.failure {
            write!(f, " {}", failure.kind)?;
        }
        write!(f, " {}", Millis(*took))
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn the_collection_is_a_table_that_stands_alone() {
        for (summary, expected) in [
            ("SELECT orders", ("SELECT", Some("orders"))),
            ("SELECT orders customers", ("SELECT", None)),
            ("CREATE TABLE orders", ("CREATE", Some("orders"))),
            ("CREATE INDEX by_dish", ("CREATE", None)),
            ("CREATE USER", ("CREATE", None)),
            ("CALL refund", ("CALL", None)),
            ("COMMIT", ("COMMIT", None)),
        ] {
            assert_eq!(parts(summary), expected);
        }
    }
}
