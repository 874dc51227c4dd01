//! Runs one path a number of times; whoever counts runs it twice and takes the difference:
//!
//!     orderscope-instructions PATH TIMES

use axum::{Router, body::Body, extract::Path, routing::get};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use orderscope::Telemetry;
use std::{convert::Infallible, env, hint::black_box};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

async fn order(Path(id): Path<u32>) -> String {
    format!("order {id}")
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
        let Ok(response): Result<Response<Body>, _> = app.clone().oneshot(request).await;
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            black_box(frame.ok());
        }
    }
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

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, times] = arguments.as_slice() else {
        panic!("expected PATH TIMES, got {arguments:?}");
    };
    let times: u32 = times.parse().expect("TIMES is a number");
    let telemetry = Telemetry::builder("instructions").install().expect("it is the only one");
    let router = Router::new().route("/orders/{id}", get(order));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime starts");
    let headers = match path.contains("hostile") {
        true => hostile(),
        false => HeaderMap::new(),
    };
    match path.as_str() {
        "bare_request" | "bare_hostile_request" => {
            runtime.block_on(serve(&router.with_state(()), &headers, times));
        }
        "request" | "hostile_request" => {
            let app = router.layer(telemetry.http_layer()).with_state(());
            runtime.block_on(serve(&app, &headers, times));
        }
        "bare_call" => runtime.block_on(call(service_fn(answer), times)),
        "call" => {
            let calls = telemetry.client_layer().layer(service_fn(answer));
            runtime.block_on(call(calls, times));
        }
        "counter" => {
            for _ in 0..times {
                metrics::counter!("orders.placed", "payment" => "card", "city" => "Lyon", "kind" => "new")
                    .increment(1);
            }
        }
        "histogram" => {
            for time in 0..times {
                metrics::histogram!("basket.value").record(f64::from(time % 64));
            }
        }
        other => panic!("no path is called {other}"),
    }
}
