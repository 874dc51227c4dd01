//! Spans and log records: batch after batch, as long as the endpoint admits them.

use super::{Orders, Outlet, Patience, after, attempts::Unsent};
use crate::{
    delivery::{
        Answer,
        breaker::Admission,
        custody::{Batch, Due, Fate},
        ledger::Reason,
    },
    mutation::{self, Mutation},
    records::Signal,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

/// Records of a request that finds out whether an endpoint is back: it is sent in vain most often.
const MOST_OF_A_PROBE: usize = 32;

impl Outlet {
    pub(super) async fn run_batches(&self, signal: Signal, mut orders: Orders) {
        let endpoint = self.endpoint(signal);
        let mut told = self.last_flush(signal);
        // A flush that has begun, and when: what comes later is not its own.
        let mut flush: Option<(u64, Instant)> = None;
        let mut patience = Patience::default();
        loop {
            let wanted = *orders.emptied.borrow_and_update();
            let is_last = *orders.is_last.borrow_and_update();
            let mut attempts = endpoint.attempts();
            let now = self.clock.now();
            self.custody.expire(signal, now);
            if flush.is_none() && wanted > told {
                flush = Some((wanted, now));
            }
            let due = match (is_last, flush) {
                (true, _) => Due::All,
                (false, Some((_, began))) => Due::Since(began),
                (false, None) => Due::Ready,
            };
            let pause = if !self.custody.has_due(signal, now, due) {
                if let Some((number, _)) = flush.take() {
                    told = number;
                    self.end_flush(signal, number);
                    continue;
                }
                if is_last {
                    return;
                }
                self.custody.next_ready(signal, now)
            } else {
                let admission = endpoint.admit(now);
                let pause = match admission {
                    Admission::Go | Admission::Probe => {
                        let most = match admission {
                            Admission::Probe => MOST_OF_A_PROBE,
                            _ => usize::MAX,
                        };
                        if let Some(batch) = self.custody.take(signal, now, due, most)
                            && !self.deliver(batch).await
                        {
                            patience.failed(is_last);
                        }
                        continue;
                    }
                    Admission::After(pause) => Some(pause),
                    Admission::AfterProbe => None,
                };
                if patience.is_over(is_last, pause) {
                    self.custody.abandon(signal);
                    continue;
                }
                pause
            };
            tokio::select! {
                () = self.arrived[signal as usize].notified() => {}
                () = after(pause) => {}
                _ = attempts.changed() => {}
                _ = orders.emptied.changed() => {}
                _ = orders.is_last.changed() => {}
            }
        }
    }

    /// Sends a batch once. `false`: the endpoint is away, and the batch waits again.
    async fn deliver(&self, mut batch: Batch) -> bool {
        let (signal, records) = (batch.signal(), batch.len());
        let settle = |fate| self.custody.settle(signal, fate);
        let spell = || self.encode.request(signal, &mut batch.records());
        let Ok(body) = catch_unwind(AssertUnwindSafe(spell)) else {
            settle(Fate::Dropped(Reason::ExporterPanic));
            return true;
        };
        let endpoint = self.endpoint(signal);
        let reconsider = |answer| judged(answer, &mut batch, endpoint.is_denying());
        let answer = match self.attempt(signal, body.into(), reconsider).await {
            Ok(answer) => answer,
            Err(Unsent::NotAdmitted) => {
                self.custody.put_back(signal, Some(batch));
                return true;
            }
            Err(Unsent::Closed) => return true,
            // How far it had come nobody knows.
            Err(Unsent::Panicked) => {
                settle(Fate::Ambiguous);
                return true;
            }
        };
        let given_up = batch.given_up();
        if let Some(reason) = given_up {
            self.custody.give_up(signal, reason);
        }
        let was_first = batch.is_first_half();
        match answer {
            Answer::Accepted { rejected, .. } if repeats(rejected > 0) => {
                self.custody.put_back(signal, Some(batch));
            }
            Answer::Accepted { rejected, .. } => {
                batch.was_taken(records.saturating_sub(rejected));
                settle(Fate::Taken { rejected });
            }
            Answer::Malformed { .. } => match batch.halved() {
                Ok(halves) if given_up.is_none() => {
                    self.custody.put_back_halves(signal, halves, was_first);
                }
                _ => settle(Fate::Dropped(Reason::NonRetryable)),
            },
            Answer::TooLarge { .. } => {
                let payload = batch.payload();
                match batch.halved() {
                    Ok(halves) => {
                        let now = self.clock.now();
                        self.custody.make_smaller(signal, payload, now);
                        self.custody.put_back_halves(signal, halves, was_first);
                    }
                    Err(_) => settle(Fate::Dropped(Reason::TooLarge)),
                }
            }
            Answer::Denied { .. } if mutation::is_on(Mutation::DenialsRetried) => {
                self.custody.put_back(signal, Some(batch));
            }
            Answer::Refused { .. } | Answer::Denied { .. } => {
                settle(Fate::Dropped(given_up.unwrap_or(Reason::NonRetryable)));
            }
            Answer::Unanswered { .. } if mutation::is_on(Mutation::UnansweredSentAgain) => {
                self.custody.put_back(signal, Some(batch));
            }
            Answer::Unanswered { .. } => settle(Fate::Ambiguous),
            Answer::Unreachable { .. } => {
                // Nobody has seen it: its time has not begun.
                self.custody.put_back(signal, Some(batch));
                return false;
            }
            Answer::Unavailable { .. } => {
                batch.was_tried(self.clock.now());
                self.custody.put_back(signal, Some(batch));
                return false;
            }
        }
        true
    }
}

/// A refusal for what is in the request, in the light of those before: where no part of it is ever
/// taken, it is the endpoint that denies, and not a record that is bad.
fn judged(answer: Answer, batch: &mut Batch, is_denying: bool) -> Answer {
    let (reason, text) = match answer {
        Answer::Malformed { reason } => (Reason::NonRetryable, reason),
        Answer::TooLarge { reason } => (Reason::TooLarge, reason),
        other => return other,
    };
    let inquest = batch.was_refused();
    // A limit of size has nothing to do with what was denied before.
    if inquest.finds_nothing_good(is_denying && reason == Reason::NonRetryable) {
        inquest.give_up(reason);
        return Answer::Denied { reason: text };
    }
    if reason == Reason::TooLarge {
        return Answer::TooLarge { reason: text };
    }
    if inquest.is_too_long() || mutation::is_on(Mutation::NoBisection) {
        // The endpoint is well; this much of the batch is not worth more requests.
        inquest.give_up(reason);
    }
    Answer::Malformed { reason: text }
}

fn repeats(something_was_rejected: bool) -> bool {
    something_was_rejected && mutation::is_on(Mutation::RejectedSentAgain)
}
