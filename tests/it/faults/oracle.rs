//! Knows what was issued, and accounts for every record by the ledger and by what the collector
//! kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use orderscope::Telemetry;
use orderscope::export::{LedgerRow, Reason, Signal};
use tokio::time::Instant;

use super::collector::{Collector, Id, Kind};

/// The name that destinations have here, unless a test names its own.
pub(crate) const DESTINATION: &str = "collector";

#[derive(Debug)]
pub(crate) struct Oracle {
    /// Begins every message, so that it is plain which rule is broken.
    fault: &'static str,
    /// By kind: how many numbers are given out.
    issued: [AtomicU64; Kind::ALL.len()],
}

impl Oracle {
    /// `fault` is the number of the fault, such as `F4`.
    pub(crate) fn new(fault: &'static str) -> Self {
        Self {
            fault,
            issued: Default::default(),
        }
    }

    /// The number of the record that is recorded next.
    pub(crate) fn issue(&self, kind: Kind) -> u64 {
        self.issued[kind as usize].fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn issued(&self, kind: Kind) -> u64 {
        self.issued[kind as usize].load(Ordering::SeqCst)
    }

    /// Of a signal as the ledger names it; `None`: of metrics.
    fn issued_of(&self, signal: &str) -> Option<u64> {
        let kinds = Kind::ALL.into_iter().filter(|kind| is_of(*kind, signal));
        let issued: Vec<_> = kinds.map(|kind| self.issued(kind)).collect();
        (!issued.is_empty()).then(|| issued.iter().sum())
    }

    /// Holds at any moment: what is accepted is accounted for. Returns what it read.
    #[track_caller]
    pub(crate) fn sample(&self, telemetry: &Telemetry) -> Vec<LedgerRow> {
        let rows = telemetry.ledger();
        for row in &rows {
            assert_eq!(
                row.difference(),
                0,
                "{}: the ledger does not add up: {row}",
                self.fault
            );
        }
        rows
    }

    /// Samples for so long.
    #[track_caller]
    pub(crate) fn watch(&self, telemetry: &Telemetry, during: Duration) {
        let deadline = Instant::now() + during;
        while Instant::now() < deadline {
            self.sample(telemetry);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Samples until nothing waits and nothing is under way at that destination.
    #[track_caller]
    pub(crate) fn settles(&self, telemetry: &Telemetry, destination: &str, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            let rows = self.sample(telemetry);
            let mut rows = rows.iter().filter(|row| row.destination() == destination);
            let Some(row) = rows.find(|row| row.queued() + row.in_flight() > 0) else {
                return;
            };
            assert!(
                Instant::now() < deadline,
                "{}: not settled within {within:?}: {row}",
                self.fault
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Accounts for every record of one destination, once nothing of it is recorded any more. Exact
    /// about what is missing when it is settled, too.
    #[track_caller]
    pub(crate) fn check(&self, telemetry: &Telemetry, destination: &str, collector: &Collector) {
        self.check_rows(&self.sample(telemetry), destination, collector);
    }

    /// As `check`, of rows such as a report's. The collector is asked after them: what it has of
    /// records under way, it may have got since.
    #[track_caller]
    pub(crate) fn check_rows(&self, rows: &[LedgerRow], destination: &str, collector: &Collector) {
        let fault = self.fault;
        let taken = collector.taken();
        self.check_ids(&taken);
        let of_destination = |row: &&LedgerRow| row.destination() == destination;
        let mut is_known = false;
        for row in rows.iter().filter(of_destination) {
            assert_eq!(
                row.difference(),
                0,
                "{fault}: the ledger does not add up: {row}"
            );
            let Some(issued) = self.issued_of(row.signal()) else {
                continue;
            };
            is_known = true;
            assert_eq!(
                row.accepted(),
                issued,
                "{fault}: {issued} records were issued: {row}"
            );
            let arrived = taken.keys().filter(|id| is_of(id.kind, row.signal()));
            let arrived = arrived.count() as u64;
            let possible = row.acknowledged() + row.ambiguous() + row.in_flight();
            assert!(
                (row.acknowledged()..=possible).contains(&arrived),
                "{fault}: {arrived} records arrived, which is not within {}..={possible}: {row}",
                row.acknowledged()
            );
            let missing = issued - arrived;
            let lost: u64 = row.dropped().map(|(_, count)| count).sum::<u64>() + row.rejected();
            let waiting = row.queued() + row.in_flight() + row.spooled();
            assert!(
                (lost..=lost + row.ambiguous() + waiting).contains(&missing),
                "{fault}: {missing} records are missing, {lost} are counted as lost: {row}"
            );
        }
        assert!(is_known, "{fault}: {destination} has no rows: {rows:?}");
    }

    /// No record is invented, and none comes twice.
    #[track_caller]
    fn check_ids(&self, taken: &BTreeMap<Id, u32>) {
        let fault = self.fault;
        for (id, times) in taken {
            assert!(
                id.number < self.issued(id.kind),
                "{fault}: {id:?} was never issued"
            );
            assert_eq!(*times, 1, "{fault}: {id:?} came {times} times");
        }
    }

    /// A record arrived, in time.
    #[track_caller]
    pub(crate) fn arrives(&self, collector: &Collector, id: Id, within: Duration) {
        let arrived = collector.until(within, |collector| collector.taken().contains_key(&id));
        assert!(
            arrived,
            "{}: {id:?} did not arrive within {within:?}",
            self.fault
        );
    }

    /// Every record of these kinds arrived, in time.
    #[track_caller]
    pub(crate) fn all_arrive(&self, collector: &Collector, kinds: &[Kind], within: Duration) {
        let missing = |collector: &Collector| {
            let taken = collector.taken();
            let of_kind = |kind: &Kind| {
                let arrived = taken.keys().filter(|id| id.kind == *kind).count() as u64;
                self.issued(*kind) - arrived
            };
            kinds.iter().map(of_kind).sum::<u64>()
        };
        let arrived = collector.until(within, |collector| missing(collector) == 0);
        assert!(
            arrived,
            "{}: {} records did not arrive within {within:?}",
            self.fault,
            missing(collector)
        );
    }

    /// Of these losses, and of no other.
    #[track_caller]
    pub(crate) fn lost_only(&self, row: &LedgerRow, expected: &[(Reason, u64)]) {
        let lost: Vec<_> = row.dropped().filter(|(_, count)| *count > 0).collect();
        assert_eq!(lost, expected, "{}: {row}", self.fault);
    }
}

/// Whether it is of the signal that the ledger calls so.
fn is_of(kind: Kind, signal: &str) -> bool {
    match kind.signal() {
        Signal::Traces => signal == "traces",
        _ => signal == "logs",
    }
}

/// One row of the ledger.
#[track_caller]
pub(crate) fn row(telemetry: &Telemetry, destination: &str, signal: &str) -> LedgerRow {
    let rows = telemetry.ledger();
    let mut rows = rows.into_iter();
    rows.find(|row| row.destination() == destination && row.signal() == signal)
        .unwrap()
}
