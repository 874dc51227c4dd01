//! The layer that a router or a service is wrapped in.

#[cfg(feature = "axum")]
use super::route::{MatchedRoute, MatchedRouteOr};
use super::{
    body::{BytesRead, RequestBody},
    exchange::Exchange,
    future::ResponseFuture,
    instruments::Instruments,
    propagation,
    request::Traits,
    request_span::RequestSpan,
    route::{NameRoute, RequestHead, RouteBy},
    session,
    unwound::catch,
    upgrade::UpgradedStream,
};
use ::http::{Method, Request, Response, header};
use bytes::Bytes;
use http_body::Body;
use std::{
    fmt,
    marker::PhantomData,
    task::{Context, Poll},
    time::Duration,
};
use tower_layer::Layer;
use tower_service::Service;

/// Measures every request of what it wraps, gives each its outcome, and turns a handler's panic
/// into a response. Made by [`Telemetry::http_layer`](crate::Telemetry::http_layer) for axum and
/// by [`Telemetry::tower_layer`](crate::Telemetry::tower_layer) for any other service.
///
/// The [module's page](super) says when what is recorded.
pub struct HttpLayer<R, B> {
    instruments: &'static Instruments,
    routes: R,
    timeout: Option<Duration>,
    request_span: RequestSpan,
    request_body: PhantomData<fn() -> B>,
}

#[cfg(feature = "axum")]
impl HttpLayer<MatchedRoute, SameBody> {
    pub(crate) fn for_axum(instruments: &'static Instruments) -> Self {
        Self::new(instruments, MatchedRoute)
    }

    /// Names the route of requests that have no [`MatchedPath`](axum::extract::MatchedPath):
    /// those under `nest_service`, and those of a fallback. At most 1,000 different routes are
    /// kept; beyond, `_OTHER`. Return a template that the program knows, never the path as the
    /// client sent it. Write the closure in the call, or pass a `fn`.
    ///
    /// ```
    /// # use axum::Router;
    /// # let telemetry = orderscope::Telemetry::builder("menus").build()?;
    /// let layer = telemetry
    ///     .http_layer()
    ///     .route_by(|head| head.path().starts_with("/images/").then_some("/images/{*path}"));
    /// let app: Router = Router::new().layer(layer);
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    pub fn route_by<F>(self, route: F) -> HttpLayer<MatchedRouteOr<F>, SameBody>
    where
        F: for<'a> Fn(RequestHead<'a>) -> Option<&'a str>,
    {
        HttpLayer {
            instruments: self.instruments,
            routes: MatchedRouteOr(route),
            timeout: self.timeout,
            request_span: self.request_span,
            request_body: PhantomData,
        }
    }
}

impl<F> HttpLayer<RouteBy<F>, WrappedBody> {
    pub(crate) fn for_tower(instruments: &'static Instruments, route: F) -> Self {
        Self::new(instruments, RouteBy(route))
    }
}

impl<R, B> HttpLayer<R, B> {
    fn new(instruments: &'static Instruments, routes: R) -> Self {
        Self {
            instruments,
            routes,
            timeout: None,
            request_span: RequestSpan::default(),
            request_body: PhantomData,
        }
    }

    /// Answers 503 with a problem document when the handler has made no response within
    /// `timeout`, drops the handler, and counts the request as `timed_out`. A response's body may
    /// take longer, and a handler that blocks its thread cannot be interrupted. Off by default.
    ///
    /// Needs a tokio runtime with its timer, as axum does; on another executor there is no
    /// timeout.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether each request is a span of `tracing` too. Default: [`RequestSpan::Off`].
    pub fn request_span(mut self, request_span: RequestSpan) -> Self {
        self.request_span = request_span;
        self
    }
}

impl<S, R: Clone, B> Layer<S> for HttpLayer<R, B> {
    type Service = HttpService<S, R, B>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpService {
            inner,
            layer: self.clone(),
        }
    }
}

impl<R: Clone, B> Clone for HttpLayer<R, B> {
    fn clone(&self) -> Self {
        Self {
            instruments: self.instruments,
            routes: self.routes.clone(),
            timeout: self.timeout,
            request_span: self.request_span,
            request_body: PhantomData,
        }
    }
}

impl<R, B> fmt::Debug for HttpLayer<R, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLayer")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The service that [`HttpLayer`] makes.
#[derive(Debug)]
pub struct HttpService<S, R, B> {
    inner: S,
    layer: HttpLayer<R, B>,
}

impl<S: Clone, R: Clone, B> Clone for HttpService<S, R, B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, R, C, B, A> Service<Request<B>> for HttpService<S, R, C>
where
    R: NameRoute,
    C: CountBody<B>,
    S: Service<Request<C::Counted>, Response = Response<A>>,
    A: Body<Data = Bytes>,
    A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<super::ResponseBody<A>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let layer = &self.layer;
        let traits = Traits::of(
            request.method(),
            request.version(),
            request.uri(),
            request.headers(),
        );
        let settings = &layer.instruments.pipeline.settings;
        let trace = propagation::extract(request.headers(), settings);
        // The route's name is the host's code: a closure that panics names none.
        let route = catch(|| layer.routes.route(RequestHead::of(&request)));
        let mut exchange = Exchange::accept(
            layer.instruments,
            route.ok().flatten(),
            traits,
            trace,
            request.uri().path(),
            layer.request_span,
        );
        if let Some(carrier) = layer.instruments.pipeline.sessions.carrier()
            && let Some(exchange) = exchange.get()
        {
            exchange.name_session(session::named(request.headers(), carrier));
        }

        let asks_for_upgrade =
            request.headers().contains_key(header::UPGRADE) || *request.method() == Method::CONNECT;
        let upgrade = asks_for_upgrade.then(|| UpgradedStream::asked_for(request.headers()));
        if let Some(upgrade) = &upgrade {
            request.extensions_mut().insert(upgrade.clone());
        }
        let mut read = None;
        // In a place of its own, so that the closures that it goes through hold no copy.
        let mut request = Some(C::count(request, &mut read));
        if let Some(exchange) = exchange.get() {
            exchange.count_request_body(read);
        }

        let mut future = ResponseFuture::new(exchange, layer.timeout, upgrade);
        future.call(|| Some(self.inner.call(request.take()?)));
        future
    }
}

/// How the request's body is counted as the handler reads it. Implemented by [`SameBody`] and
/// [`WrappedBody`].
#[diagnostic::on_unimplemented(
    message = "`http_layer()` measures axum's requests, and `{B}` is not `axum::body::Body`",
    label = "a request with another body arrives here",
    note = "for hyper, tonic or any other tower service take `telemetry.tower_layer(route)`, whose service is called with `Request<orderscope::http::RequestBody<B>>`"
)]
pub trait CountBody<B>: sealed::Sealed {
    /// What the inner service is called with.
    type Counted;

    #[doc(hidden)]
    fn count(request: Request<B>, read: &mut Option<BytesRead>) -> Request<Self::Counted>;
}

/// axum's body, which stays axum's body; one that is empty is not touched.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SameBody;

/// Any body, which becomes a [`RequestBody`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WrappedBody;

#[cfg(feature = "axum")]
impl CountBody<axum::body::Body> for SameBody {
    type Counted = axum::body::Body;

    #[inline]
    fn count(
        mut request: Request<axum::body::Body>,
        read: &mut Option<BytesRead>,
    ) -> Request<axum::body::Body> {
        if !request.body().is_end_stream() {
            let body = std::mem::take(request.body_mut());
            let (body, count) = RequestBody::new(body);
            *read = count;
            *request.body_mut() = axum::body::Body::new(body);
        }
        request
    }
}

impl<B> CountBody<B> for WrappedBody
where
    B: Body,
    B::Error: 'static,
{
    type Counted = RequestBody<B>;

    #[inline]
    fn count(request: Request<B>, read: &mut Option<BytesRead>) -> Request<RequestBody<B>> {
        request.map(|body| {
            let (body, count) = RequestBody::new(body);
            *read = count;
            body
        })
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals")]
    pub trait Sealed {}
    impl Sealed for super::SameBody {}
    impl Sealed for super::WrappedBody {}
}
