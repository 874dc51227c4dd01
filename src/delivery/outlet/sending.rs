//! A request on its way: tried, tried again where that may help, and concluded.

use super::{Orders, Outlet, UnderWay, lock};
use crate::{
    delivery::{
        Answer, Conclusion,
        breaker::Breaker,
        ledger::{Reason, Row, add, take_off},
        queue::Batch,
    },
    records::Signal,
};
use bytes::Bytes;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time;

/// From the first attempt on: then a batch is given up.
const TOTAL: Duration = Duration::from_secs(300);

/// How long a destination is waited for once shutdown has begun.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(1);

/// What a destination's task knows.
pub(super) struct Session {
    breaker: Breaker,
    pub(super) orders: Orders,
    /// Whether the next push says again what the last one said.
    pub(super) owes_a_push: bool,
}

impl Session {
    pub(super) fn new(orders: Orders) -> Self {
        Self {
            breaker: Breaker::default(),
            orders,
            owes_a_push: false,
        }
    }
}

/// What came of a request and its repetitions.
enum Sent {
    Accepted { rejected: u64 },
    Dropped(Reason),
    TooLarge,
    Ambiguous,
}

impl Outlet {
    /// Sends a batch, in halves where it is too large.
    pub(super) async fn deliver(&self, batch: Batch, session: &mut Session) {
        let mut halves = vec![batch];
        while let Some(batch) = halves.pop() {
            let (signal, records) = (batch.signal, batch.len());
            let Some(row) = self.ledger.row(signal) else {
                continue;
            };
            *lock(&self.under_way) = Some(UnderWay {
                signal,
                tried: records,
                waiting: halves.iter().map(Batch::len).sum(),
                is_sent: false,
            });
            let spelled = catch_unwind(AssertUnwindSafe(|| {
                self.encode.request(signal, &mut batch.records())
            }));
            let sent = match spelled {
                Ok(body) => self.send(signal, body.into(), session, TOTAL).await,
                Err(_) => Sent::Dropped(Reason::ExporterPanic),
            };
            match sent {
                Sent::TooLarge => match batch.split() {
                    (first, Some(second)) => {
                        halves.extend([second, first]);
                        continue;
                    }
                    (one, None) => {
                        self.conclude(row, Sent::Dropped(Reason::TooLarge), records);
                        self.queue.settle(one);
                    }
                },
                sent => {
                    self.conclude(row, sent, records);
                    self.queue.settle(batch);
                }
            }
        }
    }

    /// Counts what became of the request that was tried.
    fn conclude(&self, row: &Row, sent: Sent, records: u64) {
        let mut under_way = lock(&self.under_way);
        // Gone: shutdown has given it up and counted it.
        let Some(mine) = under_way.as_mut() else {
            return;
        };
        mine.tried = 0;
        take_off(&row.in_flight, records);
        if mine.waiting == 0 {
            *under_way = None;
        }
        match sent {
            Sent::Accepted { rejected } => {
                let rejected = rejected.min(records);
                add(&row.rejected, rejected);
                add(&row.acknowledged, records - rejected);
            }
            Sent::Dropped(reason) => row.drop(reason, records),
            Sent::TooLarge => row.drop(Reason::TooLarge, records),
            Sent::Ambiguous => add(&row.ambiguous, records),
        }
    }

    /// Reads all metrics and sends them, in one request.
    pub(super) async fn push_metrics(&self, session: &mut Session) {
        let Some(row) = self.ledger.row(Signal::Metrics) else {
            return;
        };
        let freeze = || lock(&self.push).as_mut().map(|push| push.request());
        let frozen = catch_unwind(AssertUnwindSafe(freeze));
        if let Ok(None) = frozen {
            return;
        }
        add(&row.pushed, 1);
        add(&row.in_flight, 1);
        *lock(&self.under_way) = Some(UnderWay {
            signal: Signal::Metrics,
            tried: 1,
            waiting: 0,
            is_sent: false,
        });
        // The next one says the same and more, so no push outlives its interval.
        let total = self.push_interval.min(TOTAL);
        let sent = match frozen {
            Ok(Some(body)) => {
                self.send(Signal::Metrics, body.into(), session, total)
                    .await
            }
            Ok(None) | Err(_) => Sent::Dropped(Reason::ExporterPanic),
        };
        let conclusion = match &sent {
            Sent::Accepted { .. } => Conclusion::Delivered,
            // What is refused once is refused for ever.
            Sent::Dropped(Reason::NonRetryable) | Sent::TooLarge => Conclusion::Refused,
            Sent::Dropped(_) => Conclusion::NotDelivered,
            Sent::Ambiguous => Conclusion::Ambiguous,
        };
        session.owes_a_push = conclusion == Conclusion::NotDelivered;
        let sent = match sent {
            // Counted in requests, and of this one something was taken.
            Sent::Accepted { .. } => Sent::Accepted { rejected: 0 },
            sent => sent,
        };
        self.conclude(row, sent, 1);
        let conclude = || {
            if let Some(push) = lock(&self.push).as_mut() {
                push.concluded(conclusion);
            }
        };
        // An error: a bug of ours, which the next push may not share.
        let _ = catch_unwind(AssertUnwindSafe(conclude));
    }

    /// Sends a request, again and again where that may help, for at most about `total`.
    async fn send(
        &self,
        signal: Signal,
        body: Bytes,
        session: &mut Session,
        total: Duration,
    ) -> Sent {
        let Session {
            breaker, orders, ..
        } = session;
        let began = self.clock.now();
        loop {
            let left = total.saturating_sub(self.clock.now() - began);
            while let Some(pause) = breaker.pause(self.clock.now()) {
                self.is_open.store(true, Ordering::Relaxed);
                let is_last = *orders.is_last.borrow_and_update();
                // The destination is not asked sooner because we are in a hurry.
                if is_last && pause > PATIENCE_AT_THE_END {
                    return Sent::Dropped(Reason::Deadline);
                }
                if pause > left {
                    time::sleep(left).await;
                    return Sent::Dropped(Reason::RetryExhausted);
                }
                tokio::select! {
                    () = time::sleep(pause) => {}
                    _ = orders.is_last.changed() => {}
                }
            }
            let attempt = self.clock.now();
            self.mark_sent(true);
            let answer = self.attempt(signal, body.clone()).await;
            self.mark_sent(false);
            let now = self.clock.now();
            self.duration.record_duration(now - attempt, None);
            let Some(answer) = answer else {
                return Sent::Dropped(Reason::ExporterPanic);
            };
            let (failure, after) = match answer {
                Answer::Accepted { rejected, message } => {
                    breaker.succeeded();
                    self.is_open.store(false, Ordering::Relaxed);
                    if let Some(message) = message {
                        self.tell(signal, &message);
                    }
                    return Sent::Accepted { rejected };
                }
                Answer::Refused { reason } => {
                    self.tell(signal, &reason);
                    return Sent::Dropped(Reason::NonRetryable);
                }
                Answer::TooLarge { reason } => {
                    self.tell(signal, &reason);
                    return Sent::TooLarge;
                }
                Answer::Unavailable { after, reason } => (reason, after),
                Answer::Unanswered { reason } => {
                    self.tell(signal, &reason);
                    breaker.failed(now, None);
                    return Sent::Ambiguous;
                }
            };
            self.tell(signal, &failure);
            breaker.failed(now, after);
        }
    }

    fn mark_sent(&self, is_sent: bool) {
        if let Some(under_way) = lock(&self.under_way).as_mut() {
            under_way.is_sent = is_sent;
        }
    }

    /// `None`: the transport panicked.
    async fn attempt(&self, signal: Signal, body: Bytes) -> Option<Answer> {
        let transport = Arc::clone(&self.transport);
        // In a task of its own: a panic ends that, and not this.
        let attempt = tokio::spawn(async move { transport.send(signal, body).await });
        attempt.await.ok()
    }

    /// Keeps the reason for whoever asks, and writes a line of log when it is a new one.
    fn tell(&self, signal: Signal, reason: &str) {
        let mut last = lock(&self.last_failure);
        if last.as_deref() != Some(reason) {
            let (destination, signal) = (self.name(), signal.name());
            tracing::warn!(destination, signal, reason, "telemetry was not delivered");
            *last = Some(reason.to_owned());
        }
    }
}
