//! What funnels and sessions have in common: what was taken is told to the state, and once all of it is
//! there, what is due is settled.
//!
//! ```text
//! take() ─→ tell() ─→ state: all of it ─→ settle() ─→ turns
//! ```

use super::Sharing;
use crate::{
    metrics::{Counter, Gauge},
    shared_state::{Follower, Id, Machine, Taken, Unavailable},
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
    open: Arc<Gauge>,
    refused: [Arc<Counter>; REFUSALS.len()],
}

impl Units {
    /// `refused`: by reason.
    pub(super) fn new(open: Arc<Gauge>, refused: impl Fn(&'static str) -> Arc<Counter>) -> Self {
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

    /// `open`: nobody knows, if `None`.
    fn are_open(&self, open: Option<u64>) {
        match open {
            Some(open) => self.open.set(open as f64),
            None => self.open.withhold(),
        }
    }

    /// So many units were given up so far.
    fn are_garbled(&self, garbled: u64) {
        self.refused[Refusal::Garbled as usize].absolute(garbled);
    }
}

/// Units of one kind, followed in one way or in several; what only who settles touches.
pub(super) struct Following<M: Machine> {
    followed: Vec<Followed<M>>,
    /// Up to when all is told; `None`: something is not, or all of it is settled.
    told: Option<u64>,
}

struct Followed<M: Machine> {
    follower: Follower<M>,
    units: Arc<Units>,
    /// What was taken and not told yet.
    taken: Vec<(Id, M::Event)>,
}

/// What is followed tells of persons.
impl<M: Machine> fmt::Debug for Following<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following").finish_non_exhaustive()
    }
}

/// Up to when everything that happened is applied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// What has been told, but for what is on the way, or late.
    NothingIsLate,
    /// Now: nobody tells anything any more.
    TheEnd,
}

impl<M: Machine> Following<M> {
    pub(super) fn new(ways: impl Iterator<Item = (Follower<M>, Arc<Units>)>) -> Self {
        let followed = |(follower, units)| Followed {
            follower,
            units,
            taken: Vec::new(),
        };
        Self {
            followed: ways.map(followed).collect(),
            told: None,
        }
    }

    /// Whether there is something that could not be told yet, which comes first.
    pub(super) fn has_untold(&self) -> bool {
        self.followed.iter().any(|it| !it.taken.is_empty())
    }

    /// For the first way of following, the second …
    pub(super) fn take(&mut self, way: usize, unit: Id, event: M::Event) {
        if let Some(followed) = self.followed.get_mut(way) {
            followed.taken.push((unit, event));
        }
    }

    /// Tells what was taken, which is all that happened before `now`.
    pub(super) async fn tell(&mut self, sharing: &Sharing, now: u64) -> Result<(), Unavailable> {
        self.told = None;
        let mut answer = Ok(());
        for Followed {
            follower,
            units,
            taken,
        } in &mut self.followed
        {
            // However long they waited: nothing was applied since the last time.
            let took = |taken| units.took(taken);
            let telling = follower.tell(sharing.state(), taken, took).await;
            answer = Sharing::worse(answer, telling);
        }
        match Sharing::is_whole(answer) {
            true => self.told = Some(now),
            // What was told is not whole, so nothing can be settled.
            false => self.looks_after_none(),
        }
        answer
    }

    /// Applies what is due, once all is told.
    pub(super) async fn settle(
        &mut self,
        sharing: &Sharing,
        until: Until,
        mut tell: impl FnMut(usize, M::Turn) + Send,
    ) -> Result<(), Unavailable> {
        let Some(told) = self.told.take() else {
            return Ok(());
        };
        let answer = match sharing.is_calm() {
            true => self.settle_ways(sharing, told, until, &mut tell).await,
            // Whoever has nothing to tell finds out all the same when it is over.
            false => sharing.state().answer().await,
        };
        if !Sharing::is_whole(answer) {
            self.looks_after_none();
        }
        answer
    }

    async fn settle_ways(
        &mut self,
        sharing: &Sharing,
        told: u64,
        until: Until,
        tell: &mut (impl FnMut(usize, M::Turn) + Send),
    ) -> Result<(), Unavailable> {
        let is_enough = sharing.is_enough();
        let mut answer = Ok(());
        for (
            way,
            Followed {
                follower, units, ..
            },
        ) in self.followed.iter_mut().enumerate()
        {
            let now = match until {
                Until::NothingIsLate => told.saturating_sub(sharing.on_the_way()),
                Until::TheEnd => told.saturating_add(follower.lateness()),
            };
            let tell = |turn| tell(way, turn);
            let settling = follower.settle_some(sharing.state(), now, tell, &is_enough);
            answer = Sharing::worse(answer, settling.await);
            units.are_open(Some(follower.open()));
            units.are_garbled(follower.garbled());
        }
        answer
    }

    /// For when nobody answers: somebody else may look after them by now.
    fn looks_after_none(&mut self) {
        for followed in &mut self.followed {
            followed.follower.looks_after_none();
            followed.units.are_open(None);
        }
    }

    /// For the end of a process that nobody answers: what it could not tell is counted as such.
    pub(super) fn give_up(&mut self) {
        for Followed { units, taken, .. } in &mut self.followed {
            taken
                .drain(..)
                .for_each(|_| units.refuse(Refusal::Unavailable));
        }
    }
}
