//! The rows of counters, histograms and their page.

use crate::{
    operations::{Operation, Turns},
    orders, ours,
    rounds::{Delivered, Subject},
    sinks::Sink,
};
use axum::{Router, body::Body};
use http::Request;
use http_body_util::BodyExt as _;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use orderscope::{Telemetry, clock::ManualClock, telemetry::Builder};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use std::{
    hint::black_box,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};
use tower::ServiceExt as _;

const RECORD: &str = "histogram of 15 edges, a handle that is kept";
const TOGETHER: &str = "the same, two threads on one series";
const COUNT: &str = "counter of 3 labels, looked up each time";
const PAGE: &str = "page of 1,000 histograms of 15 edges";
/// Long beside what it takes to wake a second thread.
const A_TURN: u32 = 200_000;
const SERIES: u32 = 1_000;
const LABELS: [(&str, &str); 3] = [("payment", "card"), ("city", "Graz"), ("kind", "new")];

pub(crate) static ALL: [Operation; 14] = [
    row("ours-record", RECORD, OURS, "ours-record", || {
        recorded(1, by_ours())
    }),
    row("exporter-record", RECORD, EXPORTER, "ours-record", || {
        by_exporter(1)
    }),
    row("client-record", RECORD, CLIENT, "ours-record", || {
        recorded(1, by_client())
    }),
    row("otel-record", RECORD, OTEL, "ours-record", || {
        recorded(1, by_otel())
    }),
    row("ours-together", TOGETHER, OURS, "ours-together", || {
        recorded(2, by_ours())
    }),
    row(
        "exporter-together",
        TOGETHER,
        EXPORTER,
        "ours-together",
        || by_exporter(2),
    ),
    row("client-together", TOGETHER, CLIENT, "ours-together", || {
        recorded(2, by_client())
    }),
    row("otel-together", TOGETHER, OTEL, "ours-together", || {
        recorded(2, by_otel())
    }),
    row("ours-counter", COUNT, OURS, "ours-counter", counted_by_ours),
    row(
        "exporter-counter",
        COUNT,
        EXPORTER,
        "ours-counter",
        counted_by_exporter,
    ),
    row(
        "client-counter",
        COUNT,
        CLIENT,
        "ours-counter",
        counted_by_client,
    ),
    page("ours-page", OURS, page_of_ours),
    page("exporter-page", EXPORTER, page_of_exporter),
    page("client-page", CLIENT, page_of_client),
];

const OURS: &str = "**orderscope**, `metrics::histogram!`, `metrics::counter!`";
const EXPORTER: &str = "metrics-exporter-prometheus";
const CLIENT: &str = "prometheus-client";
const OTEL: &str = "opentelemetry_sdk, bound to its attributes";

const fn row(
    key: &'static str,
    what: &'static str,
    by: &'static str,
    against: &'static str,
    start: fn() -> Subject,
) -> Operation {
    Operation {
        key,
        what,
        by,
        against,
        turns: Turns::Of(A_TURN),
        start,
    }
}

const fn page(key: &'static str, by: &'static str, start: fn() -> Subject) -> Operation {
    Operation {
        turns: Turns::Of(1),
        ..row(key, PAGE, by, "ours-page", start)
    }
}

type Record = Arc<dyn Fn(f64) + Send + Sync>;

fn edges() -> impl Iterator<Item = f64> {
    (0..15_u32).map(f64::from)
}

fn installed(builder: Builder) -> Telemetry {
    ours::installed(builder.histogram_edges("basket.value", edges()))
}

fn by_ours() -> Record {
    // As long as the process.
    Box::leak(Box::new(installed(Telemetry::builder("orders"))));
    let histogram = metrics::histogram!("basket.value");
    Arc::new(move |value| histogram.record(value))
}

fn by_client() -> Record {
    let histogram = Histogram::new(edges());
    Arc::new(move |value| histogram.observe(value))
}

fn by_otel() -> Record {
    let reader = PeriodicReader::builder(Sink::default()).build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    let meter = meters.meter("orders");
    let histogram = meter.f64_histogram("basket.value");
    let histogram = histogram.with_boundaries(edges().collect()).build();
    let histogram = histogram.bind(&[KeyValue::new("city", "Graz")]);
    Arc::new(move |value| {
        let _kept = &meters;
        histogram.record(value);
    })
}

fn exporter() -> PrometheusHandle {
    let edges: Vec<f64> = edges().collect();
    let builder = PrometheusBuilder::new().set_buckets(&edges);
    let installed = builder.and_then(PrometheusBuilder::install_recorder);
    installed.unwrap_or_else(|error| panic!("{error}"))
}

fn by_exporter(threads: u32) -> Subject {
    let page = exporter();
    let histogram = metrics::histogram!("basket.value");
    Subject {
        // It puts off what a histogram is for.
        settle: Box::new(move || page.run_upkeep()),
        ..recorded(threads, Arc::new(move |value| histogram.record(value)))
    }
}

/// Shared out among so many threads, this one among them.
fn recorded(threads: u32, record: Record) -> Subject {
    fn all(record: &Record, times: u32) {
        (0..times).for_each(|time| record(f64::from(time % 16)));
    }
    let others: Vec<_> = (1..threads)
        .map(|_| {
            let record = Arc::clone(&record);
            let ((begin, begun), (end, ended)) = (mpsc::channel(), mpsc::channel());
            thread::spawn(move || {
                for times in begun {
                    all(&record, times);
                    let _ = end.send(());
                }
            });
            (begin, ended)
        })
        .collect();
    Subject {
        threads,
        run: Box::new(move |times| {
            let share = times / threads;
            for (begin, _) in &others {
                let _ = begin.send(share);
            }
            all(&record, share);
            for (_, ended) in &others {
                let _ = ended.recv();
            }
        }),
        settle: Box::new(|| {}),
        delivered: Box::new(Delivered::default),
    }
}

fn by_itself(operation: impl Fn() + 'static) -> Subject {
    Subject {
        threads: 1,
        run: Box::new(move |times| (0..times).for_each(|_| operation())),
        settle: Box::new(|| {}),
        delivered: Box::new(Delivered::default),
    }
}

fn counted_by_ours() -> Subject {
    let telemetry = installed(Telemetry::builder("orders"));
    by_itself(move || {
        let _kept = &telemetry;
        count();
    })
}

fn counted_by_exporter() -> Subject {
    let page = exporter();
    by_itself(move || {
        let _kept = &page;
        count();
    })
}

fn count() {
    metrics::counter!("orders.placed", "payment" => "card", "city" => "Graz", "kind" => "new")
        .increment(1);
}

fn counted_by_client() -> Subject {
    let orders = Family::<[(&str, &str); 3], Counter>::default();
    by_itself(move || {
        orders.get_or_create(&LABELS).inc();
    })
}

/// A value in each bucket of each series.
fn fill(record: impl Fn(String, f64)) {
    for restaurant in 0..SERIES {
        for value in 0..=15_u32 {
            record(restaurant.to_string(), f64::from(value) - 0.5);
        }
    }
}

fn fill_by_macro() {
    fill(|restaurant, value| {
        metrics::histogram!("basket.value", "restaurant" => restaurant).record(value);
    });
}

/// Asked of the route, as Prometheus does.
fn page_of_ours() -> Subject {
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
    let telemetry = installed(Telemetry::builder("orders").clock(hands.clock()));
    fill_by_macro();
    let app: Router = Router::new().route("/metrics", telemetry.metrics_route());
    let (app, runtime): (Router, _) = (app.with_state(()), orders::runtime());
    by_itself(move || {
        // One page is for all who ask within 100 ms.
        hands.advance(Duration::from_secs(1));
        runtime.block_on(async {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = http::Uri::from_static("/metrics");
            let Ok(response) = app.clone().oneshot(request).await;
            let body = response.into_body().collect().await;
            let page = body.map(|body| body.to_bytes()).unwrap_or_default();
            assert!(page.len() > 500_000, "{} bytes", page.len());
        });
    })
}

fn page_of_exporter() -> Subject {
    let page = exporter();
    fill_by_macro();
    by_itself(move || {
        black_box(page.render());
    })
}

fn page_of_client() -> Subject {
    let baskets =
        Family::<[(&str, String); 1], Histogram>::new_with_constructor(|| Histogram::new(edges()));
    fill(|restaurant, value| {
        let basket = baskets.get_or_create(&[("restaurant", restaurant)]);
        basket.observe(value);
    });
    let mut registry = Registry::default();
    registry.register("basket_value", "The worth of a basket", baskets);
    by_itself(move || {
        let mut page = String::new();
        encode(&mut page, &registry).unwrap_or_else(|error| panic!("{error}"));
        black_box(page);
    })
}
