//! Which records of a request are not acceptable, or too large: its halves are sent apart, and
//! theirs, until the bad ones stand alone. A half is asked about before the parts of the other, so
//! that bad records that stand together do not hide the good ones.

use crate::{
    delivery::ledger::Reason,
    sync::atomic::{AtomicU64, Ordering},
};
use std::sync::OnceLock;

/// What the parts of one request have met with.
#[derive(Debug)]
pub(in crate::delivery) struct Inquest {
    refusals: AtomicU64,
    taken: AtomicU64,
    given_up: OnceLock<Reason>,
}

impl Default for Inquest {
    fn default() -> Self {
        Self {
            refusals: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            given_up: OnceLock::new(),
        }
    }
}

impl Inquest {
    /// Two for each halving of a full request: after as many, and nothing taken, nothing will be.
    const PATIENCE: u64 = 20;
    /// Where nothing was taken before either, three halvings are enough.
    const SHORT_PATIENCE: u64 = 6;
    /// Refusals that the bad records of one request are worth.
    const MOST: u64 = 63;

    pub(super) fn refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn took(&self, records: u64) {
        self.taken.fetch_add(records, Ordering::Relaxed);
    }

    /// Whether the destination seems to take nothing at all.
    pub(in crate::delivery) fn finds_nothing_good(&self, is_denying: bool) -> bool {
        let patience = match is_denying {
            true => Self::SHORT_PATIENCE,
            false => Self::PATIENCE,
        };
        let refusals = self.refusals.load(Ordering::Relaxed);
        refusals >= patience && self.taken.load(Ordering::Relaxed) == 0
    }

    /// Whether it has cost enough.
    pub(in crate::delivery) fn is_too_long(&self) -> bool {
        self.refusals.load(Ordering::Relaxed) >= Self::MOST
    }

    /// The parts that still wait are not sent any more.
    pub(in crate::delivery) fn give_up(&self, reason: Reason) {
        // An error: it was given up before.
        let _ = self.given_up.set(reason);
    }

    pub(super) fn given_up(&self) -> Option<Reason> {
        self.given_up.get().copied()
    }
}
