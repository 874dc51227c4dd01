//! What one error event says, whatever it came from.

use crate::{context, records::Fields, semconv};
use std::{
    panic::Location,
    thread::{self, Thread},
};

/// An error or a panic, told.
#[derive(Debug)]
pub(super) struct Exception<'a> {
    pub(super) type_name: &'a str,
    pub(super) message: &'a str,
    pub(super) is_handled: bool,
    /// `None`: the worker tells it from the stack.
    pub(super) at: Option<&'a Location<'a>>,
}

impl Exception<'_> {
    /// Runs no code of the host's: fit for a panic hook.
    pub(super) fn compose(&self, fields: &mut Fields) {
        fields.message(self.message);
        fields.word(semconv::EXCEPTION_TYPE, self.type_name);
        fields.text(semconv::EXCEPTION_MESSAGE, self.message);
        fields.boolean(semconv::ERROR_HANDLED, self.is_handled);
        if let Some(at) = self.at {
            fields.word(semconv::CODE_FILE_PATH, at.file());
            fields.number(semconv::CODE_LINE_NUMBER, at.line().into());
        }
        with_thread_name(|name| fields.text(semconv::THREAD_NAME, name));
        describe_request(fields);
    }
}

/// `None` for a place in the standard library, which is what Rust gives when a function is passed
/// on, as in `inspect_err(capture_error)`.
pub(super) fn in_a_file_of_the_program<'a>(at: &'a Location<'a>) -> Option<&'a Location<'a>> {
    Some(at).filter(|at| !at.file().contains("/library/core/src/"))
}

/// The endpoint and whom it is for. Whether there is a request.
pub(super) fn describe_request(fields: &mut Fields) -> bool {
    context::describe(fields);
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
