//! A service under fault, and the load on it: in process, so that nothing but the telemetry is in
//! the way.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http_body_util::BodyExt as _;
use hyper::Request;
use metrics::{counter, gauge, histogram, with_local_recorder};
use orderscope::export::{Destination, Protocol};
use orderscope::telemetry::{Builder, ShutdownReport};
use orderscope::tracing_layer::Levels;
use orderscope::{Telemetry, track_event};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt as _;
use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing_subscriber::layer::SubscriberExt as _;

use super::collector::{Collector, DISHES, Id, Kind};
use super::oracle::{DESTINATION, Oracle};

/// Longer than any test: metrics are pushed only where a test asks for it.
const NO_PUSHES: Duration = Duration::from_secs(3600);
/// Requests per second of L1.
pub(crate) const L1: u32 = 2_000;

/// How OTLP is spoken to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Http,
    Grpc,
}

impl Wire {
    pub(crate) const ALL: [Self; 2] = [Self::Http, Self::Grpc];

    /// The collector as a destination of that name.
    pub(crate) fn destination(self, name: &str, collector: &Collector) -> Destination {
        match self {
            Self::Http => Destination::otlp(name, collector.url()),
            Self::Grpc => Destination::otlp(name, collector.grpc_url()).protocol(Protocol::Grpc),
        }
    }
}

/// A service with its telemetry, which records what the oracle numbers.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) telemetry: Telemetry,
    pub(crate) oracle: Arc<Oracle>,
    dispatch: Dispatch,
    runtime: Runtime,
}

impl Service {
    /// Of one destination, as it is by default, that gets all signals.
    pub(crate) fn new(fault: &'static str, wire: Wire, collector: &Collector) -> Self {
        let destination = wire.destination(DESTINATION, collector);
        Self::of(fault, |builder| builder.destination(destination))
    }

    /// Metrics are not pushed unless `configure` says how often.
    pub(crate) fn of(fault: &'static str, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = Telemetry::builder("orders").metrics_interval(NO_PUSHES);
        let telemetry = configure(builder).build().unwrap();
        let layer = telemetry.tracing_layer().at(Levels::default());
        Self {
            dispatch: Dispatch::new(tracing_subscriber::registry().with(layer)),
            telemetry,
            oracle: Arc::new(Oracle::new(fault)),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// Runs what needs a runtime of the host.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// A line of log; its id.
    pub(crate) fn line(&self) -> Id {
        let number = self.oracle.issue(Kind::Line);
        with_default(&self.dispatch, || tracing::info!(id = number, "a line"));
        id(Kind::Line, number)
    }

    /// As `line`, of so many bytes.
    pub(crate) fn long_line(&self, bytes: usize) -> Id {
        let number = self.oracle.issue(Kind::Line);
        let text = "x".repeat(bytes);
        with_default(&self.dispatch, || tracing::info!(id = number, "{text}"));
        id(Kind::Line, number)
    }

    /// A line of level ERROR; its id.
    pub(crate) fn error(&self) -> Id {
        let number = self.oracle.issue(Kind::Error);
        with_default(&self.dispatch, || tracing::error!(id = number, "a failure"));
        id(Kind::Error, number)
    }

    /// So many events within one request, whose span is one more.
    pub(crate) fn burst(&self, events: u64) {
        let oracle = Arc::clone(&self.oracle);
        let handler = async move || {
            for _ in 0..events {
                track_event!("probe", id = oracle.issue(Kind::Event));
            }
        };
        let app = Router::new().route("/load", get(handler));
        let app = app.layer(self.telemetry.http_layer());
        self.block_on(ask(app, &self.oracle));
    }

    /// Requests without events; their spans.
    pub(crate) fn requests(&self, count: u64) {
        for _ in 0..count {
            self.burst(0);
        }
    }

    pub(crate) fn flush(&self, within: Duration) -> bool {
        self.block_on(self.telemetry.flush(within))
    }

    pub(crate) fn shutdown(&self, within: Duration) -> ShutdownReport {
        self.block_on(self.telemetry.shutdown(within))
    }

    /// Accounts for every record of the only destination.
    #[track_caller]
    pub(crate) fn check(&self, collector: &Collector) {
        self.oracle.check(&self.telemetry, DESTINATION, collector);
    }

    /// Waits until nothing of the only destination waits or is under way.
    #[track_caller]
    pub(crate) fn settles(&self, within: Duration) {
        self.oracle.settles(&self.telemetry, DESTINATION, within);
    }

    /// After the fault: a record of each signal that is sent there arrives.
    #[track_caller]
    pub(crate) fn is_alive(&self, collector: &Collector, within: Duration) {
        let rows = self.telemetry.ledger();
        let has = |signal| rows.iter().any(|row| row.signal() == signal);
        let mut probes = Vec::new();
        if has("logs") {
            probes.push(self.line());
        }
        if has("traces") {
            probes.push(id(Kind::Span, self.oracle.issued(Kind::Span)));
            self.requests(1);
        }
        // Spans are gathered for seconds otherwise.
        self.flush(within);
        for probe in probes {
            self.oracle.arrives(collector, probe, within);
        }
    }

    /// Requests at an even rate, whatever becomes of each (an open loop): a span, three events and
    /// five updates of metrics for each. Samples the ledger meanwhile.
    #[track_caller]
    pub(crate) fn load(&self, per_second: u32, during: Duration) -> Latencies {
        let oracle = Arc::clone(&self.oracle);
        let recorder = Arc::new(self.telemetry.recorder());
        let handler = async move || {
            with_local_recorder(&*recorder, || {
                counter!(DISHES).increment(2);
                counter!("couriers.asked", "city" => "Graz").increment(1);
                gauge!("oven.load").set(0.5);
                histogram!("basket.value").record(23.5);
                histogram!("basket.items").record(3.0);
            });
            for _ in 0..3 {
                track_event!("probe", id = oracle.issue(Kind::Event));
            }
        };
        let app = Router::new().route("/load", get(handler));
        let app = app.layer(self.telemetry.http_layer());
        let count = (during.as_secs_f64() * f64::from(per_second)) as u32;
        self.block_on(async {
            let began = Instant::now();
            let mut took = Vec::with_capacity(count as usize);
            for number in 0..count {
                let due = began + Duration::from_secs(1) * number / per_second;
                if Instant::now() < due {
                    // Between requests, a hundred times a second at most.
                    sleep_until(due + Duration::from_millis(10)).await;
                    self.oracle.sample(&self.telemetry);
                }
                let begins = Instant::now();
                ask(app.clone(), &self.oracle).await;
                took.push(begins.elapsed());
            }
            sleep_until(began + during).await;
            took.sort_unstable();
            Latencies(took)
        })
    }
}

/// How long requests took, in ascending order.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Such as 0.99.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let at = (share * self.0.len() as f64) as usize;
        self.0[at.min(self.0.len() - 1)]
    }
}

/// One request, whose trace has the number of its span.
async fn ask(app: Router, oracle: &Oracle) {
    let number = oracle.issue(Kind::Span);
    let caller = format!("00-00000000000000f1{number:016x}-b7ad6b7169203331-01");
    let request = Request::get("/load").header("traceparent", caller);
    let request = request.body(Body::empty()).unwrap();
    let answer = app.oneshot(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
}

pub(crate) fn id(kind: Kind, number: u64) -> Id {
    Id { kind, number }
}
