//! The layer for outgoing calls: they go on in the same trace, and each is measured.

mod body;
mod call;
mod failure;
mod peers;

pub use body::ClientBody;
pub(crate) use peers::Client;

use super::propagation;
use ::http::{Request, Response};
use call::Call;
use failure::{ErrorTypes, Known};
use http_body::Body;
use pin_project_lite::pin_project;
use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_layer::Layer;
use tower_service::Service;

/// Measures calls to other services and sends the trace along: `traceparent`, and the caller's
/// `tracestate`. Made by [`Telemetry::client_layer`](crate::Telemetry::client_layer).
///
/// Each call is a span of kind CLIENT under the innermost span of the calling code, or begins a
/// trace of its own, and one measurement of
/// [`http.client.request.duration`](crate::catalog::http::CLIENT_REQUEST_DURATION), with the span's
/// duration. The inner service is called with the request as it is but for the two headers, which
/// replace any that are there; it answers with its own response around a [`ClientBody`].
///
/// The server is named by the request's URL, or by its `Host` where the URL is a path alone, up to 100
/// of those: a service that passes on what it was asked passes on what its clients choose. `url.full` is the
/// URL, masked; no host is added to it.
///
/// # When a call ends
///
/// | the call ends | `error.type` |
/// | --- | --- |
/// | with the last byte of the response's body | the status, from 400 on |
/// | with its head: no body follows it, or an event stream, gRPC's messages or an upgraded connection do | the status, from 400 on; gRPC's own status, which may come last, is not read |
/// | when its body is dropped though nobody asked for any of it | the status, from 400 on |
/// | when its body is dropped amid reading, or its future before there is a head | `cancelled` |
/// | when its body breaks off | `body`; `timeout` where that is why |
/// | with an error in place of a head | see below |
///
/// Error types are read off an error and its causes: `dns`, the server's name was not resolved;
/// `connect`, nobody took the connection; `tls`, the two did not agree on its protection;
/// `timeout`, somebody's patience was over; `body`, the request's body failed; `connection_closed`,
/// the connection ended before the head came; `_OTHER`. They are told of hyper, hyper-util, rustls,
/// tokio and the standard library, by themselves, among the causes of a
/// `Box<dyn Error + Send + Sync>`, or of a type that
/// [`error_types`](Self::error_types) names.
///
/// A timeout around the layer drops the call's future: `cancelled`. One that is to be told from that
/// belongs within it; a layer for retries around it, so that each attempt is a call.
///
/// # Under reqwest
///
/// Its client speaks requests and responses of its own, which are made of those of `http`:
///
/// ```
/// use orderscope::http::UrlTemplate;
/// use tower::{Layer as _, ServiceExt as _, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let telemetry = orderscope::Telemetry::builder("orders").build()?;
/// let client = reqwest::Client::new();
/// let layer = telemetry
///     .client_layer()
///     .error_types(|error: &reqwest::Error| error.is_timeout().then_some("timeout"));
/// let calls = layer.layer(service_fn(move |request: http::Request<reqwest::Body>| {
///     let client = client.clone();
///     async move {
///         let answer = client.execute(request.try_into()?).await?;
///         Ok::<http::Response<reqwest::Body>, reqwest::Error>(answer.into())
///     }
/// }));
/// let request = http::Request::get("http://127.0.0.1:1/orders/7")
///     .extension(UrlTemplate("/orders/{id}"))
///     .body(reqwest::Body::default())?;
/// let answer = calls.oneshot(request).await;
/// // To be read as reqwest's own: `json()`, `text()`, `error_for_status()`.
/// let answer = answer.map(|answer| reqwest::Response::from(answer.map(reqwest::Body::wrap)));
/// assert!(answer.is_err_and(|error| error.is_connect()));
/// let calls = telemetry.snapshot();
/// let refused = [("error.type", "connect"), ("url.template", "/orders/{id}")];
/// assert_eq!(calls.histogram("http.client.request.duration", &refused).count(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct ClientLayer {
    client: &'static Client,
    types: Known,
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

impl ClientLayer {
    pub(crate) fn new(client: &'static Client) -> Self {
        Self {
            client,
            types: Known::default(),
        }
    }

    /// Names the `error.type` of errors of one type, wherever they stand among the causes of a
    /// failure, before the layer does; `None` leaves it to the layer. With it the layer looks also
    /// for the causes of an error of that type. May be called once for each type.
    ///
    /// The function is kept for as long as the process lives: make a layer once, not for each call.
    ///
    /// ```
    /// # let telemetry = orderscope::Telemetry::builder("orders").build()?;
    /// use tower::timeout::error::Elapsed;
    ///
    /// let layer = telemetry.client_layer().error_types(|_: &Elapsed| Some("timeout"));
    /// # drop(layer);
    /// # Ok::<(), orderscope::Error>(())
    /// ```
    #[must_use]
    pub fn error_types<E, F>(mut self, name: F) -> Self
    where
        E: Error + 'static,
        F: Fn(&E) -> Option<&'static str> + Send + Sync + 'static,
    {
        self.types = self.types.and(ErrorTypes::new(name));
        self
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService {
            inner,
            layer: *self,
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
    layer: ClientLayer,
}

impl<S, B, A> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Error: 'static,
    A: Body,
{
    type Response = Response<ClientBody<A>>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> ClientFuture<S::Future> {
        let ClientLayer { client, types } = self.layer;
        let (call, trace) = Call::begin(client, types, &request);
        if client.pipeline.settings.propagates {
            propagation::inject(&trace, request.headers_mut());
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
    A: Body,
    E: 'static,
{
    type Output = Result<Response<ClientBody<A>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let mut call = this.call.take();
        Poll::Ready(match answer {
            Ok(response) => {
                let is_over = response.body().is_end_stream();
                // It records when it goes: here, or with the body.
                call = call.and_then(|call| call.head(&response, is_over));
                Ok(response.map(|body| ClientBody::new(body, call)))
            }
            Err(error) => {
                if let Some(call) = &mut call {
                    call.fail(&error);
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for ClientFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFuture").finish_non_exhaustive()
    }
}
