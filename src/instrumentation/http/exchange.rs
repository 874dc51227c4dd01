//! The record-once guard: one for each accepted request, one outcome for each guard.

mod kept;
mod record;
mod span;

use super::{
    body::BytesRead,
    instruments::{Alike, Instruments, Measure, Route},
    outcome::Outcome,
    request::{Protocol, Traits, is_event_stream},
    request_span::RequestSpan,
    unwound::Panicked,
    upgrade::{self, UpgradedStream},
};
use crate::{
    context::{self, TraceContext},
    ids::{SpanContext, SpanId},
    metrics::UpDownCounter,
    pipeline::ResponseTap,
    records::{Signal, cut},
    semconv,
};
use ::http::{HeaderMap, HeaderName, Response, StatusCode, header};
use compact_str::CompactString;
pub(super) use kept::Kept;
use span::SpanDraft;
use std::{sync::Arc, time::Instant};

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The attribute `stream.kind` of an event stream.
const SSE: &str = "sse";

/// A request from the moment it was accepted. It starts as one that its client gave up, is told
/// how it ends, and is recorded when what [keeps](Kept) it ends or is dropped.
#[derive(Debug)]
pub(super) struct Exchange {
    instruments: &'static Instruments,
    route: &'static Route,
    traits: Traits,
    started: Instant,
    /// Handed to the context while the handler or the body is polled.
    pub(super) request: Option<Box<context::Request>>,
    /// The request as a span of `tracing`, where somebody wants it.
    seen: Option<Box<tracing::Span>>,
    /// What only the request's span says. `None`: spans go nowhere.
    span: Option<SpanDraft>,
    /// `None`: the request came without a body.
    request_bytes: Option<BytesRead>,
    response_bytes: u64,
    /// Of what the head announced, where a server stops asking at that many; else `u64::MAX`.
    bytes_to_come: u64,
    /// 0 until a head was made.
    status: u16,
    /// Those whose head went out alike; most end alike as well.
    alike: Option<Alike<'static>>,
    ends_by: EndsBy,
    /// Overrides the outcome that the end of the body would give.
    decided: Option<Outcome>,
    /// What is recorded when nothing was decided.
    outcome: Outcome,
}

/// While it lives, the request is the current one.
pub(super) struct Within<'a> {
    _seen: Option<tracing::span::Entered<'a>>,
    _current: context::Entered<'a>,
}

/// What the end of the response means.
#[derive(Debug)]
enum EndsBy {
    Body,
    /// Trailers with a `grpc-status`, which may have been seen by now.
    GrpcStatus {
        is_seen: bool,
    },
    EventStream {
        since: Instant,
        active: Arc<UpDownCounter>,
    },
}

impl Exchange {
    pub(super) fn accept(
        instruments: &'static Instruments,
        route: Option<&str>,
        traits: Traits,
        (trace, parent): (TraceContext, Option<SpanId>),
        path: &str,
        request_span: RequestSpan,
    ) -> Kept {
        instruments.started.add(1);
        instruments.active(traits).add(1);
        let pipeline = instruments.pipeline;
        let route = instruments.route(route);
        let request = context::Request {
            trace,
            pipeline,
            route: route.template(),
            method: traits.method(),
            identity: None,
            panic_is_recorded: false,
            trail: None,
            repeats: None,
        };
        Kept::begin(request, |request| Self {
            instruments,
            route,
            traits,
            started: pipeline.clock.now(),
            seen: request_span.open(traits, &request, path),
            request: Some(request),
            span: pipeline.handoff.wants(Signal::Traces).then(|| SpanDraft {
                parent,
                path: CompactString::new(cut(path, pipeline.settings.record_limits.value_bytes)),
            }),
            request_bytes: None,
            response_bytes: 0,
            bytes_to_come: u64::MAX,
            status: 0,
            alike: None,
            ends_by: EndsBy::Body,
            decided: None,
            outcome: Outcome::ClientClosed,
        })
    }

    /// Until the program says otherwise.
    pub(super) fn name_session(&mut self, session: Option<String>) {
        if let (Some(request), Some(session)) = (&mut self.request, session) {
            request.identity = Some(Box::new(context::Identity::of_session(&session)));
        }
    }

    /// Where the bytes of the request's body are counted while the handler reads them.
    pub(super) fn count_request_body(&mut self, read: Option<BytesRead>) {
        self.request_bytes = read;
    }

    /// Makes this the current request until the guard goes.
    #[inline]
    pub(super) fn enter(&mut self) -> Within<'_> {
        Within {
            _seen: self.seen.as_ref().map(|seen| seen.enter()),
            _current: context::enter(&mut self.request),
        }
    }

    /// How the request ends, whatever becomes of its body.
    pub(super) fn decide(&mut self, outcome: Outcome) {
        self.decided = Some(outcome);
    }

    /// The head of the response is there; `body_is_at_its_end` that nothing follows it. Whether the
    /// request ends with it: then the exchange is to be dropped, which records.
    pub(super) fn head<B>(
        &mut self,
        response: &Response<B>,
        body_is_at_its_end: bool,
        exact_size: Option<u64>,
        upgraded: Option<UpgradedStream>,
    ) -> bool {
        self.status = response.status().as_u16();
        if let Some(seen) = &self.seen {
            seen.record(semconv::HTTP_RESPONSE_STATUS_CODE, self.status);
        }
        let is_tunnel = self.traits.is_connect() && response.status().is_success();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS || is_tunnel {
            // One that nobody holds would be told as a stream that ended at once.
            if let Some(stream) = upgraded.filter(UpgradedStream::is_held) {
                let kind = stream.kind();
                let active = self.instruments.streams_active(self.route, kind);
                let duration = self.instruments.streams_duration(self.route, kind, "");
                stream.open(upgrade::Open {
                    since: self.instruments.pipeline.clock.now(),
                    clock: self.instruments.pipeline.clock.clone(),
                    active,
                    duration,
                });
            }
            self.ends(Outcome::Upgraded);
            return true;
        }
        let is_grpc = self.traits.protocol == Protocol::Grpc && response.status() == StatusCode::OK;
        let announced = || {
            let length = response.headers().get(header::CONTENT_LENGTH)?;
            length.to_str().ok()?.parse().ok()
        };
        self.bytes_to_come = exact_size
            .or_else(announced)
            // Behind the bytes that a gRPC response announces come its trailers.
            .filter(|_| !is_grpc)
            .unwrap_or(u64::MAX);
        let is_bodyless = self.traits.is_head()
            || response.status() == StatusCode::NO_CONTENT
            || response.status() == StatusCode::NOT_MODIFIED
            || body_is_at_its_end
            || self.bytes_to_come == 0;
        match self.traits.protocol {
            Protocol::Grpc if is_grpc => {
                self.ends_by = EndsBy::GrpcStatus { is_seen: false };
                self.see_grpc_status(response.headers());
            }
            Protocol::Grpc | Protocol::GrpcWeb => {}
            Protocol::Http => {
                let now = self.record_first_byte();
                if !is_bodyless && is_event_stream(response.headers()) {
                    let active = self.instruments.streams_active(self.route, SSE);
                    active.add(1);
                    self.ends_by = EndsBy::EventStream { since: now, active };
                    if let Some(request) = &mut self.request {
                        // It asks again and again for what is new.
                        context::Repeats::close(&mut request.repeats);
                    }
                }
            }
        }
        if is_bodyless {
            self.body_ends();
        }
        is_bodyless
    }

    /// Bytes of the body were handed over. Whether nothing can follow them.
    pub(super) fn data(&mut self, bytes: u64) -> bool {
        self.response_bytes += bytes;
        self.bytes_to_come = self.bytes_to_come.saturating_sub(bytes);
        self.bytes_to_come == 0
    }

    /// The whole of a body that the layer made itself was handed over.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.response_bytes += bytes;
        self.body_ends();
    }

    /// Trailers were handed over, the last thing of a body.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        self.see_grpc_status(trailers);
    }

    /// The body came to its end; the exchange is to be dropped.
    pub(super) fn body_ends(&mut self) {
        let outcome = match self.ends_by {
            EndsBy::GrpcStatus { is_seen: true } => Outcome::Completed,
            // A gRPC response that ends without its status is broken off.
            EndsBy::GrpcStatus { is_seen: false } => Outcome::BodyFailed,
            // Whatever the handler made of half a request, nobody is there to read it.
            _ if self
                .request_bytes
                .as_ref()
                .is_some_and(BytesRead::is_broken) =>
            {
                Outcome::ClientClosed
            }
            EndsBy::Body | EndsBy::EventStream { .. } => Outcome::Completed,
        };
        self.ends(outcome);
    }

    /// The request ends in this way, unless another was decided; the exchange is to be dropped.
    pub(super) fn ends(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Tells whoever listens, while this request is the current one.
    #[cold]
    pub(super) fn tell(&mut self, tell: impl FnOnce(&dyn ResponseTap)) {
        if let Some(tap) = self.instruments.pipeline.response_tap.get() {
            let _within = self.enter();
            tell(&**tap);
        }
    }

    /// Tells of a panic of its handler or of its body.
    #[cold]
    pub(super) fn tell_panic(&mut self, panicked: &Panicked) {
        if let Some(payload) = &panicked.0 {
            self.tell(|tap| tap.panicked(&**payload));
        }
    }

    /// The route's template; empty when none matched.
    fn see_grpc_status(&mut self, headers: &HeaderMap) {
        if let EndsBy::GrpcStatus { is_seen } = &mut self.ends_by
            && headers.contains_key(&GRPC_STATUS)
        {
            *is_seen = true;
            self.outcome = Outcome::Completed;
        }
    }

    fn record_first_byte(&mut self) -> Instant {
        let now = self.instruments.pipeline.clock.now();
        let elapsed = now.saturating_duration_since(self.started);
        // What is known at the head: the body may still fail.
        let outcome = self.decided.unwrap_or(Outcome::Completed);
        let instruments = self.instruments;
        let alike = instruments.alike(self.route, self.traits, self.status, outcome);
        alike
            .histogram(Measure::FirstByte)
            .record_duration(elapsed, self.exemplar());
        self.alike = Some(alike);
        now
    }

    fn exemplar(&self) -> Option<SpanContext> {
        let span = self.request.as_ref()?.trace.span();
        self.instruments.pipeline.settings.exemplars.choose(span)
    }
}
