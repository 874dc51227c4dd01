//! What a backend gets to see of a request: its spans, its log lines, its errors, its events.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use orderscope::Telemetry;
use orderscope::export::{
    Destination, InMemory, LedgerRow, ReceivedLog, ReceivedSpan, ReceivedStatus, ReceivedValue,
};
use orderscope::telemetry::Builder;
use orderscope::tracing_layer::Levels;
use tower::ServiceExt;
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

mod errors;
mod events;
mod exemplar;
mod funnels;
mod groups;
mod logs;
mod losses;
mod secrets;
mod sessions;
mod traces;
mod transactions;
mod users;

/// On a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(60);

/// A telemetry with a backend in memory.
#[derive(Debug)]
struct Scene {
    telemetry: Telemetry,
    backend: InMemory,
}

impl Scene {
    fn new() -> Self {
        Self::of(|builder| builder)
    }

    fn of(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let backend = InMemory::new();
        let builder = Telemetry::builder("orders").without_subscriber();
        let builder = builder.destination(Destination::in_memory("memory", &backend));
        Self {
            telemetry: configure(builder).build().unwrap(),
            backend,
        }
    }

    /// A subscriber with our layer alone.
    fn dispatch(&self) -> Dispatch {
        let layer = self.telemetry.tracing_layer().at(Levels::default());
        Dispatch::new(tracing_subscriber::registry().with(layer))
    }

    /// Has what this thread emits recorded until the guard goes.
    fn listens(&self) -> DefaultGuard {
        tracing::dispatcher::set_default(&self.dispatch())
    }

    /// These routes behind the layer.
    fn app(&self, routes: Router) -> Router {
        routes.layer(self.telemetry.http_layer())
    }

    async fn spans(&self) -> Vec<ReceivedSpan> {
        assert!(self.telemetry.flush(PATIENCE).await);
        self.backend.spans()
    }

    async fn logs(&self) -> Vec<ReceivedLog> {
        assert!(self.telemetry.flush(PATIENCE).await);
        self.backend.logs()
    }

    /// The only span.
    async fn span(&self) -> ReceivedSpan {
        let [span] = <[_; 1]>::try_from(self.spans().await).unwrap();
        span
    }

    /// The only log record.
    async fn log(&self) -> ReceivedLog {
        let [log] = <[_; 1]>::try_from(self.logs().await).unwrap();
        log
    }

    fn row(&self, destination: &str, signal: &str) -> LedgerRow {
        let rows = self.telemetry.ledger();
        let mut rows = rows.into_iter();
        rows.find(|row| row.destination() == destination && row.signal() == signal)
            .unwrap()
    }
}

/// Asks for the path and reads the whole answer.
async fn ask(app: &Router, path: &str) -> (StatusCode, String) {
    send(app, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn send(app: &Router, request: Request<Body>) -> (StatusCode, String) {
    let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, String::from_utf8(body.into()).unwrap())
}

/// A runtime whose two threads each have the subscriber.
fn two_threads(dispatch: Dispatch) -> tokio::runtime::Runtime {
    let dispatch = Arc::new(dispatch);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(move || {
            // For as long as the thread lives.
            std::mem::forget(tracing::dispatcher::set_default(&dispatch));
        })
        .enable_all()
        .build()
        .unwrap()
}

/// The only span of that name.
#[track_caller]
fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
    assert!(found.next().is_none(), "{name} is there twice: {spans:#?}");
    span
}

#[track_caller]
fn assert_child(child: &ReceivedSpan, parent: &ReceivedSpan) {
    assert_eq!(child.trace_id, parent.trace_id, "{child:#?} {parent:#?}");
    let its_parent = child.parent_span_id;
    assert_eq!(its_parent, Some(parent.span_id), "{child:#?} {parent:#?}");
    assert_ne!(child.span_id, parent.span_id);
}

fn is_error(span: &ReceivedSpan) -> bool {
    matches!(span.status, ReceivedStatus::Error(_))
}

#[tokio::test]
async fn what_an_application_holds_can_be_printed() {
    let scene = Scene::new();
    let telemetry = &scene.telemetry;
    let shown = format!("{telemetry:?}");
    assert_eq!(
        shown,
        "Telemetry { service: Some(\"orders\"), metrics_address: None, .. }"
    );
    let (client, layer) = (telemetry.client_layer(), telemetry.tracing_layer());
    for shown in [
        format!("{client:?}{layer:?}{:?}", telemetry.http_layer()),
        format!(
            "{:?}{:?}",
            telemetry.recorder(),
            telemetry.metrics_route::<()>()
        ),
        format!("{:?}", Telemetry::builder("orders")),
    ] {
        // A page of them says nothing.
        assert!(shown.len() < 4_096, "{shown}");
    }
}

/// Short questions to a span or a log record.
trait Says {
    fn values(&self) -> &[(String, ReceivedValue)];

    /// The value of an attribute that is there at most once; integers and booleans with a `#`
    /// before them; empty when it is absent.
    #[track_caller]
    fn says(&self, name: &str) -> String {
        let mut found = self.values().iter().filter(|(known, _)| known == name);
        let value = found.next().map_or_else(String::new, |(_, v)| shown(v));
        assert!(found.next().is_none(), "{name}: {:#?}", self.values());
        value
    }
}

impl Says for ReceivedSpan {
    fn values(&self) -> &[(String, ReceivedValue)] {
        &self.attributes
    }
}

impl Says for ReceivedLog {
    fn values(&self) -> &[(String, ReceivedValue)] {
        &self.attributes
    }
}

fn shown(value: &ReceivedValue) -> String {
    match value {
        ReceivedValue::Text(text) => text.clone(),
        ReceivedValue::Integer(integer) => format!("#{integer}"),
        ReceivedValue::Boolean(boolean) => format!("#{boolean}"),
        ReceivedValue::Float(float) => format!("#{float:?}"),
        other => format!("{other:?}"),
    }
}

/// The body of a log record, which is a text.
fn body(log: &ReceivedLog) -> &str {
    log.body
        .as_ref()
        .and_then(ReceivedValue::as_str)
        .unwrap_or_default()
}
