//! What a service mounts for those who watch it: the metrics page and its health.

use super::health::Health;
use crate::export::prometheus::{Format, Pages};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::sync::Arc;

/// Answers one scrape, in the format that its `Accept` headers prefer.
pub(super) async fn scrape(pages: &Arc<Pages>, headers: &HeaderMap) -> Response<Bytes> {
    let accept = headers.get_all(header::ACCEPT).iter();
    let format = Format::negotiate(accept.filter_map(|value| value.to_str().ok()));
    let mut response = Response::new(pages.page(format).await);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

fn health(healthy: bool, document: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(document.to_string()));
    if !healthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn live() -> Response<Bytes> {
    health(true, &serde_json::json!({ "status": "live" }))
}

/// The checks could not be asked.
pub(super) fn unknown() -> Response<Bytes> {
    health(false, &serde_json::json!({ "status": "unknown" }))
}

pub(super) fn ready(checks: &Health) -> Response<Bytes> {
    let failed = checks.failed();
    if failed.is_empty() {
        return health(true, &serde_json::json!({ "status": "ready" }));
    }
    let failed: serde_json::Map<_, _> = failed
        .into_iter()
        .map(|(name, reason)| (name, reason.into()))
        .collect();
    health(
        false,
        &serde_json::json!({ "status": "not ready", "failed": failed }),
    )
}

#[cfg(feature = "axum")]
pub(super) mod axum {
    use super::*;
    use ::axum::{
        Router,
        body::Body,
        routing::{MethodRouter, get},
    };

    pub(in crate::telemetry) fn metrics<S>(pages: Arc<Pages>) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        get(async move |headers: HeaderMap| scrape(&pages, &headers).await.map(Body::from))
    }

    pub(in crate::telemetry) fn health<S>(checks: Arc<Health>) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        Router::new()
            .route("/live", get(async || live().map(Body::from)))
            .route("/ready", get(async move || ready(&checks).map(Body::from)))
    }
}
