//! On the worker: the addresses of a stack become a trace.

use super::panics;
use crate::{
    delivery::Stage,
    records::{Fields, Record, Value, read},
    semconv,
    stack::{Frame, Origin, Resolver, render, trim},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Adds `exception.stacktrace`, `code.function.name` and, where the error came with no place of its
/// own, that of this function.
#[derive(Default)]
pub(crate) struct ResolveStack {
    resolver: Resolver,
}

/// What the trace says when resolving failed.
const UNRESOLVED: &str = "(the stack could not be resolved)";

impl Stage for ResolveStack {
    fn apply(&mut self, record: &Record, fields: &mut Fields) {
        let Record::Error(_, stack) = record else {
            return;
        };
        // The error is told without its trace rather than not at all.
        let resolved = catch_unwind(AssertUnwindSafe(|| {
            self.resolver.resolve_all(stack.frames())
        }));
        match resolved {
            Ok(frames) => describe(&frames, fields),
            Err(_) => {
                self.resolver = Resolver::default();
                fields.word(semconv::EXCEPTION_STACKTRACE, UNRESOLVED);
            }
        }
    }
}

fn describe(frames: &[Frame], fields: &mut Fields) {
    let (mut is_panic, mut has_place) = (false, false);
    for (name, value) in read(fields.as_bytes()) {
        is_panic |= name == semconv::EXCEPTION_TYPE && value == Value::Text(panics::TYPE);
        has_place |= name == semconv::CODE_FILE_PATH;
    }
    let origin = match is_panic {
        true => Origin::Panic,
        false => Origin::Call,
    };
    let trace = trim(frames, origin);
    fields.word(semconv::EXCEPTION_STACKTRACE, &render(trace));
    if let Some(frame) = trace.iter().find(|frame| frame.in_app) {
        if let Some(function) = &frame.function {
            fields.word(semconv::CODE_FUNCTION_NAME, function);
        }
        if let (false, Some(file), Some(line)) = (has_place, &frame.file, frame.line) {
            fields.word(semconv::CODE_FILE_PATH, file);
            fields.integer(semconv::CODE_LINE_NUMBER, line.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            capture_error,
            planted::{Told, pipeline, within},
        },
        *,
    };
    use crate::records::{Limits, Log};

    fn resolved(told: &Told) -> Told {
        let mut fields = Fields::new(Limits::default(), told.fields.clone());
        ResolveStack::default().apply(&told.record, &mut fields);
        let Record::Error(log, stack) = &told.record else {
            panic!("{told:?}");
        };
        let log = Log {
            event_name: log.event_name.clone(),
            ..*log
        };
        Told {
            record: Record::Error(log, stack.clone()),
            fields: fields.into_bytes(),
        }
    }

    #[test]
    fn a_trace_begins_where_the_error_was_captured() {
        let pipeline = pipeline();
        within(pipeline, || capture_error(&std::fmt::Error));
        let told = resolved(&Told::one(pipeline));
        let own = "a_trace_begins_where_the_error_was_captured";
        let trace = told.text(semconv::EXCEPTION_STACKTRACE);
        assert!(trace.lines().next().unwrap().contains(own), "{trace}");
        let function = told.text(semconv::CODE_FUNCTION_NAME);
        assert!(function.contains(own), "{function}");
        assert_eq!(told.text(semconv::CODE_FILE_PATH), file!());
    }

    #[test]
    fn an_error_captured_in_a_chain_has_the_place_of_its_function() {
        let pipeline = pipeline();
        within(pipeline, || {
            let _ = Err::<(), _>(std::fmt::Error).inspect_err(capture_error);
        });
        let told = resolved(&Told::one(pipeline));
        let file = told.text(semconv::CODE_FILE_PATH);
        assert!(file.ends_with(file!()), "{file}");
    }

    #[test]
    fn what_carries_no_stack_is_left_as_it_is() {
        let pipeline = pipeline();
        within(pipeline, || panics::record_caught(pipeline, &"planted"));
        let told = Told::one(pipeline);
        let mut fields = Fields::new(Limits::default(), told.fields.clone());
        ResolveStack::default().apply(&told.record, &mut fields);
        assert_eq!(fields.as_bytes(), told.fields);
    }
}
