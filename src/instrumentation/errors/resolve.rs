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
    if is_panic && is_unwinding(frames) {
        fields.boolean(semconv::PANIC_WHILE_UNWINDING, true);
    }
}

/// Whether a destructor that another panic runs called for these functions. The hook of a panic runs
/// before its own unwinding.
fn is_unwinding(frames: &[Frame]) -> bool {
    let function = |frame: &Frame| frame.function.as_deref() == Some("_Unwind_RaiseException");
    frames.iter().any(function)
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
    use crate::{
        clock::Clock,
        records::{Limits, Log, Severity},
        stack,
    };

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

    fn of_type(type_name: &str) -> Told {
        let log = Log {
            context: None,
            at: Clock::system().now(),
            severity: Severity::Error,
            event_name: "exception".into(),
        };
        let mut fields = Fields::new(Limits::default(), Vec::new());
        fields.word(semconv::EXCEPTION_TYPE, type_name);
        Told {
            record: Record::Error(log, Box::new(stack::capture())),
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
    fn a_panic_amid_another_is_told_as_such_and_an_error_is_not() {
        struct Dropped<'a>(&'a mut Option<[Told; 2]>);
        impl Drop for Dropped<'_> {
            fn drop(&mut self) {
                *self.0 = Some(["panic", "orders::Declined"].map(of_type));
            }
        }
        let mut taken = None;
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _dropped = Dropped(&mut taken);
            panic!("planted");
        }));
        assert!(unwound.is_err());
        let marked = taken.unwrap().map(|told| {
            let told = resolved(&told);
            told.value(semconv::PANIC_WHILE_UNWINDING).is_some()
        });
        assert_eq!(marked, [true, false]);
        let alone = resolved(&of_type("panic"));
        assert_eq!(alone.value(semconv::PANIC_WHILE_UNWINDING), None);
    }
}
