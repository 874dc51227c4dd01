//! The request's own span, handed off when the request ends.

use super::Exchange;
use crate::{
    http::{Outcome, body::BytesRead},
    ids::SpanId,
    records::{Record, RequestSpan},
};
use ::http::HeaderValue;
use compact_str::CompactString;
use std::time::Instant;

/// What a request's span says that nothing else does.
#[derive(Debug)]
pub(super) struct SpanDraft {
    /// The caller's span.
    pub(super) parent: Option<SpanId>,
    pub(super) path: CompactString,
}

/// In memory of its own: the value is a part of what the server read the whole head into, which is
/// not to be kept as long as the record waits.
fn copied(mut state: Box<HeaderValue>) -> Box<HeaderValue> {
    if let Ok(copy) = HeaderValue::from_bytes(state.as_bytes()) {
        *state = copy;
    }
    state
}

impl Exchange {
    /// Hands the request's span off: of a trace that is recorded, and of a request that failed or
    /// was slow.
    #[inline]
    pub(super) fn record_span(&mut self, outcome: Outcome, now: Instant) {
        let (Some(draft), Some(request)) = (self.span.take(), &mut self.request) else {
            return;
        };
        let pipeline = self.instruments.pipeline;
        let duration = now.saturating_duration_since(self.started);
        let is_error = self.status >= 500
            || matches!(
                outcome,
                Outcome::Panicked | Outcome::TimedOut | Outcome::BodyFailed
            );
        if !(request.trace.sampled || is_error || duration > pipeline.settings.slow_after) {
            return;
        }
        let span = RequestSpan {
            context: request.trace.span(),
            parent: draft.parent,
            state: request.trace.state.take().map(copied),
            started: self.started,
            duration,
            method: self.traits.method(),
            scheme: self.traits.scheme(),
            version: self.traits.version(),
            route: self.route.template(),
            path: draft.path,
            status: self.status,
            outcome: outcome.as_str(),
            error_type: outcome.error_type(),
            request_bytes: self.request_bytes.as_ref().map(BytesRead::count),
            response_bytes: self.response_bytes,
            is_error,
        };
        pipeline.handoff.offer(Record::Request(span), &[]);
    }
}
