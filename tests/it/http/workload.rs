//! The 55 requests that four peers were measured with: 3 given up in flight, 1 streamed body, 20
//! unmatched paths, 30 Host headers on one route, 1 panic.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get as route_get;
use bytes::Bytes;
use futures_util::stream;
use hyper::{Request, StatusCode};
use orderscope::snapshot::Snapshot;
use serde_json::Value;
use tokio::time::sleep;

use super::connection::{Connection, Wire, get, request};
use super::numbers::{DURATION, ERROR, FIRST_BYTE, METHOD, ROUTE, STATUS, VERSION};
use super::numbers::{FINISHED, Numbers, RESPONSE_SIZE};
use super::served::{Bell, Served};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workload_of_55_requests_leaves_55_outcomes_over_http_1() {
    passes_all_marks(Wire::Http1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workload_of_55_requests_leaves_55_outcomes_over_http_2() {
    passes_all_marks(Wire::Http2).await;
}

async fn passes_all_marks(wire: Wire) {
    let reached = Bell::new();
    let served = Served::behind_the_layer(routes(reached.clone())).await;

    give_up_three(&served, wire, &reached).await;
    let mut connection = served.connect(wire).await;
    let streamed = connection.get("/courier/positions").await;
    assert_eq!(streamed.text(), "position\n".repeat(5));
    for scanned in 0..20 {
        let method = if scanned == 0 { "PWN" } else { "GET" };
        let unmatched = request(method, &format!("/wp-admin/{scanned}.php"), Body::empty());
        let answer = connection.ask(unmatched).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    for tenant in 0..30 {
        let mut asked = get("/orders/7");
        let uri = format!("http://tenant-{tenant}.test/orders/7");
        *asked.uri_mut() = uri.parse().unwrap();
        assert_eq!(connection.ask(asked).await.text(), "order 7");
    }
    let mut panicking = get("/checkout");
    let caller = format!("00-{TRACE_ID}-b7ad6b7169203331-01");
    let headers = panicking.headers_mut();
    headers.insert("traceparent", caller.parse().unwrap());
    let panicked = connection.ask(panicking).await;
    assert_eq!(panicked.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(panicked.header("content-type"), "application/problem+json");
    let problem: Value = serde_json::from_slice(&panicked.body).unwrap();
    assert_eq!(problem["status"], 500);
    assert_eq!(problem["trace_id"], TRACE_ID);

    let numbers = served.after(55).await;
    every_request_has_its_outcome(&numbers);
    every_request_has_its_duration(&numbers, wire);
    the_stream_is_measured_to_its_last_byte(&numbers);
    nothing_that_a_client_chose_is_a_series(&numbers, wire);
}

fn routes(reached: Bell) -> Router {
    Router::new()
        .route(
            "/orders/{id}",
            route_get(
                async |axum::extract::Path(id): axum::extract::Path<String>| format!("order {id}"),
            ),
        )
        .route("/courier/positions", route_get(positions))
        .route(
            "/kitchen/queue",
            route_get(async |State(reached): State<Bell>| {
                reached.ring();
                std::future::pending::<()>().await;
            }),
        )
        .route(
            "/checkout",
            route_get(async || -> String { panic!("planted") }),
        )
        .with_state(reached)
}

/// Five chunks over 310 ms.
async fn positions() -> Body {
    let waits = [0, 77, 77, 78, 78].map(Duration::from_millis);
    Body::from_stream(stream::unfold(waits.into_iter(), async |mut waits| {
        sleep(waits.next()?).await;
        Some((Ok::<_, hyper::Error>(Bytes::from("position\n")), waits))
    }))
}

/// By a dropped future (a FIN, or a stream's reset), by a FIN of the connection, by its reset.
async fn give_up_three(served: &Served, wire: Wire, reached: &Bell) {
    let hanging = || -> Request<Body> { get("/kitchen/queue") };
    let mut kept = served.connect(wire).await;
    let sent = tokio::spawn(kept.send(hanging()));
    reached.rung().await;
    sent.abort();
    served.wait_until(|numbers| numbers.active() == 0.0).await;

    for mut connection in [
        served.connect(wire).await,
        Connection::resetting(served.address, wire).await,
    ] {
        let sent = tokio::spawn(connection.send(hanging()));
        reached.rung().await;
        drop(connection);
        assert!(sent.await.unwrap().is_err());
    }
}

fn every_request_has_its_outcome(numbers: &Snapshot) {
    assert_eq!(
        numbers.outcomes(),
        [("completed", 51), ("client_closed", 3), ("panicked", 1)]
    );
    let finished = |outcome, class| {
        let class = ("http.response.status_class", class);
        numbers.counter(FINISHED, &[("outcome", outcome), class])
    };
    assert_eq!(finished("completed", "2xx"), 31);
    assert_eq!(finished("completed", "4xx"), 20);
    assert_eq!(finished("client_closed", "none"), 3);
    assert_eq!(finished("panicked", "5xx"), 1);
}

fn every_request_has_its_duration(numbers: &Snapshot, wire: Wire) {
    let version = (VERSION, wire.version());
    assert_eq!(numbers.durations(&[version]), 55);
    let queue = (ROUTE, "/kitchen/queue");
    let closed = [queue, (ERROR, "client_closed"), (STATUS, ""), version];
    assert_eq!(numbers.durations(&closed), 3);
    let panicked = [(ROUTE, "/checkout"), (ERROR, "panic"), (STATUS, "500")];
    assert_eq!(numbers.durations(&panicked), 1);
    let unmatched = [(ROUTE, ""), (STATUS, "404"), (ERROR, "")];
    assert_eq!(numbers.durations(&unmatched), 20);
    let made_up = [(METHOD, "_OTHER"), (ROUTE, "")];
    assert_eq!(numbers.durations(&made_up), 1);
    // A head was sent to all but the three.
    assert_eq!(numbers.histogram(FIRST_BYTE, &[]).count(), 52);
}

fn the_stream_is_measured_to_its_last_byte(numbers: &Snapshot) {
    let route = [(ROUTE, "/courier/positions")];
    let duration = numbers.histogram(DURATION, &route);
    assert_eq!(duration.count(), 1);
    assert!(duration.sum() >= 0.3, "{}", duration.sum());
    let first_byte = numbers.histogram(FIRST_BYTE, &route);
    assert_eq!(first_byte.count(), 1);
    // The chunks alone take 0.31 s after the head.
    assert!(
        first_byte.sum() + 0.3 <= duration.sum(),
        "{}",
        first_byte.sum()
    );
    assert_eq!(numbers.histogram(RESPONSE_SIZE, &route).sum(), 45.0);
}

fn nothing_that_a_client_chose_is_a_series(numbers: &Snapshot, wire: Wire) {
    assert_eq!(
        numbers.attribute_values(DURATION, ROUTE),
        [
            "",
            "/checkout",
            "/courier/positions",
            "/kitchen/queue",
            "/orders/{id}"
        ]
    );
    assert_eq!(
        numbers.attribute_values(DURATION, METHOD),
        ["GET", "_OTHER"]
    );
    assert_eq!(
        numbers.attribute_values(DURATION, VERSION),
        [wire.version()]
    );
    // One for each route, and one more for the method that nobody knows.
    assert_eq!(numbers.series(DURATION), 6);
    let page = format!("{numbers:?}");
    for chosen in ["tenant-", "wp-admin", "PWN"] {
        assert!(!page.contains(chosen), "{chosen}");
    }
}
