//! What the catalog declares stands on the page, under the names that dashboards and alerts use.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http_body_util::BodyExt;
use hyper::{Request, Response};
use orderscope::{
    Telemetry, catalog,
    database::PoolStatus,
    events::{ActiveUsers, Feature, Funnel, Sessions, Transaction},
    export::{Destination, InMemory},
    metrics::Kind,
    snapshot::Snapshot,
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use super::{BOTH, Subject, block_on};
use crate::exposition::{Family, Format, Parser};
use crate::prometheus::promtool_check_metrics;

/// For what comes, on a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every instrument of the catalog: its name, its family on the page, its unit there.
const NAMES: [(&str, &str, &str); 84] = [
    (
        "db.client.operation.duration",
        "db_client_operation_duration_seconds",
        "seconds",
    ),
    (
        "db.client.connection.count",
        "db_client_connection_count",
        "",
    ),
    ("db.client.connection.max", "db_client_connection_max", ""),
    (
        "db.client.connection.idle.max",
        "db_client_connection_idle_max",
        "",
    ),
    (
        "db.client.connection.idle.min",
        "db_client_connection_idle_min",
        "",
    ),
    (
        "db.client.connection.pending_requests",
        "db_client_connection_pending_requests",
        "",
    ),
    (
        "db.client.connection.wait_time",
        "db_client_connection_wait_time_seconds",
        "seconds",
    ),
    (
        "db.client.connection.use_time",
        "db_client_connection_use_time_seconds",
        "seconds",
    ),
    (
        "db.client.connection.timeouts",
        "db_client_connection_timeouts",
        "",
    ),
    (
        "http.client.request.duration",
        "http_client_request_duration_seconds",
        "seconds",
    ),
    ("orderscope.log.records", "orderscope_log_records", ""),
    ("orderscope.exceptions", "orderscope_exceptions", ""),
    (
        "orderscope.exceptions.by_type",
        "orderscope_exceptions_by_type",
        "",
    ),
    ("orderscope.panics", "orderscope_panics", ""),
    (
        "orderscope.error.groups.active",
        "orderscope_error_groups_active",
        "",
    ),
    (
        "orderscope.error.groups.new",
        "orderscope_error_groups_new",
        "",
    ),
    (
        "orderscope.error.group.affected_users",
        "orderscope_error_group_affected_users",
        "",
    ),
    ("orderscope.events", "orderscope_events", ""),
    ("orderscope.events.refused", "orderscope_events_refused", ""),
    ("orderscope.transactions", "orderscope_transactions", ""),
    ("orderscope.evictions", "orderscope_evictions", ""),
    ("orderscope.users.active", "orderscope_users_active", ""),
    ("orderscope.users.refused", "orderscope_users_refused", ""),
    ("orderscope.feature.uses", "orderscope_feature_uses", ""),
    ("orderscope.feature.users", "orderscope_feature_users", ""),
    (
        "orderscope.sessions.started",
        "orderscope_sessions_started",
        "",
    ),
    ("orderscope.sessions.open", "orderscope_sessions_open", ""),
    ("orderscope.sessions.ended", "orderscope_sessions_ended", ""),
    (
        "orderscope.session.duration",
        "orderscope_session_duration_seconds",
        "seconds",
    ),
    ("orderscope.session.exits", "orderscope_session_exits", ""),
    (
        "orderscope.sessions.refused",
        "orderscope_sessions_refused",
        "",
    ),
    (
        "orderscope.funnel.attempts.opened",
        "orderscope_funnel_attempts_opened",
        "",
    ),
    (
        "orderscope.funnel.attempts.open",
        "orderscope_funnel_attempts_open",
        "",
    ),
    (
        "orderscope.funnel.step.reached",
        "orderscope_funnel_step_reached",
        "",
    ),
    (
        "orderscope.funnel.attempts.closed",
        "orderscope_funnel_attempts_closed",
        "",
    ),
    (
        "orderscope.funnel.duration",
        "orderscope_funnel_duration_seconds",
        "seconds",
    ),
    (
        "orderscope.funnel.step.duration",
        "orderscope_funnel_step_duration_seconds",
        "seconds",
    ),
    (
        "orderscope.funnel.steps.refused",
        "orderscope_funnel_steps_refused",
        "",
    ),
    (
        "orderscope.records.unclaimed",
        "orderscope_records_unclaimed",
        "",
    ),
    (
        "orderscope.delivery.accepted",
        "orderscope_delivery_accepted",
        "",
    ),
    (
        "orderscope.delivery.acknowledged",
        "orderscope_delivery_acknowledged",
        "",
    ),
    (
        "orderscope.delivery.rejected",
        "orderscope_delivery_rejected",
        "",
    ),
    (
        "orderscope.delivery.dropped",
        "orderscope_delivery_dropped",
        "",
    ),
    (
        "orderscope.delivery.ambiguous",
        "orderscope_delivery_ambiguous",
        "",
    ),
    (
        "orderscope.delivery.queued",
        "orderscope_delivery_queued",
        "",
    ),
    (
        "orderscope.delivery.in_flight",
        "orderscope_delivery_in_flight",
        "",
    ),
    (
        "orderscope.delivery.spooled",
        "orderscope_delivery_spooled",
        "",
    ),
    (
        "orderscope.delivery.queue.size",
        "orderscope_delivery_queue_size_bytes",
        "bytes",
    ),
    (
        "orderscope.delivery.export.duration",
        "orderscope_delivery_export_duration_seconds",
        "seconds",
    ),
    (
        "orderscope.delivery.breaker.open",
        "orderscope_delivery_breaker_open",
        "",
    ),
    (
        "http.server.request.duration",
        "http_server_request_duration_seconds",
        "seconds",
    ),
    (
        "orderscope.http.server.time_to_first_byte",
        "orderscope_http_server_time_to_first_byte_seconds",
        "seconds",
    ),
    (
        "orderscope.http.server.requests.started",
        "orderscope_http_server_requests_started",
        "",
    ),
    (
        "orderscope.http.server.requests.finished",
        "orderscope_http_server_requests_finished",
        "",
    ),
    (
        "http.server.active_requests",
        "http_server_active_requests",
        "",
    ),
    (
        "http.server.request.body.size",
        "http_server_request_body_size_bytes",
        "bytes",
    ),
    (
        "http.server.response.body.size",
        "http_server_response_body_size_bytes",
        "bytes",
    ),
    (
        "orderscope.http.server.streams.active",
        "orderscope_http_server_streams_active",
        "",
    ),
    (
        "orderscope.http.server.streams.duration",
        "orderscope_http_server_streams_duration_seconds",
        "seconds",
    ),
    ("process.cpu.time", "process_cpu_time_seconds", "seconds"),
    (
        "process.memory.usage",
        "process_memory_usage_bytes",
        "bytes",
    ),
    (
        "process.memory.virtual",
        "process_memory_virtual_bytes",
        "bytes",
    ),
    ("process.thread.count", "process_thread_count", ""),
    (
        "process.unix.file_descriptor.count",
        "process_unix_file_descriptor_count",
        "",
    ),
    ("process.uptime", "process_uptime_seconds", "seconds"),
    (
        "process.cpu.utilization",
        "process_cpu_utilization_ratio",
        "ratio",
    ),
    ("process.context_switches", "process_context_switches", ""),
    (
        "orderscope.process.memory.utilization",
        "orderscope_process_memory_utilization_ratio",
        "ratio",
    ),
    ("orderscope.tokio.workers", "orderscope_tokio_workers", ""),
    (
        "orderscope.tokio.alive_tasks",
        "orderscope_tokio_alive_tasks",
        "",
    ),
    (
        "orderscope.tokio.global_queue_depth",
        "orderscope_tokio_global_queue_depth",
        "",
    ),
    (
        "orderscope.tokio.worker.busy_ratio",
        "orderscope_tokio_worker_busy_ratio",
        "ratio",
    ),
    (
        "orderscope.tokio.blocking.threads",
        "orderscope_tokio_blocking_threads",
        "",
    ),
    (
        "orderscope.tokio.blocking.queue_depth",
        "orderscope_tokio_blocking_queue_depth",
        "",
    ),
    (
        "orderscope.tokio.forced_yields",
        "orderscope_tokio_forced_yields",
        "",
    ),
    (
        "orderscope.tokio.worker.local_queue_depth",
        "orderscope_tokio_worker_local_queue_depth",
        "",
    ),
    (
        "orderscope.tokio.worker.polls",
        "orderscope_tokio_worker_polls",
        "",
    ),
    (
        "orderscope.tokio.worker.steals",
        "orderscope_tokio_worker_steals",
        "",
    ),
    (
        "orderscope.series.overflowed",
        "orderscope_series_overflowed",
        "",
    ),
    (
        "orderscope.instruments.refused",
        "orderscope_instruments_refused",
        "",
    ),
    ("orderscope.values.refused", "orderscope_values_refused", ""),
    (
        "orderscope.values.truncated",
        "orderscope_values_truncated",
        "",
    ),
    (
        "orderscope.shared_state.degraded",
        "orderscope_shared_state_degraded",
        "",
    ),
    (
        "orderscope.worker.restarts",
        "orderscope_worker_restarts",
        "",
    ),
];

/// Not on the page of a service that did nothing yet, and why.
const ABSENT_AT_FIRST: [(&str, &str); 58] = [
    ("db.client.operation.duration", "nobody watched a database"),
    ("db.client.connection.count", "nobody watched a database"),
    ("db.client.connection.max", "nobody watched a database"),
    ("db.client.connection.idle.max", "nobody watched a database"),
    ("db.client.connection.idle.min", "nobody watched a database"),
    (
        "db.client.connection.pending_requests",
        "nobody watched a database",
    ),
    (
        "db.client.connection.wait_time",
        "nobody watched a database",
    ),
    ("db.client.connection.use_time", "nobody watched a database"),
    ("db.client.connection.timeouts", "nobody watched a database"),
    (
        "http.client.request.duration",
        "a series for each server that was called",
    ),
    (
        "orderscope.events",
        "a series for each event that was tracked",
    ),
    (
        "orderscope.transactions",
        "series for each transaction, of which there is none",
    ),
    (
        "orderscope.shared_state.degraded",
        "a memory always answers",
    ),
    ("orderscope.sessions.started", "nobody declared them"),
    ("orderscope.sessions.open", "nobody declared them"),
    ("orderscope.sessions.ended", "nobody declared them"),
    ("orderscope.session.duration", "nobody declared them"),
    ("orderscope.session.exits", "nobody declared them"),
    ("orderscope.sessions.refused", "nobody declared them"),
    ("orderscope.users.active", "nobody declared them"),
    ("orderscope.users.refused", "nobody declared any users"),
    (
        "orderscope.feature.uses",
        "series for each feature, of which there is none",
    ),
    (
        "orderscope.feature.users",
        "series for each feature, of which there is none",
    ),
    (
        "orderscope.funnel.attempts.opened",
        "series for each funnel, of which there is none",
    ),
    (
        "orderscope.funnel.attempts.open",
        "series for each funnel, of which there is none",
    ),
    (
        "orderscope.funnel.step.reached",
        "series for each funnel, of which there is none",
    ),
    (
        "orderscope.funnel.attempts.closed",
        "series for each funnel, of which there is none",
    ),
    (
        "orderscope.funnel.duration",
        "series for each funnel, of which there is none",
    ),
    (
        "orderscope.funnel.step.duration",
        "series for each funnel, of which there is none",
    ),
    (
        "orderscope.funnel.steps.refused",
        "series for each funnel, of which there is none",
    ),
    (
        "orderscope.delivery.accepted",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.acknowledged",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.rejected",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.dropped",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.ambiguous",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.queued",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.in_flight",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.spooled",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.queue.size",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.export.duration",
        "series for each destination, of which there is none",
    ),
    (
        "orderscope.delivery.breaker.open",
        "series for each destination, of which there is none",
    ),
    (
        "http.server.request.duration",
        "a series for each route that answered",
    ),
    (
        "orderscope.http.server.time_to_first_byte",
        "a series for each route that answered",
    ),
    (
        "http.server.active_requests",
        "a series for each method and scheme that was seen; a level, which `rate()` does not read",
    ),
    (
        "http.server.request.body.size",
        "a series for each route that was sent a body",
    ),
    (
        "http.server.response.body.size",
        "a series for each route that answered",
    ),
    (
        "orderscope.http.server.streams.active",
        "a series for each route that streamed",
    ),
    (
        "orderscope.http.server.streams.duration",
        "a series for each route that streamed",
    ),
    ("orderscope.tokio.workers", "made on no runtime"),
    ("orderscope.tokio.alive_tasks", "made on no runtime"),
    ("orderscope.tokio.global_queue_depth", "made on no runtime"),
    ("orderscope.tokio.worker.busy_ratio", "made on no runtime"),
    ("orderscope.tokio.blocking.threads", "made on no runtime"),
    (
        "orderscope.tokio.blocking.queue_depth",
        "made on no runtime",
    ),
    ("orderscope.tokio.forced_yields", "made on no runtime"),
    (
        "orderscope.tokio.worker.local_queue_depth",
        "made on no runtime",
    ),
    ("orderscope.tokio.worker.polls", "made on no runtime"),
    ("orderscope.tokio.worker.steals", "made on no runtime"),
];

/// Of builds with `--cfg tokio_unstable`.
const UNSTABLE: [&str; 6] = [
    "orderscope.tokio.blocking.threads",
    "orderscope.tokio.blocking.queue_depth",
    "orderscope.tokio.forced_yields",
    "orderscope.tokio.worker.local_queue_depth",
    "orderscope.tokio.worker.polls",
    "orderscope.tokio.worker.steals",
];

/// The conventions' names that end in `_count` and are no histograms. `promtool` says the same of
/// each; nothing else may be said.
const COUNTS_THAT_ARE_GAUGES: [&str; 3] = [
    "db_client_connection_count",
    "process_thread_count",
    "process_unix_file_descriptor_count",
];

#[test]
fn every_instrument_of_the_catalog_is_on_the_page_or_its_absence_is_explained() {
    let declared: BTreeSet<_> = catalog::ALL.iter().map(|d| d.name()).collect();
    let named: BTreeSet<_> = NAMES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(declared, named);
    let absent: BTreeSet<_> = ABSENT_AT_FIRST.iter().map(|(name, _)| *name).collect();
    assert_eq!(absent.len(), ABSENT_AT_FIRST.len());

    let (subject, mut parser) = (Subject::new(), Parser::start());
    for format in BOTH {
        let page = subject.parsed(&mut parser, format).unwrap();
        for (name, family, _) in NAMES {
            let is_there = page.contains_key(family);
            assert_eq!(is_there, !absent.contains(name), "{format:?} {name}");
        }
        let expected: BTreeSet<_> = NAMES.iter().map(|(_, family, _)| *family).collect();
        for family in page.keys().filter(|family| !family.starts_with("target")) {
            assert!(
                expected.contains(family.as_str()),
                "{family}: of no instrument"
            );
        }
    }
}

#[test]
fn each_family_is_of_its_declared_kind_unit_and_attributes() {
    let (subject, mut parser) = (sending(), Parser::start());
    block_on(busy(&subject));
    for format in BOTH {
        let page = subject.parsed(&mut parser, format).unwrap();
        for (name, family, unit) in NAMES {
            if !is_here(name) {
                continue;
            }
            let descriptor = catalog::ALL.iter().find(|d| d.name() == name).unwrap();
            let family = page
                .get(family)
                .unwrap_or_else(|| panic!("{format:?} {name}"));
            let kind = match descriptor.kind() {
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
                _ => "gauge",
            };
            assert_eq!(family.kind, kind, "{format:?} {name}");
            assert_eq!(family.help, descriptor.description(), "{format:?} {name}");
            let written = if format == Format::OpenMetrics {
                unit
            } else {
                ""
            };
            assert_eq!(family.unit, written, "{format:?} {name}");
            let allowed: BTreeSet<_> = descriptor
                .attributes()
                .iter()
                .map(|attribute| attribute.replace('.', "_"))
                .chain(["le".to_owned()])
                .collect();
            for label in family
                .samples
                .iter()
                .flat_map(|sample| sample.labels.keys())
            {
                assert!(allowed.contains(label), "{format:?} {name} has {label}");
            }
        }
    }
}

#[test]
fn counters_of_a_fixed_set_stand_at_zero_before_the_first_event() {
    let (subject, mut parser) = (Subject::new(), Parser::start());
    let page = subject.parsed(&mut parser, Format::Text).unwrap();
    let series = |family: &str| {
        let family: &Family = &page[family];
        assert!(family.samples.iter().all(|sample| sample.value == 0.0));
        family.samples.len()
    };
    assert_eq!(series("orderscope_http_server_requests_started"), 1);
    // Outcomes and classes of status.
    assert_eq!(series("orderscope_http_server_requests_finished"), 7 * 6);
    assert_eq!(series("orderscope_instruments_refused"), 4);
    // The instruments of the catalog that have attributes.
    assert_eq!(series("orderscope_series_overflowed"), 65);
    assert_eq!(series("orderscope_values_refused"), 2);
    // Of metrics, and of records.
    assert_eq!(series("orderscope_values_truncated"), 2);
    // Severities, and whether they were handled.
    assert_eq!(series("orderscope_log_records"), 6);
    assert_eq!(series("orderscope_exceptions"), 6 * 2);
    assert_eq!(series("orderscope_panics"), 1);
    assert_eq!(series("orderscope_error_groups_new"), 1);
    assert_eq!(series("orderscope_events_refused"), 3);
    assert_eq!(series("orderscope_worker_restarts"), 1);
}

#[test]
fn promtool_complains_of_the_conventions_counts_alone() {
    let subject = sending();
    block_on(busy(&subject));
    assert_promtool_complains_of_counts_alone(&block_on(subject.page(Format::Text)));
}

pub(crate) fn assert_promtool_complains_of_counts_alone(page: &str) {
    let complaints = promtool_check_metrics(page);
    let expected = COUNTS_THAT_ARE_GAUGES.map(|name| {
        format!("{name} non-histogram and non-summary metrics should not have \"_count\" suffix")
    });
    assert_eq!(complaints.unwrap_err(), expected);
}

#[test]
fn edges_are_the_same_numbers_in_both_formats_written_with_a_point() {
    let (subject, mut parser) = (sending(), Parser::start());
    block_on(busy(&subject));
    let mut pages = BOTH.map(|format| {
        let page = subject.parsed(&mut parser, format).unwrap();
        let edges = page
            .into_values()
            .filter(|family| family.kind == "histogram");
        edges
            .map(|family| {
                let buckets = family.samples.iter();
                let mut edges: Vec<String> = buckets
                    .filter_map(|b| b.labels.get("le").cloned())
                    .collect();
                edges.dedup();
                (family.name, edges)
            })
            .collect::<BTreeMap<_, _>>()
    });
    assert_eq!(pages[0], pages[1]);
    assert_eq!(pages[0].len(), 13);
    for descriptor in catalog::ALL.iter().filter(|d| d.kind() == Kind::Histogram) {
        let (_, family, _) = NAMES
            .iter()
            .find(|(name, ..)| *name == descriptor.name())
            .unwrap();
        let mut written = pages[0].remove(*family).unwrap();
        written.truncate(descriptor.edges().len() + 1);
        assert_eq!(written.pop().unwrap(), "+Inf");
        let numbers: Vec<f64> = written.iter().map(|edge| edge.parse().unwrap()).collect();
        assert_eq!(numbers, descriptor.edges(), "{family}");
        assert!(written.iter().all(|edge| edge.contains('.')), "{written:?}");
    }
    assert!(pages[1]["http_server_request_duration_seconds"].contains(&"2.0".to_owned()));
}

/// Makes every instrument have a series.
/// One whose records and metrics go somewhere.
fn sending() -> Subject {
    let backend = Destination::in_memory("memory", &InMemory::new());
    let checkout = Funnel::new("checkout")
        .step("cart_viewed")
        .step("order_placed");
    let payment = Transaction::new("payment").succeeded_by("payment_succeeded");
    let payment = payment.failed_by("payment_failed");
    let builder = Telemetry::builder("orders").destination(backend);
    let builder = builder
        .active_users(ActiveUsers::new())
        .sessions(Sessions::new().lateness(Duration::ZERO))
        .feature(Feature::new("search").used_by("search"));
    Subject::of(builder.funnel(checkout).transaction(payment))
}

/// A pool that tells all.
struct Talkative;

impl PoolStatus for Talkative {
    fn idle(&self) -> Option<u64> {
        Some(3)
    }

    fn used(&self) -> Option<u64> {
        Some(1)
    }

    fn max(&self) -> Option<u64> {
        Some(9)
    }

    fn pending_requests(&self) -> Option<u64> {
        Some(0)
    }

    fn idle_max(&self) -> Option<u64> {
        Some(8)
    }

    fn idle_min(&self) -> Option<u64> {
        Some(2)
    }

    fn timeouts(&self) -> Option<u64> {
        Some(1)
    }
}

async fn busy(subject: &Subject) {
    assert!(subject.telemetry.watch_runtime());
    subject.record(|| {
        let orders = || metrics::counter!("orders.placed", "city" => "Graz");
        metrics::describe_counter!("orders.placed", "Orders placed.");
        orders().increment(1);
        // Beyond the instrument's cap.
        for user in 0..2_001 {
            metrics::counter!("orders.placed", "user" => user.to_string()).increment(1);
        }
    });
    let events = || async {
        (
            [("content-type", "text/event-stream")],
            Body::new("data: x\n\n".to_owned()),
        )
    };
    let app = Router::new()
        .route(
            "/orders/{id}",
            get(async || {
                orderscope::context::identify("u-7", "s-9");
                orderscope::track_event!("dish_viewed");
                orderscope::context::end_session();
                "an order"
            }),
        )
        .route("/events", get(events))
        .layer(subject.telemetry.http_layer());
    for (path, body) in [("/orders/7", Body::from("{}")), ("/events", Body::empty())] {
        let request = Request::get(path).body(body).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    let answer = async |_| Ok::<_, Infallible>(Response::new(Body::empty()));
    let couriers = subject.telemetry.client_layer().layer(service_fn(answer));
    let call = Request::get("http://couriers:3000/").body(()).unwrap();
    couriers.oneshot(call).await.unwrap();
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let database = subject.telemetry.database("orders-db", pool);
    sqlx::query("SELECT 1").execute(&database).await.unwrap();
    subject.telemetry.watch_pool("cache", Talkative);
    assert!(subject.telemetry.flush(PATIENCE).await);
    // How busy a worker is is told after a second.
    subject.advance(Duration::from_secs(1));
    // What is said of a session is counted a moment later.
    let began = Instant::now();
    while !is_all_told(&subject.telemetry.snapshot()) {
        assert!(began.elapsed() < PATIENCE, "of some family nothing is told");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether each family has a series that can have one here.
fn is_all_told(numbers: &Snapshot) -> bool {
    let is_told = |name| {
        let metric = numbers.metric(name);
        metric.is_some_and(|metric| !metric.series().is_empty())
    };
    let mut names = NAMES.iter().map(|(name, ..)| *name);
    names.all(|name| is_told(name) || !is_here(name))
}

/// Of state that others share, and of what tokio tells by a flag, nothing may be there.
fn is_here(name: &str) -> bool {
    name != "orderscope.shared_state.degraded"
        && (!UNSTABLE.contains(&name) || cfg!(tokio_unstable))
}
