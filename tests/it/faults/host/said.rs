//! What the host says, as it is read.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::super::collector::Kind;

/// The last line.
#[derive(Clone, Debug, Deserialize)]
pub(in super::super) struct Report {
    pub(in super::super) issued: Issued,
    /// None of a host without the crate.
    pub(in super::super) ledger: Option<Vec<Row>>,
    pub(in super::super) is_complete: Option<bool>,
    /// From the signal on.
    pub(in super::super) ended_us: u64,
    pub(in super::super) threads: Vec<Thread>,
}

/// How many of each kind: their numbers are all below.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(in super::super) struct Issued {
    pub(in super::super) spans: u64,
    pub(in super::super) events: u64,
    pub(in super::super) errors: u64,
    pub(in super::super) panics: u64,
}

/// A row of the ledger.
#[derive(Clone, Debug, Deserialize)]
pub(in super::super) struct Row {
    pub(in super::super) signal: String,
    pub(in super::super) accepted: u64,
    pub(in super::super) acknowledged: u64,
    pub(in super::super) rejected: u64,
    pub(in super::super) dropped: BTreeMap<String, u64>,
    pub(in super::super) ambiguous: u64,
    pub(in super::super) queued: u64,
    pub(in super::super) in_flight: u64,
    pub(in super::super) spooled: u64,
    pub(in super::super) difference: i64,
}

/// What one thread of the load measured.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(in super::super) struct Thread {
    pub(in super::super) enqueue: Quantiles,
    pub(in super::super) requests: Quantiles,
    pub(in super::super) late: Quantiles,
    /// Switches of context.
    pub(in super::super) voluntary: u64,
    pub(in super::super) involuntary: u64,
}

/// In nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(in super::super) struct Quantiles {
    pub(in super::super) count: u64,
    pub(in super::super) p50: u64,
    pub(in super::super) p99: u64,
    pub(in super::super) p999: u64,
    pub(in super::super) max: u64,
}

/// Of a thread that may make no call to the system.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub(in super::super) enum Sealed {
    /// It made one, of this number.
    Caught {
        made_call: i64,
    },
    Through {
        events: u64,
        p50: u64,
        p999: u64,
    },
}

impl Issued {
    /// Lines are not written by the host.
    pub(in super::super) fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Event => self.events,
            Kind::Error => self.errors,
            Kind::Span => self.spans,
            Kind::Line => 0,
        }
    }

    /// Of a signal, as the ledger names it; `None`: its records are not numbered.
    pub(super) fn of_signal(&self, signal: &str) -> Option<u64> {
        match signal {
            "traces" => Some(self.spans),
            "logs" => Some(self.events + self.errors),
            _ => None,
        }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            p50,
            p99,
            p999,
            max,
        } = self;
        write!(
            f,
            "{count}: p50 {p50}, p99 {p99}, p99.9 {p999}, max {max} ns"
        )
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "events {}; requests {}; late {}; switches of context: {} voluntary, {} not",
            self.enqueue, self.requests, self.late, self.voluntary, self.involuntary
        )
    }
}

impl Row {
    pub(in super::super) fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Recounted here: the row's own difference is part of what is tested.
    #[track_caller]
    pub(super) fn assert_adds_up(&self, fault: &str) {
        let accounted = self.acknowledged
            + self.rejected
            + self.dropped()
            + self.ambiguous
            + self.queued
            + self.in_flight
            + self.spooled;
        assert_eq!(
            (self.accepted, self.difference),
            (accounted, 0),
            "{fault}: the ledger does not add up: {self}"
        );
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Report {
    #[track_caller]
    pub(in super::super) fn row(&self, signal: &str) -> &Row {
        let mut rows = self.ledger.iter().flatten();
        rows.find(|row| row.signal == signal).unwrap()
    }
}
