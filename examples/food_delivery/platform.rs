//! The platform itself: its routes, what its handlers share, how they fail.

use std::time::Duration;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use orderscope::Telemetry;
use serde_json::json;

use crate::{accounts, catalogue, database::Database, deadline::Deadline, orders, tracking};

/// What every handler shares.
#[derive(Clone)]
pub(crate) struct Platform {
    pub(crate) database: Database,
    /// When the server stops; streams without an end of their own end then.
    pub(crate) closing: Deadline,
}

impl Platform {
    pub(crate) fn new(database: Database, closing: Deadline) -> Self {
        Self { database, closing }
    }
}

/// The platform's routes inside the telemetry layer, the operators' routes outside it.
pub(crate) fn router(platform: Platform, telemetry: &Telemetry) -> Router {
    Router::new()
        .route("/restaurants", get(catalogue::restaurants))
        .route("/restaurants/{id}/dishes", get(catalogue::dishes))
        .route("/restaurants/{id}/sales.csv", get(catalogue::sales))
        .route("/search", get(catalogue::search))
        .route("/login", post(accounts::log_in))
        .route("/carts", post(orders::open_cart))
        .route("/carts/{id}/items", post(orders::add_item))
        .route("/orders", post(orders::place))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/payment", post(orders::pay))
        .route("/orders/{id}/track", get(tracking::track))
        .route("/couriers/live", get(tracking::courier))
        .layer(telemetry.http_layer().timeout(PATIENCE))
        .route("/metrics", telemetry.metrics_route())
        .nest("/health", telemetry.health_routes())
        .with_state(platform)
}

/// Why a handler has no better answer.
pub(crate) enum Failure {
    /// The client's fault, and what to tell it.
    Refused(StatusCode, &'static str),
    /// Ours; the client is not told what.
    Database(sqlx::Error),
}

impl Failure {
    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::Refused(StatusCode::NOT_FOUND, what)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Refused(status, error) => (status, error),
            Self::Database(error) => {
                tracing::error!(%error, "the database failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "internal error")
            }
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}

/// How long a handler may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
