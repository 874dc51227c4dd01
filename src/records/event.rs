//! What `tracing` says, as a record has it: for whoever makes records, or lines, of its events.

use super::{Fields, Severity};
use std::{cell::Cell, error, fmt};
use tracing::{
    Level, Metadata,
    field::{Field, Visit},
};

/// Marks an event of [`critical!`](crate::critical); it is a field of its own in no output.
const CRITICAL: &str = "orderscope.critical";
/// The target of a request's own `tracing` span: the request is recorded by the HTTP layer, and
/// its span is not recorded again.
pub(crate) const REQUEST_TARGET: &str = "orderscope::request";
/// The same, of one that our own layers let pass.
pub(crate) const REQUEST_TARGET_ALWAYS: &str = "orderscope::request::always";

/// Causes of one error that are printed; a chain may be a ring.
const MOST_CAUSES: usize = 32;
/// Events within the formatting of another's values: a `Debug` that logs.
const DEEPEST: usize = 2;

impl Severity {
    /// Of an event, as its place in the source says it.
    #[inline]
    pub(crate) fn of(metadata: &Metadata<'_>) -> Self {
        match *metadata.level() {
            Level::TRACE => Self::Trace,
            Level::DEBUG => Self::Debug,
            Level::INFO => Self::Info,
            Level::WARN => Self::Warn,
            Level::ERROR if metadata.fields().field(CRITICAL).is_some() => Self::Critical,
            Level::ERROR => Self::Error,
        }
    }
}

/// Runs `record` unless events have come to be nested too deeply, as by a `Debug` that logs itself.
pub(crate) fn unless_too_deep(record: impl FnOnce()) {
    thread_local! {
        static DEPTH: Cell<usize> = const { Cell::new(0) };
    }
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            let _ = DEPTH.try_with(|depth| depth.set(depth.get() - 1));
        }
    }
    let is_let_in = DEPTH.try_with(|depth| {
        let is_let_in = depth.get() < DEEPEST;
        depth.set(depth.get() + usize::from(is_let_in));
        is_let_in
    });
    if is_let_in.unwrap_or_default() {
        let _inside = Inside;
        record();
    }
}

/// Writes the values of an event or a span, each as what it is.
pub(crate) struct Written<'a> {
    fields: &'a mut Fields,
    of_event: bool,
}

/// What `tracing` calls an event's message.
const MESSAGE: &str = "message";

impl<'a> Written<'a> {
    /// The values of an event, its message as the record's.
    pub(crate) fn of_event(fields: &'a mut Fields) -> Self {
        Self {
            fields,
            of_event: true,
        }
    }

    pub(crate) fn of_span(fields: &'a mut Fields) -> Self {
        Self {
            fields,
            of_event: false,
        }
    }

    fn is_message(&self, name: &str) -> bool {
        self.of_event && name == MESSAGE
    }
}

impl Visit for Written<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.float(name(field), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.integer(name(field), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.unsigned(name(field), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.fields.integer(name(field), value),
            Err(_) => self.fields.display(name(field), value),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match i64::try_from(value) {
            Ok(value) => self.fields.integer(name(field), value),
            Err(_) => self.fields.display(name(field), value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() != CRITICAL {
            self.fields.boolean(name(field), value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match name(field) {
            name if self.is_message(name) => self.fields.message(value),
            SQLX_SUMMARY if is_of_sqlx(field) => self.fields.sql(SQLX_SUMMARY, value),
            name => self.fields.text(name, value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn error::Error + 'static)) {
        self.fields.display(name(field), Chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match name(field) {
            name if self.is_message(name) => self.fields.message_display(Debugged(value)),
            name => self.fields.display(name, Debugged(value)),
        }
    }
}

/// What sqlx tells of each query it runs, and of a slow one as a warning.
pub(crate) const SQLX_TARGET: &str = "sqlx::query";
/// In which it says how a statement begins, values and all.
const SQLX_SUMMARY: &str = "summary";

fn is_of_sqlx(field: &Field) -> bool {
    field.callsite().0.metadata().target() == SQLX_TARGET
}

/// A raw identifier names the same field as the plain one; no name at all is the message's.
fn name(field: &Field) -> &'static str {
    match field.name() {
        "" => "_",
        name => name.strip_prefix("r#").unwrap_or(name),
    }
}

/// An error with its causes: `a: b: c`.
struct Chain<'a>(&'a (dyn error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |error| error.source());
        for cause in causes.take(MOST_CAUSES) {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

/// A `Debug` where a `Display` is asked for; `tracing` hands over `%` values so too.
struct Debugged<'a>(&'a dyn fmt::Debug);

impl fmt::Display for Debugged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
