//! Panics of the host's code, caught where they would take a connection with them.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The code in question panicked, with this payload; `None` where that was told before.
#[derive(Debug)]
pub(super) struct Panicked(pub(super) Option<Box<dyn Any + Send>>);

/// A payload's destructor is the host's code too.
impl Drop for Panicked {
    fn drop(&mut self) {
        let payload = self.0.take();
        // Should even that panic, its own payload is given up rather than dropped.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(again);
        }
    }
}

/// Runs the host's code. After a panic, what it had borrowed is dropped, never polled again.
#[inline]
pub(super) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| Panicked(Some(payload)))
}
