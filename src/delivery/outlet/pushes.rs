//! Metrics: read when it is time and pushed, each push as one record of the ledger. One that did not
//! get there waits, and what is read meanwhile goes with it.

use super::{Ending, Orders, Outlet, after};
use crate::{
    delivery::{Answer, Conclusion, Push, breaker::Admission, custody::Fate, ledger::Reason},
    records::Signal,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{MutexGuard, PoisonError},
};

/// How often a push is cut smaller before it is given up.
const CUTS: u32 = 16;

/// What came of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    Settled,
    /// It waits: the endpoint is away.
    Owed,
    /// It waits: smaller requests are to say it.
    TooLarge,
}

impl Outlet {
    pub(super) async fn run_pushes(&self, mut orders: Orders) {
        let signal = Signal::Metrics;
        let endpoint = self.endpoint(signal);
        let mut told = self.last_flush(signal);
        let mut last_push = self.clock.now();
        // Of the push that waits: whether there is one, and how often it was cut smaller.
        let (mut is_owed, mut cuts) = (false, 0);
        let mut ending = Ending::default();
        loop {
            let wanted = *orders.emptied.borrow_and_update();
            let is_last = *orders.is_last.borrow_and_update();
            let mut attempts = endpoint.attempts();
            let now = self.clock.now();
            let waited = now.saturating_duration_since(last_push);
            let left = self.push_interval.saturating_sub(waited);
            let pause = if is_last || wanted > told || is_owed || left.is_zero() {
                let pause = match endpoint.admit(now) {
                    Admission::Go | Admission::Probe => {
                        last_push = now;
                        let was_owed = is_owed;
                        let pushed = self.push().await;
                        is_owed = pushed != Pushed::Settled;
                        match pushed {
                            // That was what had been read earlier; what came since is to follow.
                            Pushed::Settled if was_owed => cuts = 0,
                            Pushed::Settled => {
                                told = wanted;
                                self.end_flush(signal, told);
                                if is_last {
                                    return;
                                }
                            }
                            Pushed::TooLarge if cuts >= CUTS => {
                                self.custody.take_push();
                                let fate = Fate::Dropped(Reason::TooLarge);
                                self.custody.settle(signal, fate);
                                (is_owed, cuts) = (false, 0);
                            }
                            Pushed::TooLarge => cuts += 1,
                            Pushed::Owed => ending.failed(is_last),
                        }
                        continue;
                    }
                    Admission::After(pause) => Some(pause),
                    Admission::AfterProbe => None,
                };
                if ending.is_over(is_last, pause) {
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

    /// Reads all metrics and sends them.
    async fn push(&self) -> Pushed {
        let signal = Signal::Metrics;
        let most_bytes = self.custody.batch_bytes();
        let read = || self.pushes().as_mut().map(|push| push.requests(most_bytes));
        let bodies = match catch_unwind(AssertUnwindSafe(read)) {
            Ok(bodies) => bodies.unwrap_or_default(),
            Err(_) => {
                self.custody.take_push();
                let fate = Fate::Dropped(Reason::ExporterPanic);
                self.custody.settle(signal, fate);
                return Pushed::Settled;
            }
        };
        if bodies.is_empty() {
            return Pushed::Settled;
        }
        self.custody.take_push();
        let began = self.clock.now();
        let mut conclusions = vec![Conclusion::NotDelivered; bodies.len()];
        for (body, conclusion) in bodies.into_iter().zip(&mut conclusions) {
            if self.clock.now().saturating_duration_since(began) >= self.push_timeout {
                break;
            }
            let Some(answer) = self.attempt(signal, body.into(), |answer| answer).await else {
                // Perhaps taken, as far as can be told.
                *conclusion = Conclusion::Ambiguous;
                break;
            };
            *conclusion = match answer {
                Answer::Accepted { .. } => Conclusion::Delivered,
                Answer::TooLarge { .. } => Conclusion::TooLarge,
                Answer::Malformed { .. } | Answer::Refused { .. } => Conclusion::Refused,
                Answer::Unanswered { .. } => Conclusion::Ambiguous,
                Answer::Denied { .. } | Answer::Unreachable { .. } | Answer::Unavailable { .. } => {
                    break;
                }
            };
        }
        let conclude = || {
            if let Some(push) = self.pushes().as_mut() {
                push.concluded(&conclusions);
            }
        };
        // An error: a bug of ours, which the next push may not share.
        let _ = catch_unwind(AssertUnwindSafe(conclude));
        let has = |conclusion| conclusions.contains(&conclusion);
        // Of its parts the worst counts; of data points that were rejected the answer tells.
        let fate = if has(Conclusion::NotDelivered) || has(Conclusion::TooLarge) {
            self.custody.put_back(signal, []);
            return match has(Conclusion::NotDelivered) {
                true => Pushed::Owed,
                false => Pushed::TooLarge,
            };
        } else if has(Conclusion::Refused) {
            Fate::Dropped(Reason::NonRetryable)
        } else if has(Conclusion::Ambiguous) {
            Fate::Ambiguous
        } else {
            Fate::Taken { rejected: 0 }
        };
        self.custody.settle(signal, fate);
        Pushed::Settled
    }

    fn pushes(&self) -> MutexGuard<'_, Option<Box<dyn Push>>> {
        self.push.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
