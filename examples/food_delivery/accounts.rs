//! Logging in, and who is logged in.

use axum::{
    Json,
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, request::Parts},
    middleware::Next,
    response::Response,
};
use orderscope::{context, track_event};
use serde::{Deserialize, Serialize};

use crate::platform::{Failure, Platform};

#[derive(Deserialize)]
pub(crate) struct Credentials {
    customer: String,
    password: String,
}

#[derive(Serialize)]
pub(crate) struct Session {
    token: String,
}

/// The customer whose session the request carries.
#[derive(Clone, Copy)]
pub(crate) struct LoggedIn(pub(crate) i64);

pub(crate) async fn log_in(
    State(platform): State<Platform>,
    Json(credentials): Json<Credentials>,
) -> Result<Json<Session>, Failure> {
    let mut rows = platform.database.write().await?;
    let customer: Option<i64> =
        sqlx::query_scalar("SELECT id FROM customers WHERE name = ? AND password = ?")
            .bind(&credentials.customer)
            .bind(credentials.password)
            .fetch_optional(&mut rows)
            .await?;
    let Some(customer) = customer else {
        tracing::warn!(customer = credentials.customer, "login refused");
        return Err(Failure::Refused(
            StatusCode::UNAUTHORIZED,
            "wrong name or password",
        ));
    };
    let token = format!("{:032x}", fastrand::u128(..));
    let session = sqlx::query("INSERT INTO sessions (token, customer) VALUES (?, ?)")
        .bind(&token)
        .bind(customer)
        .execute(&mut rows)
        .await?
        .last_insert_rowid();
    rows.commit().await?;
    identify(customer, session);
    track_event!("login", method = "password");
    Ok(Json(Session { token }))
}

/// Finds out who asks: for the handlers, and for what telemetry says of the request.
pub(crate) async fn recognise(
    State(platform): State<Platform>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    if let Some(token) = bearer(request.headers()) {
        let known: Option<(i64, i64)> =
            sqlx::query_as("SELECT customer, rowid FROM sessions WHERE token = ?")
                .bind(token)
                .fetch_optional(&mut platform.database.read().await?)
                .await?;
        if let Some((customer, session)) = known {
            identify(customer, session);
            request.extensions_mut().insert(LoggedIn(customer));
        }
    }
    Ok(next.run(request).await)
}

impl FromRequestParts<Platform> for LoggedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Platform) -> Result<Self, Failure> {
        let known = parts.extensions.get().copied();
        known.ok_or(Failure::Refused(StatusCode::UNAUTHORIZED, "log in first"))
    }
}

/// From here on, the request's errors, events and log lines say whose they are. The session goes by
/// its number: its token would let whoever reads the telemetry in.
fn identify(customer: i64, session: i64) {
    context::identify(
        format_args!("customer-{customer}"),
        format_args!("session-{session}"),
    );
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}
