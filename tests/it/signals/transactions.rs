//! How transactions end, as the events say that requests track.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use orderscope::events::Transaction;
use orderscope::{Telemetry, track_event};

use super::ask;

#[tokio::test]
async fn a_transaction_succeeds_or_fails_as_its_events_say_and_stands_at_zero_before() {
    let payment = Transaction::new("payment")
        .succeeded_by("payment_succeeded")
        .failed_by("payment_failed")
        .failed_by("charge_reversed");
    let order = Transaction::new("order")
        .succeeded_by("order_placed")
        .failed_by("payment_failed");
    let telemetry = Telemetry::builder("orders")
        .own_events(["charge_reversed"])
        .transaction(payment)
        .transaction(order)
        .build()
        .unwrap();
    let ended = |name: &str| {
        let all = telemetry.snapshot().transactions();
        let found = all.into_iter().find(|transaction| transaction.name == name);
        let found = found.unwrap();
        (found.succeeded, found.failed, found.failure_rate())
    };
    assert_eq!(ended("payment"), (0, 0, None));
    let handler = async |Path(what): Path<String>| match what.as_str() {
        "paid" => track_event!("payment_succeeded", value = 7),
        "failed" => track_event!("payment_failed"),
        "reversed" => track_event!("charge_reversed"),
        "refused" => track_event!("payment_failed", event_id = " "),
        _ => track_event!("dish_viewed"),
    };
    let app = Router::new().route("/{what}", get(handler));
    let app = app.layer(telemetry.http_layer());
    let app = app.route("/metrics", telemetry.metrics_route());
    for what in ["paid", "paid", "failed", "reversed", "refused", "other"] {
        ask(&app, &format!("/{what}")).await;
    }
    assert_eq!(ended("payment"), (2, 2, Some(0.5)));
    assert_eq!(
        ended("order"),
        (0, 1, Some(1.0)),
        "one event may end several"
    );
    let (_, page) = ask(&app, "/metrics").await;
    let line = "orderscope_transactions_total{outcome=\"failed\",transaction_name=\"payment\"} 2";
    assert!(page.lines().any(|shown| shown == line), "{page}");
}
