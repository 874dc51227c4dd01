//! One attempt at a request, what the endpoint is known for after it, and what the log is told.

use super::Outlet;
use crate::{
    delivery::{Answer, custody::Fate, endpoint::Endpoint, ledger::Reason},
    records::Signal,
};
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// An endpoint that was away for longer has a fleet's backlog before it.
const LONG_OUTAGE: Duration = Duration::from_secs(5);

impl Outlet {
    /// Sends what was taken of a signal. `reconsider` may make another answer of the one that came,
    /// before anything is learnt from it. `None`: shutdown is over, or the transport panicked; it
    /// is counted.
    pub(super) async fn attempt(
        &self,
        signal: Signal,
        body: Bytes,
        reconsider: impl FnOnce(Answer) -> Answer,
    ) -> Option<Answer> {
        if !self.custody.depart(signal) {
            return None;
        }
        let endpoint = self.endpoint(signal);
        let began = self.clock.now();
        let attempt = endpoint.begin(began);
        let transport = Arc::clone(&self.transport);
        // In a task of its own: a panic ends that, and not this.
        let sending = tokio::spawn(async move { transport.send(signal, body).await });
        let answer = sending.await;
        let now = self.clock.now();
        self.duration
            .record_duration(now.saturating_duration_since(began), None);
        let Ok(answer) = answer else {
            self.tell(endpoint, signal, "what sends it panicked", now);
            let fate = Fate::Dropped(Reason::ExporterPanic);
            self.custody.settle(signal, fate);
            return None;
        };
        let answer = reconsider(answer);
        let outage = attempt.ended(&answer, now);
        let outage = outage.filter(|outage| {
            let lasted = now.saturating_duration_since(outage.began);
            lasted >= LONG_OUTAGE
        });
        if let Some(outage) = outage {
            for signal in self.signals() {
                if std::ptr::eq(self.endpoint(signal), endpoint) {
                    self.custody.recover(signal, outage.last_failure, now);
                }
            }
        }
        match &answer {
            Answer::Accepted { message: None, .. } => self.tell_recovery(endpoint, signal),
            Answer::Accepted {
                message: Some(reason),
                ..
            }
            | Answer::Malformed { reason }
            | Answer::TooLarge { reason }
            | Answer::Refused { reason }
            | Answer::Denied { reason }
            | Answer::Unreachable { reason }
            | Answer::Unavailable { reason, .. }
            | Answer::Unanswered { reason } => self.tell(endpoint, signal, reason, now),
        }
        Some(answer)
    }

    fn tell(&self, endpoint: &Endpoint, signal: Signal, reason: &str, now: Instant) {
        if endpoint.is_news(reason, now) {
            let (destination, signal) = (self.name(), signal.name());
            // The host's subscriber may do what it likes: no lock is held.
            tracing::warn!(
                target: "orderscope::delivery",
                destination, signal, reason, "telemetry was not delivered"
            );
        }
    }

    fn tell_recovery(&self, endpoint: &Endpoint, signal: Signal) {
        if endpoint.forget_news() {
            let (destination, signal) = (self.name(), signal.name());
            tracing::info!(
                target: "orderscope::delivery",
                destination, signal, "telemetry is delivered again"
            );
        }
    }
}
