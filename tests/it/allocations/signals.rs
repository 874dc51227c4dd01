//! What spans, lines and events allocate on the thread that they come from: nothing, once the
//! hand-off has grown to what there is between two visits of the worker.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, fs, process};

use axum::Router;
use axum::routing::get;
use futures_util::FutureExt as _;
use hyper::StatusCode;
use orderscope::events::{
    ActiveUsers, CartViewed, Currency, Feature, Funnel, Money, OrderPlaced, Sessions,
};
use orderscope::export::{Destination, InMemory};
use orderscope::logs::{Format, LogFile};
use orderscope::telemetry::{Builder, Sampling};
use orderscope::tracing_layer::Levels;
use orderscope::{Telemetry, context, critical, database, track_event};
use tokio::runtime::Runtime;
use tracing_subscriber::layer::SubscriberExt as _;

use super::allocations;
use super::requests::{BOXES, bare, get_of, layered, of_one};

const PATIENCE: Duration = Duration::from_secs(60);
/// Uses between two visits of the worker.
const TIMES: u64 = 100;
/// Visits until nothing grows any more.
const VISITS: u64 = 30;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn in_memory() -> Builder {
    let destination = Destination::in_memory("memory", &InMemory::new());
    Telemetry::builder("orders").destination(destination)
}

/// The fewest allocations of any round of `TIMES` uses: the worker may come amid one, and takes
/// away what the round had begun to fill.
fn steadily(telemetry: &Telemetry, mut use_it: impl FnMut()) -> u64 {
    let runtime = runtime();
    let rounds = (0..VISITS).map(|_| {
        let (count, ()) = allocations(|| (0..TIMES).for_each(|_| use_it()));
        assert!(runtime.block_on(telemetry.flush(PATIENCE)));
        count
    });
    rounds.min().unwrap()
}

/// What a request allocates over the bare router.
fn over(telemetry: &Telemetry) -> u64 {
    let request = get_of("/orders/7");
    let mut apps: [Router<()>; 2] = [layered(telemetry), bare()];
    let [layered, bare] = apps.each_mut().map(|app| {
        let runtime = runtime();
        let rounds = (0..VISITS).map(|_| {
            let counts = (0..TIMES).map(|_| of_one(app, request(), StatusCode::OK));
            let count: u64 = counts.sum();
            assert!(runtime.block_on(telemetry.flush(PATIENCE)));
            count
        });
        rounds.min().unwrap()
    });
    assert_eq!((layered % TIMES, bare % TIMES), (0, 0));
    (layered - bare) / TIMES
}

#[test]
fn a_request_s_span_allocates_nothing_whether_it_is_kept_or_not() {
    let destined = in_memory().build().unwrap();
    assert_eq!(over(&destined), BOXES);
    let accepted = destined.ledger()[0].accepted();
    assert_eq!(accepted, VISITS * TIMES, "each had its span");
    let unsampled = in_memory().sampling(Sampling::NONE).build().unwrap();
    assert_eq!(over(&unsampled), BOXES);
    assert_eq!(unsampled.ledger()[0].accepted(), 0);
    let without = Telemetry::builder("orders").build().unwrap();
    assert_eq!(over(&without), BOXES);
}

/// What `use_it` allocates within a request, since that is where it finds its telemetry.
fn within_a_request(telemetry: &Telemetry, use_it: fn()) -> u64 {
    let subscriber = tracing_subscriber::registry()
        .with(Levels::default())
        .with(telemetry.tracing_layer())
        .with(telemetry.lines_layer());
    let _listens = tracing::subscriber::set_default(subscriber);
    let count = Arc::new(AtomicU64::new(u64::MAX));
    let (to, within) = (Arc::clone(&count), telemetry.clone());
    let handler = async move || {
        context::identify("u-7", "s-9");
        to.store(steadily(&within, use_it), Ordering::Relaxed);
    };
    let app = Router::new().route("/", get(handler));
    let app = app.layer(telemetry.http_layer());
    of_one(&mut app.with_state(()), get_of("/")(), StatusCode::OK);
    count.load(Ordering::Relaxed)
}

const USES: [(&str, fn()); 6] = [
    ("error!", || {
        tracing::error!(order_id = 1024, dish = "soup", at = ?Some(7), "no answer from {}", "x");
    }),
    ("critical!", || critical!(order_id = 1024, "captured twice")),
    ("a span", || {
        tracing::info_span!("cook", order_id = 1024).in_scope(|| tracing::info!("done"));
    }),
    ("an event", || {
        let value = Money::minor(2350, Currency::EUR);
        track_event(OrderPlaced {
            order_id: 1024,
            value,
        });
    }),
    ("an event of the macro", || {
        track_event!(
            "dish_viewed",
            dish_id = 7,
            restaurant = "Roma",
            is_open = true
        );
    }),
    ("an operation of a database", || {
        let read = async { Ok::<_, Infallible>(7) };
        let read = database::time("SELECT menus", read).now_or_never();
        assert_eq!(read, Some(Ok(7)));
    }),
];

#[test]
fn lines_events_and_operations_allocate_nothing_as_records_and_as_lines_of_a_file() {
    for format in [Format::Json, Format::Human] {
        let name = format!("orderscope-{}-allocations-{format:?}", process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let file = LogFile::never(&folder, "orders");
        let builder = in_memory().log_format(format).log_file(file);
        let telemetry = builder.build().unwrap();
        for (what, use_it) in USES {
            let count = within_a_request(&telemetry, use_it);
            // A span has a box in the extensions of `tracing-subscriber`'s registry.
            let allowed = if what == "a span" {
                TIMES + of_the_registry()
            } else {
                0
            };
            assert_eq!(count, allowed, "{what}, {format:?}");
        }
        let runtime = runtime();
        let report = runtime.block_on(telemetry.shutdown(PATIENCE));
        fs::remove_dir_all(&folder).unwrap();
        assert!(report.is_complete(), "{report}");
        let lines = report
            .ledger()
            .iter()
            .find(|row| row.destination() == "log_file");
        assert_eq!(lines.unwrap().accepted(), 3 * VISITS * TIMES);
    }
}

#[test]
fn a_step_of_a_funnel_allocates_nothing_whether_its_event_is_recorded_or_not() {
    let funnel = || {
        let funnel = Funnel::new("checkout")
            .step(CartViewed::NAME)
            .step(OrderPlaced::NAME);
        funnel.lateness(Duration::ZERO)
    };
    let (_, step) = USES[3];
    for builder in [in_memory(), Telemetry::builder("orders")] {
        let telemetry = builder.funnel(funnel()).build().unwrap();
        assert_eq!(within_a_request(&telemetry, step), 0);
        let refused = "orderscope.funnel.steps.refused";
        let unheard = ("reason", "queue_full");
        assert_eq!(telemetry.snapshot().counter(refused, &[unheard]), 0);
    }
}

#[test]
fn users_features_and_sessions_allocate_nothing_by_event_or_request() {
    let (_, ordered) = USES[3];
    for builder in [in_memory(), Telemetry::builder("orders")] {
        let builder = builder.active_users(ActiveUsers::new());
        let builder = builder.sessions(Sessions::new());
        let feature = Feature::new("orders").used_by(OrderPlaced::NAME);
        let telemetry = builder.feature(feature).build().unwrap();
        assert_eq!(within_a_request(&telemetry, ordered), 0);
        assert_eq!(of_a_known_user(&telemetry), BOXES + IDENTITY);
        assert_eq!(telemetry.snapshot().active_users().unwrap().day, 1);
    }
}

/// Of whom a request is: a box, and the id of the user.
const IDENTITY: u64 = 2;

/// What a request of somebody known allocates over one of nobody without the layer.
fn of_a_known_user(telemetry: &Telemetry) -> u64 {
    let known = || get(async || context::identify_user("u-7"));
    let anonymous = Router::new().route("/orders/{id}", get(async || ()));
    let known = Router::new().route("/orders/{id}", known());
    let apps = [known.layer(telemetry.http_layer()), anonymous];
    let [known, bare] = apps.map(|app| {
        let mut app = app.with_state(());
        let one = |_| of_one(&mut app, get_of("/orders/7")(), StatusCode::OK);
        (0..TIMES).map(one).min().unwrap()
    });
    known - bare
}

/// What a round of spans with a line each allocates without our layers.
fn of_the_registry() -> u64 {
    let subscriber = tracing_subscriber::registry().with(Levels::default());
    let _listens = tracing::subscriber::set_default(subscriber);
    let (_, span) = USES[2];
    (0..TIMES).for_each(|_| span());
    allocations(|| (0..TIMES).for_each(|_| span())).0
}

#[test]
fn without_a_destination_lines_and_events_allocate_nothing_either() {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let app = Router::new().route(
        "/",
        get(async || USES.map(|(_, use_it)| use_it()).len().to_string()),
    );
    let layer = telemetry.tracing_layer().at(Levels::default());
    let _listens = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let mut with = app.clone().layer(telemetry.http_layer()).with_state(());
    let mut without = app.with_state(());
    let least = |app: &mut Router<()>| {
        let counts = (0..20).map(|_| of_one(app, get_of("/")(), StatusCode::OK));
        counts.min().unwrap()
    };
    let (with, without) = (least(&mut with), least(&mut without));
    // And one for how often each operation ran in the request.
    assert_eq!(with - without, BOXES + 1);
}
