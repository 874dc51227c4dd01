//! What one source may be told of another's doings, without knowing it.

use ::http::{Extensions, StatusCode};
use std::fmt;

/// Told of each response with a status of 400 and beyond, while its request is the current one.
pub(crate) trait ResponseTap: fmt::Debug + Send + Sync {
    fn response(&self, status: StatusCode, extensions: &Extensions);
}
