//! The host's report against what the collector has.

use std::collections::BTreeMap;

use super::super::collector::{Collector, Id, Kind};
use super::Report;

/// What was issued, what came, what is missing: by kind.
#[derive(Debug)]
pub(in super::super) struct Account {
    arrived: BTreeMap<Kind, u64>,
    missing: BTreeMap<Kind, u64>,
}

impl Account {
    /// Every record of the only destination is accounted for, exactly: at the end nothing waits, and
    /// what is missing is what the report says is lost.
    #[track_caller]
    pub(in super::super) fn of(
        fault: &'static str,
        report: &Report,
        collector: &Collector,
    ) -> Self {
        let taken = collector.taken();
        for (id, times) in &taken {
            let issued = report.issued.of(id.kind);
            assert!(id.number < issued, "{fault}: {id:?} was never issued");
            assert_eq!(*times, 1, "{fault}: {id:?} came {times} times");
        }
        let arrived_of = |kind: Kind| taken.keys().filter(|id| id.kind == kind).count() as u64;
        let arrived: BTreeMap<_, _> = Kind::ALL.map(|kind| (kind, arrived_of(kind))).into();
        let missing = Kind::ALL.map(|kind| (kind, report.issued.of(kind) - arrived[&kind]));
        let account = Self {
            arrived,
            missing: missing.into(),
        };
        for row in report.ledger.iter().flatten() {
            row.assert_adds_up(fault);
            let waits = row.queued + row.in_flight + row.spooled;
            assert_eq!(waits, 0, "{fault}: something waits after shutdown: {row}");
            let Some(issued) = report.issued.of_signal(&row.signal) else {
                continue;
            };
            assert_eq!(row.accepted, issued, "{fault}: {issued} were issued: {row}");
            let arrived = account.arrived_of(&row.signal);
            let missing = issued - arrived;
            let counted = row.dropped() + row.rejected;
            assert!(
                (counted..=counted + row.ambiguous).contains(&missing),
                "{fault}: {missing} records are missing, {counted} are counted as lost: {row}"
            );
            assert!(
                (row.acknowledged..=row.acknowledged + row.ambiguous).contains(&arrived),
                "{fault}: {arrived} records arrived: {row}"
            );
        }
        account
    }

    fn arrived_of(&self, signal: &str) -> u64 {
        let kinds: &[Kind] = match signal {
            "traces" => &[Kind::Span],
            _ => &[Kind::Event, Kind::Line, Kind::Error],
        };
        kinds.iter().map(|kind| self.arrived[kind]).sum()
    }

    /// How many of that kind were issued and never came.
    pub(in super::super) fn missing(&self, kind: Kind) -> u64 {
        self.missing[&kind]
    }

    /// The numbers of that kind that never came.
    pub(in super::super) fn absent(kind: Kind, report: &Report, collector: &Collector) -> Vec<u64> {
        let taken = collector.taken();
        let is_absent = |number: &u64| {
            let id = Id {
                kind,
                number: *number,
            };
            !taken.contains_key(&id)
        };
        (0..report.issued.of(kind)).filter(is_absent).collect()
    }
}
