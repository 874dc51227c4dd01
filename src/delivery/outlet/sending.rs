//! A request on its way: tried, tried again where that may help, and concluded.

use super::{
    Orders, Outlet,
    line::{Line, UnderWay},
    lock,
};
use crate::{
    delivery::{
        Answer, Conclusion,
        ledger::{Reason, Row, add, take_off},
        queue::Batch,
    },
    records::Signal,
};
use bytes::Bytes;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::time;

/// How long a destination is waited for once shutdown has begun.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(1);

/// What the task of one signal knows.
pub(super) struct Session<'a> {
    pub(super) line: &'a Line,
    pub(super) orders: Orders,
    /// Whether the next push says again what the last one said.
    pub(super) owes_a_push: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(line: &'a Line, orders: Orders) -> Self {
        Self {
            line,
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
    pub(super) async fn deliver(&self, batch: Batch, session: &mut Session<'_>) {
        let total = self.queue.timeout(batch.signal);
        let mut halves = vec![batch];
        while let Some(batch) = halves.pop() {
            let (signal, records) = (batch.signal, batch.len());
            let Some(row) = self.ledger.row(signal) else {
                return;
            };
            let under_way = UnderWay {
                tried: records,
                waiting: halves.iter().map(Batch::len).sum(),
                bytes: batch.bytes() + halves.iter().map(Batch::bytes).sum::<usize>(),
                is_sent: false,
            };
            if !self.begin(session.line, under_way) {
                return;
            }
            let spelled = catch_unwind(AssertUnwindSafe(|| {
                self.encode.request(signal, &mut batch.records())
            }));
            let sent = match spelled {
                Ok(body) => self.send(body.into(), session, total).await,
                Err(_) => Sent::Dropped(Reason::ExporterPanic),
            };
            let (settled, sent) = match sent {
                Sent::TooLarge => match batch.split() {
                    (first, Some(second)) => {
                        halves.extend([second, first]);
                        continue;
                    }
                    (one, None) => (one, Sent::Dropped(Reason::TooLarge)),
                },
                sent => (batch, sent),
            };
            self.conclude(session.line, row, sent, records);
            self.queue.settle(settled.bytes());
        }
    }

    /// Whether it is to be sent: shutdown may be over, and has counted it.
    fn begin(&self, line: &Line, it: UnderWay) -> bool {
        let mut under_way = lock(&line.under_way);
        let is_first = under_way.is_none();
        // Looked at under the lock, which `close()` takes after it has set this.
        if self.is_closed() {
            if is_first && let Some(row) = self.ledger.row(line.signal()) {
                // Taken out of the queue just before: nobody has counted it.
                take_off(&row.in_flight, it.tried + it.waiting);
                row.drop(Reason::Deadline, it.tried + it.waiting);
            }
            return false;
        }
        *under_way = Some(it);
        true
    }

    /// Counts what became of the request that was tried.
    fn conclude(&self, line: &Line, row: &Row, sent: Sent, records: u64) {
        let mut under_way = lock(&line.under_way);
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
    pub(super) async fn push_metrics(&self, session: &mut Session<'_>) {
        let Some(row) = self.ledger.row(Signal::Metrics) else {
            return;
        };
        let freeze = || {
            let mut push = lock(&self.push);
            let bodies = push.as_mut().map(|push| push.requests(usize::MAX));
            bodies.and_then(|bodies| bodies.into_iter().next())
        };
        let frozen = catch_unwind(AssertUnwindSafe(freeze));
        if let Ok(None) = frozen {
            return;
        }
        add(&row.pushed, 1);
        add(&row.in_flight, 1);
        let under_way = UnderWay {
            tried: 1,
            waiting: 0,
            bytes: 0,
            is_sent: false,
        };
        if !self.begin(session.line, under_way) {
            return;
        }
        // The next one says the same and more, so no push outlives its interval.
        let total = self.push_interval.min(self.push_timeout);
        let sent = match frozen {
            Ok(Some(body)) => self.send(body.into(), session, total).await,
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
        self.conclude(session.line, row, sent, 1);
        let conclude = || {
            if let Some(push) = lock(&self.push).as_mut() {
                push.concluded(&[conclusion]);
            }
        };
        // An error: a bug of ours, which the next push may not share.
        let _ = catch_unwind(AssertUnwindSafe(conclude));
    }

    /// Sends a request, again and again where that may help, for at most about `total`.
    async fn send(&self, body: Bytes, session: &mut Session<'_>, total: Duration) -> Sent {
        let Session { line, orders, .. } = session;
        let began = self.clock.now();
        loop {
            let left = total.saturating_sub(self.clock.now() - began);
            // Other signals of the endpoint may have found it closed meanwhile.
            while let Some(pause) = self.pause(line) {
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
            mark_sent(line, true);
            let answer = self.attempt(line.signal(), body.clone()).await;
            mark_sent(line, false);
            let now = self.clock.now();
            self.duration
                .record_duration(now.saturating_duration_since(attempt), None);
            let Some(answer) = answer else {
                return Sent::Dropped(Reason::ExporterPanic);
            };
            let (reason, after) = match answer {
                Answer::Accepted { rejected, message } => {
                    lock(&line.breaker).succeeded();
                    match message {
                        Some(message) => self.tell(line, &message),
                        None => self.tell_recovery(line),
                    }
                    return Sent::Accepted { rejected };
                }
                Answer::Refused { reason }
                | Answer::Malformed { reason }
                | Answer::Denied { reason } => {
                    self.tell(line, &reason);
                    return Sent::Dropped(Reason::NonRetryable);
                }
                Answer::TooLarge { reason } => {
                    self.tell(line, &reason);
                    return Sent::TooLarge;
                }
                Answer::Unanswered { reason } => {
                    lock(&line.breaker).failed(now, None);
                    self.tell(line, &reason);
                    return Sent::Ambiguous;
                }
                Answer::Unavailable { after, reason } => (reason, after),
                Answer::Unreachable { reason } => (reason, None),
            };
            lock(&line.breaker).failed(now, after);
            self.tell(line, &reason);
        }
    }

    fn pause(&self, line: &Line) -> Option<Duration> {
        lock(&line.breaker).pause(self.clock.now())
    }

    /// `None`: the transport panicked.
    async fn attempt(&self, signal: Signal, body: Bytes) -> Option<Answer> {
        let transport = Arc::clone(&self.transport);
        // In a task of its own: a panic ends that, and not this.
        let attempt = tokio::spawn(async move { transport.send(signal, body).await });
        attempt.await.ok()
    }

    /// Writes a line of log, at most one in ten seconds for each signal.
    fn tell(&self, line: &Line, reason: &str) {
        if line.is_news(reason, self.clock.now()) {
            let (destination, signal) = (self.name(), line.signal().name());
            // The host's subscriber may do what it likes: no lock is held.
            tracing::warn!(
                target: "orderscope::delivery",
                destination, signal, reason, "telemetry was not delivered"
            );
        }
    }

    fn tell_recovery(&self, line: &Line) {
        if line.recovers() {
            let (destination, signal) = (self.name(), line.signal().name());
            tracing::info!(
                target: "orderscope::delivery",
                destination, signal, "telemetry is delivered again"
            );
        }
    }
}

fn mark_sent(line: &Line, is_sent: bool) {
    if let Some(under_way) = lock(&line.under_way).as_mut() {
        under_way.is_sent = is_sent;
    }
}
