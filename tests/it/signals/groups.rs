//! Errors that are told by other doors than `capture_error`, and the groups that all of them are of.

use std::error::Error;
use std::fmt;
use std::num::ParseIntError;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use hyper::{Request, Response};
use orderscope::errors::{Details, Severity, capture_error_with};
use orderscope::export::{ReceivedLog, ReceivedStatus};
use orderscope::snapshot::ErrorGroup;
use orderscope::tracing_layer::Levels;
use orderscope::{Telemetry, capture_error, context};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{PATIENCE, Says, Scene, ask, body};

#[derive(Debug)]
struct NoAmount(ParseIntError);

impl fmt::Display for NoAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the amount is no number")
    }
}

impl Error for NoAmount {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn no_amount() -> NoAmount {
    NoAmount("seven".parse::<u8>().unwrap_err())
}

const CAUSE: &str = "std::num::ParseIntError: invalid digit found in string";
const MESSAGE: &str = "the amount is no number: invalid digit found in string";

#[inline(never)]
fn log_it() {
    tracing::error!(
        error = &no_amount() as &(dyn Error + 'static),
        order_id = 7,
        "payment failed"
    );
}

#[tokio::test]
async fn an_error_that_a_line_of_log_carries_is_an_error_with_its_stack() {
    let scene = Scene::new();
    let _listens = scene.listens();
    let handler = async || {
        context::identify_user("u-7");
        log_it();
    };
    let app = scene.app(Router::new().route("/orders/{id}", get(handler)));
    ask(&app, "/orders/7").await;
    let (log, span) = (scene.log().await, scene.span().await);
    assert_eq!(log.event_name, "exception");
    assert_eq!(log.severity_text, "ERROR");
    assert_eq!(body(&log), "payment failed", "the line has the last word");
    for (name, value) in [
        ("exception.type", "NoAmount"),
        ("exception.message", MESSAGE),
        ("orderscope.error.causes", CAUSE),
        ("orderscope.error.handled", "#true"),
        ("code.function.name", "it::signals::groups::log_it"),
        ("error", MESSAGE),
        ("order_id", "#7"),
        ("target", module_path!()),
        ("code.file.path", file!()),
        ("http.route", "/orders/{id}"),
        ("http.request.method", "GET"),
        ("user.id", "u-7"),
    ] {
        assert_eq!(log.says(name), value, "{name}");
    }
    let names: Vec<_> = log.attributes.iter().map(|(name, _)| name).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(
        names.len(),
        distinct.len(),
        "nothing is said twice: {names:?}"
    );
    let stack = log.says("exception.stacktrace");
    assert!(stack.contains("signals::groups::log_it"), "{stack}");
    assert_eq!(log.span_id, Some(span.span_id));
    let numbers = scene.telemetry.snapshot();
    let handled = [("severity", "ERROR"), ("handled", "true")];
    assert_eq!(numbers.counter("orderscope.exceptions", &handled), 1);
    let lines = [("severity", "ERROR")];
    assert_eq!(numbers.counter("orderscope.log.records", &lines), 1);
    let [group] = numbers.error_groups() else {
        panic!("{:#?}", numbers.error_groups());
    };
    assert_eq!(group.fingerprint, log.says("orderscope.error.fingerprint"));
}

#[inline(never)]
fn while_cooking() {
    log_it();
    std::hint::black_box(());
}

#[inline(never)]
fn while_riding() {
    log_it();
    std::hint::black_box(());
}

#[tokio::test]
async fn a_line_of_log_is_told_apart_by_who_called_what_wrote_it() {
    let scene = Scene::new();
    let _listens = scene.listens();
    for _ in 0..50 {
        while_cooking();
    }
    while_riding();
    scene.logs().await;
    let numbers = scene.telemetry.snapshot();
    let mut counts: Vec<_> = numbers
        .error_groups()
        .iter()
        .map(|group| group.count)
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 50]);
}

#[tokio::test]
async fn a_line_that_says_nothing_else_has_the_error_for_its_body_and_a_warning_is_a_line() {
    let scene = Scene::new();
    let _listens = scene.listens();
    tracing::error!(error = &no_amount() as &(dyn Error + 'static));
    tracing::warn!(
        error = &no_amount() as &(dyn Error + 'static),
        "tried again"
    );
    let logs = scene.logs().await;
    assert_eq!(logs.len(), 2);
    let (error, warning) = (&logs[0], &logs[1]);
    assert_eq!(
        (error.event_name.as_str(), body(error)),
        ("exception", MESSAGE)
    );
    assert_eq!(
        (warning.event_name.as_str(), body(warning)),
        ("", "tried again")
    );
    let numbers = scene.telemetry.snapshot();
    assert_eq!(numbers.counter("orderscope.exceptions", &[]), 1);
}

#[tokio::test]
async fn beyond_the_limit_of_its_group_a_line_that_carries_an_error_is_a_line() {
    let scene = Scene::new();
    let _listens = scene.listens();
    for _ in 0..50 {
        log_it();
    }
    let logs = scene.logs().await;
    assert_eq!(logs.len(), 50, "no line is lost");
    let errors = logs.iter().filter(|log| log.event_name == "exception");
    let errors = errors.count();
    assert!((10..=12).contains(&errors), "{errors}");
    let groups = scene.telemetry.snapshot();
    assert_eq!(groups.error_groups()[0].count, 50);
}

#[tokio::test]
async fn where_nothing_is_sent_errors_are_grouped_all_the_same() {
    let telemetry = Telemetry::builder("orders").without_subscriber();
    let telemetry = telemetry.build().unwrap();
    let layer = telemetry.tracing_layer().at(Levels::default());
    let listens = Dispatch::new(tracing_subscriber::registry().with(layer));
    tracing::dispatcher::with_default(&listens, log_it);
    let groups = found(&telemetry, 1).await;
    assert_eq!(groups[0].exception_type, "NoAmount");
    assert_eq!(
        groups[0].function.as_deref(),
        Some("it::signals::groups::log_it")
    );
}

/// Once the telemetry's own thread has seen them.
async fn found(telemetry: &Telemetry, groups: usize) -> Vec<ErrorGroup> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = telemetry.snapshot().error_groups().to_vec();
        if found.len() == groups {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:#?}");
        sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn reports_of_anyhow_and_eyre_are_told_with_all_that_was_put_around_them() {
    let scene = Scene::new();
    let handler = async || {
        let report = anyhow::Error::new(no_amount()).context("order 7 was not paid");
        capture_error(&*report);
        let report = eyre::Report::new(no_amount()).wrap_err("order 7 was not paid");
        capture_error(&*report);
        let report = anyhow::Error::new(no_amount());
        capture_error(&*report);
        capture_error(&*anyhow::anyhow!("nothing but words"));
    };
    let app = scene.app(Router::new().route("/", get(handler)));
    ask(&app, "/").await;
    let logs = scene.logs().await;
    let told = logs.iter().map(|log| {
        let says = |name| log.attribute(name).map(|_| log.says(name));
        (
            log.says("exception.type"),
            log.says("exception.message"),
            says("orderscope.error.causes"),
        )
    });
    let told: Vec<_> = told.collect();
    let around = format!("order 7 was not paid: {MESSAGE}");
    let causes = format!("NoAmount: the amount is no number\n{CAUSE}");
    let expected = [
        ("NoAmount", around.clone(), Some(causes.clone())),
        ("NoAmount", around, Some(causes)),
        ("NoAmount", MESSAGE.to_owned(), Some(CAUSE.to_owned())),
        ("dyn Error", "nothing but words".to_owned(), None),
    ];
    let expected = expected.map(|(kind, message, causes)| (kind.to_owned(), message, causes));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn an_error_is_told_with_what_the_application_adds() {
    let scene = Scene::new();
    let handler = async || {
        let details = Details::new()
            .severity(Severity::Critical)
            .tag("order_id", 7)
            .tag("provider", "girocard")
            .tag("is_retried", true);
        capture_error_with(&no_amount(), details);
    };
    let app = scene.app(Router::new().route("/", get(handler)));
    ask(&app, "/").await;
    let log = scene.log().await;
    assert_eq!(log.severity_text, "CRITICAL");
    for (name, value) in [
        ("order_id", "#7"),
        ("provider", "girocard"),
        ("is_retried", "#true"),
        ("orderscope.error.group.count", "#1"),
        ("code.file.path", file!()),
    ] {
        assert_eq!(log.says(name), value, "{name}");
    }
}

#[tokio::test]
async fn which_crates_are_the_application_s_own_decides_what_function_is_named() {
    let named = async |scene: Scene| {
        let app = scene.app(Router::new().route("/", get(async || capture_error(&no_amount()))));
        ask(&app, "/").await;
        scene.log().await.says("code.function.name")
    };
    let ours = named(Scene::of(|builder| builder.in_app_include(["it"]))).await;
    assert!(ours.starts_with("it::signals::groups::"), "{ours}");
    let theirs = named(Scene::of(|builder| builder.in_app_include(["axum"]))).await;
    assert!(theirs.contains("axum"), "{theirs}");
    let none = named(Scene::of(|builder| builder.in_app_exclude(["it"]))).await;
    assert!(!none.contains("it::signals"), "{none}");
}

#[tokio::test]
async fn a_storm_is_counted_whole_and_told_in_part_and_the_ledger_knows_what_was_told() {
    const STORM: usize = 5_000;
    let scene = Scene::new();
    let handler = async || {
        for number in 0..STORM {
            context::identify_user(number % 40);
            capture_error(&no_amount());
        }
    };
    let app = scene.app(Router::new().route("/orders", get(handler)));
    ask(&app, "/orders").await;
    let told = scene.logs().await;
    assert!((10..=20).contains(&told.len()), "{}", told.len());
    let row = scene.row("memory", "logs");
    assert_eq!(row.accepted(), told.len() as u64);
    assert_eq!(row.difference(), 0);
    let numbers = scene.telemetry.snapshot();
    assert_eq!(numbers.counter("orderscope.exceptions", &[]), STORM as u64);
    let [group] = numbers.error_groups() else {
        panic!("{:#?}", numbers.error_groups());
    };
    assert_eq!(group.count, STORM as u64);
    assert!(group.affected_users.abs_diff(40) <= 1, "{group:?}");
    assert_eq!(group.endpoints, ["GET /orders"]);
    assert_eq!(numbers.gauge("orderscope.error.groups.active", &[]), 1.0);
    assert_eq!(numbers.counter("orderscope.error.groups.new", &[]), 1);
    let affected = numbers.gauge("orderscope.error.group.affected_users", &[]);
    assert!((39.0..=41.0).contains(&affected), "{affected}");
    let last: &ReceivedLog = told.last().unwrap();
    assert_eq!(last.says("orderscope.error.fingerprint"), group.fingerprint);
    assert_eq!(scene.span().await.status, ReceivedStatus::Unset);
}

#[tokio::test]
async fn an_error_is_told_with_what_happened_in_its_request_before() {
    // A closure in the handler's would be another one, but rustc 1.95 fails at that when it is built
    // again (`incremental_verify_ich`).
    async fn closed(_: Request<()>) -> Result<Response<Body>, std::io::Error> {
        let answer = Response::builder().status(503).body(Body::empty());
        Ok(answer.unwrap())
    }
    let scene = Scene::new();
    let _listens = scene.listens();
    let client = scene.telemetry.client_layer();
    let handler = async move || {
        tracing::debug!("not of interest");
        tracing::info!(password = "hunter2", "cart loaded for token=abc123secret");
        orderscope::track_event!("cart_viewed", items = 3);
        let couriers = client.layer(service_fn(closed));
        let call = Request::get("http://couriers:3000/nearest?key=hunter2").body(());
        couriers.oneshot(call.unwrap()).await.unwrap();
        capture_error(&no_amount());
        capture_error_with(&no_amount(), Details::new().fingerprint("the second"));
    };
    let app = scene.app(Router::new().route("/carts/{id}", get(handler)));
    ask(&app, "/carts/7").await;
    let logs = scene.logs().await;
    let errors: Vec<_> = logs
        .iter()
        .filter(|log| log.event_name == "exception")
        .collect();
    let trail = |error: &ReceivedLog| {
        let told = error.says("orderscope.error.trail");
        let lines = told.lines().map(|line| {
            let (ago, said) = line.split_once("ms ").unwrap();
            assert!(
                ago.strip_prefix('-').unwrap().parse::<f64>().is_ok(),
                "{line}"
            );
            said.to_owned()
        });
        lines.collect::<Vec<_>>()
    };
    let first = trail(errors[0]);
    assert_eq!(first.len(), 3, "{first:?}");
    assert_eq!(first[0], "INFO cart loaded for token=***");
    assert_eq!(first[1], "event cart_viewed");
    assert!(first[2].starts_with("call GET couriers 503 "), "{first:?}");
    let second = trail(errors[1]);
    assert_eq!(second[3], format!("error {MESSAGE}"));
    assert!(
        !second.iter().any(|line| line.contains("hunter2")),
        "{second:?}"
    );
}

/// What the guide explains is what there is, and all of it.
#[tokio::test]
async fn every_field_of_an_error_is_explained_in_the_guide() {
    let guide = include_str!("../../../src/guide/errors.md");
    let scene = Scene::new();
    let _listens = scene.listens();
    let handler = async || -> Result<(), Response<Body>> {
        context::identify("u-7", "s-1");
        log_it();
        capture_error(&no_amount());
        panic!("planted")
    };
    let app = scene.app(Router::new().route("/", get(handler)));
    ask(&app, "/").await;
    let of_the_line = ["error", "order_id"];
    let mut seen = 0;
    for log in scene.logs().await {
        for (name, _) in &log.attributes {
            let is_explained = guide.contains(&format!("`{name}`"));
            assert!(
                is_explained || of_the_line.contains(&name.as_str()),
                "{name}"
            );
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
    // Each that is shown is explained too.
    let (_, from) = guide.split_once("Resource attributes:").unwrap();
    let (shown, _) = from.split_once("```").unwrap();
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || " ._".contains(c))
    };
    let shown = shown.lines().filter_map(|line| {
        let line = line.strip_prefix("     -> ").unwrap_or(line);
        let (name, _) = line.split_once(": ")?;
        Some(name).filter(is_name)
    });
    let shown: Vec<_> = shown.collect();
    assert!(
        shown.contains(&"Flags") && shown.contains(&"host.name"),
        "{shown:?}"
    );
    let is_unexplained = |name: &&&str| !guide.contains(&format!("`{name}`"));
    let unexplained: Vec<_> = shown.iter().filter(is_unexplained).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

#[tokio::test]
async fn requests_in_flight_together_have_trails_of_their_own() {
    let scene = Scene::new();
    let _listens = scene.listens();
    let handler = async |Path(name): Path<String>| {
        tracing::info!("first of {name}");
        tokio::task::yield_now().await;
        tracing::info!("second of {name}");
        tokio::task::yield_now().await;
        capture_error_with(&no_amount(), Details::new().fingerprint(&name));
    };
    let app = scene.app(Router::new().route("/{name}", get(handler)));
    tokio::join!(ask(&app, "/one"), ask(&app, "/other"));
    for log in scene.logs().await {
        let trail = log.says("orderscope.error.trail");
        let of_one = trail.matches("of one").count();
        let of_other = trail.matches("of other").count();
        assert!(
            matches!((of_one, of_other), (2, 0) | (0, 2)) || trail.is_empty(),
            "{trail}"
        );
    }
    let none = Scene::new();
    let app = none.app(Router::new().route("/", get(async || capture_error(&no_amount()))));
    ask(&app, "/").await;
    assert!(
        none.log()
            .await
            .attribute("orderscope.error.trail")
            .is_none()
    );
}
