//! Which route a request is counted under.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::get as route_get;
use hyper::{Request, Response, StatusCode};
use orderscope::Telemetry;
use tower::{Layer, Service};
use tower_http::services::ServeDir;

use super::connection::{Wire, get, request};
use super::numbers::{DURATION, Numbers, ROUTE, STATUS};
use super::served::{Served, telemetry};
use crate::programs::repository;

/// What handlers know.
#[derive(Clone, Debug)]
struct Kitchen {
    name: &'static str,
}

async fn order(State(kitchen): State<Kitchen>, Path(id): Path<u64>) -> String {
    format!("order {id} at {}", kitchen.name)
}

#[tokio::test]
async fn the_readme_s_router_counts_a_404_and_not_its_scrapes() {
    let state = Kitchen { name: "north" };
    let telemetry = Telemetry::builder("orders")
        .version(env!("CARGO_PKG_VERSION"))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/orders/{id}", route_get(order))
        .layer(telemetry.http_layer())
        .route("/metrics", telemetry.metrics_route())
        .nest("/health", telemetry.health_routes())
        .with_state(state);
    let served = Served::start(telemetry, app).await;
    let mut connection = served.connect(Wire::Http1).await;
    for healthy in ["/health/live", "/health/ready"] {
        assert_eq!(connection.get(healthy).await.status, StatusCode::OK);
    }
    assert_eq!(connection.get("/orders/7").await.text(), "order 7 at north");
    assert_eq!(
        connection.get("/nowhere").await.status,
        StatusCode::NOT_FOUND
    );
    let wrong = connection
        .ask(request("DELETE", "/orders/7", Body::empty()))
        .await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    let page = connection.get("/metrics").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.text()
            .contains("\norderscope_http_server_requests_started_total 3\n"),
        "{}",
        page.text()
    );
    let numbers = served.after(3).await;
    assert_eq!(numbers.outcomes(), [("completed", 3)]);
    assert_eq!(
        numbers.attribute_values(DURATION, ROUTE),
        ["", "/orders/{id}"]
    );
    assert_eq!(numbers.durations(&[(ROUTE, ""), (STATUS, "404")]), 1);
    let refused = [(ROUTE, "/orders/{id}"), (STATUS, "405")];
    assert_eq!(numbers.durations(&refused), 1);
}

#[tokio::test]
async fn nested_routers_are_counted_under_their_whole_template() {
    let dishes = Router::new().route("/dishes/{dish}", route_get(async || "a dish"));
    let menus = Router::new()
        .route("/{menu}", route_get(async || "a menu"))
        .nest("/{menu}", dishes);
    let routes = Router::new()
        .nest("/menus", menus)
        .fallback(async || (StatusCode::GONE, "gone"));
    let served = Served::behind_the_layer(routes).await;
    let mut connection = served.connect(Wire::Http1).await;
    for path in ["/menus/1", "/menus/1/dishes/2", "/menus/1/drinks/2", "/x"] {
        connection.get(path).await;
    }
    let numbers = served.after(4).await;
    let counted = |route, status| numbers.durations(&[(ROUTE, route), (STATUS, status)]);
    assert_eq!(counted("/menus/{menu}", "200"), 1);
    assert_eq!(counted("/menus/{menu}/dishes/{dish}", "200"), 1);
    assert_eq!(counted("", "410"), 2);
    assert_eq!(numbers.series(DURATION), 3);
}

#[tokio::test]
async fn files_are_unmatched_unless_a_closure_names_them() {
    for is_named in [false, true] {
        let telemetry = telemetry();
        let routes = Router::new()
            .route("/orders/{id}", route_get(async || "order"))
            .nest_service("/files", ServeDir::new(repository()));
        let layer = telemetry.http_layer();
        let router = match is_named {
            false => routes.layer(layer),
            true => routes.layer(layer.route_by(|head| {
                head.path()
                    .starts_with("/files/")
                    .then_some("/files/{*path}")
            })),
        };
        let served = Served::start(telemetry, router).await;
        let mut connection = served.connect(Wire::Http1).await;
        let manifest = connection.get("/files/Cargo.toml").await;
        assert!(manifest.text().contains("orderscope"));
        assert_eq!(connection.get("/files/absent").await.status, 404);
        assert_eq!(connection.get("/orders/7").await.text(), "order");
        let numbers = served.after(3).await;
        assert_eq!(numbers.outcomes(), [("completed", 3)]);
        let files = if is_named { "/files/{*path}" } else { "" };
        assert_eq!(numbers.durations(&[(ROUTE, files), (STATUS, "200")]), 1);
        assert_eq!(numbers.durations(&[(ROUTE, files), (STATUS, "404")]), 1);
        assert_eq!(numbers.durations(&[(ROUTE, "/orders/{id}")]), 1);
    }
}

#[tokio::test]
async fn an_empty_file_is_completed() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("files");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("empty.txt"), "").unwrap();
    let routes = Router::new().nest_service("/files", ServeDir::new(folder));
    let served = Served::behind_the_layer(routes).await;
    for (wire, so_far) in Wire::BOTH.into_iter().zip(1..) {
        let mut connection = served.connect(wire).await;
        let empty = connection.get("/files/empty.txt").await;
        assert_eq!(empty.status, StatusCode::OK);
        let numbers = served.after(so_far).await;
        assert_eq!(numbers.outcomes(), [("completed", so_far)]);
    }
}

#[tokio::test]
async fn at_most_a_thousand_routes_are_told_apart() {
    let telemetry = telemetry();
    let layer = telemetry.tower_layer(|head| Some(head.path()));
    let mut service = layer.layer(tower::service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    for number in 0..1_500 {
        let asked = get(&format!("/route/{number}"));
        service.call(asked).await.unwrap();
    }
    let numbers = telemetry.snapshot();
    assert_eq!(numbers.outcomes(), [("completed", 1_500)]);
    assert_eq!(numbers.series(DURATION), 1_001);
    assert_eq!(numbers.durations(&[(ROUTE, "_OTHER")]), 500);
    assert_eq!(numbers.durations(&[(ROUTE, "/route/999")]), 1);
    let overflowed = numbers.counter("orderscope.series.overflowed", &[("metric", DURATION)]);
    assert_eq!(overflowed, 500);
}

#[tokio::test]
async fn plain_hyper_is_counted_under_the_names_of_a_closure() {
    let telemetry = telemetry();
    let layer = telemetry.tower_layer(|head| match head.path() {
        "/" => Some("/"),
        path if path.starts_with("/orders/") => Some("/orders/{id}"),
        _ => None,
    });
    let service = tower::service_fn(async |request: Request<_>| {
        Ok::<_, Infallible>(Response::new(Body::from(request.uri().path().to_owned())))
    });
    let served = Served::by_hyper(telemetry, layer.layer(service)).await;
    for wire in Wire::BOTH {
        let mut connection = served.connect(wire).await;
        for path in ["/", "/orders/1", "/orders/2", "/elsewhere"] {
            assert_eq!(connection.get(path).await.text(), path);
        }
    }
    let numbers = served.after(8).await;
    assert_eq!(numbers.outcomes(), [("completed", 8)]);
    let counted = |route| numbers.durations(&[(ROUTE, route)]);
    assert_eq!(["/", "/orders/{id}", ""].map(counted), [2, 4, 2]);
}
