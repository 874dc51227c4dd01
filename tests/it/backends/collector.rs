//! The reference receiver: the OpenTelemetry Collector decodes what is sent, and forwards it as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::otlp::expected::assert_all_arrived;
use crate::otlp::received::{Received, Sums};
use crate::otlp::service;
use crate::otlp::sink::Sink;
use crate::programs;
use crate::started::Started;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const COMPRESSION: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

#[tokio::test]
async fn all_is_as_declared_over_http() {
    let collector = Collector::start().await;
    let url = collector.http();
    let report = service::run(&[(ENDPOINT, &url)]).await;
    assert_all_arrived(&collector.forwarded(), &report, Sums::Cumulative);
}

#[tokio::test]
async fn all_is_as_declared_over_http_in_gzip_with_deltas() {
    let collector = Collector::start().await;
    let url = collector.http();
    let report = service::run(&[
        (ENDPOINT, &url),
        (COMPRESSION, "gzip"),
        (TEMPORALITY, "delta"),
    ])
    .await;
    assert_all_arrived(&collector.forwarded(), &report, Sums::Delta);
}

#[tokio::test]
async fn all_is_as_declared_over_http_in_zstd() {
    let collector = Collector::start().await;
    let url = collector.http();
    let report = service::run(&[(ENDPOINT, &url), (COMPRESSION, "zstd")]).await;
    assert_all_arrived(&collector.forwarded(), &report, Sums::Cumulative);
}

#[tokio::test]
async fn all_is_as_declared_over_grpc() {
    let collector = Collector::start().await;
    let url = collector.grpc();
    let report = service::run(&[(ENDPOINT, &url), (PROTOCOL, "grpc")]).await;
    assert_all_arrived(&collector.forwarded(), &report, Sums::Cumulative);
}

#[tokio::test]
async fn all_is_as_declared_over_grpc_in_gzip_with_deltas() {
    let collector = Collector::start().await;
    let url = collector.grpc();
    let report = service::run(&[
        (ENDPOINT, &url),
        (PROTOCOL, "grpc"),
        (COMPRESSION, "gzip"),
        (TEMPORALITY, "delta"),
    ])
    .await;
    assert_all_arrived(&collector.forwarded(), &report, Sums::Delta);
}

/// A Collector that answers when what it was sent is forwarded.
#[derive(Debug)]
pub(super) struct Collector {
    sink: Sink,
    running: Started<2>,
}

impl Collector {
    pub(super) async fn start() -> Self {
        let sink = Sink::start().await;
        let running = Started::listening(|[http, grpc], folder| {
            let pipeline = json!({ "receivers": ["otlp"], "exporters": ["otlp_http"] });
            let configuration = json!({
                "receivers": { "otlp": { "protocols": {
                    "http": { "endpoint": http },
                    "grpc": { "endpoint": grpc },
                } } },
                "exporters": { "otlp_http": {
                    "endpoint": sink.url(),
                    "encoding": "json",
                    "compression": "none",
                    "sending_queue": { "enabled": false },
                    "retry_on_failure": { "enabled": false },
                } },
                "service": {
                    // Or it would listen for scrapers too.
                    "telemetry": { "metrics": { "level": "none" } },
                    "pipelines": { "traces": pipeline, "logs": pipeline, "metrics": pipeline },
                },
            });
            // JSON is YAML.
            let file = folder.join("collector.yml");
            fs::write(&file, configuration.to_string()).unwrap();
            let mut command = Command::new(programs::otelcol());
            command.arg("--config").arg(file);
            command
        })
        .await;
        Self { sink, running }
    }

    pub(super) fn http(&self) -> String {
        format!("http://{}", self.running.addresses[0])
    }

    pub(super) fn grpc(&self) -> String {
        format!("http://{}", self.running.addresses[1])
    }

    pub(super) fn forwarded(&self) -> Received {
        let mut by_service = self.forwarded_by_service();
        let received = by_service.remove("orders").unwrap_or_default();
        assert!(by_service.is_empty(), "{by_service:#?}");
        received
    }

    /// A request is of one service.
    pub(super) fn forwarded_by_service(&self) -> BTreeMap<String, Received> {
        let kept = self.sink.kept();
        let mut requests: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for request in &kept {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let service = service_of(&body);
            let of_service = requests.entry(service).or_default();
            of_service.push((request.signal(), body));
        }
        let received = requests.into_iter();
        received
            .map(|(service, requests)| (service, Received::of(requests)))
            .collect()
    }
}

fn service_of(request: &Value) -> String {
    let resources = request.as_object().unwrap().values().next().unwrap();
    let attributes = resources[0]["resource"]["attributes"].as_array();
    let mut attributes = attributes.unwrap().iter();
    let name = attributes.find(|attribute| attribute["key"] == "service.name");
    let name = name.expect("each resource names its service");
    name["value"]["stringValue"].as_str().unwrap().to_owned()
}
