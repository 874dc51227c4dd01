//! A service that sends its traces, logs, events and metrics to an OpenTelemetry Collector, and at
//! its end says what became of each record.
//!
//! ```sh
//! cargo run --example send_to_a_collector -- http://localhost:4318
//! curl http://127.0.0.1:8080/orders/7
//! ```
//!
//! Without the call of `destination`, the environment decides: `OTEL_EXPORTER_OTLP_ENDPOINT` and
//! its like.

#![allow(
    clippy::print_stdout,
    reason = "a program that talks to whoever started it"
)]

use std::{env, error::Error, time::Duration};

use axum::{Router, extract::Path, routing::get};
use orderscope::{
    Telemetry,
    export::{Compression, Destination},
    track_event,
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = env::args().nth(1);
    let endpoint = endpoint.unwrap_or_else(|| "http://localhost:4318".to_owned());
    let collector = Destination::otlp("collector", &endpoint)
        .header("x-tenant", "demo")
        .compression(Compression::Gzip);
    let telemetry = Telemetry::builder("orders")
        .version(env!("CARGO_PKG_VERSION"))
        .destination(collector)
        .install()?;

    let app = Router::new()
        .route("/orders/{id}", get(order))
        .layer(telemetry.http_layer());
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    let address = listener.local_addr()?;
    println!("orders on http://{address}/orders/7, telemetry to {endpoint}; Ctrl-C ends it");
    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted())
        .await?;

    // A shutdown flushes too; this shows how a job does before it goes to sleep.
    let is_through = telemetry.flush(Duration::from_secs(5)).await;
    println!("flushed: {is_through}");
    for row in telemetry.ledger() {
        println!("{row}");
    }
    let report = telemetry.shutdown(Duration::from_secs(5)).await;
    println!("{report}");
    Ok(())
}

/// The request has a span; what is recorded in here belongs to it.
async fn order(Path(order_id): Path<u64>) -> String {
    track_event!("order_tracked", order_id);
    let minutes = minutes_until_delivery(order_id).await;
    tracing::info!(order_id, minutes, "told where the order is");
    format!("order {order_id} arrives in {minutes} minutes\n")
}

#[tracing::instrument]
async fn minutes_until_delivery(order_id: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(20)).await;
    5 + order_id % 30
}

async fn interrupted() {
    // Without a signal to wait for, the service stops at once rather than never.
    let _ = tokio::signal::ctrl_c().await;
}
