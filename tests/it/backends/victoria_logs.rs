//! A store of logs: what was logged can be asked for by all that it says.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::stores::Store;
use crate::otlp::expected::{LINES, TRACE};
use crate::otlp::service;
use crate::programs;

/// It shows what it took after a second or two.
const STORED_WITHIN: Duration = Duration::from_secs(20);

/// Seven lines, the event, the error.
const OF_THE_ORDER: usize = 9;

#[tokio::test]
async fn log_lines_events_and_errors_can_be_asked_for() {
    let store = Store::start(programs::victoria_logs(), &[]).await;
    let url = store.url("/insert/opentelemetry/v1/logs");
    let report = service::run(&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &url)]).await;
    let acknowledged = report.ledger[0].acknowledged as usize;
    let all = found(&store, "*", acknowledged).await;
    report.assert_settled(&[("logs", all.len())]);

    for (message, count, _, severity) in LINES {
        let query = format!("severity:={severity} _msg:=\"{message}\"");
        assert_eq!(found(&store, &query, count).await.len(), count, "{message}");
    }
    let placed = "order_id:=1024 value:=23.5 currency:=EUR \"orderscope.event.id\":*";
    let placed = one(&store, placed).await;
    assert_eq!(placed["user.id"], "u-1024");
    let viewed = "dish_id:=7 restaurant:=roma vegan:=true";
    assert_eq!(found(&store, viewed, 3).await.len(), 3);
    let declined = "_msg:=\"the card is declined: the bank does not answer\"";
    let declined = one(&store, declined).await;
    assert_eq!(declined["exception.type"], "it::otlp::shop::Declined");
    assert_eq!(declined["orderscope.error.handled"], "true");
    let line = declined["code.line.number"].as_str().unwrap();
    assert_eq!(line, report.captured_at.to_string());

    // This release keeps the bytes of ids, which VictoriaLogs#189 calls a bug; later ones spell
    // them.
    let digits: Vec<_> = TRACE.as_bytes().chunks(2).collect();
    let digits = digits.iter().map(|byte| str::from_utf8(byte).unwrap());
    let bytes: String = digits.map(|byte| format!("\\x{byte}")).collect();
    let of_the_order = format!("trace_id:=\"{bytes}\" or trace_id:=\"{TRACE}\"");
    let found = found(&store, &of_the_order, OF_THE_ORDER).await;
    assert_eq!(found.len(), OF_THE_ORDER, "{found:#?}");
    for record in found {
        assert_eq!(record["http.route"], "/orders", "{record:#?}");
    }
}

async fn one(store: &Store, query: &str) -> Value {
    let mut found = found(store, query, 1).await;
    assert_eq!(found.len(), 1, "{query} finds {found:#?}");
    found.remove(0)
}

/// The records that a query finds, once there are so many.
async fn found(store: &Store, query: &str, expected: usize) -> Vec<Value> {
    let deadline = Instant::now() + STORED_WITHIN;
    loop {
        let found = store.ask("/select/logsql/query", "query", query).await;
        if found.len() >= expected {
            return found;
        }
        let seen = found.len();
        assert!(
            Instant::now() < deadline,
            "{query} finds {seen}: {found:#?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}
