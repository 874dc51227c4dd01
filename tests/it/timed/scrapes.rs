//! Many scrapes: one render at a time, shared for 100 ms, and little of a core.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use metrics::{gauge, histogram, with_local_recorder};
use orderscope::Telemetry;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval, sleep, timeout};

const SERIES: usize = 1_000;
/// What a build without optimisation costs more, on a machine that does other things.
const OF_A_CORE: f64 = if cfg!(debug_assertions) { 0.25 } else { 0.05 };

/// A telemetry with 1,000 histogram series, its page served, and a gauge that never stands still.
async fn served() -> (Telemetry, SocketAddr, tokio::task::JoinHandle<()>) {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let now = with_local_recorder(&telemetry.recorder(), || {
        for number in 0..SERIES {
            histogram!("wait", "kitchen" => number.to_string()).record(number as f64);
        }
        gauge!("now")
    });
    let moving = tokio::spawn(async move {
        let began = Instant::now();
        loop {
            now.set(began.elapsed().as_micros() as f64);
            sleep(Duration::from_millis(1)).await;
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/metrics", telemetry.metrics_route());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (telemetry, address, moving)
}

async fn connected(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn scrape(client: &mut SendRequest<Empty<Bytes>>) -> Bytes {
    client.ready().await.unwrap();
    let request = Request::get("/metrics")
        .header("host", "x")
        .body(Empty::new());
    let answer = client.send_request(request.unwrap()).await.unwrap();
    answer.into_body().collect().await.unwrap().to_bytes()
}

fn now_of(page: &[u8]) -> String {
    let page = std::str::from_utf8(page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix("now "));
    line.expect("the gauge is on the page").to_owned()
}

/// CPU seconds of the telemetry's own threads, where pages are rendered.
fn rendering() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let ticks: u64 = tasks
        .filter_map(|task| fs::read_to_string(task.path().join("stat")).ok())
        .filter(|stat| stat.contains("(orderscope)"))
        .map(|stat| {
            let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
            // utime and stime; the state is field 3 of proc(5), and the first here.
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        })
        .sum();
    ticks as f64 / 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_scrapes_a_second_share_ten_renders() {
    let (telemetry, address, moving) = served().await;
    let pages: Arc<std::sync::Mutex<BTreeSet<String>>> = Arc::default();
    let scrapes = Arc::new(AtomicU64::new(0));
    let slowest = Arc::new(AtomicU64::new(0));
    let mut clients = tokio::task::JoinSet::new();
    let before = rendering();
    let began = Instant::now();
    for _ in 0..10 {
        let (pages, scrapes, slowest) = (pages.clone(), scrapes.clone(), slowest.clone());
        clients.spawn(async move {
            let mut client = connected(address).await;
            let mut twenty_a_second = interval(Duration::from_millis(50));
            while began.elapsed() < Duration::from_secs(2) {
                twenty_a_second.tick().await;
                let asked = Instant::now();
                let page = scrape(&mut client).await;
                slowest.fetch_max(asked.elapsed().as_micros() as u64, Ordering::Relaxed);
                scrapes.fetch_add(1, Ordering::Relaxed);
                pages.lock().unwrap().insert(now_of(&page));
            }
        });
    }
    clients.join_all().await;
    let (took, spent) = (began.elapsed(), rendering() - before);
    moving.abort();
    drop(telemetry);
    let (scrapes, renders) = (scrapes.load(Ordering::Relaxed), pages.lock().unwrap().len());
    let share = spent / took.as_secs_f64();
    println!(
        "{scrapes} scrapes of {SERIES} histograms in {took:.2?}: {renders} renders, {:.1} % of a \
         core, the slowest {} µs",
        100.0 * share,
        slowest.load(Ordering::Relaxed)
    );
    assert!(scrapes >= 350, "{scrapes}");
    // Each is shared from its end on, so one more may begin in a window than ends in it.
    let windows = took.as_millis().div_ceil(100) as usize + 1;
    assert!(
        (2..=windows).contains(&renders),
        "{renders} renders in {windows} windows"
    );
    assert!(share <= OF_A_CORE, "{share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrapes_that_are_given_up_cost_no_render_of_their_own() {
    let (telemetry, _, moving) = served().await;
    let app: Router = Router::new().route("/metrics", telemetry.metrics_route());
    let before = rendering();
    let began = Instant::now();
    let mut given_up = 0;
    while began.elapsed() < Duration::from_secs(2) {
        let request = Request::get("/metrics").body(axum::body::Body::empty());
        let scrape = tower::ServiceExt::oneshot(app.clone(), request.unwrap());
        if timeout(Duration::from_micros(1), scrape).await.is_err() {
            given_up += 1;
        }
        sleep(Duration::from_millis(2)).await;
    }
    let share = (rendering() - before) / began.elapsed().as_secs_f64();
    moving.abort();
    assert!(given_up >= 5, "{given_up}");
    assert!(share <= OF_A_CORE, "{share} of a core for {given_up}");
}
