//! Telemetry of telemetry: with every level on, an idle service sends its numbers when it is time,
//! and nothing else. The receiver is in the process of the test, the service in one of its own.

use std::env;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use orderscope::Telemetry;
use tokio::time::Instant;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{CASE, SOON, alone, block_on, loopback, printed};

const INTERVAL: Duration = Duration::from_millis(200);
const IDLE: Duration = Duration::from_secs(3);
/// While it is idle, at least.
const PUSHES: u64 = 5;

/// Takes OTLP over HTTP and over gRPC, and keeps the path of each request.
struct Receiver {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    fn start() -> Self {
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let noted = Arc::clone(&asked);
        let app = Router::new().fallback(move |request: Request| take(Arc::clone(&noted), request));
        let (bound, is_bound) = mpsc::channel();
        thread::spawn(move || {
            block_on(async {
                let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        Self {
            address: is_bound.recv().unwrap(),
            asked,
        }
    }

    /// How many requests there were for `traces`, `logs` or `metrics`.
    fn count(&self, signal: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        // `/v1/logs`, and `/opentelemetry.proto.collector.logs.v1.LogsService/Export`.
        let paths = [format!("/v1/{signal}"), format!(".{}.", singular(signal))];
        let is_of = |asked: &&String| paths.iter().any(|path| asked.contains(path));
        asked.iter().filter(is_of).count()
    }
}

/// As the packages of OTLP are named.
fn singular(signal: &str) -> &str {
    match signal {
        "traces" => "trace",
        other => other,
    }
}

async fn take(asked: Arc<Mutex<Vec<String>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    body.collect().await.unwrap();
    let path = head.uri.path().to_owned();
    let is_grpc = path.ends_with("/Export");
    asked.lock().unwrap().push(path);
    let answer = Response::builder();
    if !is_grpc {
        // So that the next request looks the name up, and connects, again.
        return answer
            .header("connection", "close")
            .body(Body::empty())
            .unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    // A message of no bytes.
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async { Some(Ok(trailers)) });
    let answer = answer.header("content-type", "application/grpc");
    answer.body(Body::new(body)).unwrap()
}

/// Runs `case`, a service that comes to [`stay_idle`], against a receiver.
fn watch(protocol: &str, case: impl FnOnce()) {
    if env::var_os(CASE).is_some() {
        alone(&[], case);
        unreachable!("its process has ended");
    }
    let receiver = Receiver::start();
    let endpoint = format!("http://localhost:{}", receiver.address.port());
    let interval = INTERVAL.as_millis().to_string();
    let variables = [
        ("RUST_LOG", "trace"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_METRIC_EXPORT_INTERVAL", &interval),
    ];
    let output = alone(&variables, case);
    // Else there was nothing to keep still about.
    let printed = printed(&output);
    assert!(printed.contains(" hyper_util::"), "{printed}");
    assert!(protocol != "grpc" || printed.contains(" h2::"), "{printed}");
    assert_eq!(receiver.count("traces"), 1, "F27: requests of spans");
    assert_eq!(receiver.count("logs"), 1, "F27: requests of log records");
    let pushes = printed
        .lines()
        .find_map(|line| line.strip_prefix("pushes: "))
        .unwrap();
    assert_eq!(
        receiver.count("metrics").to_string(),
        pushes,
        "F27: requests of metrics"
    );
    let asked = receiver.asked.lock().unwrap();
    assert_eq!(asked.len(), pushes.parse::<usize>().unwrap() + 2, "F27");
}

/// Records as a host does, then only waits.
#[expect(
    clippy::print_stderr,
    reason = "so it tells the test how often it pushed"
)]
fn stay_idle(telemetry: &Telemetry) {
    for _ in 0..3 {
        tracing::trace!("of the host");
    }
    tracing::trace_span!("of the host").in_scope(|| ());
    assert!(block_on(telemetry.flush(SOON)));
    let accepted = |signal: &str| {
        let rows = telemetry.ledger();
        let row = rows.iter().find(|row| row.signal() == signal);
        row.unwrap().accepted()
    };
    let (began, before) = (Instant::now(), accepted("metrics"));
    thread::sleep(IDLE);
    // A busy machine lets intervals pass.
    while accepted("metrics") - before < PUSHES && began.elapsed() < SOON {
        thread::sleep(INTERVAL);
    }
    let pushed = accepted("metrics") - before;
    let ticks = began.elapsed().as_millis() / INTERVAL.as_millis();
    assert_eq!(accepted("logs"), 3, "F27: log records while idle");
    assert_eq!(accepted("traces"), 1, "F27: spans while idle");
    assert!(
        u128::from(pushed) <= ticks + 1,
        "F27: {pushed} pushes in {ticks} intervals"
    );
    assert!(
        pushed >= PUSHES,
        "F27: {pushed} pushes in {ticks} intervals"
    );
    let numbers = telemetry.snapshot();
    let of_the_host = numbers.counter("orderscope.log.records", &[]);
    assert_eq!(of_the_host, 3, "F27: counted log records");
    let report = block_on(telemetry.shutdown(SOON));
    assert!(report.is_complete(), "F27: {report}");
    eprintln!("pushes: {}", accepted("metrics"));
}

fn installed() -> Telemetry {
    Telemetry::builder("orders").install().unwrap()
}

/// A subscriber of the host's own, which reads every level.
fn composed() -> Telemetry {
    let builder = Telemetry::builder("orders").without_subscriber();
    let telemetry = builder.install().unwrap();
    tracing_subscriber::registry()
        .with(telemetry.tracing_layer().at("trace".parse().unwrap()))
        .with(telemetry.lines_layer())
        .init();
    telemetry
}

#[test]
fn an_idle_service_at_trace_sends_its_numbers_alone_over_http() {
    watch("http/protobuf", || stay_idle(&installed()));
}

#[test]
fn an_idle_service_at_trace_sends_its_numbers_alone_over_grpc() {
    watch("grpc", || stay_idle(&installed()));
}

#[test]
fn a_subscriber_of_the_host_s_own_at_trace_hears_no_telemetry_over_http() {
    watch("http/protobuf", || stay_idle(&composed()));
}

#[test]
fn a_subscriber_of_the_host_s_own_at_trace_hears_no_telemetry_over_grpc() {
    watch("grpc", || stay_idle(&composed()));
}
