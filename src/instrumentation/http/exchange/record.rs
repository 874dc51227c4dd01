//! What is recorded of a request that has ended.

use super::{EndsBy, Exchange, SSE};
use crate::{
    http::{Outcome, instruments::Measure, request::Protocol},
    pipeline::Named,
};
use std::time::Instant;

impl Exchange {
    /// The one place where a request is counted as ended.
    pub(super) fn record(&mut self) {
        let outcome = self.decided.unwrap_or(self.outcome);
        let instruments = self.instruments;
        instruments.active(self.traits).add(-1);
        instruments.finished(outcome, self.status).add(1);
        let pipeline = instruments.pipeline;
        if pipeline.users.are_declared() || pipeline.sessions.are_declared() {
            self.tell_user();
        }
        let is_measured = outcome != Outcome::Upgraded && self.traits.protocol == Protocol::Http;
        if !is_measured && self.span.is_none() {
            return;
        }
        let now = instruments.pipeline.clock.now();
        self.record_span(outcome, now);
        if !is_measured {
            return;
        }
        let since = |begin: Instant| now.saturating_duration_since(begin);
        let exemplar = self.exemplar();
        let alike = self.alike.take().filter(|alike| alike.is_of(outcome));
        let alike = alike
            .unwrap_or_else(|| instruments.alike(self.route, self.traits, self.status, outcome));
        if let EndsBy::EventStream {
            since: head,
            active,
        } = &self.ends_by
        {
            active.add(-1);
            let error_type = outcome.error_type().unwrap_or_default();
            instruments
                .streams_duration(self.route, SSE, error_type)
                .record_duration(since(*head), exemplar);
        } else {
            alike
                .histogram(Measure::Duration)
                .record_duration(since(self.started), exemplar);
        }
        if let Some(read) = &self.request_bytes {
            alike
                .histogram(Measure::RequestSize)
                .record_whole(read.count(), None);
        }
        alike
            .histogram(Measure::ResponseSize)
            .record_whole(self.response_bytes, None);
    }

    /// Whoever the request was for was active when it ended.
    fn tell_user(&self) {
        let pipeline = self.instruments.pipeline;
        if let Some(request) = &self.request
            && let Some(identity) = &request.identity
        {
            let now = pipeline.clock.now();
            if let Some(user) = identity.user() {
                pipeline.users.tell_request(now, user);
            }
            let (method, route) = (request.method, request.route);
            let what = Named::Request { method, route };
            let id = request.trace.deed();
            pipeline.sessions.tell(now, id, what, identity.who());
        }
    }
}
