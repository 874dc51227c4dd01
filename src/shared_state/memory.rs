//! The units of one process, in its memory.

use super::{
    Id,
    attempts::{Happening, Rules, Turn, Unit},
};
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, hash_map::Entry};

/// Units of one funnel with something under way.
#[derive(Debug)]
pub(crate) struct Memory {
    rules: Rules,
    /// A million take 221 MiB, whether they wait or are open (2026-11-26, x86-64, glibc).
    units: FxHashMap<Id, Box<Unit>>,
    /// When which of them is to be looked at.
    due: BTreeSet<(u64, Id)>,
    most_units: usize,
    /// The latest that was told: clocks that are read at once by two threads do not turn it back.
    now: u64,
    open: usize,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    InTime,
    /// It came later than the lateness.
    Late,
    /// As many units as there may be have something under way.
    Full,
}

impl Memory {
    pub(crate) fn new(rules: Rules, most_units: usize) -> Self {
        Self {
            rules,
            units: FxHashMap::default(),
            due: BTreeSet::new(),
            most_units,
            now: 0,
            open: 0,
        }
    }

    /// Attempts that are open.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Takes an event of the unit.
    pub(crate) fn take(&mut self, unit: Id, happening: Happening, now: u64) -> Taken {
        self.now = self.now.max(now);
        if happening.at < self.now.saturating_sub(self.rules.lateness) {
            return Taken::Late;
        }
        let is_full = self.units.len() >= self.most_units;
        let known = match self.units.entry(unit) {
            Entry::Vacant(_) if is_full => return Taken::Full,
            entry => entry.or_default(),
        };
        let before = known.due(&self.rules);
        known.take(happening);
        let after = known.due(&self.rules);
        if before != after {
            if let Some(before) = before {
                self.due.remove(&(before, unit));
            }
            self.due.extend(after.map(|after| (after, unit)));
        }
        Taken::InTime
    }

    /// Applies what can be applied by now.
    pub(crate) fn advance(&mut self, now: u64, mut tell: impl FnMut(Turn)) {
        self.now = self.now.max(now);
        while let Some(&(due, unit)) = self.due.first()
            && due <= self.now
        {
            self.due.pop_first();
            let Entry::Occupied(mut known) = self.units.entry(unit) else {
                continue;
            };
            let was_open = known.get().is_open();
            known.get_mut().advance(&self.rules, self.now, &mut tell);
            let is_open = known.get().is_open();
            self.open = self.open + usize::from(is_open) - usize::from(was_open);
            match known.get().due(&self.rules) {
                Some(due) => _ = self.due.insert((due, unit)),
                None => _ = known.remove(),
            }
        }
    }
}
