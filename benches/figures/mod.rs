//! How the benches come to their figures: an allocator that counts, and medians.

#![allow(
    dead_code,
    unsafe_code,
    reason = "no bench needs all of it; a global allocator is unsafe to write"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

/// The system's allocator.
pub(crate) struct Counting {
    /// Whether it is kept in mind how much the process holds: a locked addition for each, which those
    /// who measure time would measure too.
    pub(crate) tells_held: bool,
}

thread_local! {
    /// Of this thread alone.
    static MADE: Cell<u64> = const { Cell::new(0) };
}
static HELD: AtomicU64 = AtomicU64::new(0);

/// How many allocations this thread made.
pub(crate) fn allocations_made() -> u64 {
    MADE.get()
}

/// Bytes that the process holds.
pub(crate) fn held() -> u64 {
    HELD.load(Ordering::Relaxed)
}

pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

// SAFETY: everything is left to the system's allocator; counters are all that is added. What it has by
// default for zeroed and for grown memory calls these two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = MADE.try_with(|made| made.set(made.get() + 1));
        if self.tells_held {
            HELD.fetch_add(layout.size() as u64, Ordering::Relaxed);
        }
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if self.tells_held {
            HELD.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        }
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}
