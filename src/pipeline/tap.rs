//! What one source may be told of another's doings, without knowing it.

use crate::records::{Fields, Log};
use ::http::{Extensions, StatusCode};
use std::{any::Any, error::Error, fmt};

/// Told of what becomes of requests, while the request in question is the current one.
pub(crate) trait ResponseTap: fmt::Debug + Send + Sync {
    /// The handler answered with a status of 400 or beyond.
    fn response(&self, status: StatusCode, extensions: &Extensions);

    /// The handler, or the body of its response, panicked, and the layer caught it. The panic hook,
    /// where one was called, has run by now.
    fn panicked(&self, payload: &(dyn Any + Send));
}

/// A line of log, of level ERROR or beyond, that carries an error as a value.
#[derive(Debug)]
pub(crate) struct LoggedError<'a> {
    pub(crate) error: &'a (dyn Error + 'static),
    pub(crate) log: Log,
    /// Where the line stands in the source.
    pub(crate) file: Option<&'a str>,
    pub(crate) line: Option<u32>,
    /// Whether the line says something beside its values.
    pub(crate) has_message: bool,
}

/// Told of errors that are logged, on the thread that logs.
pub(crate) trait ErrorTap: fmt::Debug + Send + Sync {
    /// Counts the error, and records it with its stack beside what the line says, which `compose`
    /// adds. The line's record comes back where that has been told often enough: then it is an
    /// ordinary one.
    fn logged(&self, logged: LoggedError<'_>, compose: &mut dyn FnMut(&mut Fields)) -> Option<Log>;
}
