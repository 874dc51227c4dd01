//! Events that have an id of the application's: one that comes again is no other event.
//!
//! Within the process that is known at once. Where a state is shared, an event is held until the state has
//! said that no replica met it before, and only then is it counted and recorded. One that is let go without
//! an answer is counted as unchecked, and its id is claimed when there is somebody to claim it from, so that
//! it is refused where it comes again.

use super::{Sharing, subject};
use crate::{
    catalog::events::EVENTS_UNCHECKED,
    clock::{Anchor, Clock},
    fork::Lock,
    metrics::{Counter, Family, Registry},
    records::Record,
    semconv,
    shared_state::{MOST_MET, Meeting, Seen, Unavailable},
};
use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Events that are held for an answer; further ones are not held.
const MOST_HELD: usize = 16_384;
/// Bytes of them.
const MOST_HELD_BYTES: usize = 32 * 1_024 * 1_024;
/// Ids that are to be claimed: 2 MiB. Further ones are not.
const MOST_UNCLAIMED: usize = 65_536;
/// How long an event is held that nobody answers for.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct GivenIds {
    seen: Lock<Seen>,
    held: Lock<Vec<Held>>,
    /// Of those that are held or asked for.
    held_count: AtomicUsize,
    held_bytes: AtomicUsize,
    /// Of events that were let go without an answer.
    unclaimed: Lock<Vec<Meeting>>,
    /// One asks at a time.
    asking: Mutex<()>,
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
    pub(crate) meeting: Meeting,
    /// Since when it is held, which is not when it happened.
    pub(crate) since: Instant,
}

impl Held {
    pub(crate) fn meeting(name: &str, id: &str) -> Meeting {
        Meeting {
            id: subject::of_event_named(name, id),
            token: fastrand::u64(..),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.fields.len() + self.id.len()
    }
}

/// Events that are asked for. Those without an answer are held again, whatever becomes of who asks.
struct Asked<'a> {
    ids: &'a GivenIds,
    events: Vec<Held>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(mut held) = self.ids.held.hold() {
            held.splice(..0, self.events.drain(..));
        }
    }
}

impl GivenIds {
    pub(super) fn new(clock: Clock, registry: &Registry, sharing: Arc<Sharing>) -> Self {
        let are_shared = !sharing.state().answers_at_once();
        Self {
            seen: Lock::default(),
            held: Lock::default(),
            held_count: AtomicUsize::new(0),
            held_bytes: AtomicUsize::new(0),
            unclaimed: Lock::default(),
            asking: Mutex::default(),
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
        // Both in any case, since both are given back.
        let count = self.held_count.fetch_add(1, Ordering::Relaxed);
        let bytes = self.held_bytes.fetch_add(event.bytes(), Ordering::Relaxed);
        let has_room = count < MOST_HELD && bytes < MOST_HELD_BYTES;
        if has_room && let Some(mut held) = self.held.hold() {
            held.push(event);
            return None;
        }
        self.leave_unchecked(&event);
        Some(event)
    }

    fn leave(&self, event: &Held) {
        self.held_count.fetch_sub(1, Ordering::Relaxed);
        self.held_bytes.fetch_sub(event.bytes(), Ordering::Relaxed);
    }

    fn leave_unchecked(&self, event: &Held) {
        self.leave(event);
        if let Some(unchecked) = &self.unchecked {
            unchecked.add(1);
        }
        let unclaimed = self.unclaimed.hold();
        if let Some(mut unclaimed) = unclaimed.filter(|ids| ids.len() < MOST_UNCLAIMED) {
            unclaimed.push(event.meeting);
        }
    }

    /// Lets those go that no replica met before; and those that nobody answers for in ten seconds.
    pub(crate) async fn settle(
        &self,
        mut let_go: impl FnMut(Held),
        mut refuse: impl FnMut(),
    ) -> Result<(), Unavailable> {
        let _one = self.asking.lock().await;
        let mut asked = Asked {
            ids: self,
            events: self.take(),
        };
        let mut answer = self.claim().await;
        if answer.is_ok() {
            answer = self.ask(&mut asked.events, &mut let_go, &mut refuse).await;
        }
        let now = self.clock.now();
        let is_held = |event: &Held| now.saturating_duration_since(event.since) < PATIENCE;
        for event in asked.events.extract_if(.., |event| !is_held(event)) {
            self.leave_unchecked(&event);
            let_go(event);
        }
        answer
    }

    /// Asks for many at once, shard by shard. What is not answered stays.
    async fn ask(
        &self,
        events: &mut Vec<Held>,
        let_go: &mut impl FnMut(Held),
        refuse: &mut impl FnMut(),
    ) -> Result<(), Unavailable> {
        events.sort_by_key(|event| self.shard(event.meeting));
        while !events.is_empty() {
            let met = events.iter().take(MOST_MET).map(|event| event.meeting);
            let are_first = self.are_first(met.collect()).await?;
            for (event, is_first) in events.drain(..are_first.len()).zip(are_first) {
                self.leave(&event);
                match is_first {
                    true => let_go(event),
                    false => refuse(),
                }
            }
        }
        Ok(())
    }

    /// That somebody met them before is past help: they were counted.
    async fn claim(&self) -> Result<(), Unavailable> {
        loop {
            let next: Vec<_> = match self.unclaimed.hold() {
                Some(mut unclaimed) if !unclaimed.is_empty() => {
                    unclaimed.sort_by_key(|met| self.shard(*met));
                    unclaimed.iter().take(MOST_MET).copied().collect()
                }
                _ => return Ok(()),
            };
            let answered = self.are_first(next).await?.len();
            // Only who asks takes any away, and others come behind them.
            if let Some(mut unclaimed) = self.unclaimed.hold() {
                unclaimed.drain(..answered);
            }
        }
    }

    /// Of as many as are in one shard with the first.
    async fn are_first(&self, mut met: Vec<Meeting>) -> Result<Vec<bool>, Unavailable> {
        let at = met.first().map_or(0, |first| self.shard(*first));
        met.truncate(met.partition_point(|met| self.shard(*met) <= at));
        self.sharing.state().are_first(at, &met).await
    }

    fn shard(&self, met: Meeting) -> u16 {
        met.id.shard(self.sharing.state().shards())
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

    pub(super) fn observe(&'static self, registry: &Registry, evictions: &Family<Counter>) {
        let evicted = evictions.kept(&[(semconv::STORE, "event_ids")]);
        registry.observe(move || {
            if let Some(seen) = self.seen.hold() {
                evicted.absolute(seen.evicted());
            }
        });
    }
}

#[cfg(test)]
mod tests;
