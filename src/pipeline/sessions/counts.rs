//! What sessions are counted by.

use crate::{
    catalog::events::{
        SESSION_DURATION, SESSION_EXITS, SESSIONS_ENDED, SESSIONS_OPEN, SESSIONS_REFUSED,
        SESSIONS_STARTED,
    },
    metrics::{Counter, Family, Histogram, Registry},
    pipeline::following::Units,
    semconv,
    shared_state::{Reason, Visited},
};
use std::{sync::Arc, time::Duration};

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
    pub(super) units: Arc<Units>,
    started: Arc<Counter>,
    ended: [Arc<Counter>; REASONS.len()],
    duration: Arc<Histogram>,
    exits: Family<Counter>,
    scope: (&'static str, &'static str),
}

impl Counts {
    pub(super) fn new(registry: &Registry, scope: &'static str) -> Self {
        let scope = (semconv::SCOPE, scope);
        let ended = registry.counter(&SESSIONS_ENDED);
        let refused = registry.counter(&SESSIONS_REFUSED);
        let open = registry.gauge(&SESSIONS_OPEN).kept(&[scope]);
        Self {
            units: Arc::new(Units::new(open, |why| {
                refused.kept(&[(semconv::REASON, why)])
            })),
            started: registry.counter(&SESSIONS_STARTED).kept(&[scope]),
            ended: REASONS.map(|why| ended.kept(&[(semconv::REASON, reason(why)), scope])),
            duration: registry.histogram(&SESSION_DURATION).kept(&[scope]),
            exits: registry.counter(&SESSION_EXITS),
            scope,
        }
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
