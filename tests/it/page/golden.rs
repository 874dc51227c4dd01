//! The whole page of a small service, as files: `UPDATE_GOLDEN=1` writes them again.

use std::fs;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use metrics::{Unit, counter, describe_counter, describe_histogram, gauge, histogram};
use orderscope::Telemetry;
use orderscope::clock::ManualClock;
use tower::ServiceExt;

use super::{BOTH, Subject, block_on};
use crate::exposition::Parser;
use crate::programs::repository;

/// The attributes of the resource that tell one machine and one run from another.
const OF_THIS_RUN: [&str; 6] = [
    "container_id",
    "host_name",
    "k8s_pod_uid",
    "process_pid",
    "service_instance_id",
    "telemetry_sdk_version",
];

#[test]
fn the_page_is_the_golden_one() {
    let subject = Subject::of(
        Telemetry::builder("orders")
            .version("1.2.3")
            .namespace("food")
            .environment("test")
            .resource_attribute("team", "say \"hi\"")
            .series_limit(3),
    );
    block_on(traffic(&subject));
    let mut parser = Parser::start();
    for (format, file) in BOTH.into_iter().zip(["page.txt", "page.openmetrics"]) {
        let page = block_on(subject.page(format));
        parser.parse(format, &page).unwrap();
        compare(file, &steady(&page));
    }
}

async fn traffic(subject: &Subject) {
    async fn order(State(hands): State<ManualClock>) -> &'static str {
        hands.advance(Duration::from_millis(150));
        "an order"
    }
    async fn pay(State(hands): State<ManualClock>) -> StatusCode {
        hands.advance(Duration::from_millis(2_250));
        StatusCode::BAD_GATEWAY
    }
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .route("/pay", post(pay))
        .layer(subject.telemetry.http_layer())
        .with_state(subject.hands.clone());
    for (method, path) in [
        ("GET", "/orders/1"),
        ("GET", "/orders/2"),
        ("POST", "/pay"),
        ("GET", "/.env"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .body(Body::empty());
        let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    subject.record(|| {
        describe_counter!(
            "orders.placed",
            "Orders placed, \"paid\" or not.\nA second line, a \\."
        );
        for city in [
            "Graz",
            "Köln \"am Rhein\"",
            "one\\two\nthree",
            "beyond the cap",
        ] {
            counter!("orders.placed", "city" => city, "channel" => "app").increment(3);
        }
        describe_histogram!(
            "kitchen.wait",
            Unit::Seconds,
            "Time from paying to cooking."
        );
        histogram!("kitchen.wait").record(0.2);
        histogram!("kitchen.wait").record(42.0);
        gauge!("couriers.free").set(-1.5);
        gauge!("refused").set(f64::NAN);
    });
}

const UNCLAIMED: &str = "orderscope_records_unclaimed_total";

/// Without what differs from run to run: the process's families, parts of the resource, span ids.
fn steady(page: &str) -> String {
    let mut steady = String::new();
    for line in page.lines() {
        let family = line
            .trim_start_matches("# HELP ")
            .trim_start_matches("# TYPE ");
        let family = family.trim_start_matches("# UNIT ");
        if ["process_", "orderscope_process_"]
            .iter()
            .any(|of| family.starts_with(of))
        {
            continue;
        }
        let mut line = line.to_owned();
        // Of the whole process, and so of other tests.
        if line.starts_with(UNCLAIMED) {
            line = format!("{UNCLAIMED} …");
        }
        if line.starts_with("target_info{") {
            for name in OF_THIS_RUN {
                line = replaced(&line, &format!("{name}=\""), "\"", &format!("{name}=\"…\""));
            }
        }
        if line.contains(" # {") {
            line = replaced(&line, "span_id=\"", "\"", "span_id=\"…\"");
        }
        steady.push_str(&line);
        steady.push('\n');
    }
    steady
}

/// What stands from `begin` to the next `end`, if it does, replaced.
fn replaced(line: &str, begin: &str, end: &str, by: &str) -> String {
    let Some((before, rest)) = line.split_once(begin) else {
        return line.to_owned();
    };
    let (_, after) = rest.split_once(end).unwrap();
    format!("{before}{by}{after}")
}

fn compare(file: &str, page: &str) {
    let path = repository().join("tests/golden").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let differs = golden
        .lines()
        .zip(page.lines())
        .find(|(golden, now)| golden != now);
    assert!(
        golden == page,
        "{} is not the page any more (UPDATE_GOLDEN=1 writes it again); the first difference: {differs:#?}\n{page}",
        path.display()
    );
}
