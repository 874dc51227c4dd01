//! Memory for the fields of open spans, which a thread keeps from span to span.

use std::cell::RefCell;

/// As many spans as are usually open at a time on one thread.
const MOST: usize = 8;
const MOST_BYTES: usize = 4 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Empty memory.
pub(super) fn take() -> Vec<u8> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
    spare.ok().flatten().unwrap_or_default()
}

pub(super) fn give_back(mut memory: Vec<u8>) {
    memory.clear();
    // An error: the thread is going.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < MOST && memory.capacity() <= MOST_BYTES {
            spare.push(memory);
        }
    });
}
