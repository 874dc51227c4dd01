//! The state that replicas have in common, or one process for itself, and whether it answers.

use crate::{
    catalog::telemetry::SHARED_STATE_DEGRADED,
    fork::Process,
    metrics::{Gauge, Registry},
    semconv,
    shared_state::{SharedState, Unavailable},
};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    thread,
};

/// Microseconds that something may take from a look at the clock to the hand-off, on a busy machine.
const ON_THE_WAY: u64 = 100_000;
/// As [`ON_THE_WAY`], where what is of one unit comes through several processes: each hands over what
/// waits every quarter of a second, and clocks differ.
const ON_THE_WAY_TO_OTHERS: u64 = 2_000_000;

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
    process: Process,
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
        Self {
            state,
            degraded,
            process: Process::current(),
        }
    }

    pub(crate) fn state(&self) -> &dyn SharedState {
        &*self.state
    }

    /// Microseconds after which all that happened has been handed off.
    pub(super) fn on_the_way(&self) -> u64 {
        match self.state.answers_at_once() {
            true => ON_THE_WAY,
            false => ON_THE_WAY_TO_OTHERS,
        }
    }

    /// Brings to its end what waits for nobody, since every answer is there at once.
    pub(super) fn at_once(&self, settling: impl Future<Output = Result<(), Unavailable>>) {
        // In a child, somebody who is not there may be at it for ever.
        if self.process.is_forked() {
            return;
        }
        let mut settling = pin!(settling);
        let mut nobody = Context::from_waker(Waker::noop());
        // Pending: another thread is at it.
        while settling.as_mut().poll(&mut nobody).is_pending() {
            thread::yield_now();
        }
    }

    /// What became of a round of questions: until the next it is as degraded as this says.
    pub(crate) fn heard<T>(&self, answer: Result<T, Unavailable>) {
        let reason = answer.err();
        for ((of, _), gauge) in Unavailable::ALL.iter().zip(&self.degraded) {
            gauge.set(f64::from(u8::from(reason == Some(*of))));
        }
    }
}
