//! What runs again and again within one request.

use super::with_request_mut;

/// Different things that are counted in one request; later ones are not.
const MOST: usize = 32;

/// How often what ran, in one piece of memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repeats {
    counts: [(u64, u32); MOST],
    length: usize,
}

/// Counts what `key` stands for in the current request: how often it ran by now, this time included.
/// 0: there is no request, or it is not counted.
#[inline]
pub(crate) fn repeated(key: u64) -> u32 {
    let count = with_request_mut(|request| request.repeats.get_or_insert_default().count(key));
    count.unwrap_or_default()
}

impl Repeats {
    /// Nothing is counted any more.
    pub(crate) fn closed() -> Self {
        Self {
            length: MOST,
            ..Self::default()
        }
    }

    fn count(&mut self, key: u64) -> u32 {
        let mut counted = self.counts.iter_mut().take(self.length);
        if let Some((_, count)) = counted.find(|(known, _)| *known == key) {
            *count = count.saturating_add(1);
            return *count;
        }
        let Some(free) = self.counts.get_mut(self.length) else {
            return 0;
        };
        *free = (key, 1);
        self.length += 1;
        1
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Request, enter};
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
            stream.as_mut().unwrap().repeats = Some(Box::new(Repeats::closed()));
            let _stream = enter(&mut stream);
            assert_eq!([repeated(7), repeated(8), repeated(7)], [0; 3]);
        }
        let _one = enter(&mut one);
        assert_eq!(repeated(7), 3);
        let beyond = (100..200).map(repeated).filter(|count| *count == 0);
        assert_eq!(beyond.count(), 100 - (MOST - 2));
    }
}
