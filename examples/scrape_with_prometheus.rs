//! A service whose metrics have a listener of their own, apart from what customers can reach, and
//! the lines that let Prometheus scrape it.
//!
//! ```sh
//! cargo run --example scrape_with_prometheus
//! curl http://127.0.0.1:8080/orders/7
//! curl http://127.0.0.1:9464/metrics
//! ```

#![allow(
    clippy::print_stdout,
    reason = "a program that talks to whoever started it"
)]

use std::{error::Error, time::Duration};

use axum::{Router, extract::Path, routing::get};
use orderscope::Telemetry;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let telemetry = Telemetry::builder("orders")
        .version(env!("CARGO_PKG_VERSION"))
        .metrics_listener(([127, 0, 0, 1], 9464).into())
        .install()?;

    let app = Router::new()
        .route("/orders/{id}", get(order))
        .layer(telemetry.http_layer().timeout(Duration::from_secs(2)));
    let listener = TcpListener::bind("127.0.0.1:8080").await?;

    println!("orders on http://{}/orders/7", listener.local_addr()?);
    if let Some(address) = telemetry.metrics_address() {
        println!("metrics on http://{address}/metrics; for prometheus.yml:\n");
        println!("scrape_configs:");
        println!("  - job_name: orders");
        println!("    scrape_interval: 15s");
        println!("    static_configs:");
        println!("      - targets: [\"{address}\"]");
    }

    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted())
        .await?;
    let report = telemetry.shutdown(Duration::from_secs(5)).await;
    println!("\n{report}");
    Ok(())
}

async fn order(Path(id): Path<u64>) -> String {
    metrics::counter!("orders.looked_at").increment(1);
    format!("order {id} is on its way\n")
}

async fn interrupted() {
    // Without a signal to wait for, the service stops at once rather than never.
    let _ = tokio::signal::ctrl_c().await;
}
