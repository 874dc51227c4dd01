//! What the HTTP layer tells.

use super::{HandlerError, logged, panics};
use crate::pipeline::{Pipeline, ResponseTap};
use ::http::{Extensions, StatusCode};
use std::any::Any;

/// Has the HTTP layer tell `pipeline` of errors that its responses carry, and of panics that it
/// catches, and lines of log of errors that they carry.
pub(crate) fn watch(pipeline: &'static Pipeline) {
    panics::prepare(pipeline);
    pipeline
        .response_tap
        .get_or_init(|| Box::new(Tap { pipeline }));
    pipeline
        .error_tap
        .get_or_init(|| Box::new(logged::Tap { pipeline }));
}

#[derive(Debug)]
struct Tap {
    pipeline: &'static Pipeline,
}

impl ResponseTap for Tap {
    fn response(&self, status: StatusCode, extensions: &Extensions) {
        if let Some(error) = extensions.get::<HandlerError>() {
            error.reached_the_layer(self.pipeline, status);
        }
    }

    fn panicked(&self, payload: &(dyn Any + Send)) {
        panics::record_caught(self.pipeline, payload);
    }
}
