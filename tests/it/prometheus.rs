//! The real Prometheus, scraping servers of a test, and its linter.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::loopback::get;
use crate::programs;

mod harness_tests;

/// Ready within this, on a machine that also compiles.
const READY_WITHIN: Duration = Duration::from_secs(60);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);

/// What is scraped, every second, under one job name.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    name: String,
    targets: Vec<SocketAddr>,
    path: String,
    params: Vec<(String, String)>,
}

impl Job {
    /// Scrapes `/metrics` of the targets.
    pub(crate) fn new(name: &str, targets: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            name: name.to_owned(),
            targets: targets.into_iter().collect(),
            path: "/metrics".to_owned(),
            params: Vec::new(),
        }
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// Adds a query parameter to each scrape.
    pub(crate) fn param(mut self, key: &str, value: &str) -> Self {
        self.params.push((key.to_owned(), value.to_owned()));
        self
    }

    fn configuration(&self) -> Value {
        let targets: Vec<_> = self.targets.iter().map(ToString::to_string).collect();
        let mut params = serde_json::Map::new();
        for (key, value) in &self.params {
            let values = params.entry(key).or_insert_with(|| json!([]));
            values.as_array_mut().unwrap().push(json!(value));
        }
        json!({
            "job_name": self.name,
            "metrics_path": self.path,
            "params": params,
            "static_configs": [{ "targets": targets }],
        })
    }
}

/// How the latest scrape of one target went.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) scrape_url: String,
    /// `up`, `down`, or `unknown` before the first scrape.
    pub(crate) health: String,
    /// Empty when the scrape was good.
    pub(crate) last_error: String,
}

/// A Prometheus of the test's own, on a free port of the loopback, its data in a folder that goes
/// with it.
#[derive(Debug)]
pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Starts it and waits until it is ready.
    pub(crate) async fn scraping(jobs: impl IntoIterator<Item = Job>) -> Self {
        let configuration = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
            "scrape_configs": jobs.into_iter().map(|job| job.configuration()).collect::<Vec<_>>(),
        });
        // Between choosing the port and listening on it, another process can take it.
        for _ in 0..5 {
            let mut started = Self::start(&configuration);
            if started.becomes_ready().await {
                return started;
            }
            let log = started.log();
            assert!(
                log.contains("address already in use"),
                "Prometheus ended at once:\n{log}"
            );
        }
        panic!("no free port for Prometheus in five attempts");
    }

    /// The result of an instant query: for a vector, an array of `{metric, value: [time, text]}`.
    pub(crate) async fn query(&self, expression: &str) -> Value {
        let target = format!("/api/v1/query?query={}", encoded(expression));
        self.data(&target).await["result"].take()
    }

    /// All exemplars of the selected series: an array of `{seriesLabels, exemplars: [{labels,
    /// value, timestamp}]}`.
    pub(crate) async fn query_exemplars(&self, selector: &str) -> Value {
        let target = format!(
            "/api/v1/query_exemplars?start=0&end=9999999999&query={}",
            encoded(selector)
        );
        self.data(&target).await
    }

    /// Asks until the result pleases, and gives it. The panic after `within` shows the last
    /// result and how the scrapes went.
    pub(crate) async fn wait_until(
        &self,
        expression: &str,
        pleases: impl Fn(&Value) -> bool,
        within: Duration,
    ) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let result = self.query(expression).await;
            if pleases(&result) {
                return result;
            }
            if Instant::now() >= deadline {
                let targets = self.targets().await;
                panic!("{expression} gave {result} after {within:?}; targets: {targets:#?}");
            }
            sleep(BETWEEN_QUESTIONS).await;
        }
    }

    /// The health of each target.
    pub(crate) async fn targets(&self) -> Vec<Target> {
        let mut data = self.data("/api/v1/targets?state=active").await;
        serde_json::from_value(data["activeTargets"].take()).unwrap()
    }

    fn start(configuration: &Value) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("prometheus-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        // JSON is YAML.
        let file = folder.join("prometheus.yml");
        fs::write(&file, configuration.to_string()).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let address = free_port();
        let process = Command::new(programs::prometheus())
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("Prometheus starts");
        Self {
            process,
            address,
            folder,
        }
    }

    /// Whether it answers as ready; false when it has ended.
    async fn becomes_ready(&mut self) -> bool {
        let deadline = Instant::now() + READY_WITHIN;
        while self.process.try_wait().unwrap().is_none() {
            let asked = timeout(Duration::from_secs(1), get(self.address, "/-/ready", &[])).await;
            if matches!(asked, Ok(Ok(answer)) if answer.status.is_success()) {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "Prometheus is not ready:\n{}",
                self.log()
            );
            sleep(BETWEEN_QUESTIONS).await;
        }
        false
    }

    async fn data(&self, target: &str) -> Value {
        let answer = get(self.address, target, &[]).await.unwrap();
        let mut document: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(document["status"], "success", "{target}: {document}");
        document["data"].take()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What `promtool check metrics` complains of, one line each, in a document of the text format.
pub(crate) fn promtool_check_metrics(text: &str) -> Result<(), Vec<String>> {
    let mut process = Command::new(programs::promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    let mut input = process.stdin.take().expect("its input is piped");
    match input.write_all(text.as_bytes()) {
        // It stops reading where it cannot parse.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("promtool: {error}"),
        _ => drop(input),
    }
    let output = process.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let complaints: Vec<_> = said
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    match (output.status.success(), complaints.is_empty()) {
        (true, true) => Ok(()),
        (_, false) => Err(complaints),
        (false, true) => Err(vec![format!("promtool ended with {}", output.status)]),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}
