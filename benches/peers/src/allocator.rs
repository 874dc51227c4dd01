//! The system's allocator, which counts: apart on the thread that is measured, together on all
//! others.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

pub(crate) struct Counting;

thread_local! {
    static IS_MEASURED: Cell<bool> = const { Cell::new(false) };
    static HERE: Cell<u64> = const { Cell::new(0) };
}
static ELSEWHERE: AtomicU64 = AtomicU64::new(0);

/// From here on this thread's allocations are told apart.
pub(crate) fn measure_this_thread() {
    IS_MEASURED.set(true);
}

/// How many were made so far: on this thread, on all others.
pub(crate) fn made() -> (u64, u64) {
    (HERE.get(), ELSEWHERE.load(Ordering::Relaxed))
}

/// On the measured thread without a locked addition, which would be measured too.
fn count() {
    if IS_MEASURED.get() {
        HERE.set(HERE.get() + 1);
    } else {
        ELSEWHERE.fetch_add(1, Ordering::Relaxed);
    }
}

#[allow(unsafe_code, reason = "a global allocator is unsafe to write")]
// SAFETY: everything is left to the system's allocator; a counter is all that is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}
