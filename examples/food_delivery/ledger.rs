//! What became of the telemetry itself: for each destination and signal, where its records are.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

use orderscope::export::LedgerRow;
use serde::Serialize;

/// Rows by destination and signal.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Ledger(BTreeMap<String, BTreeMap<&'static str, Row>>);

#[derive(Serialize)]
struct Row {
    accepted: u64,
    acknowledged: u64,
    rejected: u64,
    /// By reason; those without a record are left out.
    dropped: BTreeMap<&'static str, u64>,
    ambiguous: u64,
    queued: u64,
    in_flight: u64,
    spooled: u64,
    /// What is accepted beyond all of these.
    difference: i64,
}

impl Ledger {
    pub(crate) fn of(rows: &[LedgerRow]) -> Self {
        let mut ledger = BTreeMap::<_, BTreeMap<_, _>>::new();
        for row in rows {
            let signals = ledger.entry(row.destination().to_owned()).or_default();
            signals.insert(row.signal(), Row::from(row));
        }
        Self(ledger)
    }

    /// Whether every record that was accepted is somewhere.
    pub(crate) fn is_balanced(&self) -> bool {
        let mut rows = self.0.values().flat_map(BTreeMap::values);
        rows.all(|row| row.difference == 0)
    }
}

impl From<&LedgerRow> for Row {
    fn from(row: &LedgerRow) -> Self {
        let dropped = row.dropped().filter(|(_, records)| *records > 0);
        Self {
            accepted: row.accepted(),
            acknowledged: row.acknowledged(),
            rejected: row.rejected(),
            dropped: dropped
                .map(|(reason, records)| (reason.as_str(), records))
                .collect(),
            ambiguous: row.ambiguous(),
            queued: row.queued(),
            in_flight: row.in_flight(),
            spooled: row.spooled(),
            difference: row.difference(),
        }
    }
}

impl Display for Ledger {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            writeln!(f, "  sent nowhere")?;
        }
        for (destination, signals) in &self.0 {
            for (signal, row) in signals {
                let Row {
                    accepted,
                    acknowledged,
                    ..
                } = row;
                writeln!(
                    f,
                    "  {destination:<12}{signal:<8}{accepted:>8} accepted{acknowledged:>8} acknowledged"
                )?;
            }
        }
        Ok(())
    }
}
