//! L1: requests through the layer, each with a span, three events and five metric updates.

use super::{Issued, Schedule, next, spawn};
use crate::{arguments::Arguments, figures::Figures};
use axum::{Router, body::Body, extract::Path, routing::get};
use http::{HeaderValue, Request, header::HeaderName};
use http_body_util::BodyExt as _;
use metrics::{counter, gauge, histogram};
use orderscope::{Telemetry, track_event};
use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tower_service::Service as _;

/// Of so many requests one captures an error, and one panics: at L1 less often than once a second,
/// which is as often as a group's errors are told.
const ERROR_EVERY: u64 = 250;
const PANIC_EVERY: u64 = 2_500;

pub(super) fn start(
    arguments: &Arguments,
    telemetry: Option<&Telemetry>,
    issued: &Arc<Issued>,
    is_over: &Arc<AtomicBool>,
) -> Vec<JoinHandle<Figures>> {
    let router = router(telemetry, issued);
    let period = Duration::from_secs(arguments.threads) / arguments.rate.max(1) as u32;
    let produce = |_| {
        let (router, issued, is_over) = (router.clone(), Arc::clone(issued), Arc::clone(is_over));
        spawn("requests", move |figures| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime = runtime.expect("a runtime starts");
            runtime.block_on(serve(router, &issued, &is_over, period, figures));
        })
    };
    (0..arguments.threads).map(produce).collect()
}

async fn serve(
    mut router: Router,
    issued: &Issued,
    is_over: &AtomicBool,
    period: Duration,
    figures: &mut Figures,
) {
    let mut schedule = Schedule::every(period, false);
    let before = crate::figures::Switches::so_far();
    while !is_over.load(Ordering::Relaxed) {
        let late = schedule.wait();
        figures.late.record(late);
        let request = request(next(&issued.spans));
        let began = Instant::now();
        let Ok(response) = router.call(request).await;
        let _ = response.into_body().collect().await;
        figures.requests.record(began.elapsed());
    }
    figures.switches = crate::figures::Switches::so_far().since(before);
}

/// Its number is the low half of its trace's id, and of its path.
fn request(number: u64) -> Request<Body> {
    let mut parent = [0; 55];
    let caller = number | 1 << 63;
    write!(
        &mut parent[..],
        "00-0000000000000005{number:016x}-{caller:016x}-01"
    )
    .expect("a traceparent has 55 bytes");
    let mut request = Request::new(Body::empty());
    request.headers_mut().insert(
        HeaderName::from_static("traceparent"),
        HeaderValue::from_bytes(&parent).expect("it is visible ASCII"),
    );
    *request.uri_mut() = format!("/orders/{number}").parse().expect("it is a path");
    request
}

fn router(telemetry: Option<&Telemetry>, issued: &Arc<Issued>) -> Router {
    let Some(telemetry) = telemetry else {
        return Router::new().route("/orders/{id}", get(async |Path(id): Path<u64>| text(id)));
    };
    let issued = Arc::clone(issued);
    let order = move |Path(number): Path<u64>| {
        let issued = Arc::clone(&issued);
        async move {
            record(number, &issued);
            text(number)
        }
    };
    Router::new()
        .route("/orders/{id}", get(order))
        .layer(telemetry.http_layer())
}

fn text(number: u64) -> String {
    format!("order {number}")
}

fn record(number: u64, issued: &Issued) {
    track_event!("probe", id = issued.next_event(), items = 3);
    track_event!(
        "probe",
        id = issued.next_event(),
        city = "Graz",
        total = 23.5
    );
    track_event!("probe", id = issued.next_event(), express = true);
    counter!("orders.placed", "payment" => "card", "city" => "Graz").increment(1);
    counter!("dishes.ordered", "kitchen" => "thai").increment(3);
    gauge!("couriers.free", "city" => "Graz").set((number % 64) as f64);
    histogram!("basket.value").record((number % 90) as f64);
    histogram!("courier.distance", "city" => "Graz").record((number % 9) as f64);
    issued.metric_updates.fetch_add(5, Ordering::Relaxed);
    if number % ERROR_EVERY == 1 {
        issued.capture();
    }
    if number % PANIC_EVERY == 2 {
        issued.panics.fetch_add(1, Ordering::Relaxed);
        panic!("planted error {}", next(&issued.errors));
    }
}
