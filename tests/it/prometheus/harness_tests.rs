//! The harness, on a small exporter of fixed text.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::Value;

use super::{Job, Prometheus, promtool_check_metrics};
use crate::loopback::Server;

const SOON: Duration = Duration::from_secs(30);

const OPENMETRICS: &str = "\
# HELP latency_seconds Time.
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
latency_seconds_bucket{le=\"1.0\"} 2 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.25
latency_seconds_bucket{le=\"+Inf\"} 3
latency_seconds_sum 4.25
latency_seconds_count 3
# HELP scraped_as The format.
# TYPE scraped_as gauge
scraped_as{format=\"openmetrics\"} 1
# EOF
";

const TEXT: &str =
    "# HELP scraped_as The format.\n# TYPE scraped_as gauge\nscraped_as{format=\"text\"} 1\n";

/// Answers by the request's `Accept`, as an exporter does; `/wide?n=3` has that many series.
async fn exporter() -> Server {
    Server::start(|request: Request<Incoming>| async move {
        let accept = request
            .headers()
            .get("accept")
            .map_or("", |accept| accept.to_str().unwrap());
        let (content_type, text) = if request.uri().path() == "/wide" {
            let n: u32 = request
                .uri()
                .query()
                .unwrap()
                .strip_prefix("n=")
                .unwrap()
                .parse()
                .unwrap();
            (
                "text/plain; version=0.0.4",
                (0..n).map(|i| format!("wide{{i=\"{i}\"}} {i}\n")).collect(),
            )
        } else if accept.contains("application/openmetrics-text") {
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                OPENMETRICS.to_owned(),
            )
        } else {
            ("text/plain; version=0.0.4; charset=utf-8", TEXT.to_owned())
        };
        Response::builder()
            .header("content-type", content_type)
            .body(Full::new(Bytes::from(text)))
            .unwrap()
    })
    .await
}

fn formats(result: &Value) -> Vec<(&str, &str)> {
    let series = result.as_array().unwrap().iter();
    series
        .map(|series| &series["metric"])
        .map(|labels| {
            (
                labels["job"].as_str().unwrap(),
                labels["format"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn the_real_prometheus_scrapes_stores_exemplars_and_tells_its_targets_health() {
    let exporter = exporter().await;
    let plain = Server::asking_for_plain_text(exporter.address()).await;
    let broken = Server::of_text("text/plain; version=0.0.4", "no metrics here\n").await;
    let prometheus = Prometheus::scraping([
        Job::new("direct", [exporter.address()]),
        Job::new("plain", [plain.address()]),
        Job::new("wide", [exporter.address()])
            .path("/wide")
            .param("n", "3"),
        Job::new("broken", [broken.address()]),
    ])
    .await;

    let both = |result: &Value| result.as_array().is_some_and(|series| series.len() == 2);
    let result = prometheus.wait_until("sort(scraped_as)", both, SOON).await;
    let mut seen = formats(&result);
    seen.sort_unstable();
    assert_eq!(seen, [("direct", "openmetrics"), ("plain", "text")]);

    let three = |result: &Value| result[0]["value"][1] == "3";
    prometheus.wait_until("count(wide)", three, SOON).await;
    let edge = prometheus
        .query(r#"latency_seconds_bucket{le=~"1(\\.0)?"}"#)
        .await;
    assert_eq!(edge[0]["value"][1], "2");

    let exemplars = prometheus.query_exemplars("latency_seconds_bucket").await;
    assert_eq!(
        exemplars[0]["exemplars"][0]["labels"]["trace_id"],
        "0af7651916cd43dd8448eb211c80319c"
    );

    let down = |result: &Value| result[0]["value"][1] == "0";
    prometheus
        .wait_until(r#"up{job="broken"}"#, down, SOON)
        .await;
    let targets = prometheus.targets().await;
    assert_eq!(targets.len(), 4);
    for target in targets {
        let is_broken = target.scrape_url.contains(&broken.address().to_string());
        assert_eq!(
            target.health,
            if is_broken { "down" } else { "up" },
            "{target:?}"
        );
        assert_eq!(target.last_error.is_empty(), !is_broken, "{target:?}");
    }
}

#[tokio::test]
#[should_panic(expected = "absent_metric gave [] after")]
async fn waiting_in_vain_shows_the_last_result_and_the_targets() {
    let prometheus = Prometheus::scraping([]).await;
    prometheus
        .wait_until(
            "absent_metric",
            |result| result[0].is_object(),
            Duration::ZERO,
        )
        .await;
}

#[tokio::test]
async fn prometheus_leaves_neither_process_nor_folder_behind() {
    let prometheus = Prometheus::scraping([]).await;
    let (address, folder) = (prometheus.address, prometheus.folder.clone());
    assert!(folder.join("data").is_dir());
    drop(prometheus);
    assert!(!folder.exists());
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn promtool_passes_clean_metrics_and_tells_each_complaint() {
    assert_eq!(promtool_check_metrics(TEXT), Ok(()));
    let complaints = promtool_check_metrics("# TYPE orders counter\norders 1\n").unwrap_err();
    assert_eq!(
        complaints,
        [
            "orders counter metrics should have \"_total\" suffix",
            "orders no help text"
        ]
        .map(str::to_owned)
    );
    let refused = promtool_check_metrics("no metrics here\n").unwrap_err();
    assert!(refused[0].contains("error while linting"), "{refused:?}");
}
