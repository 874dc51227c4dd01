//! Events that have an id of the application's: one that comes again is no other event.
//!
//! Within the process that is known at once. Where a state is shared, an event is held until the state has
//! said that no replica met it before, and only then is it counted and recorded. One that is let go without
//! an answer is counted as unchecked, and its id is claimed when there is somebody to claim it from, so that
//! it is refused where it comes again.

use super::{Sharing, subject};
use crate::{
    catalog::{events::EVENTS_UNCHECKED, telemetry::EVICTIONS},
    clock::{Anchor, Clock},
    fork::Lock,
    metrics::{Counter, Registry},
    records::Record,
    semconv,
    shared_state::{MOST_MET, Meeting, Seen, Unavailable},
};
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// Events that are held for an answer; further ones are not held.
const MOST_HELD: usize = 16_384;
/// Ids that are to be claimed: 2 MiB. Further ones are not.
const MOST_UNCLAIMED: usize = 65_536;
/// How long an event is held that nobody answers for.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct GivenIds {
    seen: Lock<Seen>,
    held: Lock<Vec<Held>>,
    /// Of events that were let go without an answer.
    unclaimed: Lock<Vec<(Meeting, ())>>,
    unchecked: Option<Arc<Counter>>,
    sharing: Arc<Sharing>,
    clock: Clock,
    began: Anchor,
}

/// An event that waits for an answer.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) name: &'static str,
    pub(crate) id: Box<str>,
    pub(crate) at: Instant,
    /// `None`: it goes nowhere, and is counted only.
    pub(crate) record: Option<Record>,
    pub(crate) fields: Vec<u8>,
    /// Tells it from others of the same id, where it is asked for twice.
    pub(crate) token: u64,
    /// Since when it is held, which is not when it happened.
    pub(crate) since: Instant,
}

impl Held {
    fn meeting(&self) -> Meeting {
        Meeting {
            id: subject::of_event_named(self.name, &self.id),
            token: self.token,
        }
    }
}

impl GivenIds {
    pub(super) fn new(clock: Clock, registry: &Registry, sharing: Arc<Sharing>) -> Self {
        let are_shared = !sharing.state().answers_at_once();
        Self {
            seen: Lock::default(),
            held: Lock::default(),
            unclaimed: Lock::default(),
            unchecked: are_shared.then(|| registry.counter(&EVENTS_UNCHECKED).kept(&[])),
            sharing,
            began: clock.anchor(),
            clock,
        }
    }

    /// Whether this process meets an event of that name with that id for the first time.
    pub(crate) fn is_first(&self, name: &str, id: &str) -> bool {
        let now = self.began.unix_nanos(self.clock.now()) / 1_000;
        let key = subject::of_event_named(name, id);
        // In a forked child nothing is counted in any case.
        let seen = self.seen.hold();
        seen.is_none_or(|mut seen| seen.is_first(key, now))
    }

    /// Whether events are to be [held](Self::hold) until the state has answered.
    pub(crate) fn are_shared(&self) -> bool {
        !self.sharing.state().answers_at_once()
    }

    /// Gives an event back that finds no room, to be let go.
    pub(crate) fn hold(&self, event: Held) -> Option<Held> {
        match self.held.hold() {
            Some(mut held) if held.len() < MOST_HELD => {
                held.push(event);
                return None;
            }
            _ => {}
        }
        self.leave_unchecked(&event);
        Some(event)
    }

    fn leave_unchecked(&self, event: &Held) {
        if let Some(unchecked) = &self.unchecked {
            unchecked.add(1);
        }
        let unclaimed = self.unclaimed.hold();
        if let Some(mut unclaimed) = unclaimed.filter(|ids| ids.len() < MOST_UNCLAIMED) {
            unclaimed.push((event.meeting(), ()));
        }
    }

    /// Lets those go that no replica met before; and those that nobody answers for in ten seconds.
    pub(crate) async fn settle(
        &self,
        mut let_go: impl FnMut(Held),
        mut refuse: impl FnMut(),
    ) -> Result<(), Unavailable> {
        let mut held: Vec<_> = self
            .take()
            .into_iter()
            .map(|event| (event.meeting(), event))
            .collect();
        let mut answer = self.claim().await;
        if answer.is_ok() {
            let each = |is_first, event| match is_first {
                true => let_go(event),
                false => refuse(),
            };
            answer = self.ask(&mut held, each).await;
        }
        let now = self.clock.now();
        let is_held = |event: &Held| now.saturating_duration_since(event.since) < PATIENCE;
        let (still, gone): (Vec<_>, Vec<_>) =
            held.into_iter().map(|(_, event)| event).partition(is_held);
        for event in gone {
            self.leave_unchecked(&event);
            let_go(event);
        }
        if let Some(mut waiting) = self.held.hold() {
            waiting.splice(..0, still);
        }
        answer
    }

    /// That somebody met them before is past help: they were counted.
    async fn claim(&self) -> Result<(), Unavailable> {
        let unclaimed = self.unclaimed.hold();
        let mut unclaimed = unclaimed
            .map(|mut ids| mem::take(&mut *ids))
            .unwrap_or_default();
        let answer = self.ask(&mut unclaimed, |_, ()| {}).await;
        if let Some(mut waiting) = self.unclaimed.hold() {
            waiting.splice(..0, unclaimed);
        }
        answer
    }

    /// Asks for many at once, shard by shard. What is not answered stays.
    async fn ask<T>(
        &self,
        waiting: &mut Vec<(Meeting, T)>,
        mut each: impl FnMut(bool, T),
    ) -> Result<(), Unavailable> {
        let state = self.sharing.state();
        let shard = |met: &Meeting| met.id.shard(state.shards());
        waiting.sort_by_key(|(met, _)| shard(met));
        while let Some((first, _)) = waiting.first() {
            let at = shard(first);
            let of_one = waiting.partition_point(|(met, _)| shard(met) <= at);
            let met = waiting.iter().take(of_one.min(MOST_MET));
            let met: Vec<_> = met.map(|(met, _)| *met).collect();
            let are_first = state.are_first(at, &met).await?;
            let answered = waiting.drain(..met.len());
            for ((_, event), is_first) in answered.zip(are_first) {
                each(is_first, event);
            }
        }
        Ok(())
    }

    /// For the end: whoever is held is let go.
    pub(crate) fn let_all_go(&self, mut let_go: impl FnMut(Held)) {
        for event in self.take() {
            self.leave_unchecked(&event);
            let_go(event);
        }
    }

    fn take(&self) -> Vec<Held> {
        let held = self.held.hold();
        held.map(|mut held| mem::take(&mut *held))
            .unwrap_or_default()
    }

    pub(super) fn observe(&'static self, registry: &Registry) {
        let evicted = registry.counter(&EVICTIONS);
        let evicted = evicted.kept(&[(semconv::STORE, "event_ids")]);
        registry.observe(move || {
            if let Some(seen) = self.seen.hold() {
                evicted.absolute(seen.evicted());
            }
        });
    }
}

#[cfg(test)]
mod tests;
