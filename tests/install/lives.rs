//! How long a telemetry lives, and what recording does before and after.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use orderscope::Telemetry;
use orderscope::clock::ManualClock;

use super::{INSTALLED_ALREADY, SOON, alone, block_on, loopback, refused, scrape};

#[test]
fn dropping_every_handle_of_the_installed_one_leaves_it_installed() {
    alone(&[], || {
        let telemetry = Telemetry::builder("orders")
            .metrics_listener(loopback())
            .install()
            .unwrap();
        let address = telemetry.metrics_address().unwrap();
        drop(telemetry);
        counter!("orders").increment(1);
        assert!(scrape(address).contains("\norders_total 1\n"));
        let error = refused(Telemetry::builder("second").install());
        assert_eq!(error.to_string(), INSTALLED_ALREADY);
    });
}

#[test]
fn recording_before_installing_and_after_shutting_down_is_harmless() {
    alone(&[], || {
        counter!("orders").increment(1);
        tracing::info!("nobody listens");
        let early = histogram!("wait");
        let hands = ManualClock::starting_at(std::time::SystemTime::UNIX_EPOCH);
        let telemetry = Telemetry::builder("orders")
            .clock(hands.clock())
            .metrics_listener(loopback())
            .install()
            .unwrap();
        let address = telemetry.metrics_address().unwrap();
        // A handle from before the installation records into nothing, for ever.
        early.record(1.0);
        assert!(telemetry.snapshot().metric("wait").is_none());
        counter!("orders").increment(2);
        let kept = counter!("orders");

        let app: axum::Router = axum::Router::new().route("/metrics", telemetry.metrics_route());
        let page = || {
            hands.advance(Duration::from_secs(1));
            block_on(async {
                use http_body_util::BodyExt;
                use tower::ServiceExt;
                let request =
                    axum::extract::Request::get("/metrics").body(axum::body::Body::empty());
                let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                String::from_utf8(body.into()).unwrap()
            })
        };
        assert!(page().contains("\norders_total 2\n"));

        let report = block_on(telemetry.shutdown(SOON));
        assert!(report.is_complete(), "{report}");
        assert_eq!(
            report.to_string(),
            "telemetry shut down: its numbers are frozen"
        );
        let frozen = page();
        kept.increment(5);
        counter!("orders").increment(5);
        gauge!("made.later").set(1.0);
        tracing::info!("still printed");
        assert_eq!(page(), frozen);
        assert!(frozen.contains("\norders_total 2\n"));
        assert_eq!(telemetry.snapshot().counter("orders", &[]), 2);
        assert!(telemetry.snapshot().metric("made.later").is_none());
        assert!(TcpStream::connect(address).is_err());

        let again = block_on(telemetry.shutdown(SOON));
        assert!(again.is_complete());
        assert_eq!(again, report);
        // It stays the process's.
        let error = refused(Telemetry::builder("second").install());
        assert_eq!(error.to_string(), INSTALLED_ALREADY);
    });
}

#[test]
fn dropping_a_built_one_stops_its_thread_and_closes_its_listener() {
    alone(&[], || {
        let telemetry = Telemetry::builder("orders")
            .metrics_listener(loopback())
            .build()
            .unwrap();
        let address = telemetry.metrics_address().unwrap();
        let route = telemetry.metrics_route::<()>();
        let clone = telemetry.clone();
        // A thread names itself once it runs.
        until(|| threads_of_ours() == 1);
        drop(telemetry);
        scrape(address);
        drop(clone);
        until(|| threads_of_ours() == 0 && TcpStream::connect(address).is_err());
        // The port is free, and a route that outlives its telemetry still tells.
        TcpListener::bind(address).unwrap();
        drop(route);
    });
}

fn until(it_holds: impl Fn() -> bool) {
    let mut waited = Duration::ZERO;
    while !it_holds() {
        assert!(waited < SOON, "in vain");
        thread::sleep(Duration::from_millis(10));
        waited += Duration::from_millis(10);
    }
}

fn threads_of_ours() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .filter(|name| name.trim_end() == "orderscope")
        .count()
}
