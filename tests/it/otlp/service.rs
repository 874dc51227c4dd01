//! A service in a process of its own, told by environment variables where its telemetry goes, as
//! services are.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use orderscope::export::LedgerRow;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

use crate::started::fresh_folder;

/// Names the file that the service leaves its report in.
pub(super) const REPORT: &str = "ORDERSCOPE_SERVICE_REPORT";
/// The test that is the service.
const TEST: &str = "otlp::shop::serves_until_its_traffic_is_over";
/// On a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the service tells of itself, once it is shut down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The metrics page as it is at the end, in the text format.
    pub(crate) page: String,
    pub(crate) ledger: Vec<Row>,
    pub(crate) is_complete: bool,
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) process: u32,
    /// Where an error was captured, and where a handler panicked.
    pub(crate) captured_at: u32,
    pub(crate) panicked_at: u32,
}

/// A row of the ledger.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) signal: String,
    pub(crate) accepted: u64,
    pub(crate) acknowledged: u64,
    pub(crate) difference: i64,
    /// The row as it prints.
    pub(crate) told: String,
}

impl From<&LedgerRow> for Row {
    fn from(row: &LedgerRow) -> Self {
        Self {
            signal: row.signal().to_owned(),
            accepted: row.accepted(),
            acknowledged: row.acknowledged(),
            difference: row.difference(),
            told: row.to_string(),
        }
    }
}

impl Report {
    /// Every record was accepted and acknowledged, and a receiver counted as many of each signal.
    #[track_caller]
    pub(crate) fn assert_settled(&self, counted: &[(&str, usize)]) {
        let acknowledged: Vec<_> = self
            .ledger
            .iter()
            .map(|row| (row.signal.as_str(), row.acknowledged as usize))
            .collect();
        assert_eq!(acknowledged, counted, "{:#?}", self.ledger);
        for row in &self.ledger {
            assert_eq!(row.difference, 0, "{row:#?}");
            assert_eq!(row.accepted, row.acknowledged, "{row:#?}");
        }
        assert!(self.is_complete, "{:#?}", self.ledger);
    }
}

/// Runs the service to its end with these variables and no others of OpenTelemetry's.
pub(crate) async fn run(variables: &[(&str, &str)]) -> Report {
    let folder = fresh_folder("service");
    let report = folder.join("report.json");
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    let running = command
        .args([TEST, "--exact", "--ignored", "--nocapture"])
        .env(REPORT, &report)
        .env("RUST_LOG", "info,orders=trace")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, running)
        .await
        .expect("the service comes to its end")
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "the service failed:\n{said}");
    // It says so itself when something is amiss between it and its receiver.
    assert!(!said.contains("orderscope::delivery"), "{said}");
    let report = fs::read(report).unwrap_or_else(|_| panic!("no report:\n{said}"));
    fs::remove_dir_all(folder).unwrap();
    serde_json::from_slice(&report).unwrap()
}
