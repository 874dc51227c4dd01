//! Shards: a thread records into its own cache line, a reader adds them up.

use std::{
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How many shards an instrument has: a power of two, at least one for each core, at most 8. More
/// would cost memory for each series and buy little: two threads on one line cost 7 ns.
pub(super) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        thread::available_parallelism()
            .map_or(4, usize::from)
            .next_power_of_two()
            .min(8)
    })
}

/// The shard of the calling thread, below `shards`, a power of two.
#[inline]
pub(super) fn mine(shards: usize) -> usize {
    const UNSET: usize = usize::MAX;
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(UNSET) };
    }
    #[cold]
    fn assign(cell: &Cell<usize>) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mine = NEXT.fetch_add(1, Ordering::Relaxed) & (UNSET >> 1);
        cell.set(mine);
        mine
    }
    // A const-initialised `Cell` without a destructor is there until the thread is gone.
    let mine = MINE
        .try_with(|cell| match cell.get() {
            UNSET => assign(cell),
            mine => mine,
        })
        .unwrap_or(0);
    mine & (shards - 1)
}
