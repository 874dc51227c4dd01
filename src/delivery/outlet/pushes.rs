//! Metrics: read when it is time and pushed, request after request, each push as one record of the
//! ledger. One that did not get through waits, and goes on where it stopped.

use super::{Orders, Outlet, Patience, after, attempts::Unsent};
use crate::{
    delivery::{Answer, Conclusion, Push, breaker::Admission, custody::Fate, ledger::Reason},
    records::Signal,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::PoisonError,
};

/// How a push has gone so far.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// What was the worst that its requests met with.
    worst: Option<Fate>,
    /// How often it was cut smaller since something was taken.
    cuts: u32,
}

impl Progress {
    /// After so many the push is given up: even a point alone is too large.
    const MOST_CUTS: u32 = 64;

    fn met(&mut self, fate: Fate) {
        let weight = |fate: &Fate| match fate {
            Fate::Taken { .. } => 0,
            Fate::Ambiguous => 1,
            Fate::Dropped(_) => 2,
        };
        let worst = self.worst.get_or_insert(fate);
        if weight(&fate) > weight(worst) {
            *worst = fate;
        }
    }
}

/// Whether a push is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    Through,
    Waits,
    /// Shutdown is over.
    Closed,
}

impl Outlet {
    pub(super) async fn run_pushes(&self, mut orders: Orders) {
        let signal = Signal::Metrics;
        let endpoint = self.endpoint(signal);
        let mut told = self.last_flush(signal);
        let mut last_push = self.clock.now();
        // Of the push that waits.
        let mut owed: Option<Progress> = None;
        let mut patience = Patience::default();
        while !self.custody.is_closed() {
            let wanted = *orders.emptied.borrow_and_update();
            let is_last = *orders.is_last.borrow_and_update();
            let mut attempts = endpoint.attempts();
            let now = self.clock.now();
            let waited = now.saturating_duration_since(last_push);
            let left = self.push_interval.saturating_sub(waited);
            let is_asked_for = is_last || wanted > told;
            let pause = if is_asked_for || owed.is_some() || left.is_zero() {
                let pause = match endpoint.admit(now) {
                    Admission::Go | Admission::Probe => {
                        let was_owed = owed.is_some();
                        let begins = !was_owed || left.is_zero();
                        if begins {
                            last_push = now;
                        }
                        match self.push(begins, &mut owed).await {
                            Pushed::Closed => return,
                            Pushed::Waits => patience.failed(is_last),
                            // That was read earlier; what came since is to follow.
                            Pushed::Through if was_owed && is_asked_for => {}
                            Pushed::Through => {
                                told = wanted;
                                self.end_flush(signal, told);
                                if is_last {
                                    return;
                                }
                            }
                        }
                        continue;
                    }
                    Admission::After(pause) => Some(pause),
                    Admission::AfterProbe => None,
                };
                if patience.is_over(is_last, pause) {
                    self.custody.abandon(signal);
                    return;
                }
                pause
            } else {
                Some(left)
            };
            tokio::select! {
                () = after(pause) => {}
                _ = attempts.changed() => {}
                _ = orders.emptied.changed() => {}
                _ = orders.is_last.changed() => {}
            }
        }
    }

    /// Sends what is owed, or all metrics as they are now, as long as the endpoint takes them.
    async fn push(&self, begins: bool, owed: &mut Option<Progress>) -> Pushed {
        let signal = Signal::Metrics;
        let was_owed = owed.is_some();
        let mut progress = owed.take().unwrap_or_default();
        let first = match begins {
            true => {
                progress.cuts = 0;
                self.ask(Push::begin).and_then(|()| self.next_request())
            }
            false => self.next_request(),
        };
        if !was_owed && matches!(first, Ok(None)) {
            // There is nothing to say.
            return Pushed::Through;
        }
        self.custody.take_push();
        let mut next = first;
        loop {
            let body = match next {
                Ok(Some(body)) => body,
                Ok(None) => break,
                Err(Panicked) => {
                    progress.met(Fate::Dropped(Reason::ExporterPanic));
                    // So that it is not met with again.
                    let _ = self.ask(|push| push.concluded(Conclusion::Refused));
                    break;
                }
            };
            let answer = self.attempt(signal, body.into(), |answer| answer).await;
            let (conclusion, fate) = match answer {
                Ok(Answer::Accepted { rejected, .. }) => {
                    // Points, of which the ledger knows nothing: the push as a whole is one record.
                    let rejected = u64::from(rejected > 0);
                    (Conclusion::Delivered, Fate::Taken { rejected })
                }
                Ok(Answer::Malformed { .. } | Answer::Refused { .. }) => {
                    (Conclusion::Refused, Fate::Dropped(Reason::NonRetryable))
                }
                Ok(Answer::Unanswered { .. }) | Err(Unsent::Panicked) => {
                    (Conclusion::Ambiguous, Fate::Ambiguous)
                }
                Ok(Answer::TooLarge { .. }) if progress.cuts < Progress::MOST_CUTS => {
                    progress.cuts += 1;
                    (Conclusion::TooLarge, Fate::Taken { rejected: 0 })
                }
                Ok(Answer::TooLarge { .. }) => {
                    (Conclusion::Refused, Fate::Dropped(Reason::TooLarge))
                }
                Err(Unsent::Closed) => return Pushed::Closed,
                Ok(
                    Answer::Denied { .. } | Answer::Unreachable { .. } | Answer::Unavailable { .. },
                )
                | Err(Unsent::NotAdmitted) => {
                    // An error: it is asked for the same request again, or for none.
                    let _ = self.ask(|push| push.concluded(Conclusion::NotDelivered));
                    self.custody.put_back(signal, None);
                    *owed = Some(progress);
                    return Pushed::Waits;
                }
            };
            progress.met(fate);
            if conclusion == Conclusion::Delivered {
                progress.cuts = 0;
            }
            let concluded = self.ask(|push| push.concluded(conclusion));
            if concluded.is_ok_and(|is_lost| is_lost) {
                progress.met(Fate::Dropped(Reason::TooLarge));
            }
            next = self.next_request();
        }
        let nothing_lost = Fate::Taken { rejected: 0 };
        let fate = progress.worst.unwrap_or(nothing_lost);
        self.custody.settle(signal, fate);
        Pushed::Through
    }

    fn next_request(&self) -> Result<Option<Vec<u8>>, Panicked> {
        let most_bytes = self.custody.batch_bytes();
        self.ask(|push| push.request(most_bytes))
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut dyn Push) -> T) -> Result<T, Panicked> {
        let mut push = self.push.lock().unwrap_or_else(PoisonError::into_inner);
        catch_unwind(AssertUnwindSafe(|| ask(&mut **push))).map_err(|_| Panicked)
    }
}

/// What reads or encodes the metrics panicked: that is not gone on with.
#[derive(Debug)]
struct Panicked;
