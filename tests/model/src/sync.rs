//! The model checker's locks and atomics, in place of the standard library's.

pub(crate) use loom::{
    sync::{Arc, Mutex, MutexGuard},
    thread::yield_now,
};
pub(crate) use std::sync::{PoisonError, TryLockError};

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

/// Each look is a branch of the model.
pub(crate) const LOOKS: usize = 1;

pub(crate) fn rest() {
    yield_now();
}
