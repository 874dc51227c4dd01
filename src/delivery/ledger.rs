//! The ledger: of the records that a destination was to have, what became of each.

use super::handoff::Counts;
use crate::records::Signal;
use std::fmt;

/// Why a record was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Sources were faster than the telemetry's thread: the hand-off had no room.
    QueueFull,
    /// The destination's queue had no room within its bytes.
    BytesFull,
    /// The destination takes no request of this size, though it held one record only.
    TooLarge,
    /// The destination answered that it will not take it.
    NonRetryable,
    /// It was tried again until its time was over.
    RetryExhausted,
    /// Shutdown ended before it was sent, or did not wait for a destination that was away.
    Deadline,
    /// Code that was to encode or send it panicked.
    ExporterPanic,
    /// The disk took it not.
    WriteFailed,
    /// It was recorded in a forked child, which has none of the telemetry's threads.
    Fork,
    /// It came when the telemetry had been shut down.
    AfterShutdown,
}

impl Reason {
    /// In the order of a record's way.
    pub const ALL: [Self; 10] = [
        Self::QueueFull,
        Self::BytesFull,
        Self::TooLarge,
        Self::NonRetryable,
        Self::RetryExhausted,
        Self::Deadline,
        Self::ExporterPanic,
        Self::WriteFailed,
        Self::Fork,
        Self::AfterShutdown,
    ];

    /// The value of the attribute `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::BytesFull => "bytes_full",
            Self::TooLarge => "too_large",
            Self::NonRetryable => "non_retryable",
            Self::RetryExhausted => "retry_exhausted",
            Self::Deadline => "deadline",
            Self::ExporterPanic => "exporter_panic",
            Self::WriteFailed => "write_failed",
            Self::Fork => "fork",
            Self::AfterShutdown => "after_shutdown",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of the records of one signal behind the hand-off. Kept under its destination's lock,
/// so that it is never read amid a record's step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// All that came out of the hand-off, and pushes of metrics, which do not come through it.
    pub(super) received: u64,
    pub(super) acknowledged: u64,
    pub(super) rejected: u64,
    pub(super) ambiguous: u64,
    pub(super) queued: u64,
    pub(super) in_flight: u64,
    dropped: [u64; Reason::ALL.len()],
}

impl Row {
    pub(super) fn drop(&mut self, reason: Reason, records: u64) {
        self.dropped[reason as usize] += records;
    }

    /// With what the hand-off tells, which must have been read after the row: then all that the row
    /// received is among what was accepted.
    pub(super) fn read(mut self, destination: &str, signal: Signal, handed: Counts) -> LedgerRow {
        for (reason, count) in handed.dropped() {
            self.drop(reason, count);
        }
        let has_come = match signal {
            Signal::Metrics => 0,
            Signal::Traces | Signal::Logs => handed.passed().saturating_sub(self.received),
        };
        LedgerRow {
            destination: destination.to_owned(),
            signal: signal.name(),
            accepted: match signal {
                Signal::Metrics => self.received,
                Signal::Traces | Signal::Logs => handed.accepted,
            },
            acknowledged: self.acknowledged,
            rejected: self.rejected,
            ambiguous: self.ambiguous,
            queued: self.queued + has_come,
            in_flight: self.in_flight,
            spooled: 0,
            dropped: Reason::ALL
                .map(|reason| (reason, self.dropped[reason as usize]))
                .to_vec(),
        }
    }
}

/// What became of the records of one signal that one destination was to have.
///
/// accepted = acknowledged + rejected + dropped + ambiguous + queued + in flight + spooled, at any
/// moment: the [`difference`](Self::difference) is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    destination: String,
    signal: &'static str,
    accepted: u64,
    acknowledged: u64,
    rejected: u64,
    dropped: Vec<(Reason, u64)>,
    ambiguous: u64,
    queued: u64,
    in_flight: u64,
    spooled: u64,
}

impl LedgerRow {
    /// The name that the destination was given.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// `traces`, `logs` (with events and errors) or `metrics` (whose records are requests).
    pub fn signal(&self) -> &'static str {
        self.signal
    }

    /// Records that were recorded for the destination.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Records that the destination says it has.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Records that the destination refused one by one, by partial success.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Records given up, by reason; all reasons, those without a record included.
    pub fn dropped(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.dropped.iter().copied()
    }

    /// Records given up for this reason.
    pub fn dropped_for(&self, reason: Reason) -> u64 {
        let mut dropped = self.dropped();
        let of_reason = dropped.find(|(known, _)| *known == reason);
        of_reason.map_or(0, |(_, count)| count)
    }

    /// Records sent whose answer was lost.
    pub fn ambiguous(&self) -> u64 {
        self.ambiguous
    }

    /// Records that wait.
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// Records of a request under way.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Records that wait on disk; 0 as long as there is no spool.
    pub fn spooled(&self) -> u64 {
        self.spooled
    }

    /// What is accepted beyond what is accounted for: 0, or there is a bug.
    pub fn difference(&self) -> i64 {
        let dropped: u64 = self.dropped().map(|(_, count)| count).sum();
        let accounted = self.acknowledged
            + self.rejected
            + dropped
            + self.ambiguous
            + self.queued
            + self.in_flight
            + self.spooled;
        self.accepted.wrapping_sub(accounted).cast_signed()
    }

    /// Whether all that was accepted is acknowledged.
    pub fn is_settled(&self) -> bool {
        self.acknowledged == self.accepted
    }
}

impl LedgerRow {
    /// The row of what is delivered by others than the outlets, such as lines to a file.
    pub(crate) fn of_lines(
        destination: &str,
        accepted: u64,
        written: u64,
        held: u64,
        dropped: [(Reason, u64); 3],
    ) -> Self {
        let of = |reason: &Reason| {
            let given = dropped.iter().find(|(known, _)| known == reason);
            (*reason, given.map_or(0, |(_, count)| *count))
        };
        Self {
            destination: destination.to_owned(),
            signal: Signal::Logs.name(),
            accepted,
            acknowledged: written,
            rejected: 0,
            dropped: Reason::ALL.iter().map(of).collect(),
            ambiguous: 0,
            queued: held,
            in_flight: 0,
            spooled: 0,
        }
    }
}

impl LedgerRow {
    /// The row of a forked child: what it recorded is all that it knows of.
    pub(crate) fn of_fork(destination: &str, signal: Signal, records: u64) -> Self {
        let lost = |reason: &Reason| match reason {
            Reason::Fork => (*reason, records),
            _ => (*reason, 0),
        };
        Self {
            destination: destination.to_owned(),
            signal: signal.name(),
            accepted: records,
            acknowledged: 0,
            rejected: 0,
            dropped: Reason::ALL.iter().map(lost).collect(),
            ambiguous: 0,
            queued: 0,
            in_flight: 0,
            spooled: 0,
        }
    }
}

/// `collector traces: 12 of 14 acknowledged, 2 dropped (deadline)`.
impl fmt::Display for LedgerRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (destination, signal) = (&self.destination, self.signal);
        let (accepted, acknowledged) = (self.accepted, self.acknowledged);
        write!(
            f,
            "{destination} {signal}: {acknowledged} of {accepted} acknowledged"
        )?;
        let counts = [
            ("rejected", self.rejected),
            ("ambiguous", self.ambiguous),
            ("queued", self.queued),
            ("in flight", self.in_flight),
            ("spooled", self.spooled),
        ];
        for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        for (reason, count) in self.dropped().filter(|(_, count)| *count > 0) {
            write!(f, ", {count} dropped ({reason})")?;
        }
        Ok(())
    }
}
