//! A bounded map that is only ever added to: reading takes no lock and writes to no shared line.

use crate::fork::Process;
use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

/// A fixed number of chains; a node, once linked, stays where it is.
#[derive(Debug)]
pub(crate) struct InsertOnlyMap<K, V> {
    chains: Box<[Link<K, V>]>,
    len: AtomicUsize,
    capacity: usize,
    process: Process,
}

type Link<K, V> = OnceLock<Box<Node<K, V>>>;

#[derive(Debug)]
struct Node<K, V> {
    key: K,
    value: V,
    next: Link<K, V>,
}

impl<K, V> InsertOnlyMap<K, V> {
    /// At most about `capacity` entries (each racing thread may add one more), over `chains`
    /// chains, rounded up to a power of two.
    pub(crate) fn new(chains: usize, capacity: usize) -> Self {
        Self {
            chains: (0..chains.next_power_of_two())
                .map(|_| OnceLock::new())
                .collect(),
            len: AtomicUsize::new(0),
            capacity,
            process: Process::current(),
        }
    }

    /// The value whose key `is_key` accepts, among those inserted under the same `hash`.
    #[inline]
    pub(crate) fn get(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> Option<&V> {
        let mut link = self.chain(hash);
        while let Some(node) = link.get() {
            if is_key(&node.key) {
                return Some(&node.value);
            }
            link = &node.next;
        }
        None
    }

    /// Links what `make` makes unless the key is there by then. `None`: the map is full, or this is
    /// a forked child, where a link may be in the making for ever.
    #[cold]
    pub(crate) fn insert(
        &self,
        hash: u64,
        is_key: impl Fn(&K) -> bool,
        make: impl FnOnce() -> (K, V),
    ) -> Option<&V> {
        if let Some(value) = self.get(hash, &is_key) {
            return Some(value);
        }
        if self.process.is_forked() || self.len.load(Ordering::Relaxed) >= self.capacity {
            return None;
        }
        let (key, value) = make();
        let mut node = Box::new(Node {
            key,
            value,
            next: OnceLock::new(),
        });
        let mut link = self.chain(hash);
        loop {
            match link.set(node) {
                Ok(()) => {
                    self.len.fetch_add(1, Ordering::Relaxed);
                    return link.get().map(|node| &node.value);
                }
                // Taken, by an earlier key or by the winner of a race for this one.
                Err(back) => node = back,
            }
            let taken = link.get()?;
            if is_key(&taken.key) {
                return Some(&taken.value);
            }
            link = &taken.next;
        }
    }

    /// Every value that is there by now.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.chains.iter().flat_map(|chain| {
            let first = chain.get().map(|node| &**node);
            let nodes = std::iter::successors(first, |node| node.next.get().map(|node| &**node));
            nodes.map(|node| &node.value)
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    fn chain(&self, hash: u64) -> &Link<K, V> {
        // The middle bits: multiplicative hashes mix them best, and a table index needs few.
        &self.chains[(hash >> 32) as usize & (self.chains.len() - 1)]
    }
}

/// Unlinks node by node: a long chain dropped recursively would overflow the stack.
impl<K, V> Drop for InsertOnlyMap<K, V> {
    fn drop(&mut self) {
        for chain in &mut self.chains {
            let mut next = chain.take();
            while let Some(mut node) = next {
                next = node.next.take();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn racing_threads_agree_on_one_value_for_each_key() {
        let map = InsertOnlyMap::new(4, 1_000);
        let insert = |key: u64| {
            let value = map.insert(key << 32, |known| *known == key, || (key, Box::new(key)));
            std::ptr::from_ref(&**value.unwrap()) as usize
        };
        let addresses: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..100).map(insert).collect()))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(addresses.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(map.len.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn a_full_map_refuses_new_keys_and_finds_old_ones() {
        let map = InsertOnlyMap::new(1, 2);
        for key in 0..2 {
            assert!(map.insert(0, |k| *k == key, || (key, ())).is_some());
        }
        assert!(map.insert(0, |k| *k == 2, || (2, ())).is_none());
        assert!(map.get(0, |k| *k == 1).is_some());
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_is_dropped_without_recursion() {
        let map = InsertOnlyMap::new(1, 100_000);
        let mut link = &map.chains[0];
        for key in 0..100_000 {
            let node = Box::new(Node {
                key,
                value: (),
                next: OnceLock::new(),
            });
            link.set(node).unwrap_or_else(|_| panic!("taken"));
            link = &link.get().unwrap().next;
        }
        drop(map);
    }
}
