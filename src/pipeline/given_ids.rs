//! Events that have an id of the application's: one that comes again is no other event.
//!
//! Within the process that is known at once. Where a state is shared, an event is held until the state has
//! said that no replica met it before, and only then is it counted and recorded.

use super::{Sharing, subject};
use crate::{
    clock::{Anchor, Clock},
    fork::Lock,
    metrics::{Counter, Family, Registry},
    records::Record,
    semconv,
    shared_state::{Id, Seen, Unavailable},
};
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// Events that are held for an answer; further ones are not held.
const MOST_HELD: usize = 16_384;
/// How long an event is held that nobody answers for.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct GivenIds {
    seen: Lock<Seen>,
    held: Lock<Vec<Held>>,
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
    fn key(&self) -> Id {
        subject::of_event_named(self.name, &self.id)
    }
}

impl GivenIds {
    pub(super) fn new(clock: Clock, sharing: Arc<Sharing>) -> Self {
        Self {
            seen: Lock::default(),
            held: Lock::default(),
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

    /// Gives an event back that finds no room.
    pub(crate) fn hold(&self, event: Held) -> Option<Held> {
        match self.held.hold() {
            Some(mut held) if held.len() < MOST_HELD => {
                held.push(event);
                None
            }
            _ => Some(event),
        }
    }

    /// Lets those go that no replica met before; and those that nobody answers for in ten seconds.
    pub(crate) async fn settle(
        &self,
        mut let_go: impl FnMut(Held),
        mut refuse: impl FnMut(),
    ) -> Result<(), Unavailable> {
        let mut held = self.take();
        let mut answer = Ok(());
        while let Some(event) = held.pop() {
            match self
                .sharing
                .state()
                .is_first(event.key(), event.token)
                .await
            {
                Ok(true) => let_go(event),
                Ok(false) => refuse(),
                Err(why) => {
                    held.push(event);
                    answer = Err(why);
                    break;
                }
            }
        }
        let now = self.clock.now();
        let is_held =
            |event: &Held| now.saturating_duration_since(event.since) < PATIENCE && answer.is_err();
        let (still, gone): (Vec<_>, Vec<_>) = held.into_iter().partition(is_held);
        gone.into_iter().for_each(let_go);
        if let Some(mut waiting) = self.held.hold() {
            waiting.splice(..0, still);
        }
        answer
    }

    /// For the end: whoever is held is let go.
    pub(crate) fn let_all_go(&self, let_go: impl FnMut(Held)) {
        self.take().into_iter().for_each(let_go);
    }

    /// The latest first.
    fn take(&self) -> Vec<Held> {
        let held = self.held.hold();
        let mut held = held
            .map(|mut held| mem::take(&mut *held))
            .unwrap_or_default();
        held.reverse();
        held
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
