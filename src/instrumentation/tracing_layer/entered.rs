//! Which of our spans this thread is in, by `tracing`'s ids: to ask the registry takes longer than
//! all else that entering and leaving do.

use crate::{
    context::{self, SpanKey},
    ids::SpanContext,
    pipeline::Pipeline,
};
use std::{cell::Cell, ptr};
use tracing::span::Id;

thread_local! {
    /// The span that was created last, which is usually entered next.
    static CREATED: Cell<Option<(SpanKey, SpanContext)>> = const { Cell::new(None) };
}

/// Ids of one registry do not come twice while a span is open.
#[inline]
fn key(pipeline: &Pipeline, id: &Id) -> SpanKey {
    (ptr::from_ref(pipeline).addr(), id.into_u64())
}

#[inline]
pub(super) fn created(pipeline: &Pipeline, id: &Id, span: SpanContext) {
    // An error here and below: the thread is going.
    let _ = CREATED.try_with(|created| created.set(Some((key(pipeline, id), span))));
}

/// The span that the thread created last, if it is this one.
#[inline]
pub(super) fn was_just_created(pipeline: &Pipeline, id: &Id) -> Option<SpanContext> {
    let created = CREATED.try_with(Cell::get).ok().flatten();
    let created = created.filter(|(created, _)| *created == key(pipeline, id));
    created.map(|(_, span)| span)
}

#[inline]
pub(super) fn enter(pipeline: &Pipeline, id: &Id, span: SpanContext) {
    context::push_span(key(pipeline, id), span);
}

/// Leaves the span if it was entered.
#[inline]
pub(super) fn exit(pipeline: &Pipeline, id: &Id) {
    context::pop_span(key(pipeline, id));
}
