//! What funnels and sessions have in common: what was taken is told to the state, and once all of it is
//! there, what is due is settled.

use super::Sharing;
use crate::{
    metrics::{Counter, UpDownCounter},
    shared_state::{Follower, Id, Machine, Space, Taken, Unavailable},
};
use std::{fmt, sync::Arc};

/// Why something could not be counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    Late,
    UnitsFull,
    QueueFull,
    /// Where it would be kept there is something else.
    Unavailable,
    /// Its unit could not be read.
    Garbled,
}

const REFUSALS: [&str; 5] = ["late", "units_full", "queue_full", "unavailable", "garbled"];

/// How many units are open, and what could not be counted.
#[derive(Debug)]
pub(super) struct Units {
    open: Arc<UpDownCounter>,
    refused: [Arc<Counter>; REFUSALS.len()],
}

impl Units {
    /// `refused`: by reason.
    pub(super) fn new(
        open: Arc<UpDownCounter>,
        refused: impl Fn(&'static str) -> Arc<Counter>,
    ) -> Self {
        Self {
            open,
            refused: REFUSALS.map(refused),
        }
    }

    pub(super) fn refuse(&self, why: Refusal) {
        self.refused[why as usize].add(1);
    }

    fn took(&self, taken: Taken) {
        match taken {
            Taken::InTime => {}
            Taken::Late => self.refuse(Refusal::Late),
            Taken::Full => self.refuse(Refusal::UnitsFull),
            Taken::Impossible => self.refuse(Refusal::Unavailable),
        }
    }

    /// So many units were given up so far.
    fn are_open(&self, open: u64, garbled: u64) {
        self.refused[Refusal::Garbled as usize].absolute(garbled);
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        self.open.add(open - self.open.read());
    }
}

/// Units of one kind; what only who settles touches.
pub(super) struct Following<M: Machine> {
    follower: Follower<M>,
    /// What was taken and not told yet.
    taken: Vec<(Id, M::Event)>,
}

/// What is followed tells of persons.
impl<M: Machine> fmt::Debug for Following<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").finish_non_exhaustive()
    }
}

/// Up to when everything that happened has been taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    Moment(u64),
    /// Nobody tells anything any more, so nothing is waited for that may be late.
    End(u64),
}

impl<M: Machine> Following<M> {
    pub(super) fn new(space: Space, rules: M::Rules, lateness: u64) -> Self {
        Self {
            follower: Follower::new(space, rules, lateness),
            taken: Vec::new(),
        }
    }

    /// Whether there is something that could not be told yet, which comes first.
    pub(super) fn has_untold(&self) -> bool {
        !self.taken.is_empty()
    }

    pub(super) fn take(&mut self, unit: Id, event: M::Event) {
        self.taken.push((unit, event));
    }

    pub(super) async fn tell(
        &mut self,
        sharing: &Sharing,
        units: &Units,
    ) -> Result<(), Unavailable> {
        // However long they waited: nothing was applied since the last time.
        let took = |taken| units.took(taken);
        self.follower
            .tell(sharing.state(), &mut self.taken, took)
            .await
    }

    /// For when what was told is not whole, so that nothing can be settled.
    pub(super) fn looks_after_none(&mut self, units: &Units) {
        self.follower.looks_after_none();
        units.are_open(0, self.follower.garbled());
    }

    pub(super) async fn settle(
        &mut self,
        sharing: &Sharing,
        units: &Units,
        until: Until,
        tell: impl FnMut(M::Turn) + Send,
    ) -> Result<(), Unavailable> {
        let now = match until {
            Until::Moment(now) => now,
            Until::End(now) => now.saturating_add(self.follower.lateness()),
        };
        let settled = self.follower.settle(sharing.state(), now, tell).await;
        units.are_open(self.follower.open(), self.follower.garbled());
        settled
    }
}
