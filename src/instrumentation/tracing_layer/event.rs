//! An event as a log record.

use crate::{
    context,
    ids::SpanContext,
    pipeline::Pipeline,
    records::{Fields, Log, Record, Severity, Written},
    semconv,
};
use compact_str::CompactString;
use tracing::{Event, Metadata};

pub(super) fn record(
    pipeline: &Pipeline,
    severity: Severity,
    within: Option<SpanContext>,
    event: &Event<'_>,
) {
    let log = Log {
        context: within,
        at: pipeline.clock.now(),
        severity,
        event_name: CompactString::const_new(""),
    };
    pipeline.record(Record::Log(log), |fields| {
        event.record(&mut Written::of_event(fields));
        place(event.metadata(), fields);
        context::describe(fields);
    });
}

/// Where in the source an event or a span stands.
pub(super) fn place(metadata: &Metadata<'_>, fields: &mut Fields) {
    fields.word(semconv::TARGET, metadata.target());
    if let Some(file) = metadata.file() {
        fields.word(semconv::CODE_FILE_PATH, file);
    }
    if let Some(line) = metadata.line() {
        fields.integer(semconv::CODE_LINE_NUMBER, line.into());
    }
}
