//! From the call to the head of the response.

use super::{
    body::ResponseBody,
    exchange::{Exchange, Kept},
    outcome::{Mark, Outcome},
    problem,
    unwound::{Panicked, catch},
    upgrade::UpgradedStream,
};
use ::http::{Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep},
};

pin_project! {
    /// The future of [`HttpService`](super::HttpService). Dropped before it is ready, its request
    /// counts as `client_closed`.
    pub struct ResponseFuture<F> {
        // None: the inner service panicked.
        #[pin]
        inner: Option<F>,
        exchange: Kept,
        // Boxed, since few layers have one and every future is moved.
        deadline: Option<Pin<Box<Sleep>>>,
        upgrade: Option<UpgradedStream>,
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(super) fn new(
        exchange: Kept,
        timeout: Option<Duration>,
        upgrade: Option<UpgradedStream>,
    ) -> Self {
        // A runtime without a timer panics here: then there is no timeout, as on no runtime.
        let deadline = timeout
            .filter(|_| Handle::try_current().is_ok())
            .and_then(|timeout| catch(|| Box::pin(sleep(timeout))).ok());
        Self {
            inner: None,
            exchange,
            deadline,
            upgrade,
        }
    }

    /// Calls the inner service, once. Should it panic here, the first poll answers for it.
    #[inline]
    pub(super) fn call(&mut self, call: impl FnOnce() -> Option<F>) {
        // Into its place at once: futures are large, and each move is a copy.
        let called = catch(|| {
            let _within = self.exchange.get().map(Exchange::enter);
            self.inner = call();
        });
        if let (Err(panicked), Some(exchange)) = (called, self.exchange.get()) {
            exchange.tell_panic(&panicked);
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Written where the caller wants it: a response is large, and each move is a copy.
        let mut polled = Poll::Pending;
        self.advance(cx, &mut polled);
        polled
    }
}

impl<F, B, E> ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    #[inline]
    fn advance(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        polled: &mut Poll<Result<Response<ResponseBody<B>>, E>>,
    ) {
        let mut this = self.project();
        if this.exchange.get().is_none() {
            // Polled again after it was ready, which the contract of futures forbids.
            return;
        }
        let caught = match this.inner.as_mut().as_pin_mut() {
            // The response's body is the host's code as well: it is asked in here.
            Some(inner) => catch(|| {
                let inner = {
                    let _within = this.exchange.get().map(Exchange::enter);
                    inner.poll(cx)
                };
                *polled =
                    inner.map_ok(|response| pass_on(response, this.exchange, this.upgrade.take()));
            }),
            // Told when it was called.
            None => Err(Panicked(None)),
        };
        let (outcome, status) = match caught {
            Ok(()) if polled.is_ready() => {
                // Still there: the inner service made an error, and no response.
                if let Some(exchange) = this.exchange.get() {
                    exchange.ends(Outcome::BodyFailed);
                    this.exchange.end();
                }
                return;
            }
            Ok(()) => {
                let deadline = this.deadline.as_mut().map(|sleep| sleep.as_mut().poll(cx));
                if deadline.is_none_or(|deadline| deadline.is_pending()) {
                    return;
                }
                (Outcome::TimedOut, StatusCode::SERVICE_UNAVAILABLE)
            }
            Err(panicked) => {
                if let Some(exchange) = this.exchange.get() {
                    exchange.tell_panic(&panicked);
                }
                (Outcome::Panicked, StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        // The handler ends here; its destructors may panic too, and change nothing any more.
        let _ = catch(|| {
            let _within = this.exchange.get().map(Exchange::enter);
            this.inner.set(None);
        });
        if let Some(answer) = answer_for(this.exchange.take(), outcome, status) {
            *polled = Poll::Ready(Ok(answer));
        }
    }
}

/// The response of a handler that made none. `None`: its request has ended.
#[cold]
fn answer_for<B>(
    mut kept: Kept,
    outcome: Outcome,
    status: StatusCode,
) -> Option<Response<ResponseBody<B>>> {
    let exchange = kept.get()?;
    exchange.decide(outcome);
    let request = exchange.request.as_ref();
    let trace_id = request.map(|request| request.trace.trace_id);
    if outcome == Outcome::TimedOut {
        // One line that the problem's trace id leads to; a panic has its error record. Within the
        // request, so that it says whose it is.
        let _within = exchange.enter();
        tracing::warn!(target: "orderscope::http", "a handler ran out of time");
    }
    let problem = problem::document(status, trace_id);
    let size = problem.body().len() as u64;
    if exchange.head(&problem, false, Some(size), None) {
        kept.end();
    }
    Some(problem.map(|body| ResponseBody::own(body, kept)))
}

/// Leaves in `kept` nothing: the request ends here, or goes on in the body.
#[inline]
fn pass_on<B: Body>(
    response: Response<B>,
    kept: &mut Kept,
    upgrade: Option<UpgradedStream>,
) -> Response<ResponseBody<B>> {
    // The host's code first: should it panic, the exchange is still where it was.
    let body = response.body();
    let (is_at_its_end, exact_size) = (body.is_end_stream(), body.size_hint().exact());
    if let Some(exchange) = kept.get() {
        if let Some(mark) = response.extensions().get::<Mark>() {
            exchange.decide((*mark).into());
        }
        let status = response.status();
        if status.as_u16() >= 400 {
            exchange.tell(|tap| tap.response(status, response.extensions()));
        }
        if exchange.head(&response, is_at_its_end, exact_size, upgrade) {
            kept.end();
        }
    }
    response.map(|body| ResponseBody::of_handler(body, kept.take()))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
