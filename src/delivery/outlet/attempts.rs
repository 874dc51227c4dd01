//! One attempt at a request, what the endpoint is known for after it, and what the log is told.

use super::Outlet;
use crate::{
    delivery::{Answer, endpoint::Endpoint},
    records::Signal,
};
use bytes::Bytes;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time;

/// An endpoint that was away for longer has a fleet's backlog before it.
const LONG_OUTAGE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The endpoint is to be left alone now.
    NotAdmitted,
    /// Shutdown is over, and has counted it.
    Closed,
    /// What sends it panicked: it may have gone out.
    Panicked,
}

impl Outlet {
    /// Sends what was taken of a signal. `reconsider` may make another answer of the one that came,
    /// before anything is learnt from it.
    pub(super) async fn attempt(
        &self,
        signal: Signal,
        body: Bytes,
        reconsider: impl FnOnce(Answer) -> Answer,
    ) -> Result<Answer, Unsent> {
        let endpoint = self.endpoint(signal);
        let attempt = endpoint.begin(&self.clock).ok_or(Unsent::NotAdmitted)?;
        if !self.custody.depart(signal) {
            return Err(Unsent::Closed);
        }
        let transport = Arc::clone(&self.transport);
        let within = match signal {
            Signal::Metrics => self.push_timeout,
            Signal::Traces | Signal::Logs => Duration::MAX,
        };
        // In a task of its own: a panic ends that, and not this.
        let sending = tokio::spawn(async move {
            let answer = time::timeout(within, transport.send(signal, body)).await;
            answer.unwrap_or_else(|_| Answer::Unanswered {
                reason: format!("no answer within {within:?}"),
            })
        });
        let answer = sending.await;
        let now = self.clock.now();
        self.duration
            .record_duration(now.saturating_duration_since(attempt.began()), None);
        let Ok(answer) = answer else {
            self.tell(endpoint, signal, "what sends it panicked", now);
            return Err(Unsent::Panicked);
        };
        let answer = reconsider(answer);
        let outage = attempt.ended(&answer, now);
        let outage = outage.filter(|outage| {
            let lasted = now.saturating_duration_since(outage.began);
            lasted >= LONG_OUTAGE
        });
        if let Some(outage) = outage {
            for signal in self.signals() {
                if ptr::eq(self.endpoint(signal), endpoint) {
                    self.custody.recover(signal, outage.last_failure, now);
                }
            }
        }
        match &answer {
            Answer::Accepted { rejected, message } => {
                self.tell_taken(endpoint, signal, *rejected, message.as_deref(), now);
            }
            Answer::Malformed { reason }
            | Answer::TooLarge { reason }
            | Answer::Refused { reason }
            | Answer::Denied { reason }
            | Answer::Unreachable { reason }
            | Answer::Unavailable { reason, .. }
            | Answer::Unanswered { reason } => self.tell(endpoint, signal, reason, now),
        }
        Ok(answer)
    }

    fn tell(&self, endpoint: &Endpoint, signal: Signal, reason: &str, now: Instant) {
        if endpoint.is_news(reason, now) {
            let (destination, signal) = (self.name(), signal.name());
            unharmed(|| {
                tracing::warn!(
                    target: "orderscope::delivery",
                    destination, signal, reason, "telemetry was not delivered"
                );
            });
        }
    }

    fn tell_taken(
        &self,
        endpoint: &Endpoint,
        signal: Signal,
        rejected: u64,
        message: Option<&str>,
        now: Instant,
    ) {
        let (destination, signal) = (self.name(), signal.name());
        if rejected == 0 && message.is_none() {
            if endpoint.forget_news() {
                unharmed(|| {
                    tracing::info!(
                        target: "orderscope::delivery",
                        destination, signal, "telemetry is delivered again"
                    );
                });
            }
            return;
        }
        let reason = message.unwrap_or("no reason given");
        if endpoint.is_news(reason, now) {
            unharmed(|| match rejected {
                0 => tracing::warn!(
                    target: "orderscope::delivery",
                    destination, signal, reason, "telemetry was delivered, with a warning"
                ),
                rejected => tracing::warn!(
                    target: "orderscope::delivery",
                    destination, signal, rejected, reason, "telemetry was rejected in part"
                ),
            });
        }
    }
}

/// Runs the host's subscriber, which may panic: no lock is held, and nothing of ours ends by it.
pub(in crate::delivery) fn unharmed(log: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(log));
}
