//! rotel, a receiver of another make. It prints what it decoded, some values shortened, so names and
//! counts are asked for.

use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::expected::{LINES, METRICS, SPANS};
use super::service::{self, Report};
use crate::programs;
use crate::started::Started;

/// It prints after it has answered.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn rotel_takes_all_three_signals_over_http() {
    let rotel = rotel().await;
    let url = format!("http://{}", rotel.addresses[0]);
    let report = service::run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]).await;
    assert_printed(&rotel, &report).await;
}

#[tokio::test]
async fn rotel_takes_all_three_signals_over_grpc() {
    let rotel = rotel().await;
    let url = format!("http://{}", rotel.addresses[1]);
    let report = service::run(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ])
    .await;
    assert_printed(&rotel, &report).await;
}

pub(crate) async fn rotel() -> Started<2> {
    Started::listening(|[http, grpc], folder| {
        let mut command = Command::new(programs::rotel());
        command
            .args(["start", "--exporter", "blackhole"])
            .args(["--debug-log", "traces", "--debug-log", "logs"])
            .args(["--debug-log", "metrics"])
            .args(["--debug-log-verbosity", "detailed"])
            .args(["--otlp-http-endpoint", &http.to_string()])
            .args(["--otlp-grpc-endpoint", &grpc.to_string()])
            .arg("--pid-file")
            .arg(folder.join("pid"))
            .arg("--log-file")
            .arg(folder.join("log"));
        command
    })
    .await
}

/// How many lines begin so, of what it printed. A resource, a span and so on begin with a line of
/// their own.
pub(crate) fn printed(rotel: &Started<2>, start: &str) -> u64 {
    let printed = rotel.said();
    let lines = printed
        .lines()
        .filter(|line| line.trim().starts_with(start));
    lines.count() as u64
}

async fn assert_printed(rotel: &Started<2>, report: &Report) {
    let deadline = Instant::now() + PATIENCE;
    let counted = loop {
        let counted = [
            ("traces", printed(rotel, "Span #")),
            ("logs", printed(rotel, "LogRecord #")),
            ("metrics", printed(rotel, "ResourceMetrics #")),
        ]
        .map(|(signal, count)| (signal, count as usize));
        let total: usize = counted.iter().map(|(_, count)| count).sum();
        let acknowledged: u64 = report.ledger.iter().map(|row| row.acknowledged).sum();
        if total as u64 >= acknowledged {
            break counted;
        }
        assert!(Instant::now() < deadline, "{counted:?}, {report:#?}");
        sleep(Duration::from_millis(20)).await;
    };
    report.assert_settled(&counted);

    let printed = rotel.said();
    let count = |line: &str| printed.lines().filter(|known| known.trim() == line).count();
    for (name, expected, ..) in SPANS {
        assert_eq!(
            count(&format!("Name           : {name}")),
            expected,
            "{name}"
        );
    }
    for (body, expected, ..) in LINES {
        assert_eq!(count(&format!("Body: Str({body})")), expected, "{body}");
    }
    for (event, expected) in [("dish_viewed", 3), ("order_placed", 1), ("exception", 2)] {
        assert_eq!(count(&format!("EventName: {event}")), expected, "{event}");
    }
    assert_eq!(count("SeverityText: CRITICAL"), 1);
    assert_eq!(count("SeverityNumber: SEVERITY_NUMBER_FATAL(21)"), 1);
    for (name, ..) in METRICS {
        assert!(count(&format!("-> Name: {name}")) > 0, "{name}");
    }
}
