//! One unit's attempts at one funnel, as a machine that is fed its events.
//!
//! Events are applied in the order of (time, step, id), and not before they are older than the
//! lateness: what was told out of order by then is put in order.

use super::Id;
use crate::catalog::funnel::Reentry;
use std::{cmp::Ordering, mem};

/// What a funnel demands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) steps: u8,
    pub(crate) window: u64,
    pub(crate) lateness: u64,
    pub(crate) reentry: Reentry,
}

/// One event, as the funnel sees it. Their order is that in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) at: u64,
    pub(crate) what: What,
    pub(crate) id: Id,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The steps that it may be, a bit for each.
    Step(u16),
    Exclusion,
}

impl What {
    fn is_step(self, step: u8) -> bool {
        matches!(self, Self::Step(steps) if steps >> step & 1 == 1)
    }

    /// Of several steps, the first; after all of them, exclusions.
    fn order(self) -> (u32, u16) {
        match self {
            Self::Step(steps) => (steps.trailing_zeros(), steps),
            Self::Exclusion => (u16::BITS + 1, 0),
        }
    }
}

impl Ord for Happening {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |happening: &Self| {
            let (step, steps) = happening.what.order();
            (happening.at, step, happening.id, steps)
        };
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Happening {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Opened,
    /// A step, from 0, that the attempt had not come to before; how long after the one before it.
    Reached {
        step: u8,
        after: Option<u64>,
    },
    /// How long from the first step to the last, where it was reached.
    Closed {
        outcome: Outcome,
        last: u8,
        lasted: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Converted,
    Abandoned,
    Excluded,
}

/// All that has to be known of one unit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit {
    attempt: Option<Attempt>,
    /// In order.
    waiting: Vec<Happening>,
}

#[derive(Clone, Debug)]
struct Attempt {
    /// How many steps it came to, on whichever way.
    furthest: u8,
    /// When it came to the last of them.
    progressed: u64,
    /// Several where each first step begins one; of those that came as far, the latest alone.
    ways: Vec<Way>,
}

#[derive(Clone, Copy, Debug)]
struct Way {
    began: u64,
    /// How many steps; at least one.
    reached: u8,
}

impl Unit {
    pub(super) fn is_open(&self) -> bool {
        self.attempt.is_some()
    }

    /// An event that is not late.
    pub(super) fn take(&mut self, happening: Happening) {
        let at = self
            .waiting
            .partition_point(|waiting| *waiting <= happening);
        if self.waiting.is_empty() {
            // Most units have one, and there may be a million of them.
            self.waiting.reserve_exact(1);
        }
        self.waiting.insert(at, happening);
    }

    /// The first moment at which [`advance`](Self::advance) has something to do.
    pub(super) fn due(&self, rules: &Rules) -> Option<u64> {
        let next = self.waiting.first().map(|happening| happening.at);
        let end = self.attempt.as_ref().and_then(|attempt| attempt.end(rules));
        let first = next.into_iter().chain(end).min()?;
        Some(first.saturating_add(rules.lateness).saturating_add(1))
    }

    /// Applies what is older than the lateness, and closes what can be reached no more.
    pub(super) fn advance(&mut self, rules: &Rules, now: u64, tell: &mut impl FnMut(Turn)) {
        let settled = now.saturating_sub(rules.lateness);
        let ready = self
            .waiting
            .partition_point(|happening| happening.at < settled);
        let waiting = mem::take(&mut self.waiting);
        for happening in waiting.iter().take(ready) {
            self.close_before(rules, happening.at, tell);
            self.apply(rules, *happening, tell);
        }
        self.waiting = waiting;
        self.waiting.drain(..ready);
        self.close_before(rules, settled, tell);
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
    }

    /// Abandons an attempt whose every way had ended by then.
    fn close_before(&mut self, rules: &Rules, at: u64, tell: &mut impl FnMut(Turn)) {
        let ended = |attempt: &Attempt| attempt.end(rules).is_none_or(|end| end < at);
        if let Some(attempt) = self.attempt.take_if(|attempt| ended(attempt)) {
            tell(attempt.closed(Outcome::Abandoned, None));
        }
    }

    fn apply(&mut self, rules: &Rules, happening: Happening, tell: &mut impl FnMut(Turn)) {
        let Happening { at, what, .. } = happening;
        let Some(attempt) = &mut self.attempt else {
            if what.is_step(0) {
                tell(Turn::Opened);
                tell(Turn::Reached {
                    step: 0,
                    after: None,
                });
                self.attempt = Some(Attempt {
                    furthest: 1,
                    progressed: at,
                    ways: vec![Way {
                        began: at,
                        reached: 1,
                    }],
                });
            }
            return;
        };
        if what == What::Exclusion {
            tell(attempt.closed(Outcome::Excluded, None));
            self.attempt = None;
        } else if let Some(began) = attempt.step(rules, at, what, tell) {
            tell(attempt.closed(Outcome::Converted, Some(at - began)));
            self.attempt = None;
        }
    }
}

impl Attempt {
    /// When the last of its ways ends.
    fn end(&self, rules: &Rules) -> Option<u64> {
        let latest = self.ways.iter().map(|way| way.began).max()?;
        Some(latest.saturating_add(rules.window))
    }

    fn closed(&self, outcome: Outcome, lasted: Option<u64>) -> Turn {
        Turn::Closed {
            outcome,
            last: self.furthest - 1,
            lasted,
        }
    }

    /// When the way began that has come to its last step by this.
    fn step(
        &mut self,
        rules: &Rules,
        at: u64,
        what: What,
        tell: &mut impl FnMut(Turn),
    ) -> Option<u64> {
        self.ways
            .retain(|way| way.began.saturating_add(rules.window) >= at);
        let mut has_moved = false;
        for way in self.ways.iter_mut().filter(|way| what.is_step(way.reached)) {
            way.reached += 1;
            has_moved = true;
            if way.reached > self.furthest {
                let after = Some(at - self.progressed);
                tell(Turn::Reached {
                    step: way.reached - 1,
                    after,
                });
                (self.furthest, self.progressed) = (way.reached, at);
            }
        }
        if what.is_step(0) {
            match rules.reentry {
                Reentry::LatestEntry if !has_moved => {
                    for way in self.ways.iter_mut().filter(|way| way.reached == 1) {
                        way.began = at;
                        self.progressed = at;
                    }
                }
                Reentry::LongestPath => self.ways.push(Way {
                    began: at,
                    reached: 1,
                }),
                Reentry::FirstEntry | Reentry::LatestEntry => {}
            }
        }
        // Of those that came as far, the latest has the most time left.
        self.ways.sort_by_key(|way| (way.reached, way.began));
        self.ways.dedup_by(|later, earlier| {
            let is_as_far = later.reached == earlier.reached;
            if is_as_far {
                *earlier = *later;
            }
            is_as_far
        });
        let furthest = self.ways.last()?;
        (furthest.reached == rules.steps).then_some(furthest.began)
    }
}
