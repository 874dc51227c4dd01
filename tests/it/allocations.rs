//! What recording allocates: nothing after the first time, three boxes for a request, one for an
//! error, a header for an outgoing call.

#![expect(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; this one counts and hands on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

mod calls;
mod errors;
mod recording;
mod requests;
mod signals;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    /// Of this thread: other tests run beside.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // An error: the thread is going.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes on to the system's allocator as it came; counting touches a thread-local
// that needs neither an allocation nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Allocations of the calling thread while `work` runs.
pub(crate) fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = ALLOCATIONS.get();
    let done = work();
    (ALLOCATIONS.get() - before, done)
}

#[test]
fn the_allocator_counts_the_calling_thread_alone() {
    let (count, _) = allocations(|| std::hint::black_box(Box::new([0_u8; 64])));
    assert_eq!(count, 1);
    let (count, _) = allocations(|| {
        let mut list = std::hint::black_box(Vec::with_capacity(1));
        list.extend([1_u8, 2]);
        std::hint::black_box(list)
    });
    assert_eq!(count, 2);
    let other = std::thread::spawn(|| allocations(|| std::hint::black_box(vec![0; 1_000])).0);
    while !other.is_finished() {
        let (count, ()) = allocations(std::thread::yield_now);
        assert_eq!(count, 0);
    }
    assert_eq!(other.join().unwrap(), 1);
}
