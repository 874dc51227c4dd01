//! How many requests there were, and how each of them ended.

use std::fmt::{self, Display, Formatter};

use orderscope::snapshot::Snapshot;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
pub(crate) struct Requests {
    started: u64,
    active: u64,
    outcomes: Outcomes,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Outcomes {
    completed: u64,
    client_closed: u64,
    timed_out: u64,
    panicked: u64,
    shed: u64,
    body_failed: u64,
    upgraded: u64,
}

impl Requests {
    /// Whether each that started has finished with one outcome.
    pub(crate) fn are_balanced(&self) -> bool {
        self.active == 0 && self.started == self.outcomes.total()
    }

    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let outcome = |name| snapshot.counter(FINISHED, &[("outcome", name)]);
        let outcomes = Outcomes {
            completed: outcome("completed"),
            client_closed: outcome("client_closed"),
            timed_out: outcome("timed_out"),
            panicked: outcome("panicked"),
            shed: outcome("shed"),
            body_failed: outcome("body_failed"),
            upgraded: outcome("upgraded"),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of requests in flight"
        )]
        let active = snapshot.gauge(ACTIVE, &[]).round() as u64;
        let started = snapshot.counter(STARTED, &[]);
        Self {
            started,
            active,
            outcomes,
        }
    }

    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    pub(crate) fn by_outcome(&self) -> [(&'static str, u64); 7] {
        self.outcomes.by_name()
    }

    /// Adds another replica's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.started += other.started;
        self.active += other.active;
        let Outcomes {
            completed,
            client_closed,
            timed_out,
            panicked,
            shed,
            body_failed,
            upgraded,
        } = other.outcomes;
        let sum = &mut self.outcomes;
        sum.completed += completed;
        sum.client_closed += client_closed;
        sum.timed_out += timed_out;
        sum.panicked += panicked;
        sum.shed += shed;
        sum.body_failed += body_failed;
        sum.upgraded += upgraded;
    }
}

impl Display for Requests {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            started,
            active,
            outcomes,
        } = self;
        let sign = if self.are_balanced() { '=' } else { '≠' };
        let finished = outcomes.total();
        write!(
            f,
            "started {started} {sign} finished {finished} + active {active}"
        )
    }
}

impl Outcomes {
    fn by_name(&self) -> [(&'static str, u64); 7] {
        [
            ("completed", self.completed),
            ("client_closed", self.client_closed),
            ("timed_out", self.timed_out),
            ("panicked", self.panicked),
            ("shed", self.shed),
            ("body_failed", self.body_failed),
            ("upgraded", self.upgraded),
        ]
    }

    fn total(&self) -> u64 {
        self.by_name().iter().map(|(_, requests)| requests).sum()
    }
}

const STARTED: &str = "orderscope.http.server.requests.started";
const FINISHED: &str = "orderscope.http.server.requests.finished";
const ACTIVE: &str = "http.server.active_requests";
