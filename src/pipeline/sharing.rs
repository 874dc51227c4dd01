//! The state that replicas have in common, or one process for itself, and whether it answers.

use crate::{
    catalog::telemetry::SHARED_STATE_DEGRADED,
    clock::Clock,
    fork::Lock,
    metrics::{Gauge, Registry},
    semconv,
    shared_state::{SharedState, Unavailable},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long after an outage nothing is settled, so that what waited in other replicas comes first.
const CALM: Duration = Duration::from_secs(2);

impl Unavailable {
    const ALL: [(Self, &str); 5] = [
        (Self::Unreachable, "unreachable"),
        (Self::Timeout, "timeout"),
        (Self::Refused, "refused"),
        (Self::WrongType, "wrong_type"),
        (Self::TooLarge, "reply_too_large"),
    ];
}

#[derive(Debug)]
pub(crate) struct Sharing {
    state: Arc<dyn SharedState>,
    /// By reason; none where every answer is there at once.
    degraded: Vec<Arc<Gauge>>,
    clock: Clock,
    last_outage: Lock<Option<Instant>>,
}

impl Sharing {
    pub(super) fn new(state: Arc<dyn SharedState>, clock: Clock, registry: &Registry) -> Self {
        let degraded = match state.answers_at_once() {
            true => Vec::new(),
            false => {
                let family = registry.gauge(&SHARED_STATE_DEGRADED);
                let gauge = |(_, reason)| family.kept(&[(semconv::REASON, reason)]);
                Unavailable::ALL.map(gauge).into()
            }
        };
        Self {
            state,
            degraded,
            clock,
            last_outage: Lock::default(),
        }
    }

    pub(crate) fn state(&self) -> &dyn SharedState {
        &*self.state
    }

    /// What became of a round of questions: until the next it is as degraded as this says.
    pub(crate) fn heard<T>(&self, answer: Result<T, Unavailable>) {
        let reason = answer.err();
        for ((of, _), gauge) in Unavailable::ALL.iter().zip(&self.degraded) {
            gauge.set(f64::from(u8::from(reason == Some(*of))));
        }
        if !matches!(reason, None | Some(Unavailable::WrongType))
            && let Some(mut last) = self.last_outage.hold()
        {
            *last = Some(self.clock.now());
        }
    }

    /// Whether nothing waits in other replicas because nobody answered them either.
    pub(crate) fn is_calm(&self) -> bool {
        let last = self.last_outage.hold().and_then(|last| *last);
        last.is_none_or(|last| self.clock.now().duration_since(last) >= CALM)
    }
}
