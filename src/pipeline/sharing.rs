//! The state that replicas have in common, or one process for itself, and whether it answers.

use crate::{
    catalog::telemetry::SHARED_STATE_DEGRADED,
    metrics::{Gauge, Registry},
    semconv,
    shared_state::{SharedState, Unavailable},
};
use std::sync::Arc;

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
}

impl Sharing {
    pub(super) fn new(state: Arc<dyn SharedState>, registry: &Registry) -> Self {
        let degraded = match state.answers_at_once() {
            true => Vec::new(),
            false => {
                let family = registry.gauge(&SHARED_STATE_DEGRADED);
                let gauge = |(_, reason)| family.kept(&[(semconv::REASON, reason)]);
                Unavailable::ALL.map(gauge).into()
            }
        };
        Self { state, degraded }
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
    }
}
