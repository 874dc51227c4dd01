//! The statements that take the longest, and what is told of them.

use super::{count, flush, orders, statement};
use axum::{
    Router,
    response::sse::{Event, Sse},
    routing::get,
};
use futures_util::StreamExt as _;
use hyper::Request;
use orderscope::{
    Telemetry,
    context::carry,
    database::{self, Operation},
};
use sqlx::AssertSqlSafe;
use std::{convert::Infallible, time::Duration};
use tokio::{task::JoinSet, time::Instant};
use tower::ServiceExt as _;

async fn ask(app: &Router, path: &str) -> String {
    use http_body_util::BodyExt as _;
    let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.into()).unwrap()
}

#[tokio::test]
async fn a_slow_query_is_told_with_its_statement_and_without_its_values() {
    let (telemetry, memory, database) = orders().await;
    let database = database.slow_after(Duration::ZERO);
    let secret =
        sqlx::query("SELECT dish FROM orders WHERE dish = 'S3CR3T' AND id IN (7001, 7002)");
    secret.fetch_all(&database).await.unwrap();
    flush(&telemetry).await;
    let logs = memory.logs();
    let [slow] = &logs[..] else {
        panic!("{logs:?}");
    };
    let text = "SELECT dish FROM orders WHERE dish = ? AND id IN (?)";
    assert_eq!(slow.event_name, "orderscope.db.slow_query");
    assert_eq!(slow.severity_number, 13);
    let told = |name| slow.attribute(name).and_then(|value| value.as_str());
    assert_eq!(told("db.query.text"), Some(text));
    assert_eq!(told("db.query.summary"), Some("SELECT orders"));
    assert_eq!(told("db.client.connection.pool.name"), Some("orders-db"));
    assert!(slow.attribute("orderscope.db.duration").is_some());
    assert_eq!(statement(&telemetry, "SELECT orders").slow, 1);
    let said = format!("{logs:?}{:?}{:?}", memory.spans(), telemetry.snapshot());
    for value in ["S3CR3T", "7001", "7002"] {
        assert!(!said.contains(value), "{value}");
    }
}

#[tokio::test]
async fn of_a_statement_that_is_slow_again_and_again_ten_are_told_at_once() {
    let (telemetry, memory, database) = orders().await;
    let database = database.slow_after(Duration::ZERO);
    let begun = Instant::now();
    for id in 0..200 {
        let dish = sqlx::query("SELECT dish FROM orders WHERE id = ?").bind(id);
        dish.fetch_optional(&database).await.unwrap();
    }
    sqlx::query("SELECT 1").execute(&database).await.unwrap();
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    flush(&telemetry).await;
    let of = |summary: &str| {
        let logs = memory.logs();
        let told = logs.iter().filter(|log| {
            let said = log.attribute("db.query.summary");
            said.and_then(|value| value.as_str()) == Some(summary)
        });
        told.count()
    };
    let told = of("SELECT orders");
    assert!((10..=11 + seconds).contains(&told), "{told}");
    assert_eq!(of("SELECT"), 1, "another one has its own");
    assert_eq!(statement(&telemetry, "SELECT orders").slow, 200);
}

#[tokio::test]
async fn a_query_in_time_is_not_told() {
    let (telemetry, memory, database) = orders().await;
    sqlx::query("SELECT 1").execute(&database).await.unwrap();
    flush(&telemetry).await;
    assert!(memory.logs().is_empty());
    assert_eq!(statement(&telemetry, "SELECT").slow, 0);
}

#[tokio::test]
async fn one_statement_ten_times_within_one_request_is_told_once() {
    let (telemetry, memory, database) = orders().await;
    let handler = async move |times: axum::extract::Path<u32>| {
        for id in 0..times.0 {
            let dish = sqlx::query("SELECT dish FROM orders WHERE id = ?").bind(id);
            dish.fetch_optional(&database).await.unwrap();
            sqlx::query("SELECT 1").execute(&database).await.unwrap();
        }
    };
    let app = Router::new()
        .route("/orders/{times}", get(handler))
        .layer(telemetry.http_layer());
    ask(&app, "/orders/9").await;
    ask(&app, "/orders/9").await;
    flush(&telemetry).await;
    assert!(memory.logs().is_empty());
    ask(&app, "/orders/25").await;
    flush(&telemetry).await;
    let mut told: Vec<_> = memory
        .logs()
        .iter()
        .map(|log| {
            assert_eq!(log.event_name, "orderscope.db.repeated_query");
            let told = |name| log.attribute(name).and_then(|value| value.as_str());
            assert_eq!(told("http.route"), Some("/orders/{times}"));
            told("db.query.summary").unwrap().to_owned()
        })
        .collect();
    told.sort();
    assert_eq!(told, ["SELECT", "SELECT orders"]);
    assert_eq!(statement(&telemetry, "SELECT orders").repeated, 1);
}

#[tokio::test]
async fn what_tasks_of_one_request_run_is_counted_together() {
    let (telemetry, memory, database) = orders().await;
    let handler = async move |times: axum::extract::Path<u32>| {
        let mut tasks = JoinSet::new();
        for id in 0..times.0 {
            let database = database.clone();
            tasks.spawn(carry(async move {
                let dish = sqlx::query("SELECT dish FROM orders WHERE id = ?").bind(id);
                dish.fetch_optional(&database).await.unwrap();
            }));
        }
        tasks.join_all().await;
    };
    let app = Router::new()
        .route("/orders/{times}", get(handler))
        .layer(telemetry.http_layer());
    ask(&app, "/orders/9").await;
    flush(&telemetry).await;
    assert!(memory.logs().is_empty());
    ask(&app, "/orders/25").await;
    flush(&telemetry).await;
    assert_eq!(memory.logs().len(), 1);
    assert_eq!(statement(&telemetry, "SELECT orders").repeated, 1);
}

#[tokio::test]
async fn an_event_stream_asks_again_and_again_and_nobody_is_told() {
    let (telemetry, memory, database) = orders().await;
    let handler = async move || {
        let states = futures_util::stream::iter(0..25).then(move |_| {
            let database = database.clone();
            async move {
                let state = sqlx::query("SELECT dish FROM orders WHERE id = 1");
                state.fetch_optional(&database).await.unwrap();
                Ok::<_, Infallible>(Event::default().data("cooking"))
            }
        });
        Sse::new(states)
    };
    let app = Router::new()
        .route("/orders/{id}", get(handler))
        .layer(telemetry.http_layer());
    ask(&app, "/orders/7").await;
    flush(&telemetry).await;
    assert_eq!(statement(&telemetry, "SELECT orders").calls, 25);
    assert_eq!(statement(&telemetry, "SELECT orders").repeated, 0);
    assert!(memory.logs().is_empty());
}

#[tokio::test]
async fn statements_beyond_the_table_are_one_and_counted_and_keep_their_summary() {
    let (telemetry, _, database) = orders().await;
    for number in 0..510 {
        let text = format!("SELECT id AS column_{number} FROM orders");
        let query = sqlx::query(AssertSqlSafe(text));
        query.execute(&database).await.unwrap();
    }
    assert_eq!(count(&telemetry, "SELECT orders", ""), 510);
    let snapshot = telemetry.snapshot();
    let evicted = snapshot.counter("orderscope.evictions", &[("store", "statements")]);
    assert_eq!(evicted, 10);
    assert_eq!(snapshot.statements().len(), 100);
    let longest = snapshot.statements().windows(2);
    assert!(
        longest
            .into_iter()
            .all(|pair| pair[0].total >= pair[1].total)
    );
    assert_eq!(statement(&telemetry, "_OTHER").calls, 10);
}

#[tokio::test]
async fn statements_of_many_clients_are_bounded_together() {
    const SYSTEMS: [&str; 12] = [
        "redis",
        "mongodb",
        "cassandra",
        "couchdb",
        "memcached",
        "neo4j",
        "hbase",
        "couchbase",
        "dynamodb",
        "cosmosdb",
        "opensearch",
        "influxdb",
    ];
    let (telemetry, _, _database) = orders().await;
    let handler = async || {
        for system in SYSTEMS {
            for key in 0..500 {
                let get = Operation::new(format!("GET key_{key}")).system(system);
                let got = database::time(get, async { Ok::<_, Infallible>(()) });
                got.await.unwrap();
            }
        }
    };
    let app = Router::new().route("/", get(handler));
    ask(&app.layer(telemetry.http_layer()), "/").await;
    let numbers = telemetry.snapshot();
    let evicted = numbers.counter("orderscope.evictions", &[("store", "statements")]);
    assert_eq!(evicted, 12 * 500 - 5_000);
    assert_eq!(super::all(&telemetry), 12 * 500);
}

#[tokio::test]
async fn spellings_that_differ_in_values_are_one_statement() {
    let (telemetry, _, database) = orders().await;
    for number in 0..1_200 {
        let text = format!("SELECT id FROM orders WHERE id IN ({number}, {number}1)");
        let query = sqlx::query(AssertSqlSafe(text)).persistent(false);
        query.execute(&database).await.unwrap();
    }
    let shown = statement(&telemetry, "SELECT orders");
    assert_eq!(shown.calls, 1_200);
    assert_eq!(shown.text, "SELECT id FROM orders WHERE id IN (?)");
}

#[tokio::test]
async fn the_plain_page_speaks_of_no_database() {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let app: Router = Router::new().route("/metrics", telemetry.metrics_route());
    let page = ask(&app, "/metrics").await;
    let families = page.lines().filter(|line| line.starts_with("db_"));
    assert_eq!(families.count(), 0);
    assert!(telemetry.snapshot().statements().is_empty());
    assert!(telemetry.snapshot().pools().is_empty());
}
