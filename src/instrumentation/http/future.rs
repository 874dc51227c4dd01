//! From the call to the head of the response.

use super::{
    body::ResponseBody,
    exchange::Exchange,
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
        exchange: Option<Exchange>,
        // Boxed, since few layers have one and every future is moved.
        deadline: Option<Pin<Box<Sleep>>>,
        upgrade: Option<UpgradedStream>,
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(super) fn new(
        exchange: Exchange,
        timeout: Option<Duration>,
        upgrade: Option<UpgradedStream>,
    ) -> Self {
        // A runtime without a timer panics here: then there is no timeout, as on no runtime.
        let deadline = timeout
            .filter(|_| Handle::try_current().is_ok())
            .and_then(|timeout| catch(|| Box::pin(sleep(timeout))).ok());
        Self {
            inner: None,
            exchange: Some(exchange),
            deadline,
            upgrade,
        }
    }

    /// Calls the inner service, once. Should it panic here, the first poll answers for it.
    #[inline]
    pub(super) fn call(&mut self, call: impl FnOnce() -> Option<F>) {
        // Into its place at once: futures are large, and each move is a copy.
        let called = catch(|| {
            let _within = self.exchange.as_mut().map(Exchange::enter);
            self.inner = call();
        });
        if let (Err(panicked), Some(exchange)) = (called, &mut self.exchange) {
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
        if this.exchange.is_none() {
            // Polled again after it was ready, which the contract of futures forbids.
            return;
        }
        let caught = match this.inner.as_mut().as_pin_mut() {
            // The response's body is the host's code as well: it is asked in here.
            Some(inner) => catch(|| {
                let inner = {
                    let _within = this.exchange.as_mut().map(Exchange::enter);
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
                if let Some(exchange) = this.exchange {
                    exchange.ends(Outcome::BodyFailed);
                    *this.exchange = None;
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
                if let Some(exchange) = this.exchange {
                    exchange.tell_panic(&panicked);
                }
                (Outcome::Panicked, StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        // The handler ends here; its destructors may panic too, and change nothing any more.
        let _ = catch(|| {
            let _within = this.exchange.as_mut().map(Exchange::enter);
            this.inner.set(None);
        });
        if let Some(exchange) = this.exchange.take() {
            *polled = Poll::Ready(Ok(answer_for(exchange, outcome, status)));
        }
    }
}

/// The response of a handler that made none.
#[cold]
fn answer_for<B>(
    mut exchange: Exchange,
    outcome: Outcome,
    status: StatusCode,
) -> Response<ResponseBody<B>> {
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
    let is_over = exchange.head(&problem, false, Some(size), None);
    problem.map(|body| ResponseBody::own(body, (!is_over).then_some(exchange)))
}

/// Leaves in `exchange` nothing: it ends here, or goes on in the body.
#[inline]
fn pass_on<B: Body>(
    response: Response<B>,
    exchange: &mut Option<Exchange>,
    upgrade: Option<UpgradedStream>,
) -> Response<ResponseBody<B>> {
    // The host's code first: should it panic, the exchange is still where it was.
    let body = response.body();
    let (is_at_its_end, exact_size) = (body.is_end_stream(), body.size_hint().exact());
    if let (Some(exchange), Some(mark)) = (&mut *exchange, response.extensions().get::<Mark>()) {
        exchange.decide((*mark).into());
    }
    let status = response.status();
    if status.as_u16() >= 400
        && let Some(exchange) = &mut *exchange
    {
        exchange.tell(|tap| tap.response(status, response.extensions()));
    }
    let ends =
        |exchange: &mut Exchange| exchange.head(&response, is_at_its_end, exact_size, upgrade);
    if exchange.as_mut().is_some_and(ends) {
        *exchange = None;
    }
    response.map(|body| ResponseBody::of_handler(body, exchange.take()))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
