//! What the process says at its end, and when it is asked.

use crate::{figures::Figures, load::Issued};
use orderscope::{export::LedgerRow, telemetry::ShutdownReport};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The last line.
pub(crate) fn print(
    issued: &Issued,
    producers: Vec<Figures>,
    report: Option<&ShutdownReport>,
    stopped: Duration,
    ended: Duration,
) {
    let threads: Vec<Value> = producers.iter().map(Figures::to_json).collect();
    println!(
        "{}",
        json!({ "report": {
            "issued": issued.to_json(),
            "ledger": report.map(|report| ledger(report.ledger())),
            "is_complete": report.map(ShutdownReport::is_complete),
            // From the signal on.
            "load_stopped_us": stopped.as_micros() as u64,
            "ended_us": ended.as_micros() as u64,
            "threads": threads,
        } })
    );
}

pub(crate) fn ledger(rows: &[LedgerRow]) -> Value {
    rows.iter().map(row).collect()
}

fn row(row: &LedgerRow) -> Value {
    let dropped = row.dropped().filter(|(_, count)| *count > 0);
    let dropped: Map<String, Value> = dropped
        .map(|(reason, count)| (reason.as_str().to_owned(), count.into()))
        .collect();
    json!({
        "destination": row.destination(),
        "signal": row.signal(),
        "accepted": row.accepted(),
        "acknowledged": row.acknowledged(),
        "rejected": row.rejected(),
        "dropped": dropped,
        "ambiguous": row.ambiguous(),
        "queued": row.queued(),
        "in_flight": row.in_flight(),
        "spooled": row.spooled(),
        "difference": row.difference(),
    })
}
