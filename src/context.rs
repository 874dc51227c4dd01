//! The current request: which trace it belongs to.
//!
//! The HTTP layer sets it around each poll of a handler's future and of a response's body, on
//! whatever thread that happens, and takes it back after; code inside needs no argument to find
//! it. A task spawned from a handler does not inherit it.

use crate::ids::{SpanId, TraceId};
use ::http::HeaderValue;
use std::cell::Cell;

/// The trace that the current request belongs to, as W3C Trace Context has it.
///
/// The span id is that of this service's own span; the caller's was its parent.
#[derive(Clone, Debug)]
pub struct TraceContext {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) sampled: bool,
    /// Boxed: few requests carry it, and the context moves with every poll.
    pub(crate) state: Option<Box<HeaderValue>>,
}

impl TraceContext {
    /// The id of the whole trace; the caller's, when it sent one.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The id of this service's own span within it.
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The value of the `traceparent` header of an outgoing call.
    ///
    /// ```
    /// if let Some(trace) = orderscope::context::current_trace() {
    ///     let header = trace.traceparent();
    ///     assert_eq!(header.len(), 55);
    /// }
    /// ```
    pub fn traceparent(&self) -> String {
        let flags = u8::from(self.sampled);
        format!("00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }

    /// The value of the `tracestate` header of an outgoing call: the caller's, unchanged.
    pub fn tracestate(&self) -> Option<&HeaderValue> {
        self.state.as_deref()
    }
}

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The trace of the request that the calling code runs for; `None` outside the HTTP layer.
pub fn current_trace() -> Option<TraceContext> {
    CURRENT
        .try_with(|current| {
            let trace = current.take();
            current.set(trace.clone());
            trace
        })
        .ok()
        .flatten()
}

/// Makes `trace` the current one until the guard goes, which gives it back and restores what was
/// current before; also when the code between panics.
#[inline]
pub(crate) fn enter(trace: &mut Option<TraceContext>) -> Entered<'_> {
    swap(trace);
    Entered(trace)
}

pub(crate) struct Entered<'a>(&'a mut Option<TraceContext>);

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        swap(self.0);
    }
}

#[inline]
fn swap(trace: &mut Option<TraceContext>) {
    // An error: the thread is going, and nothing on it asks any more.
    let _ = CURRENT.try_with(|current| *trace = current.replace(trace.take()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> TraceContext {
        TraceContext {
            trace_id: TraceId::random(),
            span_id: SpanId::random(),
            sampled: true,
            state: None,
        }
    }

    fn current() -> Option<TraceId> {
        current_trace().map(|trace| trace.trace_id)
    }

    #[test]
    fn an_inner_request_hides_the_outer_one_until_it_is_left() {
        let (mut outer, mut inner) = (Some(trace()), Some(trace()));
        let ids = [&outer, &inner].map(|trace| trace.as_ref().map(|trace| trace.trace_id));
        {
            let _outer = enter(&mut outer);
            assert_eq!(current(), ids[0]);
            {
                let _inner = enter(&mut inner);
                assert_eq!(current(), ids[1]);
            }
            assert_eq!(current(), ids[0]);
        }
        assert_eq!(current(), None);
        assert_eq!(inner.map(|trace| trace.trace_id), ids[1]);
    }

    #[test]
    fn a_panic_inside_leaves_nothing_behind() {
        let mut mine = Some(trace());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _entered = enter(&mut mine);
            panic!("planted");
        }));
        assert!(panicked.is_err());
        assert_eq!(current(), None);
        assert!(mine.is_some());
    }
}
