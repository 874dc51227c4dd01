//! Where in which trace the calling code is.

use super::with_request;
use crate::ids::{SpanContext, SpanId, TraceId};
use ::http::HeaderValue;
use std::cell::{Cell, RefCell};

/// A place in a trace, as W3C Trace Context has it.
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

    /// The id of the innermost span: this service's own of the request, or one within it.
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
        let flags = self.span().flags();
        format!("00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }

    /// The value of the `tracestate` header of an outgoing call: the caller's, unchanged.
    pub fn tracestate(&self) -> Option<&HeaderValue> {
        self.state.as_deref()
    }

    /// What orders what is done in it among what is done at the same moment elsewhere.
    pub(crate) fn deed(&self) -> u128 {
        let span = u64::from_be_bytes(self.span_id.to_bytes());
        u128::from_be_bytes(self.trace_id.to_bytes()) ^ u128::from(span)
    }

    #[inline]
    pub(crate) fn span(&self) -> SpanContext {
        SpanContext {
            trace_id: self.trace_id,
            span_id: self.span_id,
            is_sampled: self.sampled,
        }
    }
}

thread_local! {
    /// The innermost span that was entered within the current request, or outside every one.
    static ACTIVE: Cell<Option<SpanContext>> = const { Cell::new(None) };
    /// The spans entered on this thread, each with what was active before.
    static ENTERED: RefCell<Vec<(Key, Option<SpanContext>)>> = const { RefCell::new(Vec::new()) };
}

/// What an entered span is known by: whose it is, and its number there, which does not come twice while it
/// is open.
pub(crate) type Key = (usize, u64);

/// The trace that the calling code is in, with the innermost span; `None` outside the HTTP layer
/// and every span.
pub fn current_trace() -> Option<TraceContext> {
    let active = active()?;
    let of_request = |trace: &TraceContext| {
        let state = trace.state.clone();
        state.filter(|_| trace.trace_id == active.trace_id)
    };
    Some(TraceContext {
        trace_id: active.trace_id,
        span_id: active.span_id,
        sampled: active.is_sampled,
        state: with_request(|request| of_request(&request.trace)).flatten(),
    })
}

/// The innermost span: a `tracing` span that was entered, or the request's.
#[inline]
pub(crate) fn active() -> Option<SpanContext> {
    let entered = ACTIVE.try_with(Cell::get).ok().flatten();
    entered.or_else(|| with_request(|request| request.trace.span()))
}

/// From here on another request is the current one, or none: no span was entered within it yet.
/// What was entered, for [`restore`].
#[inline]
pub(super) fn begin() -> Option<SpanContext> {
    // Looked at first: there is seldom one, and to write takes longer.
    let take = |active: &Cell<Option<SpanContext>>| match active.get() {
        None => None,
        Some(_) => active.take(),
    };
    ACTIVE.try_with(take).ok().flatten()
}

/// The end of what [`begin`] began.
#[inline]
pub(super) fn restore(outer: Option<SpanContext>) {
    // An error: the thread is going.
    let _ = ACTIVE.try_with(|active| {
        if outer.is_some() || active.get().is_some() {
            active.set(outer);
        }
    });
}

#[inline]
pub(super) fn replace_active(span: Option<SpanContext>) -> Option<SpanContext> {
    ACTIVE
        .try_with(|active| active.replace(span))
        .ok()
        .flatten()
}

/// A span was entered: until [`pop_span`] it is the innermost one.
#[inline]
pub(crate) fn push_span(key: Key, span: SpanContext) {
    let outer = replace_active(Some(span));
    // An error here and below: the thread is going.
    let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((key, outer)));
}

/// A span was left, if it was entered. Spans may be left in another order than that of their entering: then
/// what is innermost stays so.
#[inline]
pub(crate) fn pop_span(key: Key) {
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        if let Some((_, outer)) = entered.pop_if(|(last, _)| *last == key) {
            replace_active(outer);
        } else if let Some(at) = entered.iter().rposition(|(known, _)| *known == key) {
            let (_, outer) = entered.remove(at);
            // What was entered within it falls back to where it was itself entered.
            if let Some((_, inner_outer)) = entered.get_mut(at) {
                *inner_outer = outer;
            }
        }
    });
}
