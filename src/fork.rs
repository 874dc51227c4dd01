//! Which process this is, counted in forks: a forked child has none of the telemetry's threads, and
//! any lock may be held in it for ever, by a thread that was not forked along.
//!
//! So whoever has a lock, or something of the worker's runtime, looks here before it touches them,
//! and a telemetry does nothing in a process that is not the one that it was made in. One that is
//! made in the child is of the child, and works.

use std::{
    hint,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU32, Ordering},
    },
};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// For the child's side of `fork`, before any other code runs there: an atomic addition, which even
/// a signal handler may do.
pub(crate) fn count() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// A process, as what is made in it remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// The one that the caller runs in.
    #[inline]
    pub(crate) fn current() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether the caller runs in a child of it, or in a child's child.
    #[inline]
    pub(crate) fn is_forked(self) -> bool {
        self != Self::current()
    }

    /// Whether it is itself a child of one that had a telemetry.
    #[inline]
    pub(crate) fn is_child(self) -> bool {
        self.0 > 0
    }
}

/// A mutex that a forked child leaves alone. One that is poisoned is taken all the same: what it
/// holds is whole at every step.
#[derive(Debug)]
pub(crate) struct Lock<T> {
    process: Process,
    held: Mutex<T>,
}

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            process: Process::current(),
            held: Mutex::new(value),
        }
    }

    /// One of the program's, which no child ever has.
    pub(crate) const fn of_the_program(value: T) -> Self {
        Self {
            process: Process(0),
            held: Mutex::new(value),
        }
    }

    /// `None`: this is a forked child, where nobody may ever give it back.
    #[inline]
    pub(crate) fn hold(&self) -> Option<MutexGuard<'_, T>> {
        match self.is_forked() {
            true => None,
            false => Some(self.held.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// As [`hold`](Self::hold), for who must not wait: `None` also where another holds it for longer
    /// than a moment.
    #[inline]
    pub(crate) fn hold_soon(&self) -> Option<MutexGuard<'_, T>> {
        const LOOKS: usize = 64;
        if self.is_forked() {
            return None;
        }
        (0..LOOKS).find_map(|_| match self.held.try_lock() {
            Ok(held) => Some(held),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                hint::spin_loop();
                None
            }
        })
    }

    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.process.is_forked()
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_made_is_left_alone() {
        let mine = Lock::new(1);
        assert_eq!(mine.hold().map(|held| *held), Some(1));
        let of_the_parent = Lock {
            process: Process(u32::MAX),
            held: Mutex::new(1),
        };
        let _held = of_the_parent.held.lock();
        assert!(of_the_parent.is_forked());
        assert!(of_the_parent.hold().is_none());
        assert!(of_the_parent.hold_soon().is_none());
    }

    #[test]
    fn who_must_not_wait_goes_without_what_another_holds() {
        let lock = Lock::new(1);
        let held = lock.hold();
        assert!(lock.hold_soon().is_none());
        drop(held);
        assert_eq!(lock.hold_soon().map(|held| *held), Some(1));
    }
}
