//! The state that replicas have in common, or one process for itself, and whether it answers.

use crate::{
    catalog::telemetry::SHARED_STATE_DEGRADED,
    clock::Clock,
    fork::{Lock, Process},
    metrics::{Gauge, Registry},
    semconv,
    shared_state::{SharedState, Unavailable},
};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task};

/// How long after an outage nothing is settled, so that what waited in other replicas comes first.
const CALM: Duration = Duration::from_secs(2);
/// How long one kind of units is settled before others have their turn.
const LONGEST_PASS: Duration = Duration::from_secs(1);
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
    clock: Clock,
    last_outage: Lock<Option<Instant>>,
    ending: watch::Sender<bool>,
    process: Process,
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
            ending: watch::Sender::new(false),
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
        // Whoever asks may be a task that has used its turn up; it is not to wait for another here.
        let mut settling = pin!(task::unconstrained(settling));
        let mut nobody = Context::from_waker(Waker::noop());
        // Pending: another thread is at it.
        while settling.as_mut().poll(&mut nobody).is_pending() {
            thread::yield_now();
        }
    }

    /// What became of two questions: that nobody answers outweighs that one of them makes no sense.
    pub(crate) fn worse(
        one: Result<(), Unavailable>,
        other: Result<(), Unavailable>,
    ) -> Result<(), Unavailable> {
        match one {
            Ok(()) => other,
            Err(Unavailable::WrongType) => other.and(one),
            Err(_) => one,
        }
    }

    /// Whether a pass has taken so long by then that the rest has to wait for the next.
    pub(super) fn is_enough(&self) -> impl Fn() -> bool + Send + Sync {
        let (clock, began) = (self.clock.clone(), self.clock.now());
        move || clock.now().saturating_duration_since(began) >= LONGEST_PASS
    }

    /// Tells those who look at the state over and over that they are to stop.
    pub(crate) fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Comes when it [ends](Self::end).
    pub(crate) async fn ended(&self) {
        let mut ending = self.ending.subscribe();
        // Never an error: it is kept here.
        let _ = ending.wait_for(|is_ending| *is_ending).await;
    }

    /// Whether all was told: what makes no sense will not be told the next time either.
    pub(super) fn is_whole(answer: Result<(), Unavailable>) -> bool {
        matches!(answer, Ok(()) | Err(Unavailable::WrongType))
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
