//! A span from its creation to its close, kept with the registry's own data of it.

use super::{places::Places, spare};
use crate::{
    ids::{SpanContext, SpanId, TraceId},
    pipeline::Pipeline,
    records::{self, Fields, Record, Span, SpanKind, Written},
    redaction,
};
use compact_str::CompactString;
use std::{
    error,
    fmt::{self, Write as _},
    time::Instant,
};
use tracing::{
    field::{Field, Visit},
    span::{self, Attributes},
};

/// A span that was created and has not closed.
#[derive(Debug)]
pub(super) struct Open {
    /// Its own; where its trace is not recorded, that of its parent.
    pub(super) context: SpanContext,
    /// `None`: its trace is not recorded.
    draft: Option<Draft>,
}

#[derive(Debug)]
struct Draft {
    parent: Option<SpanId>,
    started: Instant,
    name: CompactString,
    kind: SpanKind,
    status: Status,
    fields: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    #[default]
    Unset,
    Error,
    /// Said by the application, which has the last word.
    Ok,
}

/// What the fields of a span say that are not its attributes.
#[derive(Debug, Default)]
pub(super) struct Said {
    name: Option<CompactString>,
    kind: Option<SpanKind>,
    status: Status,
}

impl Open {
    pub(super) fn begin(
        pipeline: &Pipeline,
        places: &Places,
        parent: Option<SpanContext>,
        attributes: &Attributes<'_>,
    ) -> Self {
        let (trace_id, is_sampled) = match parent {
            // Nothing is to be built: those within it belong to the nearest span that may exist.
            Some(parent) if !parent.is_sampled => {
                return Self {
                    context: parent,
                    draft: None,
                };
            }
            Some(parent) => (parent.trace_id, true),
            None => {
                let trace_id = TraceId::random();
                (trace_id, pipeline.settings.sampling.begins(trace_id))
            }
        };
        let context = SpanContext {
            trace_id,
            span_id: SpanId::random(),
            is_sampled,
        };
        let draft = is_sampled.then(|| {
            let parent = parent.map(|parent| parent.span_id);
            Draft::begin(pipeline, places, parent, attributes)
        });
        Self { context, draft }
    }

    pub(super) fn is_drafted(&self) -> bool {
        self.draft.is_some()
    }

    /// Values that came after the span's creation.
    pub(super) fn overlay(&mut self, said: Said, fields: &[u8]) {
        if let Some(draft) = &mut self.draft {
            records::overlay(&mut draft.fields, fields);
            draft.heed(said);
        }
    }

    pub(super) fn end(self, pipeline: &Pipeline) {
        if let Some(draft) = self.draft {
            let span = Span {
                context: self.context,
                parent: draft.parent,
                kind: draft.kind,
                name: draft.name,
                started: draft.started,
                duration: pipeline
                    .clock
                    .now()
                    .saturating_duration_since(draft.started),
                is_error: draft.status == Status::Error,
            };
            pipeline.handoff.offer(Record::Span(span), &draft.fields);
            spare::give_back(draft.fields);
        }
    }
}

/// An event of level ERROR came within the span.
pub(super) fn failed(open: &mut Open) {
    if let Some(draft) = &mut open.draft {
        draft.status = draft.status.max(Status::Error);
    }
}

impl Draft {
    fn begin(
        pipeline: &Pipeline,
        places: &Places,
        parent: Option<SpanId>,
        attributes: &Attributes<'_>,
    ) -> Self {
        let metadata = attributes.metadata();
        let mut fields = Fields::new(pipeline.settings.record_limits, spare::take());
        let mut values = Values::new(&mut fields);
        attributes.record(&mut values);
        let said = values.said;
        places.describe(metadata, &mut fields);
        pipeline.count_truncated(&fields);
        let mut draft = Self {
            parent,
            started: pipeline.clock.now(),
            name: CompactString::const_new(metadata.name()),
            kind: SpanKind::Internal,
            status: Status::Unset,
            fields: fields.into_bytes(),
        };
        draft.heed(said);
        draft
    }

    fn heed(&mut self, said: Said) {
        if let Some(name) = said.name {
            self.name = name;
        }
        if let Some(kind) = said.kind {
            self.kind = kind;
        }
        self.status = self.status.max(said.status);
    }
}

/// Composes values that are recorded on a span, and hands them to `put`.
pub(super) fn with_values(
    pipeline: &Pipeline,
    values: &span::Record<'_>,
    put: impl FnOnce(Said, &[u8]),
) {
    Fields::compose(pipeline.settings.record_limits, |fields| {
        let mut visited = Values::new(fields);
        values.record(&mut visited);
        let said = visited.said;
        pipeline.count_truncated(fields);
        put(said, fields.as_bytes());
    });
}

/// Reads a span's values: those that say what the span is, and its attributes.
struct Values<'a> {
    attributes: Written<'a>,
    said: Said,
}

const NAME: &str = "otel.name";
const KIND: &str = "otel.kind";
const STATUS: &str = "otel.status_code";
const ERROR: &str = "error";
/// Bytes of a name that is given as a value.
const LONGEST_NAME: usize = 256;

impl<'a> Values<'a> {
    fn new(fields: &'a mut Fields) -> Self {
        Self {
            attributes: Written::of_span(fields),
            said: Said::default(),
        }
    }

    fn failed_if(&mut self, field: &Field, is_failure: bool) {
        if is_failure && field.name() == ERROR {
            self.said.status = self.said.status.max(Status::Error);
        }
    }

    /// Whether the text says what the span is, and is no attribute.
    fn heed(&mut self, field: &Field, text: &str) -> bool {
        match field.name() {
            NAME => {
                let mut ends = (0..=text.len().min(LONGEST_NAME)).rev();
                let end = ends.find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                self.said.name = Some(redaction::text(&text[..end]).into());
            }
            KIND if text.eq_ignore_ascii_case("client") => self.said.kind = Some(SpanKind::Client),
            KIND if text.eq_ignore_ascii_case("internal") => {}
            STATUS if text.eq_ignore_ascii_case("ok") => self.said.status = Status::Ok,
            STATUS if text.eq_ignore_ascii_case("error") => {
                self.said.status = self.said.status.max(Status::Error);
            }
            _ => return false,
        }
        true
    }
}

impl Visit for Values<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.failed_if(field, true);
        self.attributes.record_f64(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.failed_if(field, true);
        self.attributes.record_i64(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.failed_if(field, true);
        self.attributes.record_u64(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.failed_if(field, true);
        self.attributes.record_i128(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.failed_if(field, true);
        self.attributes.record_u128(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.failed_if(field, value);
        self.attributes.record_bool(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.failed_if(field, true);
        if !self.heed(field, value) {
            self.attributes.record_str(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn error::Error + 'static)) {
        self.failed_if(field, true);
        self.attributes.record_error(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.failed_if(field, true);
        if field.name().starts_with("otel.") {
            let mut text = String::new();
            // An error: the value's own formatting failed; what came is kept.
            let _ = write!(text, "{value:?}");
            self.record_str(field, &text);
        } else {
            self.attributes.record_debug(field, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Levels, TracingLayer};
    use super::*;
    use crate::{
        context::{self, Request},
        records::{Log, Signal, Value},
        semconv,
    };
    use std::collections::HashMap;
    use tracing::{Dispatch, Instrument as _, dispatcher, instrument::WithSubscriber as _};
    use tracing_subscriber::{layer::SubscriberExt as _, registry};

    /// Spans by their name, and the contexts of log records, that `emit` makes within a request.
    #[derive(Default)]
    struct Made {
        spans: HashMap<String, (Span, Vec<u8>)>,
        logs: Vec<Log>,
    }

    impl Made {
        fn within(request: Option<bool>, emit: impl FnOnce()) -> (Self, Option<SpanContext>) {
            let pipeline = Pipeline::for_tests(&[Signal::Logs, Signal::Traces]);
            let mut request = request.map(|sampled| Request::for_tests(pipeline, sampled));
            let span = request.as_ref().map(|request| request.trace.span());
            let dispatch =
                Dispatch::new(registry().with(TracingLayer::new(pipeline).at(Levels::default())));
            dispatcher::with_default(&dispatch, || {
                let _entered = context::enter(&mut request);
                emit();
            });
            let mut made = Self::default();
            for (record, fields) in pipeline.handoff.drain() {
                match record {
                    Record::Span(span) => {
                        made.spans.insert(span.name.to_string(), (span, fields));
                    }
                    Record::Log(log) => made.logs.push(log),
                    other => panic!("{other:?}"),
                }
            }
            (made, span)
        }

        fn span(&self, name: &str) -> &Span {
            &self.spans[name].0
        }

        fn value(&self, span: &str, name: &str) -> Option<Value<'_>> {
            let mut fields = records::read(&self.spans[span].1);
            fields.find(|(known, _)| *known == name).map(|(_, v)| v)
        }
    }

    #[test]
    fn spans_within_a_request_are_a_tree_and_their_lines_hang_on_it() {
        let (made, request) = Made::within(Some(true), || {
            tracing::info_span!("outer", order_id = 7).in_scope(|| {
                tracing::info_span!("inner").in_scope(|| tracing::info!("deep"));
                tracing::info!("in outer");
            });
            tracing::info!("in request");
        });
        let (request, [outer, inner]) = (
            request.unwrap(),
            ["outer", "inner"].map(|name| made.span(name)),
        );
        assert_eq!(outer.parent, Some(request.span_id));
        assert_eq!(inner.parent, Some(outer.context.span_id));
        assert_eq!(inner.context.trace_id, request.trace_id);
        assert!(outer.duration >= inner.duration);
        assert_eq!(outer.kind, SpanKind::Internal);
        let within: Vec<_> = made.logs.iter().map(|log| log.context.unwrap()).collect();
        assert_eq!(within, [inner.context, outer.context, request]);
        assert_eq!(made.value("outer", "order_id"), Some(Value::Integer(7)));
        assert_eq!(
            made.value("outer", semconv::TARGET),
            Some(Value::Text(module_path!()))
        );
    }

    #[test]
    fn a_span_goes_with_its_task_and_a_carried_task_stays_in_its_own() {
        let (made, request) = Made::within(Some(true), || {
            let instrumented = async {
                tokio::task::yield_now().await;
                tracing::info!("instrumented");
            }
            .instrument(tracing::info_span!("task"))
            .with_current_subscriber();
            let spawner = tracing::info_span!("spawner");
            let carried = spawner.in_scope(|| {
                context::carry(async {
                    tokio::task::yield_now().await;
                    tracing::info_span!("carried").in_scope(|| tracing::info!("carried"));
                })
                .with_current_subscriber()
            });
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let other = std::thread::spawn(move || {
                runtime.block_on(async {
                    let both = [tokio::spawn(instrumented), tokio::spawn(carried)];
                    for task in both {
                        task.await.unwrap();
                    }
                    assert_eq!(context::active(), None);
                });
            });
            other.join().unwrap();
        });
        let request = request.unwrap();
        assert_eq!(made.span("task").parent, Some(request.span_id));
        let spawner = made.span("spawner").context;
        assert_eq!(made.span("carried").parent, Some(spawner.span_id));
        let mut within: Vec<_> = made.logs.iter().map(|log| log.context.unwrap()).collect();
        let mut expected = ["task", "carried"].map(|name| made.span(name).context);
        within.sort_by_key(|span| span.span_id);
        expected.sort_by_key(|span| span.span_id);
        assert_eq!(within, expected);
    }

    #[test]
    fn an_explicit_parent_goes_before_where_it_is_entered_and_none_begins_a_trace() {
        let (made, request) = Made::within(Some(true), || {
            let parent = tracing::info_span!("parent");
            let _other = tracing::info_span!("other").entered();
            tracing::info_span!(parent: &parent, "child");
            tracing::info_span!(parent: None, "root");
            tracing::info!(parent: &parent, "line");
        });
        let parent = made.span("parent").context;
        assert_eq!(made.span("child").parent, Some(parent.span_id));
        assert_eq!(made.logs[0].context, Some(parent));
        let root = made.span("root");
        assert_eq!(root.parent, None);
        assert_ne!(root.context.trace_id, request.unwrap().trace_id);
    }

    #[test]
    fn without_a_request_a_span_begins_a_trace() {
        let (made, _) = Made::within(None, || {
            tracing::info_span!("job").in_scope(|| tracing::info_span!("step").in_scope(|| ()));
        });
        assert_eq!(made.span("job").parent, None);
        let job = made.span("job").context;
        assert_eq!(made.span("step").parent, Some(job.span_id));
        assert_eq!(made.span("step").context.trace_id, job.trace_id);
    }

    #[test]
    fn a_trace_that_is_not_recorded_builds_no_span_and_lines_know_it_all_the_same() {
        struct NeverShown;
        impl fmt::Debug for NeverShown {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("built")
            }
        }
        let (made, request) = Made::within(Some(false), || {
            let span =
                tracing::info_span!("outer", value = ?NeverShown, later = tracing::field::Empty);
            span.record("later", tracing::field::debug(NeverShown));
            span.in_scope(|| {
                tracing::info_span!("inner").in_scope(|| tracing::info!("line"));
            });
        });
        assert!(made.spans.is_empty());
        assert_eq!(made.logs[0].context, request);
    }

    #[test]
    fn a_later_value_takes_the_place_of_an_earlier_one() {
        let (made, _) = Made::within(Some(true), || {
            let span = tracing::info_span!("span", items = 1, message = "a value", pin = 1234);
            for items in 2..=500 {
                span.record("items", items);
            }
        });
        assert_eq!(made.value("span", "items"), Some(Value::Integer(500)));
        assert_eq!(made.value("span", "message"), Some(Value::Text("a value")));
        assert_eq!(
            made.value("span", "pin"),
            Some(Value::Text(redaction::MASK))
        );
        assert!(made.spans["span"].1.len() < 500);
    }

    #[test]
    fn a_span_fails_by_an_error_within_or_by_its_fields() {
        let (made, _) = Made::within(Some(true), || {
            tracing::info_span!("event").in_scope(|| tracing::error!("failed"));
            tracing::info_span!("critical").in_scope(|| crate::critical!("failed"));
            tracing::info_span!("warned").in_scope(|| tracing::warn!("no failure"));
            tracing::info_span!("field", error = true);
            tracing::info_span!("false", error = false);
            tracing::info_span!("shown", error = %"declined");
            tracing::info_span!("status", otel.status_code = "ERROR");
            let span = tracing::info_span!("ok", otel.status_code = tracing::field::Empty);
            span.in_scope(|| tracing::error!("mended"));
            span.record("otel.status_code", "OK");
        });
        let mut failed: Vec<_> = made.spans.values().map(|(span, _)| span).collect();
        failed.retain(|span| span.is_error);
        let mut failed: Vec<_> = failed.iter().map(|span| span.name.as_str()).collect();
        failed.sort_unstable();
        assert_eq!(failed, ["critical", "event", "field", "shown", "status"]);
    }

    #[test]
    fn the_fields_that_users_of_tracing_opentelemetry_know_are_understood() {
        let (made, _) = Made::within(Some(true), || {
            tracing::info_span!("call", otel.name = "GET /menus", otel.kind = "Client");
            tracing::info_span!("shown", otel.name = %"shown by Display", otel.kind = ?SpanKind::Client);
            tracing::info_span!("consume", otel.kind = "consumer");
        });
        assert_eq!(made.span("GET /menus").kind, SpanKind::Client);
        assert_eq!(made.value("GET /menus", "otel.name"), None);
        assert_eq!(made.span("shown by Display").kind, SpanKind::Client);
        assert_eq!(
            made.value("consume", "otel.kind"),
            Some(Value::Text("consumer"))
        );
    }
}
