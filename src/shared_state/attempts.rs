//! One unit's attempts at one funnel, as a machine that is fed its events.
//!
//! Events are applied in the order of (time, step, id), and not before they are older than the
//! lateness: what was told out of order by then is put in order.

use super::{Id, Machine};
use crate::catalog::funnel::Reentry;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What a funnel demands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) steps: u8,
    pub(crate) window: u64,
    pub(crate) reentry: Reentry,
}

/// One event, as the funnel sees it. Their order is that in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Happening {
    pub(crate) at: u64,
    pub(crate) what: What,
    pub(crate) id: Id,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// All that has to be known of one unit, but for what waits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Attempts(Option<Attempt>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attempt {
    /// How many steps it came to, on whichever way.
    furthest: u8,
    /// When it came to the last of them.
    progressed: u64,
    /// Several where each first step begins one; of those that came as far, the latest alone.
    ways: Vec<Way>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Way {
    began: u64,
    /// How many steps; at least one.
    reached: u8,
}

impl Machine for Attempts {
    type Rules = Rules;
    type Event = Happening;
    type Turn = Turn;

    fn at(event: &Happening) -> u64 {
        event.at
    }

    fn is_open(&self) -> bool {
        self.0.is_some()
    }

    fn end(&self, rules: &Rules) -> Option<u64> {
        self.0.as_ref()?.end(rules)
    }

    /// Abandons an attempt whose every way had ended by then.
    fn expire(&mut self, rules: &Rules, at: u64, tell: &mut dyn FnMut(Turn)) {
        let ended = |attempt: &Attempt| attempt.end(rules).is_none_or(|end| end < at);
        if let Some(attempt) = self.0.take_if(|attempt| ended(attempt)) {
            tell(attempt.closed(Outcome::Abandoned, None));
        }
    }

    fn apply(&mut self, rules: &Rules, event: Happening, tell: &mut dyn FnMut(Turn)) {
        let Happening { at, what, .. } = event;
        let Some(attempt) = &mut self.0 else {
            if what.is_step(0) {
                tell(Turn::Opened);
                tell(Turn::Reached {
                    step: 0,
                    after: None,
                });
                self.0 = Some(Attempt {
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
            self.0 = None;
        } else if let Some(began) = attempt.step(rules, at, what, tell) {
            tell(attempt.closed(Outcome::Converted, Some(at - began)));
            self.0 = None;
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
        tell: &mut dyn FnMut(Turn),
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
