//! The ledger: of the records that a destination was to have, what became of each.

use super::handoff::Handoff;
use crate::records::Signal;
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

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
    /// Shutdown ended before it was sent.
    Deadline,
    /// Code that was to encode or send it panicked.
    ExporterPanic,
    /// The disk took it not.
    WriteFailed,
    /// It came when the telemetry had been shut down.
    AfterShutdown,
}

impl Reason {
    /// In the order of a record's way.
    pub const ALL: [Self; 9] = [
        Self::QueueFull,
        Self::BytesFull,
        Self::TooLarge,
        Self::NonRetryable,
        Self::RetryExhausted,
        Self::Deadline,
        Self::ExporterPanic,
        Self::WriteFailed,
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
            Self::AfterShutdown => "after_shutdown",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of the records of one signal behind the hand-off.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Of metrics, which do not come through the hand-off.
    pub(super) pushed: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) ambiguous: AtomicU64,
    pub(super) queued: AtomicU64,
    pub(super) in_flight: AtomicU64,
    dropped: [AtomicU64; Reason::ALL.len()],
}

impl Row {
    pub(super) fn drop(&self, reason: Reason, records: u64) {
        add(&self.dropped[reason as usize], records);
    }

    fn read(&self, destination: &str, signal: Signal, handoff: &Handoff) -> LedgerRow {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let handed = handoff.counts(signal);
        let mut dropped: Vec<_> = Reason::ALL
            .iter()
            .map(|reason| (*reason, read(&self.dropped[*reason as usize])))
            .collect();
        for (reason, count) in &mut dropped {
            match reason {
                Reason::QueueFull => *count += handed.queue_full,
                Reason::AfterShutdown => *count += handed.after_shutdown,
                _ => {}
            }
        }
        LedgerRow {
            destination: destination.to_owned(),
            signal: signal.name(),
            accepted: handed.accepted + read(&self.pushed),
            acknowledged: read(&self.acknowledged),
            rejected: read(&self.rejected),
            ambiguous: read(&self.ambiguous),
            queued: handed.held + read(&self.queued),
            in_flight: read(&self.in_flight),
            spooled: 0,
            dropped,
        }
    }
}

pub(super) fn add(count: &AtomicU64, by: u64) {
    count.fetch_add(by, Ordering::Relaxed);
}

pub(super) fn take_off(count: &AtomicU64, by: u64) {
    count.fetch_sub(by, Ordering::Relaxed);
}

/// The rows of one destination.
#[derive(Debug)]
pub(crate) struct Ledger {
    destination: String,
    /// By [`Signal`]; `None`: not sent there.
    rows: [Option<Row>; Signal::ALL.len()],
}

impl Ledger {
    pub(super) fn new(destination: String, signals: &[Signal]) -> Self {
        Self {
            destination,
            rows: Signal::ALL.map(|signal| signals.contains(&signal).then(Row::default)),
        }
    }

    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    /// `None`: the destination does not take this signal.
    pub(super) fn row(&self, signal: Signal) -> Option<&Row> {
        self.rows[signal as usize].as_ref()
    }

    pub(super) fn read(&self, handoff: &Handoff) -> impl Iterator<Item = LedgerRow> {
        Signal::ALL.into_iter().filter_map(|signal| {
            let row = self.row(signal)?;
            Some(row.read(&self.destination, signal, handoff))
        })
    }
}

/// What became of the records of one signal that one destination was to have.
///
/// accepted = acknowledged + rejected + dropped + ambiguous + queued + in flight + spooled; while
/// records are on their way the sum may lag behind for a moment, at rest the
/// [`difference`](Self::difference) is 0.
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

    /// What is accepted beyond what is accounted for. At rest 0.
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
