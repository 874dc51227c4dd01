//! What one source may be told of another's doings, without knowing it.

use ::http::{Extensions, StatusCode};
use std::{any::Any, fmt};

/// Told of what becomes of requests, while the request in question is the current one.
pub(crate) trait ResponseTap: fmt::Debug + Send + Sync {
    /// The handler answered with a status of 400 or beyond.
    fn response(&self, status: StatusCode, extensions: &Extensions);

    /// The handler, or the body of its response, panicked, and the layer caught it. The panic hook,
    /// where one was called, has run by now.
    fn panicked(&self, payload: &(dyn Any + Send));
}
