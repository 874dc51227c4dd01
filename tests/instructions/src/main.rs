//! Runs one path a number of times; whoever counts runs it twice and takes the difference:
//!
//!     orderscope-instructions PATH TIMES [AMONG]
//!
//! Some paths are taken among so many others of their kind: routes, or open spans.

use axum::{Router, body::Body, extract::Path, routing::get};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use orderscope::{
    Telemetry, database,
    export::{Destination, InMemory},
    telemetry::Sampling,
    tracing_layer::Levels,
    track_event,
};
use std::{convert::Infallible, env, hint::black_box};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tracing::Instrument as _;
use tracing_subscriber::{layer::SubscriberExt as _, registry, util::SubscriberInitExt as _};

async fn order(Path(id): Path<u32>) -> String {
    format!("order {id}")
}

async fn logged_order(Path(id): Path<u32>) -> String {
    tracing::info!(order_id = id, restaurant = "Roma", "order read");
    format!("order {id}")
}

async fn order_in_a_span(Path(id): Path<u32>) -> String {
    let read = tracing::info_span!("read_order", order_id = id);
    async { format!("order {id}") }.instrument(read).await
}

async fn order_with_an_operation(Path(id): Path<u32>) -> String {
    let read = async { Ok::<_, Infallible>(format!("order {id}")) };
    let Ok(order) = database::time("SELECT orders", read).await;
    order
}

/// Whose records go somewhere, and are encoded on the way.
fn recording(sampling: Sampling) -> Telemetry {
    let memory = Destination::in_memory("memory", &InMemory::with_bound(1 << 20));
    let telemetry = Telemetry::builder("instructions").destination(memory);
    let telemetry = telemetry.sampling(sampling).without_subscriber().install();
    let telemetry = telemetry.expect("it is the only one");
    registry()
        .with(Levels::default())
        .with(telemetry.tracing_layer())
        .init();
    telemetry
}

/// What a hostile client sends to whoever reads trace headers.
fn hostile() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let long = HeaderValue::from_str(&"a=1,".repeat(100_000)).expect("it is visible ASCII");
    headers.append("traceparent", long.clone());
    headers.append("tracestate", long);
    for _ in 0..500 {
        headers.append("baggage", HeaderValue::from_static("tenant=17"));
    }
    headers
}

async fn serve(app: &Router, headers: &HeaderMap, times: u32) {
    for _ in 0..times {
        let mut request = Request::new(Body::empty());
        *request.headers_mut() = headers.clone();
        *request.uri_mut() = http::Uri::from_static("/orders/17");
        answer_to(app, request).await;
    }
}

async fn answer_to(app: &Router, request: Request<Body>) {
    let Ok(response): Result<Response<Body>, _> = app.clone().oneshot(request).await;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        black_box(frame.ok());
    }
}

/// Asks each of the routes in turn, `times` requests after each was asked once.
async fn serve_routes(app: &Router, routes: u32, times: u32) {
    let uris: Vec<http::Uri> = (0..routes)
        .map(|route| format!("/menus/{route}/17").parse().expect("it is a path"))
        .collect();
    for uri in uris.iter().cycle().take((routes + times) as usize) {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.clone();
        answer_to(app, request).await;
    }
}

fn many_routes(routes: u32) -> Router {
    (0..routes).fold(Router::new(), |router, route| {
        router.route(&format!("/menus/{route}/{{id}}"), get(order))
    })
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

/// Calls another service, which answers at once.
async fn call<S, B>(calls: S, times: u32)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body,
{
    for _ in 0..times {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static("http://couriers:3000/nearest");
        let Ok(response) = calls.clone().oneshot(request).await;
        black_box(response.into_body().collect().await.ok());
    }
}

/// Operations of which each makes a record.
fn record(path: &str, times: u32) {
    let _telemetry = recording(Sampling::ALL);
    for time in 0..times {
        match path {
            "error_event" => {
                tracing::error!(
                    order_id = time,
                    attempt = 3,
                    provider = "acme",
                    "payment failed"
                );
            }
            "business_event" => track_event!(
                "order_placed",
                order_id = time,
                value = 23.5,
                currency = "EUR",
                restaurant = "Roma",
                dishes = 3,
                is_first = true
            ),
            other => panic!("no path is called {other}"),
        }
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (path, times, among) = match arguments.as_slice() {
        [path, times] => (path, times, "1"),
        [path, times, among] => (path, times, among.as_str()),
        _ => panic!("expected PATH TIMES [AMONG], got {arguments:?}"),
    };
    let times: u32 = times.parse().expect("TIMES is a number");
    let among: u32 = among.parse().expect("AMONG is a number");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime starts");
    let headers = match path.contains("hostile") {
        true => hostile(),
        false => HeaderMap::new(),
    };
    let silent = || {
        Telemetry::builder("instructions")
            .install()
            .expect("it is the only one")
    };
    let router = match path.as_str() {
        "request_with_a_line" => Router::new().route("/orders/{id}", get(logged_order)),
        "request_with_a_span" => Router::new().route("/orders/{id}", get(order_in_a_span)),
        "request_with_an_operation" | "silent_request_with_an_operation" => {
            Router::new().route("/orders/{id}", get(order_with_an_operation))
        }
        _ => Router::new().route("/orders/{id}", get(order)),
    };
    let serve_by = |telemetry: Telemetry, router: Router| {
        let app = router.layer(telemetry.http_layer()).with_state(());
        runtime.block_on(serve(&app, &headers, times));
    };
    match path.as_str() {
        "bare_request" | "bare_hostile_request" => {
            let _telemetry = silent();
            runtime.block_on(serve(&router.with_state(()), &headers, times));
        }
        "request" | "hostile_request" | "silent_request_with_an_operation" => {
            serve_by(silent(), router);
        }
        "recorded_request"
        | "request_with_a_line"
        | "request_with_a_span"
        | "request_with_an_operation" => serve_by(recording(Sampling::ALL), router),
        "sampled_request" => serve_by(recording(Sampling::ratio(0.01)), router),
        "bare_routes" => {
            let _telemetry = silent();
            let app = many_routes(among).with_state(());
            runtime.block_on(serve_routes(&app, among, times));
        }
        "routes" => {
            let telemetry = recording(Sampling::ALL);
            let app = many_routes(among)
                .layer(telemetry.http_layer())
                .with_state(());
            runtime.block_on(serve_routes(&app, among, times));
        }
        "spans" => {
            let _telemetry = recording(Sampling::ALL);
            let open: Vec<_> = (0..among)
                .map(|order| tracing::info_span!("open", order))
                .collect();
            for time in 0..times {
                tracing::info_span!("read_order", order_id = time).in_scope(|| black_box(time));
            }
            // Their ends would be counted with the others.
            std::mem::forget(open);
        }
        "bare_call" => runtime.block_on(call(service_fn(answer), times)),
        "call" => {
            let calls = silent().client_layer().layer(service_fn(answer));
            runtime.block_on(call(calls, times));
        }
        "recorded_call" => {
            let telemetry = recording(Sampling::ALL);
            let calls = telemetry.client_layer().layer(service_fn(answer));
            runtime.block_on(call(calls, times));
        }
        "operation" => {
            let _telemetry = silent();
            runtime.block_on(async {
                for _ in 0..times {
                    let read = async { Ok::<_, Infallible>(()) };
                    black_box(database::time("SELECT orders", read).await.ok());
                }
            });
        }
        "counter" => {
            let _telemetry = silent();
            for _ in 0..times {
                metrics::counter!("orders.placed", "payment" => "card", "city" => "Lyon", "kind" => "new")
                    .increment(1);
            }
        }
        "histogram" => {
            let _telemetry = silent();
            for time in 0..times {
                metrics::histogram!("basket.value").record(f64::from(time % 64));
            }
        }
        path => record(path, times),
    }
}
