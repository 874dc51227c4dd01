//! Locks and atomics of what hands records over and accounts for them: the standard library's. The
//! model checker compiles the same rooms over its own (`tests/model`).

pub(crate) use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread::yield_now,
};

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

/// How often a lock is looked at before it is waited for, by who has time.
pub(crate) const LOOKS: usize = 64;

/// A moment in which another thread gets the processor.
pub(crate) fn rest() {
    std::thread::sleep(std::time::Duration::from_micros(100));
}
