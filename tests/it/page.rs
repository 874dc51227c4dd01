//! The page that Prometheus scrapes, read by independent parsers.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use orderscope::Telemetry;
use orderscope::clock::ManualClock;
use orderscope::telemetry::Builder;
use tower::ServiceExt;

use crate::exposition::{Family, Format, Parser, Sample};

mod bounds;
pub(crate) mod declared;
mod exemplars;
mod golden;
mod histograms;
mod hostile;
mod oracle;
mod round_trip;

pub(crate) const BOTH: [Format; 2] = [Format::Text, Format::OpenMetrics];

/// A telemetry whose page is rendered afresh each time, since its clock moves on.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) telemetry: Telemetry,
    hands: ManualClock,
    app: Router,
}

impl Subject {
    pub(crate) fn new() -> Self {
        Self::of(Telemetry::builder("orders"))
    }

    pub(crate) fn of(builder: Builder) -> Self {
        // 2025-06-15T12:00:00Z
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_749_988_800);
        let hands = ManualClock::starting_at(noon);
        let telemetry = builder.clock(hands.clock()).build().unwrap();
        let app = Router::new().route("/metrics", telemetry.metrics_route());
        Self {
            telemetry,
            hands,
            app,
        }
    }

    /// Runs `record` with the telemetry's recorder behind `metrics::counter!` and its like.
    pub(crate) fn record<T>(&self, record: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.telemetry.recorder(), record)
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.hands.advance(by);
    }

    pub(crate) async fn page(&self, format: Format) -> String {
        // Beyond what one render is shared for.
        self.advance(Duration::from_millis(101));
        let request = Request::get("/metrics")
            .header("accept", accept(format))
            .body(Body::empty());
        let answer = self.app.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], content_type(format));
        let page = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(page.into()).expect("the page is UTF-8")
    }

    /// The page as `parser` reads it, by the families' names.
    pub(crate) fn parsed(
        &self,
        parser: &mut Parser,
        format: Format,
    ) -> Result<BTreeMap<String, Family>, String> {
        let page = block_on(self.page(format));
        let families = parser
            .parse(format, &page)
            .map_err(|error| format!("{format:?}: {error}\n{page}"))?;
        let count = families.len();
        let families: BTreeMap<_, _> = families.into_iter().map(|f| (f.name.clone(), f)).collect();
        if families.len() != count {
            return Err(format!("{format:?}: a family appears twice\n{page}"));
        }
        Ok(families)
    }
}

pub(crate) fn accept(format: Format) -> &'static str {
    match format {
        Format::Text => "text/plain;version=0.0.4",
        Format::OpenMetrics => "application/openmetrics-text;version=1.0.0",
    }
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    }
}

/// Runs a future on a runtime of one thread that ends with it.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// The value of the one sample of that name with exactly these labels.
pub(crate) fn value(family: &Family, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: BTreeMap<_, _> = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut matching = family
        .named(name)
        .filter(|sample: &&Sample| sample.labels == labels);
    let value = matching.next().map(|sample| sample.value);
    assert!(matching.next().is_none(), "{name}{labels:?} appears twice");
    value
}
