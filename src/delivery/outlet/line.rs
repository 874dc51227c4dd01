//! One signal on its way to one destination: what is under way, and what is known of the endpoint.

use super::lock;
use crate::{
    delivery::{
        breaker::Breaker,
        ledger::{Ledger, Reason, Row, take_off},
    },
    records::Signal,
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// A failure is told again after so long, even of the same kind.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Line {
    signal: Signal,
    /// Shared with the other signals of the same endpoint.
    pub(super) breaker: Arc<Mutex<Breaker>>,
    /// What was taken and not settled, should the task die over it.
    pub(super) under_way: Mutex<Option<UnderWay>>,
    /// The flush that has come to its end here.
    flushed: watch::Sender<u64>,
    failure: Mutex<Failure>,
}

/// Records that were taken out of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay {
    /// Of the request that is tried.
    pub(super) tried: u64,
    /// Of those that come after it.
    pub(super) waiting: u64,
    /// Of all of them.
    pub(super) bytes: usize,
    /// Whether the destination may be reading it just now.
    pub(super) is_sent: bool,
}

/// What was last said of the endpoint.
#[derive(Debug, Default)]
struct Failure {
    reason: Option<String>,
    told: Option<Instant>,
}

impl Line {
    pub(super) fn new(signal: Signal, breaker: Arc<Mutex<Breaker>>) -> Self {
        Self {
            signal,
            breaker,
            under_way: Mutex::new(None),
            flushed: watch::Sender::new(0),
            failure: Mutex::default(),
        }
    }

    pub(super) fn signal(&self) -> Signal {
        self.signal
    }

    pub(super) fn is_paused(&self, now: Instant) -> bool {
        lock(&self.breaker).pause(now).is_some()
    }

    pub(super) fn last_flush(&self) -> u64 {
        *self.flushed.borrow()
    }

    pub(super) fn end_flush(&self, number: u64) {
        self.flushed.send_replace(number);
    }

    pub(super) async fn flushed(&self, number: u64) {
        // An error: the telemetry is gone.
        let _ = self
            .flushed
            .subscribe()
            .wait_for(|done| *done >= number)
            .await;
    }

    /// Counts what was taken and not settled: what was tried as `tried` does, the rest by `waiting`.
    /// The bytes that it held.
    pub(super) fn give_up(
        &self,
        ledger: &Ledger,
        waiting: Reason,
        tried: impl FnOnce(&Row, UnderWay),
    ) -> usize {
        let mut under_way = lock(&self.under_way);
        let (Some(lost), Some(row)) = (under_way.take(), ledger.row(self.signal)) else {
            return 0;
        };
        take_off(&row.in_flight, lost.tried + lost.waiting);
        row.drop(waiting, lost.waiting);
        tried(row, lost);
        lost.bytes
    }

    /// Whether a line of log is to tell of this: it is another failure than the last one, or the
    /// last one was told of a while ago.
    pub(super) fn is_news(&self, reason: &str, now: Instant) -> bool {
        let mut failure = lock(&self.failure);
        let is_other = failure.reason.as_deref() != Some(reason);
        let since = failure.told.map(|told| now.saturating_duration_since(told));
        let is_due = since.is_none_or(|since| since >= TOLD_AGAIN_AFTER);
        if is_other {
            failure.reason = Some(reason.to_owned());
        }
        if is_due {
            failure.told = Some(now);
        }
        is_due
    }

    /// Whether something had failed before, which is forgotten now.
    pub(super) fn recovers(&self) -> bool {
        let mut failure = lock(&self.failure);
        let had_failed = failure.reason.take().is_some();
        if had_failed {
            // The next failure is told at once.
            failure.told = None;
        }
        had_failed
    }
}
