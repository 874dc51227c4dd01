//! `build()` or `install()` was forgotten.

use axum::Router;
use orderscope::Telemetry;

fn main() {
    let telemetry = Telemetry::builder("orders").version("1.0.0");
    let _app: Router = Router::new()
        .layer(telemetry.http_layer())
        .route("/metrics", telemetry.metrics_route());
}
