//! The layer for outgoing calls: they go on in the same trace, and each is measured.

use super::{propagation, request::Traits};
use crate::{
    catalog,
    context::{self, Happened, Millis, TraceContext},
    ids::{SpanContext, SpanId, TraceId},
    metrics::{Family, Histogram, InsertOnlyMap},
    pipeline::Pipeline,
    records::{Fields, Record, Signal, Span, SpanKind},
    redaction, semconv,
};
use ::http::{Request, Response, Uri};
use compact_str::{CompactString, format_compact};
use pin_project_lite::pin_project;
use rustc_hash::FxBuildHasher;
use std::{
    any::type_name,
    fmt,
    future::Future,
    hash::BuildHasher as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tower_layer::Layer;
use tower_service::Service;

/// Distinct combinations of method, server, status, error and template.
const COMBINATIONS: usize = 1_000;
/// The `error.type` of a call whose future was dropped.
const CANCELLED: &str = "cancelled";

/// Measures calls to other services and sends the trace along: `traceparent`, and the caller's
/// `tracestate`. Made by [`Telemetry::client_layer`](crate::Telemetry::client_layer).
///
/// Each call is a span of kind CLIENT under the innermost span of the calling code, or begins a
/// trace of its own, and one measurement of
/// [`http.client.request.duration`](catalog::http::CLIENT_REQUEST_DURATION): from the call to the
/// head of the response. A call that fails has the type of its error as `error.type`, one with a
/// status of 400 or more has the status, one whose future is dropped has `cancelled`.
///
/// The inner service is called with the request as it is but for the two headers, which replace
/// any that are there.
#[derive(Clone, Copy)]
pub struct ClientLayer {
    client: &'static Client,
}

/// What a service is called: goes into a request's extensions, and becomes the `url.template` of
/// the span and the measurement. A constant such as `/orders/{id}`.
///
/// ```
/// use orderscope::http::UrlTemplate;
///
/// let request = http::Request::get("http://orders:3000/orders/7")
///     .extension(UrlTemplate("/orders/{id}"))
///     .body(());
/// # drop(request);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a name around one word")]
pub struct UrlTemplate(pub &'static str);

/// Made once for each telemetry, and leaked with it.
#[derive(Debug)]
pub(crate) struct Client {
    pipeline: &'static Pipeline,
    durations: Family<Histogram>,
    known: InsertOnlyMap<Key<Box<str>>, Arc<Histogram>>,
}

/// What calls are told apart by.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key<S> {
    method: &'static str,
    address: S,
    port: u16,
    status: u16,
    error: &'static str,
    template: &'static str,
}

impl Client {
    pub(crate) fn leaked(pipeline: &'static Pipeline) -> &'static Self {
        let durations = &catalog::http::CLIENT_REQUEST_DURATION;
        Box::leak(Box::new(Self {
            pipeline,
            durations: pipeline.registry.histogram(durations),
            known: InsertOnlyMap::new(COMBINATIONS / 4, COMBINATIONS),
        }))
    }

    fn duration(&self, key: Key<&str>) -> Arc<Histogram> {
        let hash = FxBuildHasher.hash_one(&key);
        let is_it = |known: &Key<Box<str>>| {
            known.method == key.method
                && *known.address == *key.address
                && known.port == key.port
                && known.status == key.status
                && known.error == key.error
                && known.template == key.template
        };
        let series = || {
            let text = |number: u16| match number {
                0 => String::new(),
                number => number.to_string(),
            };
            let (port, status) = (text(key.port), text(key.status));
            let error = if key.error.is_empty() && key.status >= 400 {
                status.as_str()
            } else {
                key.error
            };
            self.durations.with(&[
                (semconv::HTTP_REQUEST_METHOD, key.method),
                (semconv::SERVER_ADDRESS, key.address),
                (semconv::SERVER_PORT, &port),
                (semconv::HTTP_RESPONSE_STATUS_CODE, &status),
                (semconv::ERROR_TYPE, error),
                (semconv::URL_TEMPLATE, key.template),
            ])
        };
        let owned = || Key {
            method: key.method,
            address: key.address.into(),
            port: key.port,
            status: key.status,
            error: key.error,
            template: key.template,
        };
        let known = self.known.get(hash, is_it);
        known
            .or_else(|| self.known.insert(hash, is_it, || (owned(), series())))
            .map_or_else(series, Arc::clone)
    }
}

impl ClientLayer {
    pub(crate) fn new(client: &'static Client) -> Self {
        Self { client }
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService {
            inner,
            client: self.client,
        }
    }
}

impl fmt::Debug for ClientLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientLayer").finish_non_exhaustive()
    }
}

/// The service that [`ClientLayer`] makes.
#[derive(Clone)]
pub struct ClientService<S> {
    inner: S,
    client: &'static Client,
}

impl<S, B, A> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<A>>,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> ClientFuture<S::Future> {
        let call = Call::begin(self.client, &request);
        if self.client.pipeline.settings.propagates {
            propagation::inject(&call.trace, request.headers_mut());
        }
        ClientFuture {
            inner: self.inner.call(request),
            call: Some(call),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ClientService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`ClientService`]. Dropped before it is ready, its call counts as `cancelled`.
    pub struct ClientFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, A, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<A>, E>>,
{
    type Output = Result<Response<A>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        if let Some(mut call) = this.call.take() {
            match &answer {
                Ok(response) => (call.status, call.error) = (response.status().as_u16(), ""),
                Err(_) => call.error = type_name::<E>(),
            }
        }
        Poll::Ready(answer)
    }
}

impl<F> fmt::Debug for ClientFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFuture").finish_non_exhaustive()
    }
}

/// One outgoing call. It starts as one that is cancelled, is told how it ended, and records when it
/// is dropped.
#[derive(Debug)]
struct Call {
    client: &'static Client,
    trace: TraceContext,
    parent: Option<SpanId>,
    started: Instant,
    method: &'static str,
    uri: Uri,
    template: &'static str,
    /// 0 until there is a head.
    status: u16,
    error: &'static str,
}

impl Call {
    fn begin<B>(client: &'static Client, request: &Request<B>) -> Self {
        let caller = context::current_trace();
        let parent = caller.as_ref().map(|caller| caller.span_id);
        let trace = caller.unwrap_or_else(|| {
            let trace_id = TraceId::random();
            TraceContext {
                trace_id,
                span_id: SpanId::random(),
                sampled: client.pipeline.settings.sampling.begins(trace_id),
                state: None,
            }
        });
        let template = request.extensions().get::<UrlTemplate>();
        Self {
            client,
            trace: TraceContext {
                span_id: SpanId::random(),
                ..trace
            },
            parent,
            started: client.pipeline.clock.now(),
            method: Traits::method_of(request.method()),
            uri: request.uri().clone(),
            template: template.map_or("", |template| template.0),
            status: 0,
            error: CANCELLED,
        }
    }

    fn port(&self) -> u16 {
        let by_scheme = match self.uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => 0,
        };
        self.uri.port_u16().unwrap_or(by_scheme)
    }

    fn describe(&self, fields: &mut Fields) {
        fields.word(semconv::HTTP_REQUEST_METHOD, self.method);
        if let Some(host) = self.uri.host() {
            fields.word(semconv::SERVER_ADDRESS, host);
            fields.number(semconv::SERVER_PORT, self.port().into());
        }
        let url = self.uri.to_string();
        fields.word(semconv::URL_FULL, &redaction::url(&url));
        if !self.template.is_empty() {
            fields.word(semconv::URL_TEMPLATE, self.template);
        }
        if self.status > 0 {
            let status = i64::from(self.status);
            fields.number(semconv::HTTP_RESPONSE_STATUS_CODE, status);
        }
        match self.error {
            "" if self.status >= 400 => fields.display(semconv::ERROR_TYPE, self.status),
            "" => {}
            error => fields.word(semconv::ERROR_TYPE, error),
        }
    }

    fn name(&self) -> CompactString {
        match self.template {
            "" => CompactString::const_new(self.method),
            template => format_compact!("{} {template}", self.method),
        }
    }
}

/// `GET couriers 503 12.3ms`: of a call, in its request's trail.
struct Said<'a>(&'a Call, Duration);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(call, took) = self;
        let host = call.uri.host().unwrap_or_default();
        write!(f, "{} {host}", call.method)?;
        match (call.status, call.error) {
            (0, error) => write!(f, " {error}")?,
            (status, _) => write!(f, " {status}")?,
        }
        write!(f, " {}", Millis(*took))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let pipeline = self.client.pipeline;
        let now = pipeline.clock.now();
        let duration = now.saturating_duration_since(self.started);
        let span: SpanContext = self.trace.span();
        self.client
            .duration(Key {
                method: self.method,
                address: self.uri.host().unwrap_or_default(),
                port: self.port(),
                status: self.status,
                error: self.error,
                template: self.template,
            })
            .record_duration(duration, pipeline.settings.exemplars.choose(span));
        if pipeline.handoff.wants(Signal::Logs) {
            context::note(now, Happened::Call, Said(self, duration));
        }
        if !span.is_sampled || !pipeline.handoff.wants(Signal::Traces) {
            return;
        }
        let record = Span {
            context: span,
            parent: self.parent,
            kind: SpanKind::Client,
            name: self.name(),
            started: self.started,
            duration,
            // Unlike a server's, a client's span fails with the request that was at fault.
            is_error: self.status >= 400 || !self.error.is_empty(),
        };
        pipeline.record(Record::Span(record), |fields| self.describe(fields));
    }
}
