//! Which of our spans this thread is in, by `tracing`'s ids: to ask the registry takes longer than
//! all else that entering and leaving do.

use crate::{context, ids::SpanContext, pipeline::Pipeline};
use std::{
    cell::{Cell, RefCell},
    ptr,
};
use tracing::span::Id;

/// A span of a telemetry. Ids of one registry do not come twice while a span is open.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(*const Pipeline, u64);

thread_local! {
    /// The span that was created last, which is usually entered next.
    static CREATED: Cell<Option<(Key, SpanContext)>> = const { Cell::new(None) };
    static ENTERED: RefCell<Vec<(Key, SpanContext)>> = const { RefCell::new(Vec::new()) };
}

fn key(pipeline: &Pipeline, id: &Id) -> Key {
    Key(ptr::from_ref(pipeline), id.into_u64())
}

pub(super) fn created(pipeline: &Pipeline, id: &Id, span: SpanContext) {
    // An error here and below: the thread is going.
    let _ = CREATED.try_with(|created| created.set(Some((key(pipeline, id), span))));
}

/// The span that the thread created last, if it is this one.
pub(super) fn was_just_created(pipeline: &Pipeline, id: &Id) -> Option<SpanContext> {
    let created = CREATED.try_with(Cell::get).ok().flatten();
    let created = created.filter(|(created, _)| *created == key(pipeline, id));
    created.map(|(_, span)| span)
}

pub(super) fn enter(pipeline: &Pipeline, id: &Id, span: SpanContext) {
    context::push_span(span);
    let entered = (key(pipeline, id), span);
    let _ = ENTERED.try_with(|all| all.borrow_mut().push(entered));
}

/// Leaves the span if it was entered.
pub(super) fn exit(pipeline: &Pipeline, id: &Id) {
    let key = key(pipeline, id);
    let left = ENTERED.try_with(|all| {
        let mut all = all.borrow_mut();
        let at = all.iter().rposition(|(entered, _)| *entered == key)?;
        Some(all.remove(at).1)
    });
    if let Ok(Some(span)) = left {
        context::pop_span(span.span_id);
    }
}
