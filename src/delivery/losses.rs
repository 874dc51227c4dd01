//! Tells the log what was given up: at most one line for each reason in ten seconds. Not what the
//! destination would not take: its own words for that are told where they come.

use super::{
    ledger::{LedgerRow, Reason},
    outlet::unharmed,
};
use std::time::{Duration, Instant};

const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Each reason, and what was rejected, and what may have been lost.
const KINDS: usize = Reason::ALL.len() + 2;

/// To add all up is cheap, but nothing to do each time that the worker looks around.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Losses {
    looked: Option<Instant>,
    /// By reason: how many have been told, and when that was.
    told: [(u64, Option<Instant>); KINDS],
}

impl Losses {
    pub(super) fn tell(&mut self, rows: impl FnOnce() -> Vec<LedgerRow>, now: Instant) {
        let since = self.looked.map(|at| now.saturating_duration_since(at));
        if since.is_some_and(|since| since < LOOK_AGAIN_AFTER) {
            return;
        }
        self.looked = Some(now);
        let rows = rows();
        type Count = Box<dyn Fn(&LedgerRow) -> u64>;
        let dropped = Reason::ALL.map(|reason| {
            let count: Count = Box::new(move |row| row.dropped_for(reason));
            (reason.as_str(), count)
        });
        let others: [(&str, Count); 2] = [
            ("rejected", Box::new(LedgerRow::rejected)),
            ("ambiguous", Box::new(LedgerRow::ambiguous)),
        ];
        let kinds = dropped.into_iter().chain(others);
        for ((reason, lost), (told, at)) in kinds.zip(&mut self.told) {
            let all: u64 = rows.iter().map(&lost).sum();
            let is_told_elsewhere = reason == Reason::NonRetryable.as_str();
            let is_due = !is_told_elsewhere
                && at.is_none_or(|at| now.saturating_duration_since(at) >= TOLD_AGAIN_AFTER);
            if all <= *told || !is_due {
                continue;
            }
            let records = all - *told;
            (*told, *at) = (all, Some(now));
            let mut destinations: Vec<_> = rows
                .iter()
                .filter(|row| lost(row) > 0)
                .map(LedgerRow::destination)
                .collect();
            destinations.dedup();
            let destinations = destinations.join(", ");
            unharmed(|| {
                tracing::warn!(
                    target: "orderscope::delivery",
                    reason, records, destinations, "telemetry was lost"
                );
            });
        }
    }
}
