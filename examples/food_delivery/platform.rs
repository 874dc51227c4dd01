//! The platform itself: its routes, what its handlers share, how they fail.

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use orderscope::{Telemetry, errors::HandlerError};
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::{
    accounts, carts, catalogue, database::Database, deadline::Deadline, orders,
    provider::PaymentProvider, tracking,
};

/// What every handler shares.
#[derive(Clone)]
pub(crate) struct Platform {
    pub(crate) database: Database,
    pub(crate) provider: PaymentProvider,
    /// What requests leave running when they are answered.
    pub(crate) errands: TaskTracker,
    /// When the server stops; streams without an end of their own end then.
    pub(crate) closing: Deadline,
}

impl Platform {
    pub(crate) fn new(database: Database, provider: PaymentProvider, closing: Deadline) -> Self {
        Self {
            database,
            provider,
            errands: TaskTracker::new(),
            closing,
        }
    }
}

/// The platform's routes inside the telemetry layer, the operators' routes outside it.
pub(crate) fn router(platform: Platform, telemetry: &Telemetry) -> Router {
    Router::new()
        .route("/restaurants", get(catalogue::restaurants))
        .route("/restaurants/{id}/dishes", get(catalogue::dishes))
        .route("/restaurants/{id}/sales.csv", get(catalogue::sales))
        .route("/dishes/{id}", get(catalogue::dish))
        .route("/favorites", post(catalogue::add_favorite))
        .route("/search", get(catalogue::search))
        .route("/login", post(accounts::log_in))
        .route("/carts", post(carts::open_cart))
        .route("/carts/{id}", get(carts::view_cart))
        .route("/carts/{id}/items", post(carts::add_item))
        .route("/orders", post(orders::check_out))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/payment", post(orders::pay))
        .route("/orders/{id}/track", get(tracking::track))
        .route("/couriers/live", get(tracking::courier))
        .route_layer(from_fn_with_state(platform.clone(), accounts::recognise))
        .layer(telemetry.http_layer().timeout(PATIENCE))
        .route("/metrics", telemetry.metrics_route())
        .nest("/health", telemetry.health_routes())
        .with_state(platform)
}

/// Why a handler has no better answer.
pub(crate) enum Failure {
    /// The client's fault, and what to tell it.
    Refused(StatusCode, &'static str),
    /// Ours; the telemetry is told what, the client is not.
    Broken(HandlerError),
}

impl Failure {
    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::Refused(StatusCode::NOT_FOUND, what)
    }
}

impl From<sqlx::Error> for Failure {
    /// Called by `?`, and so the error is told with the line of the `?`.
    #[track_caller]
    fn from(error: sqlx::Error) -> Self {
        Self::Broken(HandlerError::new(&error))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(status, error) => {
                (status, Json(json!({ "error": error }))).into_response()
            }
            // The layer finds the error in the response's extensions, and records it.
            Self::Broken(error) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                Extension(error),
                Json(json!({ "error": "internal error" })),
            )
                .into_response(),
        }
    }
}

/// How long a handler may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
