//! Logging in, and who is logged in.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
};
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
pub(crate) struct LoggedIn(pub(crate) i64);

pub(crate) async fn log_in(
    State(platform): State<Platform>,
    Json(credentials): Json<Credentials>,
) -> Result<Json<Session>, Failure> {
    let mut rows = platform.database.write().await?;
    let customer: Option<i64> =
        sqlx::query_scalar("SELECT id FROM customers WHERE name = ? AND password = ?")
            .bind(credentials.customer)
            .bind(credentials.password)
            .fetch_optional(&mut *rows)
            .await?;
    let Some(customer) = customer else {
        return Err(Failure::Refused(
            StatusCode::UNAUTHORIZED,
            "wrong name or password",
        ));
    };
    let token = format!("{:032x}", fastrand::u128(..));
    sqlx::query("INSERT INTO sessions (token, customer) VALUES (?, ?)")
        .bind(&token)
        .bind(customer)
        .execute(&mut *rows)
        .await?;
    rows.commit().await?;
    Ok(Json(Session { token }))
}

impl FromRequestParts<Platform> for LoggedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Failure> {
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .unwrap_or_default();
        let customer: Option<i64> =
            sqlx::query_scalar("SELECT customer FROM sessions WHERE token = ?")
                .bind(token)
                .fetch_optional(&mut *platform.database.read().await?)
                .await?;
        customer
            .map(Self)
            .ok_or(Failure::Refused(StatusCode::UNAUTHORIZED, "log in first"))
    }
}
