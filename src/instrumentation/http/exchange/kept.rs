//! Where a request's state lies while the request is under way: in memory that its thread keeps for the
//! next one. What moves, through futures that others box, is a pointer, and no request allocates for it.

use super::Exchange;
use crate::context;
use std::cell::RefCell;

/// As much is kept by a thread, some 30 KiB; what was under way at once beyond is given back.
const MOST: usize = 64;

/// A request under way, or none any more. It is recorded when it ends, and when this is dropped.
#[derive(Debug, Default)]
pub(in super::super) struct Kept(Option<Box<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    exchange: Option<Exchange>,
    /// Where the next one's context lies, a pointer too for whoever makes it the current one.
    context: Option<Box<context::Request>>,
}

thread_local! {
    #[expect(clippy::vec_box, reason = "what moves is a pointer")]
    static FREE: RefCell<Vec<Box<Memory>>> = const { RefCell::new(Vec::new()) };
}

impl Kept {
    #[inline]
    pub(super) fn begin(
        request: context::Request,
        exchange: impl FnOnce(Box<context::Request>) -> Exchange,
    ) -> Self {
        let free = FREE.try_with(|free| free.try_borrow_mut().ok()?.pop());
        let mut memory = free.ok().flatten().unwrap_or_default();
        let request = match memory.context.take() {
            Some(mut kept) => {
                *kept = request;
                kept
            }
            None => Box::new(request),
        };
        memory.exchange = Some(exchange(request));
        Self(Some(memory))
    }

    /// `None`: it has ended.
    #[inline]
    pub(in super::super) fn get(&mut self) -> Option<&mut Exchange> {
        self.0.as_mut()?.exchange.as_mut()
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
            // Nothing is borrowed meanwhile: what is recorded may run code of the host's.
            if let Some(exchange) = &mut memory.exchange {
                exchange.record();
                if let Some(mut request) = exchange.request.take() {
                    request.forget();
                    memory.context = Some(request);
                }
            }
            memory.exchange = None;
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
