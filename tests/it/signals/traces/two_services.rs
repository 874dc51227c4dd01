//! One trace over two services and the database of one, each service with its telemetry, its runtime and
//! its backend, over real sockets.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::BodyExt;
use hyper::Request;
use orderscope::context;
use orderscope::database::Database;
use orderscope::export::{ReceivedSpan, ReceivedSpanKind};
use orderscope::http::UrlTemplate;
use sqlx::{Sqlite, SqlitePool};
use tokio::runtime::Runtime;
use tokio::task::yield_now;
use tower::ServiceExt;
use tracing::{Instrument as _, info, info_span, instrument};

use super::super::{Says, Scene, assert_child, named, two_threads};
use super::client::{Calls, client, serve};
use crate::loopback;

struct Service {
    scene: Scene,
    address: SocketAddr,
    runtime: Runtime,
}

impl Service {
    fn start(routes: impl FnOnce(&Scene) -> Router) -> Self {
        let scene = Scene::new();
        let runtime = two_threads(scene.dispatch());
        let app = scene.app(routes(&scene));
        // On a thread of the runtime, whose tasks have its subscriber.
        let serving = runtime.spawn(serve(app));
        let address = runtime.block_on(serving).unwrap();
        Self {
            scene,
            address,
            runtime,
        }
    }

    fn spans(&self) -> Vec<ReceivedSpan> {
        self.runtime.block_on(self.scene.spans())
    }
}

#[instrument(skip(database))]
async fn choose(order: u32, database: &Database<Sqlite>) -> &'static str {
    yield_now().await;
    let nearest = sqlx::query("SELECT 'Ada' AS nearest");
    nearest.fetch_one(database).await.unwrap();
    info!(order, "chosen");
    "Ada"
}

fn couriers(scene: &Scene) -> Router {
    let telemetry = scene.telemetry.clone();
    let assign = async move |order: axum::extract::Path<u32>| {
        let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
        let database = telemetry.database("couriers-db", pool);
        Json(choose(*order, &database).await)
    };
    Router::new().route("/assign/{order}", post(assign))
}

/// A handler that calls from a span of its own, and once more from a task that it spawns.
fn orders(scene: &Scene, couriers: SocketAddr) -> Router {
    async fn assign(calls: Calls, couriers: SocketAddr, order: u32) -> String {
        let request = Request::post(format!("http://{couriers}/assign/{order}"))
            .extension(UrlTemplate("/assign/{order}"))
            .body(Body::empty());
        let answer = calls.oneshot(request.unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.into()).unwrap()
    }
    let place = async move |State(calls): State<Calls>| {
        let spawned = tokio::spawn(context::carry(
            assign(calls.clone(), couriers, 8).instrument(info_span!("spawned")),
        ));
        let own = assign(calls, couriers, 7).instrument(info_span!("dispatch"));
        let names = [own.await, spawned.await.unwrap()];
        info!("placed");
        names.concat()
    };
    let routes = Router::new().route("/orders", get(place));
    routes.with_state(client(&scene.telemetry))
}

#[test]
fn a_trace_goes_over_both_services_from_span_to_span() {
    let couriers = Service::start(couriers);
    let orders = Service::start(|scene| orders(scene, couriers.address));
    let asked = orders
        .runtime
        .block_on(loopback::get(orders.address, "/orders", &[]));
    assert_eq!(asked.unwrap().text(), "\"Ada\"\"Ada\"");

    let (of_orders, of_couriers) = (orders.spans(), couriers.spans());
    assert_eq!((of_orders.len(), of_couriers.len()), (5, 6));
    let root = named(&of_orders, "GET /orders");
    assert_eq!(
        (root.parent_span_id, root.kind),
        (None, ReceivedSpanKind::Server)
    );
    for (child, order) in [("dispatch", 7), ("spawned", 8)] {
        let child = named(&of_orders, child);
        assert_child(child, root);
        assert_eq!(child.kind, ReceivedSpanKind::Internal);
        let path = format!("/assign/{order}");
        let url = format!("http://{}{path}", couriers.address);
        let mut calls = of_orders.iter().filter(|span| span.says("url.full") == url);
        let call = calls.next().unwrap();
        assert!(calls.next().is_none());
        assert_child(call, child);
        assert_eq!(call.name, "POST /assign/{order}");
        assert_eq!(call.kind, ReceivedSpanKind::Client);

        let mut served = of_couriers
            .iter()
            .filter(|span| span.says("url.path") == path);
        let served = served.next().unwrap();
        assert_child(served, call);
        assert_eq!(served.name, "POST /assign/{order}");
        assert_eq!(served.kind, ReceivedSpanKind::Server);
        let mut chosen = of_couriers
            .iter()
            .filter(|span| span.parent_span_id == Some(served.span_id));
        let chosen = chosen.next().unwrap();
        assert_child(chosen, served);
        assert_eq!(
            (chosen.name.as_str(), chosen.says("order")),
            ("choose", format!("#{order}"))
        );
        assert_eq!(chosen.kind, ReceivedSpanKind::Internal);
        let mut queries = of_couriers
            .iter()
            .filter(|span| span.parent_span_id == Some(chosen.span_id));
        let query = queries.next().unwrap();
        assert!(queries.next().is_none());
        assert_child(query, chosen);
        assert_eq!(query.name, "SELECT");
        assert_eq!(query.kind, ReceivedSpanKind::Client);
        assert_eq!(query.says("db.query.text"), "SELECT ? AS nearest");
        assert_eq!(query.says("db.client.connection.pool.name"), "couriers-db");
    }
    // No id is there twice.
    let mut ids: Vec<_> = of_orders.iter().chain(&of_couriers).collect();
    ids.sort_by_key(|span| span.span_id.to_bytes());
    ids.dedup_by_key(|span| span.span_id.to_bytes());
    assert_eq!(ids.len(), 11);
    assert!(
        ids.iter()
            .all(|span| span.trace_id == root.trace_id && span.is_sampled)
    );

    // The log lines of both stand in the same trace.
    let mut lines = orders.runtime.block_on(orders.scene.logs());
    lines.extend(couriers.runtime.block_on(couriers.scene.logs()));
    assert_eq!(lines.len(), 3);
    assert!(
        lines
            .iter()
            .all(|line| line.trace_id == Some(root.trace_id))
    );
    let calls = orders.scene.telemetry.snapshot();
    assert_eq!(
        calls.histogram("http.client.request.duration", &[]).count(),
        2
    );
}
