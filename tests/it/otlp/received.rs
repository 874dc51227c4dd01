//! Requests of OTLP as their JSON form has them, whoever wrote it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// By name, typed as they were sent: an integer is no float of the same value.
pub(crate) type Attributes = BTreeMap<String, Value>;

/// A span or a log record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) attributes: Attributes,
    pub(crate) scope: String,
    message: Value,
}

/// One metric of one push.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    pub(crate) unit: String,
    pub(crate) kind: Kind,
    pub(crate) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    /// Cumulative, and what came since the last push.
    Counter(Sums),
    UpDownCounter(Sums),
    Histogram(Sums),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    Delta,
    Cumulative,
}

#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) attributes: Attributes,
    /// Of a histogram: how many values.
    pub(crate) number: f64,
    pub(crate) message: Value,
}

/// What a receiver has, in the order of its coming.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) resources: Vec<Attributes>,
    pub(crate) spans: Vec<Record>,
    pub(crate) logs: Vec<Record>,
    /// By name.
    pub(crate) pushes: Vec<BTreeMap<String, Metric>>,
}

impl Received {
    /// Requests in OTLP's JSON, each with the name of its signal.
    pub(crate) fn of<'a>(requests: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let mut received = Self::default();
        for (signal, request) in requests {
            match signal {
                "traces" => {
                    let spans = received.records(&request, "Spans", "spans");
                    received.spans.extend(spans);
                }
                "logs" => {
                    let logs = received.records(&request, "Logs", "logRecords");
                    received.logs.extend(logs);
                }
                _ => {
                    let metrics = received.records(&request, "Metrics", "metrics");
                    let named = metrics.into_iter().map(|metric| {
                        let name = text(&metric.message, "name").to_owned();
                        (name, Metric::read(&metric.message))
                    });
                    let push = named.collect();
                    received.pushes.push(push);
                }
            }
        }
        received
    }

    /// How many records of each signal, as the ledger counts them: of metrics, requests.
    pub(crate) fn counted(&self) -> [(&'static str, usize); 3] {
        [
            ("traces", self.spans.len()),
            ("logs", self.logs.len()),
            ("metrics", self.pushes.len()),
        ]
    }

    fn records(&mut self, request: &Value, what: &str, records: &str) -> Vec<Record> {
        let mut found = Vec::new();
        for resource in array(request, &format!("resource{what}")) {
            let attributes = attributes(&resource["resource"]);
            if !self.resources.contains(&attributes) {
                self.resources.push(attributes);
            }
            for scope in array(resource, &format!("scope{what}")) {
                found.extend(array(scope, records).map(|record| Record {
                    attributes: self::attributes(record),
                    scope: text(&scope["scope"], "name").to_owned(),
                    message: record.clone(),
                }));
            }
        }
        found
    }
}

impl Record {
    /// A field that is text, empty when it is absent; ids are hexadecimal.
    pub(crate) fn text(&self, field: &str) -> &str {
        text(&self.message, field)
    }

    /// A field that is a number, 0 when it is absent.
    pub(crate) fn number(&self, field: &str) -> u64 {
        number(&self.message[field])
    }

    /// A log record's body.
    pub(crate) fn body(&self) -> &str {
        text(&self.message["body"], "stringValue")
    }

    /// A span's status: 0, 1 (ok) or 2 (error).
    pub(crate) fn status(&self) -> u64 {
        number(&self.message["status"]["code"])
    }
}

impl Metric {
    fn read(message: &Value) -> Self {
        let sums = |data: &Value| match number(&data["aggregationTemporality"]) {
            1 => Sums::Delta,
            2 => Sums::Cumulative,
            _ => panic!("no temporality: {message}"),
        };
        let (kind, data) = if let Some(data) = message.get("sum") {
            let is_monotonic = data["isMonotonic"].as_bool().unwrap_or_default();
            match is_monotonic {
                true => (Kind::Counter(sums(data)), data),
                false => (Kind::UpDownCounter(sums(data)), data),
            }
        } else if let Some(data) = message.get("histogram") {
            (Kind::Histogram(sums(data)), data)
        } else {
            (Kind::Gauge, &message["gauge"])
        };
        let points = array(data, "dataPoints").map(|point| Point {
            attributes: attributes(point),
            number: match (point.get("asDouble"), point.get("asInt")) {
                (Some(float), _) => float.as_f64().unwrap(),
                (_, Some(integer)) => signed(integer) as f64,
                _ => number(&point["count"]) as f64,
            },
            message: point.clone(),
        });
        Self {
            unit: text(message, "unit").to_owned(),
            kind,
            points: points.collect(),
        }
    }
}

impl Point {
    /// A field that is a number, 0 when it is absent.
    pub(crate) fn integer(&self, field: &str) -> u64 {
        number(&self.message[field])
    }

    /// The numbers of a field that holds several.
    pub(crate) fn numbers(&self, field: &str) -> Vec<f64> {
        let values = array(&self.message, field);
        let read = |value: &Value| value.as_f64().unwrap_or_else(|| number(value) as f64);
        values.map(read).collect()
    }
}

fn array<'a>(of: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    of[field].as_array().into_iter().flatten()
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_default()
}

/// Integers of 64 bits are written as text.
fn number(value: &Value) -> u64 {
    match value {
        Value::String(digits) => digits.parse().unwrap(),
        value => value.as_u64().unwrap_or_default(),
    }
}

fn signed(value: &Value) -> i64 {
    match value {
        Value::String(digits) => digits.parse().unwrap(),
        value => value.as_i64().unwrap(),
    }
}

#[track_caller]
fn attributes(of: &Value) -> Attributes {
    let mut read = Attributes::new();
    for attribute in array(of, "attributes") {
        let name = text(attribute, "key").to_owned();
        let value = any_value(attribute["value"].as_object().unwrap());
        let before = read.insert(name, value);
        assert_eq!(before, None, "an attribute stands there twice: {attribute}");
    }
    read
}

fn any_value(value: &Map<String, Value>) -> Value {
    let (kind, value) = value.iter().next().expect("a value is of some kind");
    match kind.as_str() {
        "intValue" => json!(signed(value)),
        "doubleValue" => json!(value.as_f64().unwrap()),
        "stringValue" | "boolValue" => value.clone(),
        other => panic!("none of ours is a {other}: {value}"),
    }
}
