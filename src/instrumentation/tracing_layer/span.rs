//! A span from its creation to its close, kept with the registry's own data of it.

use super::event::place;
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
            Draft::begin(pipeline, parent, attributes)
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
    fn begin(pipeline: &Pipeline, parent: Option<SpanId>, attributes: &Attributes<'_>) -> Self {
        let metadata = attributes.metadata();
        let mut draft = Self {
            parent,
            started: pipeline.clock.now(),
            name: CompactString::const_new(metadata.name()),
            kind: SpanKind::Internal,
            status: Status::Unset,
            fields: Vec::new(),
        };
        let said = Fields::compose(pipeline.settings.record_limits, |fields| {
            let mut values = Values::new(fields);
            attributes.record(&mut values);
            let said = values.said;
            place(metadata, fields);
            pipeline.count_truncated(fields);
            draft.fields = fields.as_bytes().to_vec();
            said
        });
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
                let name = &text[..text.floor_char_boundary(LONGEST_NAME)];
                self.said.name = Some(redaction::text(name).into());
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
