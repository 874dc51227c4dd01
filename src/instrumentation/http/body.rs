//! Bodies that are counted as they pass.

use super::{exchange::Kept, outcome::Outcome, unwound::catch};
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    any::Any,
    error::Error,
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

pin_project! {
    /// A request's body whose bytes are counted as the handler reads them.
    ///
    /// Behind [`Telemetry::tower_layer`](crate::Telemetry::tower_layer) a service is called with
    /// `Request<RequestBody<B>>`.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        read: Option<BytesRead>,
    }
}

/// How much of a request's body was read, and whether it broke off.
#[derive(Clone, Debug, Default)]
#[expect(unnameable_types, reason = "between the layer and its own bodies")]
pub struct BytesRead(Arc<AtomicU64>);

impl BytesRead {
    /// The highest bit of the count: no body has so many bytes.
    const BROKEN: u64 = 1 << 63;

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & !Self::BROKEN
    }

    /// The connection, or the stream, ended before the body did.
    pub(super) fn is_broken(&self) -> bool {
        self.0.load(Ordering::Relaxed) & Self::BROKEN != 0
    }
}

impl<B: Body> RequestBody<B> {
    /// The body, and where its bytes are counted; a body at its end needs no place for that.
    pub(super) fn new(inner: B) -> (Self, Option<BytesRead>) {
        let read = (!inner.is_end_stream()).then(BytesRead::default);
        let count = read.clone();
        (Self { inner, read }, count)
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(BytesRead(read)) = this.read {
            match &frame {
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Buf::remaining);
                    read.fetch_add(bytes as u64, Ordering::Relaxed);
                }
                Some(Err(error)) if is_of_the_connection(error) => {
                    read.fetch_or(BytesRead::BROKEN, Ordering::Relaxed);
                }
                Some(Err(_)) | None => {}
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whether a body broke off because its client went, and not because of what it had sent.
fn is_of_the_connection(error: &(dyn Any + 'static)) -> bool {
    let boxed = error.downcast_ref::<Box<dyn Error + Send + Sync>>();
    let mut cause: Option<&(dyn Error + 'static)> = match boxed {
        Some(boxed) => Some(&**boxed),
        None => error.downcast_ref::<hyper::Error>().map(|error| error as _),
    };
    #[cfg(feature = "axum")]
    if cause.is_none() {
        cause = error.downcast_ref::<axum::Error>().map(|error| error as _);
    }
    while let Some(error) = cause {
        let of_hyper = error.downcast_ref::<hyper::Error>().is_some_and(|error| {
            let cause = error.source();
            // What HTTP/1 finds malformed is an error of io; HTTP/2 tells of streams and connections
            // that ended, in a type of its own.
            let of_http_2 = cause.is_some_and(|cause| !cause.is::<io::Error>());
            of_http_2 || error.is_incomplete_message() || error.is_closed() || error.is_canceled()
        });
        let of_socket = error.downcast_ref::<io::Error>().is_some_and(|error| {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            let kind = error.kind();
            matches!(
                kind,
                BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
            )
        });
        if of_hyper || of_socket {
            return true;
        }
        cause = error.source();
    }
    false
}

pin_project! {
    /// A response's body that ends its request: when it is read to its end, fails, panics or is
    /// dropped.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: Option<B>,
        // In place of the inner body: a response that the layer made itself.
        own: Option<Bytes>,
        exchange: Kept,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn of_handler(inner: B, exchange: Kept) -> Self {
        Self {
            inner: Some(inner),
            own: None,
            exchange,
        }
    }

    pub(super) fn own(body: Bytes, exchange: Kept) -> Self {
        Self {
            inner: None,
            own: Some(body),
            exchange,
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            let own = this.own.take();
            if let Some(exchange) = this.exchange.get() {
                exchange.sent(own.as_ref().map_or(0, |own| own.len() as u64));
                this.exchange.end();
            }
            return Poll::Ready(own.map(|own| Ok(Frame::data(own))));
        };
        let Some(exchange) = this.exchange.get() else {
            // Ended already; a server that asks again gets what there is.
            return inner
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into)));
        };
        let mut inner = inner;
        let polled = catch(|| {
            let _within = exchange.enter();
            let frame = inner.as_mut().poll_frame(cx);
            (frame, inner.is_end_stream())
        });
        let (frame, is_at_its_end) = match polled {
            Ok(polled) => polled,
            Err(panicked) => {
                exchange.decide(Outcome::Panicked);
                exchange.tell_panic(&panicked);
                // Its destructor may panic as well.
                let _ = catch(|| this.inner.set(None));
                this.exchange.end();
                return Poll::Ready(Some(Err(Box::new(BodyPanicked))));
            }
        };
        let frame = ready!(frame);
        let is_over = match &frame {
            None => true,
            Some(Err(_)) => {
                exchange.ends(Outcome::BodyFailed);
                this.exchange.end();
                false
            }
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => exchange.data(data.len() as u64) || is_at_its_end,
                (None, Some(trailers)) => {
                    exchange.trailers(trailers);
                    true
                }
                (None, None) => is_at_its_end,
            },
        };
        if is_over && let Some(exchange) = this.exchange.get() {
            exchange.body_ends();
            this.exchange.end();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => inner.is_end_stream(),
            None => self.own.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(self.own.as_ref().map_or(0, |own| own.len() as u64)),
        }
    }
}

/// What the server is told of a body that panicked: it breaks the response off.
#[derive(Debug)]
struct BodyPanicked;

impl fmt::Display for BodyPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response's body panicked")
    }
}

impl Error for BodyPanicked {}
