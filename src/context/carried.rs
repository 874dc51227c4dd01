//! Taking the context where it would not go by itself.

use super::{Request, active, enter, trace, with_request_mut};
use crate::ids::SpanContext;
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// The future of [`carry`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Carried<F> {
        #[pin]
        inner: F,
        request: Option<Box<Request>>,
        span: Option<SpanContext>,
    }
}

/// Takes the current request, and the innermost span, into a task of its own: its spans, log lines,
/// errors and events belong to the same trace, the same route, the same user. Outside a request
/// the task runs as it is.
///
/// ```
/// # async fn handler() {
/// tokio::spawn(orderscope::context::carry(async {
///     // A span in here is a child of the span around the call of `carry`.
/// }));
/// # }
/// ```
pub fn carry<F>(future: F) -> Carried<F> {
    Carried {
        inner: future,
        request: with_request_mut(|request| {
            // What both run is counted together.
            request.repeats.get_or_insert_default();
            Box::new(request.clone())
        }),
        span: active(),
    }
}

impl<F: Future> Future for Carried<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.span.is_none() && this.request.is_none() {
            return this.inner.poll(cx);
        }
        // The guard restores what was active before, whatever is set here.
        let _entered = enter(this.request);
        trace::replace_active(*this.span);
        this.inner.poll(cx)
    }
}

impl<F> fmt::Debug for Carried<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").finish_non_exhaustive()
    }
}
