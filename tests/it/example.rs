//! The example as a newcomer runs it: traffic over sockets, a real Prometheus that scrapes it in
//! both formats, and the summary it leaves.

use crate::{
    loopback::{Server, get},
    page::declared::assert_promtool_complains_of_counts_alone,
    programs,
    prometheus::{Job, Prometheus},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::Duration,
};

mod replicas;

const WITHIN: Duration = Duration::from_secs(60);

/// A busy machine needs longer for as many requests.
const LENGTHS: [&str; 2] = ["12s", "60s"];

/// Whether so much has happened that all the ways of its traffic are likely to be among it.
fn is_enough(summary: &Value) -> bool {
    summary["requests"]["started"].as_u64() >= Some(400)
}

/// A run of `cargo run --example food_delivery`, ended with its value.
struct Run {
    process: Child,
    address: SocketAddr,
    summary: PathBuf,
    said: Option<JoinHandle<String>>,
}

impl Run {
    fn start(name: &str, length: &str) -> Self {
        Self::start_with(name, length, &[])
    }

    fn start_with(name: &str, length: &str, arguments: &[&str]) -> Self {
        let summary = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
        let mut process = Command::new(programs::example("food_delivery"))
            .args(["--listen", "127.0.0.1:0", "--for", length, "--seed", "1"])
            .arg("--summary")
            .arg(&summary)
            .args(arguments)
            .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
            // All severities of the example's own, and of nobody else the noise.
            .env("RUST_LOG", "info,food_delivery=trace")
            // Without a collector, the backend in memory takes its place.
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .env_remove("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .env_remove("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")
            .env_remove("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let (_, url) = first.split_once("http://").expect("it says where to look");
        let address = url.split([',', ' ', '\n']).next().unwrap().parse().unwrap();
        let said = std::thread::spawn(move || {
            let mut rest = String::new();
            lines.read_to_string(&mut rest).unwrap();
            rest
        });
        Self {
            process,
            address,
            summary,
            said: Some(said),
        }
    }

    /// Waits for its end; what it said and its summary.
    fn ended(mut self) -> (String, Value) {
        let status = self.process.wait().unwrap();
        let said = self.said.take().unwrap().join().unwrap();
        assert!(status.success(), "{status}: {said}");
        let summary = fs::read(&self.summary).unwrap();
        (said, serde_json::from_slice(&summary).unwrap())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_example_accounts_for_every_request_it_started() {
    let [short, long] = LENGTHS;
    let (mut said, mut summary) = Run::start("example-alone", short).ended();
    if !is_enough(&summary) {
        (said, summary) = Run::start("example-alone", long).ended();
    }
    let requests = &summary["requests"];
    let started = requests["started"].as_u64().unwrap();
    let outcomes = requests["outcomes"].as_object().unwrap();
    let finished: u64 = outcomes.values().map(|count| count.as_u64().unwrap()).sum();
    assert!(started > 100, "{summary}");
    assert_eq!(started, finished);
    assert_eq!(requests["active"], 0);
    assert_eq!(outcomes.len(), 7);
    assert!(outcomes["completed"].as_u64() > Some(100), "{summary}");
    // Its traffic fails in every way that a platform without load shedding can.
    for outcome in [
        "client_closed",
        "timed_out",
        "panicked",
        "body_failed",
        "upgraded",
    ] {
        assert!(outcomes[outcome].as_u64() > Some(0), "{outcome}: {summary}");
    }
    assert!(said.contains(&format!(
        "started {started} = finished {started} + active 0"
    )));
    for (family, route) in [
        ("latency_seconds", "/restaurants"),
        ("latency_seconds", ""),
        ("first_byte_seconds", "/orders/{id}/track"),
    ] {
        let figures = &summary[family][route];
        assert!(
            figures["count"].as_u64() > Some(0),
            "{family} {route}: {summary}"
        );
        assert!(figures["p50"].as_f64() <= figures["p99"].as_f64());
    }
    assert!(
        summary["latency_seconds"]
            .get("/orders/{id}/track")
            .is_none(),
        "event streams stay out of the latency: {summary}"
    );
    assert_every_signal_is_told(&summary);
}

/// What the summary says of everything beside requests, of one service.
struct Told<'a>(&'a Value);

impl Told<'_> {
    fn count(&self, of: &str, name: &str) -> u64 {
        let count = self.0[of].get(name).and_then(Value::as_u64);
        count.unwrap_or_else(|| panic!("no {name} among {of}: {}", self.0[of]))
    }

    #[track_caller]
    fn assert_some(&self, of: &str, names: &[&str]) {
        for name in names {
            assert!(self.count(of, name) > 0, "{name}: {}", self.0[of]);
        }
    }

    /// Every record is acknowledged, and the backend has the events that were counted.
    #[track_caller]
    fn assert_delivered_in_memory(&self) {
        let rows = self.0["ledger"]["memory"].as_object().unwrap();
        assert_eq!(rows.len(), 3, "{rows:?}");
        for (signal, row) in rows {
            assert!(row["accepted"].as_u64() > Some(0), "{signal}: {row}");
            assert_eq!(row["acknowledged"], row["accepted"], "{signal}");
            assert_eq!(row["difference"], 0, "{signal}");
        }
        let received = &self.0["received"];
        assert_eq!(received["evicted"], 0);
        assert_eq!(received["events"], self.0["events"]);
        assert_eq!(received["spans"], rows["traces"]["acknowledged"]);
        assert_eq!(received["log_records"], rows["logs"]["acknowledged"]);
    }
}

fn assert_every_signal_is_told(summary: &Value) {
    let platform = Told(summary);
    platform.assert_some(
        "events",
        &[
            "cart_viewed",
            "checkout_started",
            "payment_succeeded",
            "payment_failed",
            "order_placed",
            // These have no type.
            "login",
            "dish_viewed",
            "favorite_added",
            "courier_assigned",
        ],
    );
    platform.assert_some(
        "errors",
        &[
            "panic",
            "sqlx_core::error::Error",
            "food_delivery::provider::ChargeError",
        ],
    );
    assert_errors_are_grouped(summary);
    assert_statements_are_told(summary);
    assert_funnels_add_up(summary);
    assert_users_are_told(summary);
    assert_sessions_add_up(summary);
    let payment = &summary["transactions"]["payment"];
    assert_eq!(payment["succeeded"], summary["events"]["payment_succeeded"]);
    assert_eq!(payment["failed"], summary["events"]["payment_failed"]);
    let severities = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"];
    platform.assert_some("logs", &severities);
    assert_eq!(summary["logs"].as_object().unwrap().len(), severities.len());
    platform.assert_delivered_in_memory();
    assert_eq!(
        platform.count("events", "payment_succeeded"),
        platform.count("events", "order_placed")
    );

    let payments = Told(&summary["payments"]);
    payments.assert_some("events", &["charge_captured"]);
    payments.assert_some("errors", &["food_delivery::payments::ChargeError"]);
    payments.assert_delivered_in_memory();
}

/// Each attempt is open or has ended, each step was come to by no more than the one before, and those
/// of the events that are each one's only.
fn assert_funnels_add_up(summary: &Value) {
    let funnels = summary["funnels"].as_object().unwrap();
    let order = [
        (
            "basket",
            ["cart_item_added", "cart_viewed", "checkout_started"],
        ),
        (
            "checkout",
            ["checkout_started", "payment_succeeded", "order_placed"],
        ),
    ];
    assert_eq!(funnels.len(), order.len(), "{funnels:?}");
    for (name, steps) in order {
        let funnel = &funnels[name];
        let count = |what: &str| funnel[what].as_u64().unwrap();
        let [attempts, converted] = ["attempts", "converted"].map(count);
        let ended = converted + count("abandoned") + count("excluded");
        assert_eq!(attempts, ended + count("open"), "{name}: {funnel}");
        let reached = steps.map(|event| funnel["steps"][event].as_u64().unwrap());
        assert!(
            converted > 0 && reached.is_sorted_by(|a, b| a >= b),
            "{name}: {funnel}"
        );
        assert_eq!(
            (reached[0], reached[2]),
            (attempts, converted),
            "{name}: {funnel}"
        );
        let last = summary["events"][steps[2]].as_u64().unwrap();
        assert!(converted <= last, "{name}: {funnel}");
    }
}

/// Every login begins a session, and each is open or has ended in one place.
fn assert_sessions_add_up(summary: &Value) {
    let sessions = &summary["sessions"];
    let count = |what: &str| sessions[what].as_u64().unwrap();
    let ended = ["timed_out", "cut_off", "ended_explicitly"].map(count);
    assert_eq!(count("started"), count("open") + ended.iter().sum::<u64>());
    let logins = summary["events"]["login"].as_u64().unwrap();
    assert!(count("started") >= logins && logins > 0, "{sessions}");
    assert!(count("timed_out") > 0, "{sessions}");
    assert!(
        sessions["median_seconds"].as_f64() > Some(0.0),
        "{sessions}"
    );
    let exits = sessions["exits"].as_array().unwrap();
    assert!(
        exits.iter().all(|exit| exit[1].as_u64() > Some(0)),
        "{sessions}"
    );
}

/// Whoever has logged in is active, and features have no more users than there are.
fn assert_users_are_told(summary: &Value) {
    let of_day = |users: &Value| users["day"].as_u64().unwrap();
    let active = of_day(&summary["active_users"]);
    let logins = summary["events"]["login"].as_u64().unwrap();
    assert!(active > 0 && active <= logins, "{active} of {logins}");
    for (feature, event) in [
        ("favorites", "favorite_added"),
        ("search", "search"),
        ("menu", "dish_viewed"),
    ] {
        let used = &summary["features"][feature];
        assert_eq!(used["uses"], summary["events"][event], "{feature}");
        assert!(of_day(&used["users"]) <= active, "{feature}: {used}");
    }
    let favorites = &summary["features"]["favorites"];
    assert!(of_day(&favorites["users"]) > 0, "{favorites}");
    assert!(favorites["usage"].as_f64() > Some(0.0), "{favorites}");
}

/// The slowest statements without their values, and who waited for which pool.
fn assert_statements_are_told(summary: &Value) {
    let statements = summary["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 10, "{statements:#?}");
    let total = |statement: &Value| statement["total_seconds"].as_f64().unwrap();
    assert!(statements.is_sorted_by(|one, next| total(one) >= total(next)));
    let summaries: Vec<_> = statements
        .iter()
        .map(|of| of["summary"].as_str().unwrap())
        .collect();
    assert!(summaries.contains(&"SEARCH dishes"), "{summaries:?}");
    for statement in statements {
        assert!(statement["calls"].as_u64() > Some(0), "{statement}");
        assert!(
            !statement["text"].as_str().unwrap().contains('\''),
            "{statement}"
        );
    }
    let pools = summary["pools"].as_array().unwrap();
    let names: Vec<_> = pools
        .iter()
        .map(|pool| pool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["readers", "writer"]);
    for pool in pools {
        assert!(pool["acquired"].as_u64() > Some(100), "{pool}");
        assert!(pool["wait_p99_seconds"].is_f64() && pool["use_p99_seconds"].is_f64());
    }
}

/// Every error is of a group, and each group says whom it met.
fn assert_errors_are_grouped(summary: &Value) {
    let groups = summary["error_groups"].as_array().unwrap();
    let count = |group: &Value| group["count"].as_u64().unwrap();
    let errors = summary["errors"].as_object().unwrap().values();
    let errors: u64 = errors.map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(groups.iter().map(count).sum::<u64>(), errors, "{groups:#?}");
    let panics = groups
        .iter()
        .find(|group| group["type"] == "panic")
        .unwrap();
    assert_eq!(panics["is_handled"], false);
    for group in groups {
        assert_eq!(group["fingerprint"].as_str().unwrap().len(), 16, "{group}");
        assert_eq!(group["release"], env!("CARGO_PKG_VERSION"), "{group}");
        assert!(!group["message"].as_str().unwrap().is_empty(), "{group}");
    }
    let of_users = groups
        .iter()
        .find(|group| group["affected_users"].as_u64() > Some(0));
    let of_users = of_users.unwrap_or_else(|| panic!("no user was met: {groups:#?}"));
    assert!(
        !of_users["endpoints"].as_array().unwrap().is_empty(),
        "{of_users}"
    );
    assert!(of_users["affected_users"].as_u64() <= of_users["count"].as_u64());
}

#[tokio::test]
async fn a_real_prometheus_scrapes_true_numbers_from_the_running_example() {
    // Until it is dropped.
    let run = Run::start("example-scraped", "600s");
    let proxy = Server::asking_for_plain_text(run.address).await;
    let prometheus = Prometheus::scraping([
        Job::new("openmetrics", [run.address]),
        Job::new("text", [proxy.address()]),
    ])
    .await;
    let some = |result: &Value| !result.as_array().unwrap().is_empty();

    for job in ["openmetrics", "text"] {
        let p99 = format!(
            "histogram_quantile(0.99, sum by (le, http_route) \
             (rate(http_server_request_duration_seconds_bucket{{job=\"{job}\"}}[10s]))) > 0"
        );
        let by_route = prometheus.wait_until(&p99, some, WITHIN).await;
        let routes = by_route.as_array().unwrap();
        assert!(
            routes
                .iter()
                .any(|r| r["metric"]["http_route"] == "/restaurants"),
            "{by_route}"
        );
        for expression in [
            format!("orders_placed_total{{job=\"{job}\"}} > 0"),
            format!("basket_value_bucket{{job=\"{job}\", le=~\"10(\\\\.0)?\"}}"),
            format!("target_info{{job=\"{job}\", service_name=\"food-delivery\"}}"),
            format!(
                "orderscope_http_server_streams_active{{job=\"{job}\", stream_kind=\"websocket\"}}"
            ),
            format!("process_cpu_time_seconds_total{{job=\"{job}\"}} > 0"),
        ] {
            prometheus.wait_until(&expression, some, WITHIN).await;
        }
        // Seen from outside, within one scrape: nothing is in flight twice, nothing is lost.
        let balance = format!(
            "abs(orderscope_http_server_requests_started_total{{job=\"{job}\"}} \
             - ignoring(x) sum without (outcome, http_response_status_class) \
             (orderscope_http_server_requests_finished_total{{job=\"{job}\"}}) \
             - sum without (http_request_method, url_scheme) \
             (http_server_active_requests{{job=\"{job}\"}})) <= 2"
        );
        prometheus.wait_until(&balance, some, WITHIN).await;
    }
    let failed = "sum(orderscope_exceptions_total{job=\"openmetrics\"}) > 0";
    prometheus.wait_until(failed, some, WITHIN).await;
    for series in [
        "http_server_request_duration_seconds_bucket",
        "orderscope_exceptions_total",
    ] {
        let exemplars = prometheus.query_exemplars(series).await;
        let trace_id = exemplars
            .as_array()
            .and_then(|series| series.first()?["exemplars"][0]["labels"]["trace_id"].as_str());
        assert_eq!(trace_id.map(str::len), Some(32), "{series}: {exemplars}");
    }
    for target in prometheus.targets().await {
        assert_eq!((&*target.health, &*target.last_error), ("up", ""));
    }

    let text = get(run.address, "/metrics", &[("accept", "text/plain")])
        .await
        .unwrap();
    assert_promtool_complains_of_counts_alone(text.text());
    drop(run);
}

#[test]
fn a_port_in_use_is_told_before_anything_runs() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(programs::example("food_delivery"))
        .args(["--listen", &address, "--for", "1s"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains(&address) && said.contains("127.0.0.1:0"),
        "{said}"
    );
}
