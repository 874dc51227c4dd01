//! What every receiver has to have of the shop's telemetry, name by name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::received::{Attributes, Received, Record, Sums};
use super::service::Report;
pub(super) use metrics::METRICS;
use metrics::assert_metrics;

mod metrics;

pub(super) const REQUESTS: u64 = 9;
pub(super) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const SHOP: &str = "tests/it/otlp/shop.rs";

/// Name, how many, kind (1 internal, 2 server), status.
pub(super) const SPANS: [(&str, usize, u64, u64); 10] = [
    ("GET /menus/{restaurant}", 3, 2, 0),
    ("load_menu", 3, 1, 0),
    ("POST /orders", 1, 2, 0),
    ("tell_the_courier", 1, 1, 0),
    ("find a courier", 1, 1, 0),
    ("GET", 1, 2, 0),
    ("GET /couriers", 1, 2, 2),
    ("GET /oven", 1, 2, 2),
    ("GET /slow", 1, 2, 2),
    // That a client leaves is no failure of the server.
    ("GET /track", 1, 2, 0),
];

/// The layer's own line.
const TIMED_OUT: &str = "a handler ran out of time";

/// Text, how many, severity.
pub(crate) const LINES: [(&str, usize, u64, &str); 9] = [
    ("the basket is weighed", 1, 1, "TRACE"),
    ("the basket is priced", 1, 5, "DEBUG"),
    ("ordered", 1, 9, "INFO"),
    ("the menu is loaded", 3, 9, "INFO"),
    ("the courier is told", 1, 9, "INFO"),
    ("the kitchen is busy", 1, 13, "WARN"),
    (TIMED_OUT, 1, 13, "WARN"),
    ("the receipt is not printed", 1, 17, "ERROR"),
    ("captured twice", 1, 21, "CRITICAL"),
];

/// Every signal, of one destination.
#[track_caller]
pub(crate) fn assert_all_arrived(received: &Received, report: &Report, sums: Sums) {
    report.assert_settled(&received.counted());
    assert_eq!(received.resources.len(), 1, "{:#?}", received.resources);
    assert_resource(&received.resources[0], report);
    assert_spans(received);
    assert_logs(received, report);
    assert_metrics(received, sums);
}

#[track_caller]
fn assert_resource(resource: &Attributes, report: &Report) {
    let as_text = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or(value.to_string(), str::to_owned);
        (name.clone(), value)
    };
    let read: BTreeMap<_, _> = resource.iter().map(as_text).collect();
    assert_eq!(read, report.resource);
    for (name, value) in [
        ("service.name", json!("orders")),
        ("service.version", json!("1.2.3")),
        ("service.namespace", json!("food_delivery")),
        ("deployment.environment.name", json!("test")),
        ("process.pid", json!(report.process)),
        ("telemetry.sdk.name", json!("orderscope")),
        ("telemetry.sdk.language", json!("rust")),
    ] {
        assert_eq!(resource.get(name), Some(&value), "{name}");
    }
    let instance = resource["service.instance.id"].as_str().unwrap();
    assert_eq!(instance.len(), 36, "{instance}");
}

#[track_caller]
fn assert_spans(received: &Received) {
    let spans = &received.spans;
    for (name, count, kind, status) in SPANS {
        let named = all(spans, "name", name);
        assert_eq!(named.len(), count, "{name}");
        for span in named {
            assert_eq!(span.number("kind"), kind, "{span:#?}");
            assert_eq!(span.status(), status, "{span:#?}");
            let times = ["startTimeUnixNano", "endTimeUnixNano"].map(|time| span.number(time));
            assert!(times[0] > 0 && times[0] <= times[1], "{span:#?}");
        }
    }
    assert_eq!(spans.len(), SPANS.iter().map(|span| span.1).sum::<usize>());

    let order = one(spans, "name", "POST /orders");
    assert_eq!(order.text("traceId"), TRACE);
    assert_eq!(order.text("parentSpanId"), CALLER);
    assert_attributes(
        order,
        &[
            ("http.request.method", json!("POST")),
            ("http.route", json!("/orders")),
            ("http.response.status_code", json!(201)),
            ("url.path", json!("/orders")),
            ("url.scheme", json!("http")),
            ("network.protocol.version", json!("1.1")),
        ],
    );
    for (name, scope) in [
        ("tell_the_courier", "orderscope"),
        ("find a courier", "couriers"),
    ] {
        let child = one(spans, "name", name);
        assert_eq!(child.text("traceId"), TRACE, "{name}");
        assert_eq!(child.text("parentSpanId"), order.text("spanId"), "{name}");
        assert_eq!(child.scope, scope);
    }
    let servers: BTreeSet<_> = all(spans, "name", "GET /menus/{restaurant}")
        .iter()
        .map(|span| (span.text("traceId"), span.text("spanId")))
        .collect();
    let parents: BTreeSet<_> = all(spans, "name", "load_menu")
        .iter()
        .map(|span| (span.text("traceId"), span.text("parentSpanId")))
        .collect();
    assert_eq!(parents, servers);
    let load = all(spans, "name", "load_menu")[0];
    assert_attributes(load, &[("dishes", json!(12))]);
    for (name, error) in [
        ("GET /couriers", "503"),
        ("GET /oven", "panic"),
        ("GET /slow", "timeout"),
        ("GET /track", "client_closed"),
    ] {
        let span = one(spans, "name", name);
        assert_attributes(span, &[("error.type", json!(error))]);
    }
}

#[track_caller]
fn assert_logs(received: &Received, report: &Report) {
    let logs = &received.logs;
    let order = one(&received.spans, "name", "POST /orders");
    for (body, count, severity, text) in LINES {
        let said: Vec<_> = logs.iter().filter(|log| log.body() == body).collect();
        assert_eq!(said.len(), count, "{body}");
        for log in said {
            assert_eq!(log.number("severityNumber"), severity, "{body}");
            assert_eq!(log.text("severityText"), text, "{body}");
            assert_eq!(log.text("eventName"), "", "{body}");
            assert_eq!(log.text("traceId").len(), 32, "{body}");
            assert!(log.number("timeUnixNano") > 0, "{body}");
        }
    }
    let line = |body: &str| logs.iter().find(|log| log.body() == body).unwrap();
    let of_the_order = [
        ("http.route", json!("/orders")),
        ("user.id", json!("u-1024")),
        ("session.id", json!("s-77")),
    ];
    let of_others = ["the menu is loaded", TIMED_OUT];
    for (body, ..) in LINES.iter().filter(|line| !of_others.contains(&line.0)) {
        let log = line(body);
        assert_eq!(log.text("traceId"), TRACE, "{body}");
        assert_eq!(log.number("flags"), 1, "{body}");
        assert_attributes(log, &of_the_order);
    }
    let menu = json!("/menus/{restaurant}");
    assert_attributes(
        line("the menu is loaded"),
        &[("http.route", menu), ("dishes", json!(12))],
    );
    assert_attributes(line(TIMED_OUT), &[("http.route", json!("/slow"))]);
    assert_eq!(line("ordered").text("spanId"), order.text("spanId"));
    let courier = one(&received.spans, "name", "tell_the_courier");
    let told = line("the courier is told");
    assert_eq!(told.text("spanId"), courier.text("spanId"));
    assert_attributes(
        line("ordered"),
        &[
            ("order_id", json!(1024)),
            ("total", json!(23.5)),
            ("express", json!(true)),
            ("target", json!("orders::checkout")),
        ],
    );
    assert_attributes(line("captured twice"), &[("order_id", json!(1024))]);
    assert_attributes(line("the kitchen is busy"), &[("city", json!("Graz"))]);

    let placed = one(logs, "eventName", "order_placed");
    assert_eq!(placed.number("severityNumber"), 9);
    assert_eq!(placed.text("traceId"), TRACE);
    assert_attributes(placed, &of_the_order);
    assert_attributes(
        placed,
        &[
            ("order_id", json!(1024)),
            ("value", json!(23.5)),
            ("currency", json!("EUR")),
        ],
    );
    let id = placed.attributes["orderscope.event.id"].as_str().unwrap();
    assert!(id.len() == 36 && id.as_bytes()[14] == b'7', "{id}");
    let viewed = all(logs, "eventName", "dish_viewed");
    assert_eq!(viewed.len(), 3);
    assert_attributes(
        viewed[0],
        &[
            ("dish_id", json!(7)),
            ("restaurant", json!("roma")),
            ("vegan", json!(true)),
        ],
    );
    assert_exceptions(logs, report);
    let lines: usize = LINES.iter().map(|line| line.1).sum();
    assert_eq!(logs.len(), lines + 1 + 3 + 2, "{logs:#?}");
}

#[track_caller]
fn assert_exceptions(logs: &[Record], report: &Report) {
    let exceptions = all(logs, "eventName", "exception");
    assert_eq!(exceptions.len(), 2);
    let of = |route: &str| {
        let mut of = exceptions.iter();
        *of.find(|event| event.attributes["http.route"] == route)
            .unwrap()
    };
    for (event, [message, name, function, method], line, is_handled) in [
        (
            of("/orders"),
            [
                "the card is declined: the bank does not answer",
                "it::otlp::shop::Declined",
                "it::otlp::shop::charge_card",
                "POST",
            ],
            report.captured_at,
            true,
        ),
        (
            of("/oven"),
            ["the oven burns", "panic", "it::otlp::shop::burn", "GET"],
            report.panicked_at,
            false,
        ),
    ] {
        assert_eq!(event.number("severityNumber"), 17);
        assert_eq!(event.text("severityText"), "ERROR");
        assert_eq!(event.body(), message);
        assert_attributes(
            event,
            &[
                ("exception.type", json!(name)),
                ("exception.message", json!(message)),
                ("orderscope.error.handled", json!(is_handled)),
                ("http.request.method", json!(method)),
                ("code.file.path", json!(SHOP)),
                ("code.line.number", json!(line)),
            ],
        );
        let named = event.attributes["code.function.name"].as_str().unwrap();
        assert!(named.starts_with(function), "{named}");
        let stack = event.attributes["exception.stacktrace"].as_str().unwrap();
        let mut lines = stack.lines();
        let innermost = lines.next().unwrap();
        assert!(innermost.contains(function), "{stack}");
        let place = lines.next().unwrap();
        assert!(place.contains(&format!("{SHOP}:{line}")), "{stack}");
    }
    assert_eq!(of("/orders").text("traceId"), TRACE);
    assert_attributes(of("/orders"), &[("user.id", json!("u-1024"))]);
}

#[track_caller]
fn assert_attributes(record: &Record, expected: &[(&str, Value)]) {
    for (name, value) in expected {
        assert_eq!(
            record.attributes.get(*name),
            Some(value),
            "{name}: {record:#?}"
        );
    }
}

/// Those whose field is that text.
fn all<'a>(records: &'a [Record], field: &str, is: &str) -> Vec<&'a Record> {
    let named = records.iter().filter(|record| record.text(field) == is);
    named.collect()
}

#[track_caller]
fn one<'a>(records: &'a [Record], field: &str, is: &str) -> &'a Record {
    let all = all(records, field, is);
    assert_eq!(all.len(), 1, "{field} = {is}");
    all[0]
}
