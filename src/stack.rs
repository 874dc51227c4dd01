//! Stacks: taken raw where something went wrong, turned into names on the worker.
//!
//! ```text
//! capture_if() ─→ RawStack (addresses, 0.5 KiB, no allocation) ─→ Resolver (worker) ─→ trace::trim ─→ trace::render
//! ```
//!
//! Two locks exist below, and [`capture_if`] takes neither. The `backtrace` crate has one around
//! resolving, and around its safe walk as well; the standard library carries a copy of that crate
//! with a lock and a cache of its own, so the default panic hook and [`Resolver`] do not wait for
//! each other, and neither sees what the other has parsed.

mod crates;
mod fingerprint;
mod modules;
mod path;
mod resolver;
mod source;
mod trace;

pub(crate) use fingerprint::Fingerprint;
pub(crate) use path::is_of_rust;
pub(crate) use resolver::{Frame, Resolver};
pub(crate) use source::Sources;
pub(crate) use trace::{InApp, Origin, render, trim};

use rustc_hash::FxHasher;
use std::hash::Hasher as _;

/// The most frames that are kept, innermost first.
pub(crate) const DEPTH: usize = 64;

/// Where a thread was, as return addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawStack {
    len: usize,
    frames: [usize; DEPTH],
}

impl RawStack {
    /// Of what came without one.
    pub(crate) const NONE: Self = Self {
        len: 0,
        frames: [0; DEPTH],
    };

    /// Return addresses, innermost first: each points behind the call that it stands for.
    pub(crate) fn frames(&self) -> &[usize] {
        self.frames.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, ip: usize) -> bool {
        if let Some(slot) = self.frames.get_mut(self.len) {
            *slot = ip;
            self.len += 1;
        }
        self.len < DEPTH
    }
}

/// The whole stack.
#[cfg(test)]
#[inline(never)]
pub(crate) fn capture() -> RawStack {
    capture_if(1, |_| true).unwrap()
}

/// Walks the calling thread's stack, where `goes_on` wants it: it is asked when the innermost `depth`
/// frames are known, by a number that tells one way to a place from another. Where it declines, the
/// walk ends there, which saves most of its cost.
///
/// Allocates nothing, waits for no resolving, never panics as long as `goes_on` does not: fit for a
/// panic hook.
#[inline(never)]
pub(crate) fn capture_if(depth: usize, goes_on: impl FnOnce(u64) -> bool) -> Option<RawStack> {
    let mut stack = RawStack::NONE;
    let mut asked = Some(goes_on);
    let mut is_wanted = true;
    let mut way = FxHasher::default();
    // A panic in here would abort the process, so `push` is total.
    walk(|frame| {
        let ip = frame.ip() as usize;
        let has_room = stack.push(ip);
        if asked.is_none() {
            return has_room;
        }
        way.write_usize(ip);
        if stack.len == depth
            && let Some(goes_on) = asked.take()
        {
            is_wanted = goes_on(way.finish());
        }
        has_room && is_wanted
    });
    // A stack that is no deeper.
    if let Some(goes_on) = asked {
        is_wanted = goes_on(way.finish());
    }
    is_wanted.then_some(stack)
}

#[cfg(not(windows))]
#[inline(always)]
fn walk(push: impl FnMut(&backtrace::Frame) -> bool) {
    #[expect(unsafe_code, reason = "argued below")]
    // SAFETY: the function is unsafe for want of the crate's lock, which exists for Windows, where
    // `dbghelp.dll` is not thread-safe. Everywhere else the walk is `_Unwind_Backtrace`: it reads
    // this thread's stack and the loaded modules' unwind tables, as each `panic!` does on each
    // thread at any time without a lock of Rust's. The tables are found through
    // `_dl_find_object`, which is free of locks (glibc 2.35), else through `dl_iterate_phdr`,
    // which takes the loader's lock for as long as the list is read; the resolver reads it once,
    // before it parses anything. The cache of parsed symbols is not touched.
    unsafe {
        backtrace::trace_unsynchronized(push);
    }
}

/// `dbghelp.dll` needs the lock, so here a capture can wait for a resolve.
#[cfg(windows)]
#[inline(always)]
fn walk(push: impl FnMut(&backtrace::Frame) -> bool) {
    backtrace::trace(push);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        thread,
        time::Duration,
    };
    use tokio::time::Instant;

    #[inline(never)]
    fn at_depth(depth: usize) -> RawStack {
        let stack = match depth {
            0 => capture(),
            _ => at_depth(depth - 1),
        };
        std::hint::black_box(stack)
    }

    #[test]
    fn a_way_is_told_from_others_and_the_walk_ends_where_nobody_wants_it() {
        #[inline(never)]
        fn place() -> u64 {
            let mut way = 0;
            let ends = capture_if(4, |innermost| {
                way = innermost;
                false
            });
            assert!(ends.is_none());
            std::hint::black_box(way)
        }
        #[inline(never)]
        fn other_way() -> u64 {
            std::hint::black_box(place())
        }
        let of_loop: Vec<_> = (0..2).map(|_| place()).collect();
        assert_eq!(of_loop[0], of_loop[1]);
        assert_ne!(of_loop[0], other_way());
        let mut asked = 0;
        let whole = capture_if(4, |_| {
            asked += 1;
            true
        });
        assert!(whole.unwrap().frames().len() > 4);
        let whole = capture_if(10 * DEPTH, |_| {
            asked += 1;
            true
        });
        assert!(whole.is_some());
        assert_eq!(asked, 2, "once, be the stack ever so deep or flat");
    }

    #[test]
    fn a_deep_stack_is_cut_at_its_outer_end() {
        assert!(at_depth(0).frames().len() < DEPTH);
        let deep = at_depth(2 * DEPTH);
        assert_eq!(deep.frames().len(), DEPTH);
        assert!(deep.frames().iter().all(|ip| *ip != 0));
    }

    #[test]
    fn a_captured_stack_reads_from_its_caller_outward() {
        let stack = capture();
        let frames = Resolver::default().resolve_all(stack.frames());
        let text = render(trim(&frames, Origin::Call), &[]);
        let first = text.lines().next().unwrap();
        let own = "a_captured_stack_reads_from_its_caller_outward";
        assert!(
            first.starts_with("   0: ") && first.ends_with(own),
            "{text}"
        );
        assert!(!text.contains("start_thread"), "{text}");
        assert!(trim(&frames, Origin::Call)[0].in_app);
    }

    /// What each capture took that was made beside so many cold resolves.
    fn captures_beside_cold_resolves(most: usize) -> Vec<Duration> {
        let (resolving, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                let stack = capture();
                for _ in 0..most {
                    // Other tests warm the process-wide cache.
                    backtrace::clear_symbol_cache();
                    resolving.store(true, Ordering::SeqCst);
                    for ip in stack.frames() {
                        Resolver::default().resolve(*ip);
                    }
                    resolving.store(false, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
            let mut took = Vec::new();
            while done.load(Ordering::SeqCst) < most {
                if resolving.load(Ordering::SeqCst) {
                    let start = Instant::now();
                    std::hint::black_box(capture());
                    took.push(start.elapsed());
                } else {
                    thread::yield_now();
                }
            }
            took
        })
    }

    #[test]
    fn capturing_does_not_wait_for_a_cold_resolve() {
        const COLD: usize = 3;
        let mut told = Vec::new();
        // Others use the machine as well.
        for _ in 0..5 {
            let mut took = captures_beside_cold_resolves(COLD);
            took.sort();
            let count = took.len();
            let of_100 = |part: usize| took.get(count * part / 100).copied();
            let (median, most) = (of_100(50), of_100(99));
            // Behind the lock, captures pass between two addresses only: 800 in all where half a
            // million pass without.
            if count > 10_000
                && median < Some(Duration::from_millis(1))
                && most < Some(Duration::from_millis(20))
            {
                return;
            }
            told.push((count, median, most));
        }
        panic!("captures while {COLD} × resolving, their median and 99th in 100: {told:?}");
    }
}
