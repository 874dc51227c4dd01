//! The body of the response to a call.

use super::call::Call;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

pin_project! {
    /// A response's body that ends its call: when it is read to its end, breaks off or is dropped.
    #[derive(Debug)]
    pub struct ClientBody<B> {
        #[pin]
        inner: B,
        // `None`: the call has ended.
        call: Option<Call>,
    }
}

impl<B> ClientBody<B> {
    pub(super) fn new(inner: B, call: Option<Call>) -> Self {
        Self { inner, call }
    }
}

impl<B> Body for ClientBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        if let Some(call) = this.call {
            call.reads();
        }
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(call) = this.call {
            let is_over = match &frame {
                Some(Ok(_)) => this.inner.is_end_stream(),
                Some(Err(error)) => {
                    call.breaks_off(error);
                    *this.call = None;
                    false
                }
                None => true,
            };
            if is_over && let Some(mut call) = this.call.take() {
                call.ends();
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
