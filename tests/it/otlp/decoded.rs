//! Raw requests, decoded by the messages that the OpenTelemetry project publishes for Python.

use std::fs;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use super::expected::assert_all_arrived;
use super::received::{Received, Sums};
use super::service;
use super::sink::{Kept, Sink};
use crate::programs;
use crate::started::fresh_folder;

#[tokio::test]
async fn an_independent_decoder_reads_every_name_type_and_number() {
    let sink = Sink::start().await;
    let report = service::run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &sink.url())]).await;
    let kept = sink.kept();
    for request in &kept {
        assert_eq!(request.content_type, "application/x-protobuf");
        assert_eq!(request.encoding, "");
    }
    assert_all_arrived(&decoded(&kept), &report, Sums::Cumulative);
}

#[tokio::test]
async fn deltas_in_compressed_requests_add_up() {
    let sink = Sink::start().await;
    let preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let report = service::run(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &sink.url()),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        (preference, "delta"),
    ])
    .await;
    let kept = sink.kept();
    assert!(kept.iter().all(|request| request.encoding == "gzip"));
    assert_all_arrived(&decoded(&kept), &report, Sums::Delta);
}

fn decoded(kept: &[Kept]) -> Received {
    #[derive(Deserialize)]
    struct Decoded {
        signal: String,
        request: Value,
    }
    let folder = fresh_folder("decoded");
    let files = kept.iter().enumerate().map(|(number, request)| {
        let compressed = match request.encoding.as_str() {
            "" => "",
            "gzip" => ".gzip",
            other => panic!("decode.py knows no {other}"),
        };
        let name = format!("{number}-{}{compressed}", request.signal());
        fs::write(folder.join(&name), &request.body).unwrap();
        name
    });
    let files: Vec<_> = files.collect();
    let output = Command::new(programs::python())
        .arg("-I")
        .arg(programs::repository().join("tests/it/otlp/decode.py"))
        .args(files)
        .current_dir(&folder)
        .output()
        .expect("Python starts");
    assert!(
        output.status.success(),
        "{}\nrun `bash tests/run`, which installs Python's packages",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::remove_dir_all(folder).unwrap();
    let decoded: Vec<Decoded> = serde_json::from_slice(&output.stdout).unwrap();
    let requests = decoded.iter();
    Received::of(requests.map(|decoded| (decoded.signal.as_str(), decoded.request.clone())))
}
