//! From the call to the head of the response.

use super::{
    body::ResponseBody,
    exchange::Exchange,
    outcome::{Mark, Outcome},
    problem,
    unwound::catch,
    upgrade::UpgradedStream,
};
use crate::context;
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
    pub(super) fn new(
        inner: Option<F>,
        exchange: Exchange,
        timeout: Option<Duration>,
        upgrade: Option<UpgradedStream>,
    ) -> Self {
        let deadline = timeout.filter(|_| Handle::try_current().is_ok());
        Self {
            inner,
            exchange: Some(exchange),
            deadline: deadline.map(|timeout| Box::pin(sleep(timeout))),
            upgrade,
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
        let mut this = self.project();
        let Some(exchange) = this.exchange else {
            // Polled again after it was ready, which the contract of futures forbids.
            return Poll::Pending;
        };
        let polled = match this.inner.as_mut().as_pin_mut() {
            Some(inner) => catch(|| {
                let _entered = context::enter(&mut exchange.trace);
                inner.poll(cx)
            })
            .ok(),
            None => None,
        };
        let (outcome, status) = match polled {
            Some(Poll::Ready(Ok(response))) => {
                let exchange = this.exchange.take();
                return Poll::Ready(Ok(pass_on(response, exchange, this.upgrade.take())));
            }
            Some(Poll::Ready(Err(error))) => {
                if let Some(exchange) = this.exchange.take() {
                    exchange.end(Outcome::BodyFailed);
                }
                return Poll::Ready(Err(error));
            }
            Some(Poll::Pending) => {
                let deadline = this.deadline.as_mut().map(|sleep| sleep.as_mut().poll(cx));
                if deadline.is_none_or(|deadline| deadline.is_pending()) {
                    return Poll::Pending;
                }
                (Outcome::TimedOut, StatusCode::SERVICE_UNAVAILABLE)
            }
            None => (Outcome::Panicked, StatusCode::INTERNAL_SERVER_ERROR),
        };
        exchange.decide(outcome);
        // The handler ends here; its destructors may panic too, and change nothing any more.
        let _ = catch(|| {
            let _entered = context::enter(&mut exchange.trace);
            this.inner.set(None);
        });
        let (head, body) = problem::document(status, exchange.trace_id());
        let exchange = this
            .exchange
            .take()
            .and_then(|exchange| exchange.head(&head, false, Some(body.len() as u64), None));
        let body = ResponseBody::own(body, exchange);
        Poll::Ready(Ok(Response::from_parts(head, body)))
    }
}

fn pass_on<B: Body>(
    response: Response<B>,
    exchange: Option<Exchange>,
    upgrade: Option<UpgradedStream>,
) -> Response<ResponseBody<B>> {
    let (head, body) = response.into_parts();
    let exchange = exchange.and_then(|mut exchange| {
        if let Some(mark) = head.extensions.get::<Mark>() {
            exchange.decide((*mark).into());
        }
        exchange.head(
            &head,
            body.is_end_stream(),
            body.size_hint().exact(),
            upgrade,
        )
    });
    Response::from_parts(head, ResponseBody::of_handler(body, exchange))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
