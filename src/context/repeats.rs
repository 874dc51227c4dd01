//! What runs again and again within one request.

use super::with_request_mut;
use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

/// Different things that are counted in one request; later ones are not.
const MOST: usize = 32;

/// How often what ran, in the request and in what is carried from it, which may run beside it.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    /// What ran, and how often; 0: nothing yet.
    counts: [(AtomicU64, AtomicU32); MOST],
    /// Nothing is counted any more.
    is_closed: AtomicBool,
}

/// Counts what `key` stands for in the current request: how often it ran by now, this time included.
/// 0: there is no request, or it is not counted.
#[inline]
pub(crate) fn repeated(key: u64) -> u32 {
    let count = with_request_mut(|request| request.repeats.get_or_insert_default().count(key));
    count.unwrap_or_default()
}

impl Repeats {
    /// From here on nothing is counted, in what was carried away either.
    pub(crate) fn close(counted: &mut Option<Arc<Self>>) {
        static CLOSED: LazyLock<Arc<Repeats>> = LazyLock::new(|| {
            let closed = Repeats::default();
            closed.is_closed.store(true, Ordering::Relaxed);
            Arc::new(closed)
        });
        match counted {
            Some(counted) => counted.is_closed.store(true, Ordering::Relaxed),
            None => *counted = Some(Arc::clone(&CLOSED)),
        }
    }

    #[inline]
    fn count(&self, key: u64) -> u32 {
        if self.is_closed.load(Ordering::Relaxed) {
            return 0;
        }
        let key = key.max(1);
        let counted = self.counts.iter().find(|(known, _)| is_of(known, key));
        counted.map_or(0, |(_, count)| {
            count.fetch_add(1, Ordering::Relaxed).saturating_add(1)
        })
    }
}

/// Whether a place is that of `key`, which takes it if it is free.
#[inline]
fn is_of(place: &AtomicU64, key: u64) -> bool {
    const FREE: u64 = 0;
    match place.load(Ordering::Relaxed) {
        FREE => place
            .compare_exchange(FREE, key, Ordering::Relaxed, Ordering::Relaxed)
            .map_or_else(|taken| taken == key, |_| true),
        known => known == key,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Request, carry, enter};
    use super::*;
    use crate::pipeline::Pipeline;

    #[test]
    fn each_thing_is_counted_for_itself_within_its_request() {
        assert_eq!(repeated(7), 0);
        let request = || Some(Request::for_tests(Pipeline::for_tests(&[]), true));
        let (mut one, mut other) = (request(), request());
        {
            let _one = enter(&mut one);
            assert_eq!([repeated(7), repeated(8), repeated(7)], [1, 1, 2]);
        }
        {
            let _other = enter(&mut other);
            assert_eq!(repeated(7), 1);
        }
        {
            let mut stream = request();
            Repeats::close(&mut stream.as_mut().unwrap().repeats);
            let _stream = enter(&mut stream);
            assert_eq!([repeated(7), repeated(8), repeated(7)], [0; 3]);
        }
        let _one = enter(&mut one);
        assert_eq!(repeated(7), 3);
        let beyond = (100..200).map(repeated).filter(|count| *count == 0);
        assert_eq!(beyond.count(), 100 - (MOST - 2));
    }

    #[test]
    fn what_is_carried_from_a_request_is_counted_with_it() {
        let mut request = Some(Request::for_tests(Pipeline::for_tests(&[]), true));
        let mut tasks = Vec::new();
        {
            let _request = enter(&mut request);
            tasks.extend((0..4).map(|_| carry(async { (0..100).map(|_| repeated(7)).collect() })));
        }
        let runs = tasks.into_iter().map(|task| {
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.unwrap().block_on(task)
            })
        });
        let runs: Vec<_> = runs.collect();
        let counts: Vec<Vec<u32>> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        let mut counts = counts.concat();
        counts.sort_unstable();
        assert!(counts.into_iter().eq(1..=400), "each number comes once");
        {
            let _request = enter(&mut request);
            assert_eq!(repeated(7), 401);
            // Of one that has become a stream.
            let task = carry(async { repeated(7) });
            super::super::with_request_mut(|request| Repeats::close(&mut request.repeats));
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            assert_eq!(runtime.unwrap().block_on(task), 0);
            assert_eq!(repeated(7), 0);
        }
    }
}
