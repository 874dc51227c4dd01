//! Whether the service should be sent requests: live, ready, and why not.

use crate::loopback::get;
use axum::{Router, body::Body};
use http_body_util::BodyExt as _;
use hyper::Request;
use orderscope::Telemetry;
use serde_json::{Value, json};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc::unbounded_channel, time::Instant};
use tower::ServiceExt as _;

async fn asked(app: &Router, path: &str) -> (u16, Value) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn readiness_is_the_checks_and_ends_with_the_shutdown_but_life_goes_on() {
    let open = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&open);
    let telemetry = Telemetry::builder("kitchen")
        .readiness_check("kitchen", move || match is_open.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("opens at \"11\"".to_owned()),
        })
        .build()
        .unwrap();
    let app = Router::new().nest("/health", telemetry.health_routes());
    let (live, ready) = (json!({ "status": "live" }), json!({ "status": "ready" }));
    let closed = json!({ "status": "not ready", "failed": { "kitchen": "opens at \"11\"" } });

    assert_eq!(asked(&app, "/health/live").await, (200, live.clone()));
    assert_eq!(asked(&app, "/health/ready").await, (503, closed));
    open.store(true, Ordering::Relaxed);
    assert_eq!(asked(&app, "/health/ready").await, (200, ready));

    assert!(
        telemetry
            .shutdown(Duration::from_secs(5))
            .await
            .is_complete()
    );
    let (status, leaving) = asked(&app, "/health/ready").await;
    assert_eq!(status, 503);
    assert_eq!(
        leaving["failed"]["shutdown"],
        "the service is shutting down"
    );
    assert_eq!(asked(&app, "/health/live").await, (200, live));
}

#[tokio::test]
async fn a_check_that_panics_fails_and_harms_nobody() {
    let telemetry = Telemetry::builder("kitchen")
        .readiness_check("stove", || panic!("planted"))
        .metrics_listener((Ipv4Addr::LOCALHOST, 0).into())
        .build()
        .unwrap();
    let app = Router::new().nest("/health", telemetry.health_routes());
    let (status, failed) = asked(&app, "/health/ready").await;
    assert_eq!(
        (status, &failed["failed"]["stove"]),
        (503, &json!("the check panicked"))
    );

    let address = telemetry.metrics_address().unwrap();
    let ready = get(address, "/health/ready", &[]).await.unwrap();
    assert_eq!(ready.status, 503);
    assert!(
        ready.text().contains("the check panicked"),
        "{}",
        ready.text()
    );
    assert_eq!(get(address, "/health/live", &[]).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_check_that_blocks_holds_up_neither_scrapes_nor_the_shutdown() {
    const PATIENCE: Duration = Duration::from_secs(60);
    let (entered, mut has_entered) = unbounded_channel();
    let (blocks, is_over) = std::sync::mpsc::channel::<()>();
    let is_over = Mutex::new(is_over);
    let telemetry = Telemetry::builder("kitchen")
        .readiness_check("stove", move || {
            entered.send(()).unwrap();
            let _ = is_over.lock().unwrap().recv_timeout(PATIENCE);
            Ok(())
        })
        .metrics_listener((Ipv4Addr::LOCALHOST, 0).into())
        .build()
        .unwrap();
    let address = telemetry.metrics_address().unwrap();
    let blocked = tokio::spawn(async move { get(address, "/health/ready", &[]).await.is_ok() });
    has_entered.recv().await.unwrap();
    let began = Instant::now();
    assert_eq!(get(address, "/metrics", &[]).await.unwrap().status, 200);
    let report = telemetry.shutdown(Duration::from_millis(300)).await;
    assert!(!report.is_complete(), "the probe was cut off: {report}");
    assert!(began.elapsed() < PATIENCE / 3, "{:?}", began.elapsed());
    assert!(!blocked.await.unwrap());
    drop(blocks);
}

#[tokio::test]
async fn silent_connections_do_not_hold_up_the_shutdown() {
    let telemetry = Telemetry::builder("kitchen")
        .metrics_listener((Ipv4Addr::LOCALHOST, 0).into())
        .build()
        .unwrap();
    let address = telemetry.metrics_address().unwrap();
    let _silent = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(get(address, "/metrics", &[]).await.unwrap().status, 200);
    let (one, other) = tokio::join!(
        telemetry.shutdown(Duration::from_secs(5)),
        telemetry.shutdown(Duration::from_secs(5)),
    );
    assert!(one.is_complete() && one == other, "{one}");
}
