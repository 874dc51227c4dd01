//! An event as a log record.

use super::places::Places;
use crate::{
    context::{self, Happened},
    ids::SpanContext,
    pipeline::{LoggedError, Pipeline},
    records::{Fields, Log, Record, Severity, Signal, Written},
};
use compact_str::CompactString;
use std::{error::Error, fmt};
use tracing::{
    Event,
    field::{Field, Visit},
};

pub(super) fn record(
    pipeline: &Pipeline,
    places: &Places,
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
    let at = log.at;
    let mut compose = |fields: &mut Fields| {
        event.record(&mut Written::of_event(fields));
        context::note_record(
            at,
            Happened::Line(severity),
            event.metadata().name(),
            fields,
        );
        places.describe(event.metadata(), fields);
        context::describe(fields);
    };
    let mut log = Some(log);
    if severity >= Severity::Error
        && let Some(tap) = pipeline.error_tap.get()
    {
        let metadata = event.metadata();
        event.record(&mut FirstError {
            is_found: false,
            then: |error: &(dyn Error + 'static)| {
                let logged = log.take().map(|log| LoggedError {
                    error,
                    log,
                    file: metadata.file(),
                    line: metadata.line(),
                    has_message: metadata.fields().field("message").is_some(),
                });
                log = logged.and_then(|logged| tap.logged(logged, &mut compose));
            },
        });
    }
    // An error was told, or there is nobody to tell of a line.
    if let Some(log) = log.filter(|_| pipeline.handoff.wants(Signal::Logs)) {
        pipeline.record(Record::Log(log), compose);
    }
}

/// Looks for a value that is an error, as errors are given: `&dyn Error`.
struct FirstError<F> {
    is_found: bool,
    then: F,
}

impl<F: FnMut(&(dyn Error + 'static))> Visit for FirstError<F> {
    fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
        if !std::mem::replace(&mut self.is_found, true) {
            (self.then)(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::super::{Levels, TracingLayer};
    use super::*;
    use crate::{
        context::Request,
        critical,
        records::{self, Signal, Value},
        redaction, semconv,
    };
    use std::{error, fmt};
    use tracing::{
        Dispatch, Level, Metadata,
        callsite::{DefaultCallsite, Identifier},
        field::FieldSet,
        metadata::Kind,
    };
    use tracing_subscriber::{layer::SubscriberExt as _, registry};

    /// The log records that `emit` makes, with their fields.
    fn recorded(emit: impl FnOnce(&Dispatch)) -> (&'static Pipeline, Vec<(Log, Vec<u8>)>) {
        let pipeline = Pipeline::for_tests(&[Signal::Logs]);
        let levels: Levels = "trace".parse().unwrap();
        let dispatch = Dispatch::new(registry().with(TracingLayer::new(pipeline).at(levels)));
        tracing::dispatcher::with_default(&dispatch, || emit(&dispatch));
        let logs = pipeline.handoff.drain().into_iter();
        let logs = logs.map(|(record, fields)| match record {
            Record::Log(log) => (log, fields),
            other => panic!("{other:?}"),
        });
        (pipeline, logs.collect())
    }

    fn value<'a>(fields: &'a [u8], name: &str) -> Option<Value<'a>> {
        let mut all = records::read(fields);
        all.find(|(known, _)| *known == name).map(|(_, v)| v)
    }

    #[test]
    fn every_severity_is_recorded_and_counted_and_critical_is_one() {
        let (pipeline, made) = recorded(|_| {
            tracing::trace!("line");
            tracing::debug!("line");
            tracing::info!("line");
            tracing::warn!("line");
            tracing::error!("line");
            critical!("line");
        });
        let severities: Vec<_> = made.iter().map(|(log, _)| log.severity).collect();
        assert_eq!(severities, Severity::ALL);
        for severity in Severity::ALL {
            assert_eq!(pipeline.counters.log_records(severity).read(), 1);
        }
        assert_eq!(made[5].0.severity.number(), 21);
    }

    #[test]
    fn critical_takes_what_error_takes() {
        let (order_id, span) = (1024, tracing::Span::none());
        let (_, made) = recorded(|_| {
            critical!(order_id, "payment captured {}", "twice");
            critical!(target: "payments", order_id, why = %"retry", a.b = ?Some(1), "said");
            critical!({ order_id }, "payment {}", order_id);
            critical!(parent: &span, order_id);
            critical!(name: "named", target: "payments", parent: &span, %order_id, "said",);
        });
        assert!(made.iter().all(|(log, fields)| {
            log.severity == Severity::Critical
                && value(fields, "order_id").is_some()
                && value(fields, "orderscope.critical").is_none()
        }));
        let (said, placed) = (&made[0].1, &made[1].1);
        assert_eq!(
            value(said, records::MESSAGE),
            Some(Value::Text("payment captured twice"))
        );
        assert_eq!(value(placed, "target"), Some(Value::Text("payments")));
        assert_eq!(value(placed, "a.b"), Some(Value::Text("Some(1)")));
    }

    #[test]
    fn values_keep_their_type_and_an_error_tells_its_causes() {
        #[derive(Debug)]
        struct Failed(&'static str, Option<Box<Failed>>);
        impl fmt::Display for Failed {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        impl error::Error for Failed {
            fn source(&self) -> Option<&(dyn error::Error + 'static)> {
                self.1.as_deref().map(|cause| cause as _)
            }
        }
        let cause = Failed("b", Some(Box::new(Failed("c", None))));
        let failed = Failed("a", Some(Box::new(cause)));
        let (_, made) = recorded(|_| {
            tracing::info!(
                signed = -1_i8,
                large = u64::MAX,
                wide = i128::MAX,
                share = 0.5,
                is_paid = true,
                name = "Ada",
                shown = %"shown",
                seen = ?Some("seen"),
                error = &failed as &(dyn error::Error + 'static),
                r#type = "raw",
                password = "hunter2",
                "said {}",
                1
            );
        });
        let fields = &made[0].1;
        for (name, expected) in [
            ("signed", Value::Integer(-1)),
            ("large", Value::Text("18446744073709551615")),
            (
                "wide",
                Value::Text("170141183460469231731687303715884105727"),
            ),
            ("share", Value::Float(0.5)),
            ("is_paid", Value::Boolean(true)),
            ("name", Value::Text("Ada")),
            ("shown", Value::Text("shown")),
            ("seen", Value::Text("Some(\"seen\")")),
            ("error", Value::Text("a: b: c")),
            ("type", Value::Text("raw")),
            ("password", Value::Text(redaction::MASK)),
            (records::MESSAGE, Value::Text("said 1")),
            (semconv::TARGET, Value::Text(module_path!())),
            (semconv::CODE_FILE_PATH, Value::Text(file!())),
        ] {
            assert_eq!(value(fields, name), Some(expected), "{name}");
        }
        assert!(value(fields, semconv::CODE_LINE_NUMBER).is_some());
    }

    #[test]
    fn every_line_within_a_request_knows_it() {
        let pipeline = Pipeline::for_tests(&[]);
        let request = Request::for_tests(pipeline, false);
        let span = request.trace.span();
        let mut request = Some(request);
        let (_, made) = recorded(|_| {
            tracing::info!("outside");
            let _entered = context::enter(&mut request);
            context::identify("u-7", "s-1");
            tracing::info!("within");
            tracing::info!(parent: None, "within, though in no span");
        });
        let contexts: Vec<_> = made.iter().map(|(log, _)| log.context).collect();
        assert_eq!(contexts, [None, Some(span), Some(span)]);
        let known = ["http.route", "user.id", "session.id"].map(|name| value(&made[1].1, name));
        assert_eq!(
            known,
            ["/orders/{id}", "u-7", "s-1"].map(|v| Some(Value::Text(v)))
        );
    }

    #[test]
    fn a_debug_that_logs_itself_is_recorded_to_a_depth_and_counted_beyond() {
        static PLACE: DefaultCallsite = DefaultCallsite::new(&METADATA);
        static METADATA: Metadata<'static> = Metadata::new(
            "nested",
            module_path!(),
            Level::ERROR,
            None,
            None,
            None,
            FieldSet::new(&["value"], Identifier(&PLACE)),
            Kind::EVENT,
        );
        struct Talkative<'a>(&'a Dispatch);
        impl fmt::Debug for Talkative<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Past the macros: only a subscriber that is the process's can be entered again.
                let fields = METADATA.fields();
                let value = tracing::field::debug(self);
                let field = fields.field("value").ok_or(fmt::Error)?;
                let values = [(&field, Some(&value as &dyn tracing::Value))];
                self.0
                    .event(&Event::new(&METADATA, &fields.value_set(&values)));
                f.write_str("talked")
            }
        }
        let (pipeline, made) = recorded(|dispatch| tracing::error!(value = ?Talkative(dispatch)));
        assert_eq!(made.len(), 2);
        for (_, fields) in &made {
            assert_eq!(value(fields, "value"), Some(Value::Text("talked")));
        }
        assert_eq!(pipeline.counters.log_records(Severity::Error).read(), 3);
    }
}
