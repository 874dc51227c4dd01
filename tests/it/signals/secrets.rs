//! Nothing secret leaves the process, wherever it was planted, by whichever way out.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::{env, fs, process};

use axum::Router;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use orderscope::export::{Destination, InMemory};
use orderscope::logs::{Format, LogFile};
use orderscope::tracing_layer::Levels;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{PATIENCE, Scene};
use crate::loopback::{Server, get};

#[path = "secrets/planted.rs"]
mod planted;

use planted::{TOLD_BY_LINES, TOLD_BY_RECORDS, assert_tells_no_secret};

/// A directory that goes with it.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("orderscope-{}-{name}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.clone()
    }

    /// The content of its only file.
    pub(super) fn content(&self) -> String {
        let mut files = fs::read_dir(&self.0).unwrap();
        let file = files.next().unwrap().unwrap();
        assert!(files.next().is_none());
        fs::read_to_string(file.path()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A collector that keeps each body as it came.
async fn collector() -> (Server, Arc<Mutex<Vec<u8>>>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&kept);
    let server = Server::start(move |request| {
        let to = Arc::clone(&to);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            to.lock().unwrap().extend_from_slice(&body);
            Response::builder()
                .header("content-type", "application/x-protobuf")
                .body(Full::<Bytes>::default())
                .unwrap()
        }
    })
    .await;
    (server, kept)
}

/// Everything that the backend has.
fn shown(backend: &InMemory) -> String {
    let records = format!("{:#?}{:#?}", backend.spans(), backend.logs());
    format!("{records}{:#?}{:#?}", backend.metrics(), backend.resource())
}

/// What `Debug` escapes.
fn as_debug(told: &[&str]) -> Vec<String> {
    told.iter().map(|text| text.replace('"', "\\\"")).collect()
}

#[tokio::test]
async fn no_secret_is_in_a_body_of_otlp_on_the_metrics_page_or_in_a_line() {
    for format in [Format::Json, Format::Human] {
        let folder = Folder::new(&format!("secrets-{format:?}"));
        let (collector, bodies) = collector().await;
        let address = collector.address();
        let raw =
            Destination::otlp("collector", format!("http://{address}")).header("api-key", "hush46");
        let scene = Scene::of(|builder| {
            builder
                .destination(raw)
                .log_format(format)
                .log_file(LogFile::never(folder.path(), "orders"))
        });
        let subscriber = tracing_subscriber::registry()
            .with(scene.telemetry.tracing_layer().at(Levels::default()))
            .with(scene.telemetry.lines_layer());
        {
            let _listens = tracing::subscriber::set_default(subscriber);
            planted::spill(&scene.telemetry).await;
        }
        assert!(scene.telemetry.flush(PATIENCE).await);

        let told = [TOLD_BY_RECORDS, &["orders.placed"]].concat();
        let of_records = as_debug(&told);
        let of_records: Vec<_> = of_records.iter().map(String::as_str).collect();
        let shown = shown(&scene.backend);
        assert_tells_no_secret("the backend", shown.as_bytes(), &of_records);
        let bodies = bodies.lock().unwrap().clone();
        assert_tells_no_secret("a body of OTLP", &bodies, &told);

        let metrics = Router::new().route("/metrics", scene.telemetry.metrics_route());
        let metrics = super::traces::serve(metrics).await;
        for accept in ["text/plain", "application/openmetrics-text"] {
            let page = get(metrics, "/metrics", &[("accept", accept)]).await;
            let page = page.unwrap().body;
            let told = [
                "orders_placed_total{city=\"Graz\"",
                "http_route=\"/orders/{id}\"",
                "event=\"gift_sent\"",
                "exception_type=\"",
                "server_address=\"couriers.test\"",
            ];
            assert_tells_no_secret("the page", &page, &told);
        }

        let groups = format!("{:?}", scene.telemetry.snapshot().error_groups());
        assert_tells_no_secret("the groups of errors", groups.as_bytes(), &["exploded"]);
        let printed = format!("{:?} {:?}", scene.telemetry, scene.telemetry.ledger());
        assert_tells_no_secret("Debug", printed.as_bytes(), &["orders"]);
        let report = scene.telemetry.shutdown(PATIENCE).await;
        assert!(report.is_complete(), "{report}");
        let lines = folder.content();
        assert_tells_no_secret("a line", lines.as_bytes(), TOLD_BY_LINES);
    }
}
