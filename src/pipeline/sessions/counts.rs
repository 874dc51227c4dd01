//! What sessions are counted by.

use crate::{
    catalog::events::{
        SESSION_DURATION, SESSION_EXITS, SESSIONS_ENDED, SESSIONS_OPEN, SESSIONS_REFUSED,
        SESSIONS_STARTED,
    },
    metrics::{Counter, Family, Histogram, Registry, UpDownCounter},
    semconv,
    shared_state::{Reason, Taken, Visited},
};
use std::{sync::Arc, time::Duration};

/// Why activity could not be counted.
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
const REASONS: [Reason; 3] = [Reason::Timeout, Reason::MaxDuration, Reason::Explicit];

/// As `reason` says it.
pub(super) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Timeout => "timeout",
        Reason::MaxDuration => "max_duration",
        Reason::Explicit => "explicit",
    }
}

#[derive(Debug)]
pub(super) struct Counts {
    started: Arc<Counter>,
    open: Arc<UpDownCounter>,
    ended: [Arc<Counter>; REASONS.len()],
    duration: Arc<Histogram>,
    exits: Family<Counter>,
    refused: [Arc<Counter>; REFUSALS.len()],
    scope: (&'static str, &'static str),
}

impl Counts {
    pub(super) fn new(registry: &Registry, scope: &'static str) -> Self {
        let scope = (semconv::SCOPE, scope);
        let ended = registry.counter(&SESSIONS_ENDED);
        let refused = registry.counter(&SESSIONS_REFUSED);
        Self {
            started: registry.counter(&SESSIONS_STARTED).kept(&[scope]),
            open: registry.up_down_counter(&SESSIONS_OPEN).kept(&[scope]),
            ended: REASONS.map(|why| ended.kept(&[(semconv::REASON, reason(why)), scope])),
            duration: registry.histogram(&SESSION_DURATION).kept(&[scope]),
            exits: registry.counter(&SESSION_EXITS),
            refused: REFUSALS.map(|why| refused.kept(&[(semconv::REASON, why)])),
            scope,
        }
    }

    pub(super) fn refuse(&self, why: Refusal) {
        self.refused[why as usize].add(1);
    }

    pub(super) fn took(&self, taken: Taken) {
        match taken {
            Taken::InTime => {}
            Taken::Late => self.refuse(Refusal::Late),
            Taken::Full => self.refuse(Refusal::UnitsFull),
            Taken::Impossible => self.refuse(Refusal::Unavailable),
        }
    }

    /// So many sessions are open now, and so many units were given up so far.
    pub(super) fn are_open(&self, open: u64, garbled: u64) {
        self.refused[Refusal::Garbled as usize].absolute(garbled);
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        self.open.add(open - self.open.read());
    }

    pub(super) fn tell(&self, turn: &Visited) {
        let Some(end) = &turn.end else {
            return self.started.add(1);
        };
        self.ended[end.reason as usize].add(1);
        let lasted = Duration::from_micros(end.lasted);
        self.duration.record_duration(lasted, None);
        let step = (semconv::SESSION_STEP, &*end.last);
        self.exits.with(&[step, self.scope]).add(1);
    }
}
