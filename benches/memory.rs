//! What is held in memory, for each thing of which there may be many: `cargo bench --bench memory`.
//!
//! Bytes that were asked of the allocator by all threads, telemetry's own included, after so many things less
//! those before, for each.

#![allow(clippy::print_stdout, reason = "a program")]

mod figures;

use axum::{Router, body::Body, extract::Path, routing::get};
use figures::{Counting, held};
use http::Request;
use orderscope::{
    Telemetry,
    clock::ManualClock,
    context, database,
    events::Funnel,
    export::{Destination, InMemory, Signal},
    logs::Levels,
    telemetry::Builder,
    track_event,
};
use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::Pin,
    task::{Context, Waker},
    time::{Duration, SystemTime},
};
use tokio::runtime::{self, Runtime};
use tower::ServiceExt as _;
use tracing_subscriber::{layer::SubscriberExt as _, registry};

const SERIES: usize = 2_000;
const OPEN: usize = 10_000;
const ATTEMPTS: usize = 200_000;
const STATEMENTS: usize = 500;
const EDGES: u32 = 15;

#[global_allocator]
static ALLOCATOR: Counting = Counting { tells_held: true };

fn built(builder: Builder) -> Telemetry {
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

fn said(what: &str, count: usize, before: u64) {
    let each = held().saturating_sub(before) / count as u64;
    println!("{what:<46} {each:>8} bytes");
}

/// What found no room would be cheap.
fn none_beyond(telemetry: &Telemetry) {
    let beyond = telemetry
        .snapshot()
        .counter("orderscope.series.overflowed", &[]);
    assert_eq!(beyond, 0);
}

fn series() {
    let telemetry = built(
        Telemetry::builder("bench").histogram_edges("basket.value", (0..EDGES).map(f64::from)),
    );
    metrics::with_local_recorder(&telemetry.recorder(), || {
        let before = held();
        for restaurant in 0..SERIES {
            metrics::counter!("orders.placed", "restaurant" => restaurant.to_string()).increment(1);
        }
        said("a series of a counter, one label", SERIES, before);
        let before = held();
        for restaurant in 0..SERIES {
            let of = metrics::histogram!("basket.value", "restaurant" => restaurant.to_string());
            for edge in 0..=EDGES {
                of.record(f64::from(edge) - 0.5);
            }
        }
        said(
            "a series of a histogram, 15 edges, one label",
            SERIES,
            before,
        );
    });
}

fn request(uri: String) -> Request<Body> {
    let request = Request::get(uri).body(Body::empty());
    request.unwrap_or_else(|error| panic!("{error}"))
}

/// All series that a route has once it is asked.
fn routes(runtime: &Runtime) {
    let telemetry = built(Telemetry::builder("bench"));
    let order = async |Path(id): Path<u32>| format!("order {id}");
    let routed = (0..SERIES / 2).fold(Router::new(), |router, route| {
        router.route(&format!("/{route}/{{id}}"), get(order))
    });
    let app: Router = routed.layer(telemetry.http_layer()).with_state(());
    let ask = |route: usize| {
        let Ok(response) = runtime.block_on(app.clone().oneshot(request(format!("/{route}/17"))));
        assert!(response.status().is_success());
    };
    ask(0);
    let before = held();
    (1..SERIES / 2).for_each(ask);
    said("a route that is asked", SERIES / 2 - 1, before);
    none_beyond(&telemetry);
}

/// Requests that wait for something, beyond what the router holds for them.
fn requests() {
    let telemetry = built(Telemetry::builder("bench"));
    let waiting: Router = Router::new().route("/", get(pending::<()>)).with_state(());
    let layered = waiting.clone().layer(telemetry.http_layer());
    let each = [waiting, layered].map(|app| {
        let before = held();
        let mut open: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::with_capacity(OPEN);
        for _ in 0..OPEN {
            let mut answer = Box::pin(app.clone().oneshot(request("/".to_owned())));
            let polled = answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            open.push(answer);
        }
        held().saturating_sub(before) / OPEN as u64
    });
    println!(
        "{:<46} {:>8} bytes",
        "a request in flight",
        each[1].saturating_sub(each[0])
    );
}

fn spans() {
    let memory = Destination::in_memory("memory", &InMemory::with_bound(1 << 20));
    let telemetry = built(Telemetry::builder("bench").destination(memory.only([Signal::Traces])));
    let subscriber = registry()
        .with(Levels::default())
        .with(telemetry.tracing_layer());
    let ours = tracing::subscriber::set_default(subscriber);
    let opened = || -> Vec<_> {
        (0..OPEN)
            .map(|order| tracing::info_span!("read_order", order_id = order, restaurant = "Roma"))
            .collect()
    };
    let before = held();
    let open = opened();
    let with_ours = held().saturating_sub(before);
    drop((open, ours));
    let _bare = tracing::subscriber::set_default(registry().with(Levels::default()));
    let before = held();
    let _open = opened();
    let of_ours = with_ours.saturating_sub(held().saturating_sub(before)) / OPEN as u64;
    println!("{:<46} {of_ours:>8} bytes", "an open span of two fields");
}

fn attempts(runtime: &Runtime) {
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
    let funnel = Funnel::new("checkout")
        .step("begun")
        .step("ended")
        .within(Duration::from_secs(3_600));
    let telemetry = built(
        Telemetry::builder("bench")
            .clock(hands.clock())
            .own_events(["begun", "ended"])
            .funnel(funnel),
    );
    let begin = {
        let (telemetry, hands) = (telemetry.clone(), hands.clone());
        async move || {
            for user in 0..ATTEMPTS {
                context::identify_user(user);
                track_event!("begun");
                if user % 50_000 == 0 {
                    hands.advance(Duration::from_secs(11));
                    let _ = telemetry.snapshot();
                }
            }
            hands.advance(Duration::from_secs(11));
        }
    };
    let app: Router = Router::new().route("/", get(begin));
    let app = app.layer(telemetry.http_layer()).with_state(());
    let before = held();
    let Ok(_) = runtime.block_on(app.oneshot(request("/".to_owned())));
    assert_eq!(telemetry.snapshot().funnels()[0].open, ATTEMPTS as u64);
    said(
        "an open attempt at a funnel, of a known user",
        ATTEMPTS,
        before,
    );
}

/// With its series of the duration.
fn statements(runtime: &Runtime) {
    let telemetry = built(Telemetry::builder("bench"));
    let run = async || {
        for table in 0..STATEMENTS {
            let read = database::Operation::new(format!("SELECT orders_of_{table}"));
            let read = database::time(read, async { Ok::<_, Infallible>(()) });
            let Ok(()) = read.await;
        }
    };
    let app: Router = Router::new().route("/", get(run));
    let app = app.layer(telemetry.http_layer()).with_state(());
    let before = held();
    let Ok(_) = runtime.block_on(app.oneshot(request("/".to_owned())));
    assert!(!telemetry.snapshot().statements().is_empty());
    said("a statement of a database, its series", STATEMENTS, before);
    none_beyond(&telemetry);
}

fn main() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    series();
    routes(&runtime);
    requests();
    spans();
    attempts(&runtime);
    statements(&runtime);
}
