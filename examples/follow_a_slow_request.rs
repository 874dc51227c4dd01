//! Among sixty requests one is slow. The page of metrics has its trace id at the bucket of the
//! latency, and by that id the Collector has its spans, its queries and its lines of log: the guide to
//! correlation (`src/guide/correlation.md`) takes these steps.
//!
//! ```sh
//! cargo run --example follow_a_slow_request -- http://localhost:4318
//! ```

#![allow(
    clippy::print_stdout,
    reason = "a program that talks to whoever started it"
)]

use std::{env, error::Error, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{Request, StatusCode, header::ACCEPT},
    response::Response,
    routing::get,
};
use orderscope::{Telemetry, context, database::Database, export::Destination};
use sqlx::{Sqlite, sqlite::SqlitePoolOptions};
use tower::ServiceExt as _;

/// No index helps with a difference.
const HISTORY: &str = "SELECT count(*) FROM orders o JOIN dishes d \
     ON abs(d.cooked - o.placed) < 60 WHERE o.customer = ?";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = env::args().nth(1);
    let endpoint = endpoint.unwrap_or_else(|| "http://localhost:4318".to_owned());
    let telemetry = Telemetry::builder("orders")
        .version(env!("CARGO_PKG_VERSION"))
        .destination(Destination::otlp("collector", &endpoint))
        .install()?;
    let app = Router::new()
        .route("/customers/{id}/history", get(history))
        .layer(telemetry.http_layer())
        .route("/metrics", telemetry.metrics_route())
        .with_state(database(&telemetry).await?);

    for customer in 0..60 {
        let path = format!("/customers/{customer}/history");
        ask(&app, Request::get(path).body(Body::empty())?).await?;
    }

    // As Prometheus asks when it is to keep exemplars.
    let scrape = Request::get("/metrics").header(ACCEPT, "application/openmetrics-text");
    let page = ask(&app, scrape.body(Body::empty())?).await?;
    for line in page.lines() {
        if line.starts_with("http_server_request_duration_seconds_bucket") {
            println!("{line}");
        }
    }
    println!("{}", telemetry.shutdown(Duration::from_secs(5)).await);
    Ok(())
}

/// What was cooked while a customer's orders were fresh; customer 42 has had very many.
async fn history(
    State(database): State<Database<Sqlite>>,
    Path(customer): Path<i64>,
) -> Result<String, StatusCode> {
    context::identify(format!("u-{customer}"), "");
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE customer = ?")
        .bind(customer)
        .fetch_one(&database)
        .await
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    tracing::info!(customer, orders, "asked for the history");
    let mut dishes = 0;
    if orders > 1 {
        dishes = sqlx::query_scalar(HISTORY)
            .bind(customer)
            .fetch_one(&database)
            .await
            .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    }
    Ok(format!("{orders} orders, {dishes} dishes\n"))
}

/// Three thousand orders of one customer, one of each other.
async fn database(telemetry: &Telemetry) -> Result<Database<Sqlite>, sqlx::Error> {
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect("sqlite::memory:").await?;
    sqlx::raw_sql(
        "CREATE TABLE orders (customer INTEGER, placed INTEGER);
         CREATE TABLE dishes (cooked INTEGER);
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999)
             INSERT INTO dishes SELECT i * 20 FROM n;
         INSERT INTO orders SELECT 42, cooked FROM dishes;
         INSERT INTO orders SELECT cooked / 20, cooked FROM dishes WHERE cooked < 1200;",
    )
    .execute(&pool)
    .await?;
    Ok(telemetry.database("orders-db", pool))
}

async fn ask(app: &Router, request: Request<Body>) -> Result<String, Box<dyn Error>> {
    let answer: Response = app.clone().oneshot(request).await?;
    let body = to_bytes(answer.into_body(), usize::MAX).await?;
    Ok(String::from_utf8(body.to_vec())?)
}
