//! Which panics of a request have been told of, so that the layer that catches one does not tell of it
//! again: the hook saw the payload before it was boxed, so it is known by what it says.

use super::panics::text_of;
use crate::{context, ids::SpanId};
use rustc_hash::FxHasher;
use std::{
    any::Any,
    cell::Cell,
    hash::{Hash as _, Hasher as _},
    mem,
};

/// Panics that a thread remembers: the one under way, and those of destructors that it runs.
const REMEMBERED: usize = 8;

#[derive(Clone, Copy)]
struct Known {
    request: SpanId,
    payload: u64,
}

thread_local! {
    // Has no destructor, so a thread that is going has it still.
    static LAST: Cell<[Option<Known>; REMEMBERED]> = const { Cell::new([None; REMEMBERED]) };
}

/// The panic with this payload is told of now. Whether its request had panicked before.
pub(super) fn mark(payload: &(dyn Any + Send)) -> bool {
    let payload = what(payload);
    let mark = |request: &mut context::Request| {
        let known = Known {
            request: request.trace.span_id,
            payload,
        };
        let mut last = LAST.get();
        last.rotate_right(1);
        if let Some(first) = last.first_mut() {
            *first = Some(known);
        }
        LAST.set(last);
        mem::replace(&mut request.panic_is_recorded, true)
    };
    context::with_request_mut(mark).unwrap_or(false)
}

/// Whether the panic with this payload was told of for the current request.
pub(super) fn has(payload: &(dyn Any + Send)) -> bool {
    let payload = what(payload);
    let has = |request: &mut context::Request| {
        let last = LAST.get();
        let of_request = last.iter().flatten();
        let of_request = of_request.filter(|known| known.request == request.trace.span_id);
        // Of another thread's panics, or of so many, nothing is known but that there were some.
        let is_unsure = [0, REMEMBERED].contains(&of_request.clone().count());
        let is_known = of_request.into_iter().any(|known| known.payload == payload);
        request.panic_is_recorded && (is_known || is_unsure)
    };
    context::with_request_mut(has).unwrap_or(false)
}

/// What tells payloads apart.
fn what(payload: &(dyn Any + Send)) -> u64 {
    let mut hasher = FxHasher::default();
    (payload.type_id(), text_of(payload)).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{
        super::planted::{pipeline, within},
        *,
    };

    #[test]
    fn a_panic_is_known_in_its_request_through_those_of_its_destructors_and_no_other_is() {
        let pipeline = pipeline();
        within(pipeline, || {
            assert!(!has(&"outer"));
            assert!(!mark(&"outer"));
            for number in 0..6 {
                assert!(mark(&format!("in destructor {number}")));
            }
            assert!(has(&"outer"));
            assert!(!has(&"another"));
            assert!(!has(&7), "of another type");
        });
        within(pipeline, || assert!(!has(&"outer"), "of another request"));
    }

    #[test]
    fn what_cannot_be_known_any_more_counts_as_told() {
        let pipeline = pipeline();
        within(pipeline, || {
            (0..20).for_each(|number| _ = mark(&format!("in destructor {number}")));
            assert!(has(&"outer"));
        });
    }
}
