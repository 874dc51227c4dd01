//! Panics of the host's code, caught where they would take a connection with them.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The code in question panicked; the panic hook has told of it by now.
#[derive(Debug)]
pub(super) struct Panicked;

/// Runs the host's code. After a panic, what it had borrowed is dropped, never polled again.
#[inline]
pub(super) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        // A payload's destructor is the host's code too. Should even that panic, its own payload
        // is given up rather than dropped.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(again);
        }
        Panicked
    })
}
