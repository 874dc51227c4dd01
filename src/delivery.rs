//! From the hand-off to the collector's answer: every record is acknowledged, or counted by what
//! became of it.
//!
//! ```text
//! source ─→ Handoff (sharded) ─→ stages ─┬─→ Custody of one destination ─→ Transport ─→ its answer
//!                                        └─→ Custody of another …
//! ```
//!
//! A destination's [`Custody`](custody::Custody) holds what it is to have and counts what became of
//! it, under one lock; its [`Outlet`] sends, a task for each signal; an
//! [`Endpoint`](endpoint::Endpoint) knows whether it is asked just now, for all signals that go
//! there. Whatever waited and is given up leaves the custody in one place, `State::forget`: that is
//! where a disk spool will stand.

mod breaker;
mod custody;
mod endpoint;
mod handoff;
mod intake;
mod ledger;
mod losses;
mod outlet;
#[cfg(test)]
mod tests;
pub(crate) mod transport;

pub use ledger::{LedgerRow, Reason};
pub use transport::{Compression, Protocol};
pub(crate) use transport::{Endpoint, HANGING_LOOKUPS, Tls};
pub(crate) use {
    custody::{Batching, Bounds},
    handoff::Handoff,
    intake::Delivery,
    outlet::{Outlet, Parts},
};

use crate::{
    clock::Anchor,
    records::{Fields, Record, Signal},
};
use bytes::Bytes;
use std::{fmt, pin::Pin, time::Duration};

/// One record with its fields, as the worker reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) record: &'a Record,
    /// To be read by [`records::read`](crate::records::read).
    pub(crate) fields: &'a [u8],
    /// What turns the record's instants into times of the day.
    pub(crate) anchor: &'a Anchor,
}

/// How a destination's wire spells records.
pub(crate) trait Encode: Send + Sync + 'static {
    /// Appends one record.
    fn record(&self, entry: Entry<'_>, out: &mut Vec<u8>);

    /// The body of one request that carries `records`, each as [`record`](Self::record) spelled it.
    fn request(&self, signal: Signal, records: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8>;
}

/// A step on the worker before anything is encoded: it may add fields.
pub(crate) trait Stage: Send + 'static {
    fn apply(&mut self, record: &Record, fields: &mut Fields);
}

/// Metrics, which are read when it is time and not handed off.
pub(crate) trait Push: Send + 'static {
    /// Reads all metrics anew, unless deltas of an earlier reading are still to be said.
    fn begin(&mut self);

    /// The next request of what was read, no larger than `most_bytes` where that can be; the same
    /// one until it is concluded. `None`: all is said.
    fn request(&mut self, most_bytes: usize) -> Option<Vec<u8>>;

    /// What became of that request. Whether something of it is lost that could not be said in
    /// less.
    fn concluded(&mut self, conclusion: Conclusion) -> bool;
}

/// The end of one request of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conclusion {
    Delivered,
    /// Certainly not taken: what it said is still to be said.
    NotDelivered,
    /// As `NotDelivered`, but in smaller requests.
    TooLarge,
    /// Not taken, and never to be: what it said is lost.
    Refused,
    /// Perhaps taken: to say it again might count twice.
    Ambiguous,
}

/// Carries a request to a destination, once. Each attempt has its deadline inside.
pub(crate) trait Transport: fmt::Debug + Send + Sync + 'static {
    fn send(&self, signal: Signal, body: Bytes) -> Sending<'_>;
}

/// An attempt under way.
pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Taken, but for `rejected` records. `message` is what the destination said to that, or by
    /// way of a warning.
    Accepted {
        rejected: u64,
        message: Option<String>,
    },
    /// Not taken: something in the request is not acceptable, perhaps one record only (HTTP 400,
    /// 422; gRPC `INVALID_ARGUMENT`).
    Malformed { reason: String },
    /// Not taken: the request is larger than the destination accepts.
    TooLarge { reason: String },
    /// Not taken, and it never will be (HTTP 500, for one).
    Refused { reason: String },
    /// Nothing is taken there before somebody changes credentials or address (HTTP 401, 403, 404,
    /// redirects; gRPC `UNAUTHENTICATED`, `PERMISSION_DENIED`, `UNIMPLEMENTED`).
    Denied { reason: String },
    /// Not taken: there was no connection, so that nobody was burdened by the attempt.
    Unreachable { reason: String },
    /// Not taken. To be tried again, not before `after` where the destination says when.
    Unavailable {
        after: Option<Duration>,
        reason: String,
    },
    /// Sent whole, and never answered: taken or not.
    Unanswered { reason: String },
}
