//! The spans of operations, and operations of other clients.

use super::{count, flush, orders};
use axum::{Router, routing::get};
use hyper::Request;
use orderscope::{
    context,
    database::{self, Operation},
};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

async fn ask(app: Router, flags: &str) {
    let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    let request = Request::get("/orders/7").header("traceparent", parent);
    let request = request.body(axum::body::Body::empty()).unwrap();
    app.oneshot(request).await.unwrap();
}

#[tokio::test]
async fn a_query_is_a_client_span_under_its_request() {
    let (telemetry, memory, database) = orders().await;
    let handler = async move || {
        let dish = sqlx::query("SELECT dish FROM orders WHERE id > 0");
        dish.fetch_all(&database).await.unwrap();
        let broken = sqlx::query("SELECT nothing FROM orders");
        broken.fetch_all(&database).await.unwrap_err();
    };
    let app = Router::new().route("/orders/{id}", get(handler));
    let app = app.layer(telemetry.http_layer());
    ask(app.clone(), "00").await;
    flush(&telemetry).await;
    assert!(memory.spans().is_empty(), "a trace that nobody records");
    ask(app, "01").await;
    flush(&telemetry).await;
    let spans = memory.spans();
    let server = spans
        .iter()
        .find(|span| span.name == "GET /orders/{id}")
        .unwrap();
    let queries: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "SELECT orders")
        .collect();
    let [read, failed] = &queries[..] else {
        panic!("{spans:?}");
    };
    for query in [read, failed] {
        assert_eq!(query.parent_span_id, Some(server.span_id));
        assert_eq!(query.trace_id, server.trace_id);
        let said = |name| query.attribute(name).and_then(|value| value.as_str());
        assert_eq!(said("db.system.name"), Some("sqlite"));
        assert_eq!(said("db.operation.name"), Some("SELECT"));
        assert_eq!(said("db.collection.name"), Some("orders"));
        assert_eq!(said("db.client.connection.pool.name"), Some("orders-db"));
    }
    let said = |name| read.attribute(name).and_then(|value| value.as_str());
    assert_eq!(
        said("db.query.text"),
        Some("SELECT dish FROM orders WHERE id > ?")
    );
    let rows = read.attribute("db.response.returned_rows");
    assert_eq!(rows.and_then(|rows| rows.as_i64()), Some(2));
    for code in ["error.type", "db.response.status_code"] {
        let code = failed.attribute(code).and_then(|code| code.as_str());
        assert_eq!(code, Some("1"));
    }
    assert_eq!(said("db.response.status_code"), None);
    assert_eq!(
        count(&telemetry, "SELECT orders", ""),
        2,
        "the other request's too"
    );
}

#[tokio::test]
async fn other_clients_are_timed_in_whatever_way_they_end() {
    let (telemetry, memory, _) = orders().await;
    let handler = async || {
        let read = async { Ok::<_, std::fmt::Error>(7) };
        assert_eq!(database::time("SELECT menus", read).await, Ok(7));
        let failed = async { Err::<(), _>(std::fmt::Error) };
        database::time("SELECT menus", failed).await.unwrap_err();
        let get = Operation::new("GET session").system("redis").namespace("0");
        let named = database::time(get, async { Err::<(), _>(404) });
        let named = named.error_type(|code| code.to_string());
        assert_eq!(named.await, Err(404));
        let nameless = database::time("SELECT dishes", async { Err::<(), _>(404) });
        let nameless = nameless.error_type(|_| String::new());
        assert_eq!(nameless.await, Err(404));
        let message = database::time("SELECT dishes", async { Err::<(), _>(404) });
        let message = message.error_type(|code| format!("no dish {code}"));
        assert_eq!(message.await, Err(404));
        let hangs = async {
            sleep(Duration::from_secs(60)).await;
            Ok::<_, ()>(())
        };
        let given_up = timeout(
            Duration::from_millis(5),
            database::time("SELECT menus", hangs),
        );
        given_up.await.unwrap_err();
        let never = database::time("SELECT menus", async { Ok::<_, ()>(()) });
        drop(never);
        assert!(context::current_trace().is_some());
    };
    let app = Router::new().route("/orders/{id}", get(handler));
    ask(app.layer(telemetry.http_layer()), "01").await;
    for error in ["", "_OTHER", "cancelled"] {
        assert_eq!(count(&telemetry, "SELECT menus", error), 1, "{error}");
    }
    assert_eq!(count(&telemetry, "GET session", "404"), 1);
    assert_eq!(count(&telemetry, "SELECT dishes", "_OTHER"), 2);
    flush(&telemetry).await;
    let spans = memory.spans();
    let get = spans
        .iter()
        .find(|span| span.name == "GET session")
        .unwrap();
    let said = |name| get.attribute(name).and_then(|value| value.as_str());
    assert_eq!(said("db.system.name"), Some("redis"));
    assert_eq!(said("db.namespace"), Some("0"));
    assert!(get.parent_span_id.is_some());
}
