//! What one error event says, whatever it came from.

use crate::{context, records::Fields, semconv, stack::is_of_rust};
use std::{
    panic::Location,
    thread::{self, Thread},
    time::Instant,
};

/// An error or a panic, told.
#[derive(Debug)]
pub(super) struct Exception<'a> {
    pub(super) type_name: &'a str,
    pub(super) message: &'a str,
    /// One a line, each with its type.
    pub(super) causes: &'a str,
    pub(super) is_handled: bool,
    /// When it was raised.
    pub(super) when: Instant,
    /// `None`: the worker tells it from the stack.
    pub(super) at: Option<&'a Location<'a>>,
}

impl Exception<'_> {
    /// Runs no code of the host's: fit for a panic hook.
    pub(super) fn compose(&self, fields: &mut Fields) {
        fields.message(self.message);
        self.describe(fields);
        if let Some(at) = self.at {
            compose_place(at.file(), at.line(), fields);
        }
        describe_request(fields);
    }

    /// What it is, beside a line of log that says the rest.
    pub(super) fn describe(&self, fields: &mut Fields) {
        fields.word(semconv::EXCEPTION_TYPE, self.type_name);
        fields.told(semconv::EXCEPTION_MESSAGE, self.message);
        if !self.causes.is_empty() {
            fields.told(semconv::ERROR_CAUSES, self.causes);
        }
        fields.flag(semconv::ERROR_HANDLED, self.is_handled);
        context::describe_trail(self.when, fields);
        with_thread_name(|name| fields.told(semconv::THREAD_NAME, name));
    }
}

/// The folder that it was built in may be named after a secret.
pub(super) fn compose_place(file: &str, line: u32, fields: &mut Fields) {
    fields.told(semconv::CODE_FILE_PATH, file);
    fields.number(semconv::CODE_LINE_NUMBER, line.into());
}

/// `None` for a place in the standard library, which is what Rust gives when a function is passed
/// on, as in `inspect_err(capture_error)`.
pub(super) fn in_a_file_of_the_program<'a>(at: &'a Location<'a>) -> Option<&'a Location<'a>> {
    Some(at).filter(|at| !is_of_rust(at.file()))
}

/// A place as sites are told apart by.
pub(super) fn place<'a>(at: &'a Location<'a>) -> (&'a str, u32) {
    (at.file(), at.line())
}

/// The endpoint and whom it is for. Whether there is a request.
pub(super) fn describe_request(fields: &mut Fields) -> bool {
    context::describe(fields);
    describe_method(fields)
}

/// Whether there is a request.
pub(super) fn describe_method(fields: &mut Fields) -> bool {
    context::with_request(|request| fields.word(semconv::HTTP_REQUEST_METHOD, request.method))
        .is_some()
}

fn with_thread_name(read: impl FnOnce(&str)) {
    thread_local! {
        // Asked of a thread that is going, `thread::current` panics, which must not happen in a
        // hook; and each call of it counts a reference.
        static THIS: Thread = thread::current();
    }
    let _ = THIS.try_with(|this| this.name().map(read));
}
