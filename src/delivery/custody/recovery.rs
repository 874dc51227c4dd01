//! After an outage.

use std::time::{Duration, Instant};

/// An endpoint has come back after a long time: what is fresh goes first, and what had to wait goes
/// no faster than that, so that a fleet does not overrun who has just come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recovery {
    since: Instant,
    /// What came from here on is fresh: the endpoint may have been back already.
    pub(super) fresh: Instant,
    /// Records that came since.
    pub(super) arrived: u64,
    /// Of those that had to wait, what went since.
    pub(super) drained: u64,
}

impl Recovery {
    pub(super) fn new(last_failure: Instant, now: Instant) -> Self {
        Self {
            since: now,
            fresh: last_failure,
            arrived: 0,
            drained: 0,
        }
    }

    /// Records a second that may go though nothing comes.
    const FLOOR: u64 = 1_000;

    /// How many may have gone by now.
    fn allowance(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.since).as_millis();
        let floor = u64::try_from(millis)
            .unwrap_or(u64::MAX)
            .saturating_mul(Self::FLOOR)
            / 1_000;
        self.arrived.max(floor)
    }

    /// How long until the next batch may go at the latest. The first goes at once.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let missing = self.drained.saturating_sub(self.allowance(now));
        Duration::from_millis((missing * 1_000).div_ceil(Self::FLOOR))
    }
}
