//! The service: a small shop with traffic of its own, in which everything happens that can be told.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fmt, fs};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use metrics::Unit;
use opentelemetry::trace::Tracer;
use opentelemetry::{KeyValue, global};
use orderscope::context::{carry, identify};
use orderscope::events::{Currency, Money, OrderPlaced};
use orderscope::{Telemetry, capture_error, critical, track_event};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tower::ServiceExt;
use tracing::{Instrument, debug, error, info, info_span, trace, warn};

use super::expected::{REQUESTS, TRACEPARENT};
use super::service::{REPORT, Report, Row};

const PATIENCE: Duration = Duration::from_secs(20);
static CAPTURED_AT: AtomicU32 = AtomicU32::new(0);
static PANICKED_AT: AtomicU32 = AtomicU32::new(0);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process of a service, which other tests start"]
async fn serves_until_its_traffic_is_over() {
    let file = env::var_os(REPORT).expect("other tests start it, and say where its report goes");
    let telemetry = Telemetry::builder("orders")
        .version("1.2.3")
        .namespace("food_delivery")
        .environment("test")
        .install()
        .unwrap();
    let is_waiting = Arc::new(Notify::new());
    // The others may take their time on a busy machine.
    let slow = Router::new()
        .route("/slow", get(std::future::pending::<()>))
        .route_layer(telemetry.http_layer().timeout(Duration::from_millis(300)));
    let app = routes(Arc::clone(&is_waiting))
        .layer(telemetry.http_layer())
        .merge(slow);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    traffic(address, &is_waiting).await;
    record_through_facades();
    all_have_ended(&telemetry).await;
    server.abort();
    let end = telemetry.shutdown(PATIENCE).await;
    let report = Report {
        page: page(&telemetry).await,
        ledger: end.ledger().iter().map(Row::from).collect(),
        is_complete: end.is_complete(),
        resource: telemetry
            .resource()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        process: std::process::id(),
        captured_at: CAPTURED_AT.load(Ordering::SeqCst),
        panicked_at: PANICKED_AT.load(Ordering::SeqCst),
    };
    fs::write(file, serde_json::to_vec(&report).unwrap()).unwrap();
}

fn routes(is_waiting: Arc<Notify>) -> Router {
    Router::new()
        .route("/menus/{restaurant}", get(menu))
        .route("/orders", post(order))
        .route(
            "/couriers",
            get(async || (StatusCode::SERVICE_UNAVAILABLE, "none is free")),
        )
        .route("/oven", get(burn))
        .route(
            "/track",
            get(async move || {
                is_waiting.notify_one();
                std::future::pending::<()>().await;
            }),
        )
        // Of two routers that are merged, the fallback that is named stays, within its layer.
        .fallback(async || StatusCode::NOT_FOUND)
}

async fn menu(Path(restaurant): Path<String>) -> String {
    track_event!("dish_viewed", dish_id = 7, restaurant, vegan = true);
    let load = async {
        info!(target: "orders::menu", dishes = 12, "the menu is loaded");
        format!("the menu of {restaurant}")
    };
    load.instrument(info_span!("load_menu", dishes = 12)).await
}

async fn order(body: String) -> (StatusCode, String) {
    identify("u-1024", "s-77");
    trace!(target: "orders::checkout", "the basket is weighed");
    debug!(target: "orders::checkout", items = 3, "the basket is priced");
    info!(target: "orders::checkout", order_id = 1024, total = 23.5, express = true, "ordered");
    warn!(target: "orders::checkout", city = "Graz", "the kitchen is busy");
    error!(target: "orders::checkout", "the receipt is not printed");
    critical!(target: "orders::checkout", order_id = 1024, "captured twice");
    track_event(OrderPlaced {
        order_id: 1024,
        value: Money::minor(2350, Currency::EUR),
    });
    charge_card();
    global::tracer("couriers").in_span("find a courier", |_| {});
    let told = async { info!(target: "orders::courier", "the courier is told") };
    let told = told.instrument(info_span!("tell_the_courier"));
    // Made here, so that it takes the request along.
    tokio::spawn(carry(told)).await.unwrap();
    (StatusCode::CREATED, body)
}

#[inline(never)]
fn charge_card() {
    let declined = Declined(Unanswered);
    CAPTURED_AT.store(line!() + 1, Ordering::SeqCst);
    capture_error(&declined);
}

async fn burn() -> StatusCode {
    PANICKED_AT.store(line!() + 1, Ordering::SeqCst);
    panic!("the oven burns")
}

#[derive(Debug)]
struct Declined(Unanswered);
#[derive(Debug)]
struct Unanswered;

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the card is declined")
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bank does not answer")
    }
}

impl Error for Unanswered {}
impl Error for Declined {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// What libraries record that know nothing of orderscope.
fn record_through_facades() {
    metrics::describe_histogram!("oven.wait_seconds", Unit::Seconds, "Time before the oven.");
    metrics::describe_histogram!("bill.printing", Unit::Milliseconds, "Time at the printer.");
    metrics::describe_gauge!("oven.load", Unit::Percent, "How full the oven is.");
    metrics::counter!("kitchen_dishes_total", "city" => "Graz", "dish-kind" => "soup").increment(3);
    metrics::counter!("couriers.refusals", "http.response.status_code" => "404").increment(2);
    metrics::gauge!("oven.temperature").set(-3.25);
    metrics::gauge!("oven.load").set(62.5);
    for wait in [0.004, 0.3, 7.0] {
        metrics::histogram!("oven.wait_seconds", "oven" => "left").record(wait);
        metrics::histogram!("bill.printing").record(wait * 100.0);
    }
    // Names at the edges of the rules by which a Prometheus name is made.
    metrics::describe_gauge!("seconds.to.dessert", Unit::Seconds, "Time to wait for it.");
    metrics::gauge!("seconds.to.dessert").set(90.0);
    metrics::describe_counter!("bytes.read", Unit::Bytes, "Of the menus.");
    metrics::counter!("bytes.read").increment(5);
    metrics::counter!("3.stars").increment(1);
    metrics::counter!("till..drawer", "drawer side" => "left").increment(1);
    let meter = global::meter("couriers");
    let queue = meter.f64_gauge("queue.ratio").with_unit("1").build();
    queue.record(0.5, &[]);
    for (name, unit) in [("couriers.fuel", "L"), ("couriers.speed", "km/h")] {
        let counter = meter.u64_counter(name).with_unit(unit).build();
        counter.add(5, &[]);
    }
    let city = [KeyValue::new("city", "Graz")];
    let told = meter.u64_counter("couriers.told").with_unit("{courier}");
    told.build().add(5, &city);
    let free = meter.i64_up_down_counter("couriers.free").build();
    free.add(4, &city);
    free.add(-1, &city);
    let ride = meter.f64_histogram("couriers.ride").with_unit("s");
    ride.build().record(600.0, &city);
}

/// One request of each outcome that a client can bring about, and some more.
async fn traffic(address: SocketAddr, is_waiting: &Notify) {
    for _ in 0..3 {
        let answer = ask(address, "GET", "/menus/roma").await;
        assert_eq!(answer, StatusCode::OK);
    }
    assert_eq!(ask(address, "POST", "/orders").await, StatusCode::CREATED);
    let not_found = ask(address, "GET", "/nowhere").await;
    assert_eq!(not_found, StatusCode::NOT_FOUND);
    let unavailable = ask(address, "GET", "/couriers").await;
    assert_eq!(unavailable, StatusCode::SERVICE_UNAVAILABLE);
    let panicked = ask(address, "GET", "/oven").await;
    assert_eq!(panicked, StatusCode::INTERNAL_SERVER_ERROR);
    let timed_out = ask(address, "GET", "/slow").await;
    assert_eq!(timed_out, StatusCode::SERVICE_UNAVAILABLE);
    let mut impatient = TcpStream::connect(address).await.unwrap();
    let request = b"GET /track HTTP/1.1\r\nhost: x\r\n\r\n";
    impatient.write_all(request).await.unwrap();
    is_waiting.notified().await;
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> StatusCode {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"));
    let request = match method {
        "POST" => request.header("traceparent", TRACEPARENT),
        _ => request,
    };
    let body = Full::new(Bytes::from_static(b"two soups"));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request.body(body).unwrap()).await.unwrap();
    let status = answer.status();
    answer.into_body().collect().await.unwrap();
    status
}

async fn all_have_ended(telemetry: &Telemetry) {
    let deadline = Instant::now() + PATIENCE;
    let ended = || {
        let finished = telemetry.snapshot();
        let finished = finished.metric("orderscope.http.server.requests.finished");
        let series = finished.into_iter().flat_map(|metric| metric.series());
        series.filter_map(|series| series.number()).sum::<f64>()
    };
    while ended() < REQUESTS as f64 {
        assert!(Instant::now() < deadline, "{:?}", telemetry.snapshot());
        sleep(Duration::from_millis(5)).await;
    }
}

async fn page(telemetry: &Telemetry) -> String {
    let routes: Router = Router::new().route("/metrics", telemetry.metrics_route());
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let body = routes.oneshot(request).await.unwrap().into_body();
    String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap()
}
