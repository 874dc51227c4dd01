//! Hostile text, as a real Prometheus reads it.

use std::time::Duration;

use axum::Router;
use metrics::{describe_gauge, gauge};
use orderscope::Telemetry;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::loopback::Server;
use crate::prometheus::{Job, Prometheus};

const HOSTILE: [&str; 15] = [
    "a quote \" and a backslash \\",
    "a new\nline",
    "carriage\rreturn and\r\nboth",
    "NUL \0 inside",
    "\0",
    "ESC \u{1b}[31mred\u{1b}[0m",
    "bidi \u{202e}override\u{202c}",
    "line \u{2028} and paragraph \u{2029}",
    "C1 \u{85} and \u{9b}31m",
    "\u{feff}byte order mark",
    "} 7 # {a=\"b\"} 3",
    "# EOF",
    "ends in a backslash \\",
    "\\n as two characters",
    "crème 🍮 \u{10ffff}",
];

#[tokio::test]
async fn a_real_prometheus_reads_hostile_text_as_it_was() {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    metrics::with_local_recorder(&telemetry.recorder(), || {
        for (number, text) in (0_u32..).zip(HOSTILE) {
            gauge!("hostile", "text" => text).set(f64::from(number));
            let name = format!("described_{number}");
            describe_gauge!(name.clone(), text);
            gauge!(name).set(1.0);
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/metrics", telemetry.metrics_route());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let plain = Server::asking_for_plain_text(address).await;
    let prometheus = Prometheus::scraping([
        Job::new("openmetrics", [address]),
        Job::new("text", [plain.address()]),
    ])
    .await;

    let both_are_known = |result: &Value| {
        let known = result.as_array().unwrap();
        known.len() == 2 && known.iter().all(|up| up["value"][1] == "1")
    };
    prometheus
        .wait_until("up", both_are_known, Duration::from_secs(30))
        .await;
    for job in ["openmetrics", "text"] {
        let result = prometheus
            .query(&format!(r#"hostile{{job="{job}"}}"#))
            .await;
        let mut read: Vec<(u32, String)> = result
            .as_array()
            .unwrap()
            .iter()
            .map(|series| {
                let number = series["value"][1].as_str().unwrap().parse().unwrap();
                (
                    number,
                    series["metric"]["text"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        read.sort();
        let expected: Vec<_> = (0_u32..).zip(HOSTILE.map(str::to_owned)).collect();
        assert_eq!(read, expected, "{job}");
        let described = format!(r#"count({{job="{job}",__name__=~"described_.*"}})"#);
        let count = prometheus.query(&described).await;
        assert_eq!(count[0]["value"][1], HOSTILE.len().to_string(), "{job}");
    }
}
