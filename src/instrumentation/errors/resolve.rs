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
    let (mut is_panic, mut told_file, mut told_line) = (false, None, None);
    for (name, value) in read(fields.as_bytes()) {
        match (name, value) {
            (semconv::EXCEPTION_TYPE, value) => is_panic |= value == Value::Text(panics::TYPE),
            (semconv::CODE_FILE_PATH, Value::Text(file)) => told_file = Some(file),
            (semconv::CODE_LINE_NUMBER, Value::Integer(line)) => told_line = Some(line),
            _ => {}
        }
    }
    let has_place = told_file.is_some();
    let origin = match is_panic {
        true => Origin::Panic,
        false => Origin::Call,
    };
    let mut trace = trim(frames, origin);
    // What lies further in than the place that is told is `#[track_caller]`: not the culprit, as a
    // `From` that `?` calls, or the indexing of a slice.
    if let (Some(file), Some(line)) = (told_file, told_line) {
        let is_told = |frame: &Frame| is_at(frame, file, line);
        trace = &trace[trace.iter().position(is_told).unwrap_or(0)..];
    }
    fields.word(semconv::EXCEPTION_STACKTRACE, &render(trace));
    if let Some(frame) = trace.iter().find(|frame| frame.in_app) {
        if let Some(function) = &frame.function {
            fields.word(semconv::CODE_FUNCTION_NAME, function);
        }
        if let (false, Some(file), Some(line)) = (has_place, &frame.file, frame.line) {
            fields.word(semconv::CODE_FILE_PATH, file);
            fields.number(semconv::CODE_LINE_NUMBER, line.into());
        }
    }
}

/// Whether a frame, which has a whole path, is at the place that the compiler names by the path
/// that it was given.
fn is_at(frame: &Frame, file: &str, line: i64) -> bool {
    let is_there = |frame_file: &str| {
        let folder = frame_file.strip_suffix(file);
        folder.is_some_and(|folder| folder.is_empty() || folder.ends_with(['/', '\\']))
    };
    frame.line.map(i64::from) == Some(line) && frame.file.as_deref().is_some_and(is_there)
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
    fn a_trace_begins_with_who_called_what_tracks_its_caller() {
        #[inline(never)]
        #[track_caller]
        fn give_up() {
            capture_error(&std::fmt::Error);
            std::hint::black_box(());
        }
        let pipeline = pipeline();
        within(pipeline, || {
            give_up();
            std::hint::black_box(());
        });
        let told = resolved(&Told::one(pipeline));
        let trace = told.text(semconv::EXCEPTION_STACKTRACE);
        assert!(!trace.contains("give_up"), "{trace}");
        assert!(trace.lines().next().unwrap().contains("tracks_its_caller"));
        let function = told.text(semconv::CODE_FUNCTION_NAME);
        assert!(function.contains("tracks_its_caller"), "{function}");
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
