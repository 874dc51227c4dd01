//! The current request: its trace, its route, and who it is for.
//!
//! The HTTP layer sets it around each poll of a handler's future and of a response's body, on
//! whatever thread that happens, and takes it back after; code inside needs no argument to find
//! it. A task spawned from a handler does not inherit it: [`carry`] takes it there.

mod carried;
mod identity;
mod repeats;
mod trace;
mod trail;

pub use carried::{Carried, carry};
pub use identity::{end_session, identify, identify_session, identify_user};
pub use trace::{TraceContext, current_trace};
pub(crate) use {
    identity::Identity,
    repeats::{Repeats, repeated},
    trace::{Key as SpanKey, active, pop_span, push_span},
    trail::{Happened, Millis, describe_trail, note, note_record},
};

use crate::{
    ids::{SpanContext, TraceId},
    pipeline::{self, Pipeline},
    records::{Fields, names},
    semconv,
};
use std::{cell::RefCell, sync::Arc};
use trail::Trail;

/// The request that the calling code runs for. Boxed wherever it is held: it moves with every poll.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) trace: TraceContext,
    pub(crate) pipeline: &'static Pipeline,
    /// `None`: no route matched.
    pub(crate) route: Option<&'static str>,
    pub(crate) method: &'static str,
    /// Boxed: many requests are nobody's.
    pub(crate) identity: Option<Box<Identity>>,
    /// Whether the panic that is under way, if any, was recorded.
    pub(crate) panic_is_recorded: bool,
    /// What happened so far; `None`: nothing that is kept.
    pub(crate) trail: Option<Trail>,
    /// How often what ran in it; `None`: nothing did.
    pub(crate) repeats: Option<Arc<Repeats>>,
}

impl Request {
    /// Whose memory is used again says nothing of whom it was for.
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.identity = None;
        self.trail = None;
        self.repeats = None;
        self.trace.state = None;
    }
}

#[cfg(test)]
impl Request {
    /// `GET /orders/{id}` in a trace of its own.
    pub(crate) fn for_tests(pipeline: &'static Pipeline, sampled: bool) -> Box<Self> {
        Box::new(Self {
            trace: TraceContext {
                trace_id: crate::ids::TraceId::random(),
                span_id: crate::ids::SpanId::random(),
                sampled,
                state: None,
            },
            pipeline,
            route: Some("/orders/{id}"),
            method: "GET",
            identity: None,
            panic_is_recorded: false,
            trail: None,
            repeats: None,
        })
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Box<Request>>> = const { RefCell::new(None) };
}

/// Reads the current request. `None`: there is none, or its thread is going.
pub(crate) fn with_request<T>(read: impl FnOnce(&Request) -> T) -> Option<T> {
    CURRENT
        .try_with(|current| Some(read(current.try_borrow().ok()?.as_ref()?)))
        .ok()
        .flatten()
}

/// Changes the current request, where there is one.
pub(crate) fn with_request_mut<T>(change: impl FnOnce(&mut Request) -> T) -> Option<T> {
    CURRENT
        .try_with(|current| Some(change(current.try_borrow_mut().ok()?.as_mut()?)))
        .ok()
        .flatten()
}

/// What the calling code records into: its request's telemetry, else the installed one.
pub(crate) fn pipeline() -> Option<&'static Pipeline> {
    with_request(|request| request.pipeline).or_else(pipeline::installed)
}

/// Whether the current request is of that trace: whoever drops something may be another one, or none.
pub(crate) fn is_of(trace: TraceId) -> bool {
    active().is_some_and(|current| current.trace_id == trace)
}

/// Adds what is known of the current request: its route, its user, its session.
pub(crate) fn describe(fields: &mut Fields) {
    let _ = with_request(|request| {
        if let Some(route) = request.route {
            fields.word(semconv::HTTP_ROUTE, route);
        }
        if let Some(identity) = &request.identity {
            identity.describe(fields);
        }
    });
}

/// As [`describe`], for a record whose fields say some of it already: what they say stands.
pub(crate) fn describe_beside(fields: &mut Fields) {
    let known = [semconv::HTTP_ROUTE, semconv::USER_ID, semconv::SESSION_ID];
    let mut is_said = [false; 3];
    for name in names(fields.as_bytes()) {
        for (known, is_said) in known.iter().zip(&mut is_said) {
            *is_said |= name == known.as_bytes();
        }
    }
    let _ = with_request(|request| {
        let identity = request.identity.as_deref();
        let values = [
            request.route,
            identity.and_then(Identity::user),
            identity.and_then(Identity::session),
        ];
        for ((name, value), is_said) in known.into_iter().zip(values).zip(is_said) {
            if let Some(value) = value.filter(|_| !is_said) {
                fields.word(name, value);
            }
        }
    });
}

/// Makes `request` the current one until the guard goes, which gives it back and restores what was
/// current before; also when the code between panics.
#[inline]
pub(crate) fn enter(request: &mut Option<Box<Request>>) -> Entered<'_> {
    let outer = trace::begin();
    swap(request);
    Entered { request, outer }
}

pub(crate) struct Entered<'a> {
    request: &'a mut Option<Box<Request>>,
    outer: Option<SpanContext>,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        swap(self.request);
        trace::restore(self.outer);
    }
}

#[inline]
fn swap(request: &mut Option<Box<Request>>) {
    // An error: the thread is going, and nothing on it asks any more.
    let _ = CURRENT.try_with(|current| {
        if let Ok(mut current) = current.try_borrow_mut() {
            std::mem::swap(&mut *current, request);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SpanId;

    fn request() -> Box<Request> {
        Box::new(Request {
            trace: TraceContext {
                trace_id: TraceId::random(),
                span_id: SpanId::random(),
                sampled: true,
                state: None,
            },
            pipeline: Pipeline::for_tests(&[]),
            route: None,
            method: "GET",
            identity: None,
            panic_is_recorded: false,
            trail: None,
            repeats: None,
        })
    }

    fn current() -> Option<TraceId> {
        current_trace().map(|trace| trace.trace_id)
    }

    fn span() -> SpanContext {
        SpanContext {
            trace_id: TraceId::random(),
            span_id: SpanId::random(),
            is_sampled: true,
        }
    }

    #[test]
    fn an_inner_request_hides_the_outer_one_until_it_is_left() {
        let (mut outer, mut inner) = (Some(request()), Some(request()));
        let ids = [&outer, &inner].map(|request| request.as_ref().map(|r| r.trace.trace_id));
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
        assert_eq!(inner.map(|request| request.trace.trace_id), ids[1]);
    }

    #[test]
    fn a_panic_inside_leaves_nothing_behind() {
        let mut mine = Some(request());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _entered = enter(&mut mine);
            panic!("planted");
        }));
        assert!(panicked.is_err());
        assert_eq!(current(), None);
        assert!(mine.is_some());
    }

    #[test]
    fn the_innermost_span_is_the_one_entered_last_and_not_left_yet() {
        let (outer, inner) = (span(), span());
        push_span((0, 1), outer);
        push_span((0, 2), inner);
        assert_eq!(active(), Some(inner));
        // In the order of their entering, which `tracing` allows.
        pop_span((0, 1));
        assert_eq!(active(), Some(inner));
        pop_span((0, 2));
        assert_eq!(active(), None);
    }

    #[test]
    fn whom_a_request_is_for_stays_with_it_over_its_polls() {
        let mut mine = Some(request());
        {
            let _entered = enter(&mut mine);
            identify("u-1", 77);
        }
        let _entered = enter(&mut mine);
        let known = with_request(|request| request.identity.clone()).flatten();
        let known = known.unwrap();
        assert_eq!((known.user(), known.session()), (Some("u-1"), Some("77")));
    }

    #[test]
    fn a_carried_task_runs_in_the_span_that_it_was_made_in() {
        let mut mine = Some(request());
        let inner = span();
        let task = {
            let _entered = enter(&mut mine);
            push_span((0, 2), inner);
            let task = carry(async { (active(), with_request(|_| ()).is_some()) });
            pop_span((0, 2));
            task
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let ran = std::thread::spawn(|| runtime.unwrap().block_on(task));
        assert_eq!(ran.join().unwrap(), (Some(inner), true));
        assert_eq!(active(), None);
    }
}
