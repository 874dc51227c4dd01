//! Where a request's state lies while the request is under way: in memory that its thread keeps for the
//! next one. What moves, through futures that others box, is a pointer, and no request allocates for it.

use super::Exchange;
use std::cell::RefCell;

/// As much is kept by a thread, some 20 KiB; what was under way at once beyond is given back.
const MOST: usize = 64;

/// A request under way, or none any more.
#[derive(Debug, Default)]
pub(in super::super) struct Kept(Option<Box<Option<Exchange>>>);

thread_local! {
    static FREE: RefCell<Vec<Box<Option<Exchange>>>> = const { RefCell::new(Vec::new()) };
}

impl Kept {
    #[inline]
    pub(super) fn new(exchange: Exchange) -> Self {
        let free = FREE.try_with(|free| free.try_borrow_mut().ok()?.pop());
        Self(Some(match free.ok().flatten() {
            Some(mut memory) => {
                *memory = Some(exchange);
                memory
            }
            None => Box::new(Some(exchange)),
        }))
    }

    /// `None`: it has ended.
    #[inline]
    pub(in super::super) fn get(&mut self) -> Option<&mut Exchange> {
        self.0.as_mut()?.as_mut().as_mut()
    }

    /// It goes on elsewhere, and is none here any more.
    #[inline]
    pub(in super::super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// The request ends, which records it.
    #[inline]
    pub(in super::super) fn end(&mut self) {
        if let Some(mut memory) = self.0.take() {
            // Whatever is recorded here may begin another request: nothing is borrowed meanwhile.
            *memory = None;
            let _ = FREE.try_with(|free| {
                if let Ok(mut free) = free.try_borrow_mut()
                    && free.len() < MOST
                {
                    free.push(memory);
                }
            });
        }
    }
}

impl Drop for Kept {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        http::{instruments::Instruments, propagation, request::Traits, request_span::RequestSpan},
        pipeline::{Pipeline, Settings},
    };
    use ::http::{HeaderMap, Method};

    fn accepted(instruments: &'static Instruments) -> Kept {
        Exchange::accept(
            instruments,
            None,
            Traits::of_method(&Method::GET),
            propagation::extract(&HeaderMap::new(), &Settings::default()),
            "/",
            RequestSpan::Off,
        )
    }

    fn is_free() -> usize {
        FREE.with_borrow(Vec::len)
    }

    #[test]
    fn memory_is_used_again_by_the_thread_that_ended_a_request_and_bounded() {
        let instruments = Instruments::leaked(Pipeline::for_tests(&[]));
        let many: Vec<_> = (0..MOST + 10).map(|_| accepted(instruments)).collect();
        assert_eq!(is_free(), 0);
        drop(many);
        assert_eq!(is_free(), MOST);
        let mut one = accepted(instruments);
        assert_eq!(is_free(), MOST - 1);
        assert!(one.get().is_some());
        let mut taken = one.take();
        assert!(one.get().is_none());
        one.end();
        assert_eq!(is_free(), MOST - 1, "nothing ended");
        taken.end();
        assert!(taken.get().is_none());
        assert_eq!(is_free(), MOST);
    }

    #[test]
    fn what_begins_on_one_thread_and_ends_on_another_is_kept_by_that() {
        let mut one = accepted(Instruments::leaked(Pipeline::for_tests(&[])));
        let other = std::thread::spawn(move || {
            assert_eq!(is_free(), 0);
            one.end();
            is_free()
        });
        assert_eq!(other.join().unwrap(), 1);
        assert_eq!(is_free(), 0);
    }
}
