mod parts;

use super::*;
use crate::{
    clock::ManualClock,
    ids::{SpanContext, SpanId, TraceId},
    metrics::{Descriptor, Limits, Unit},
    snapshot::Snapshot,
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{
        Exemplar, Gauge, Histogram as HistogramMessage, HistogramDataPoint, Metric, Sum, exemplar,
        metric::Data, number_data_point,
    },
};
use prost::Message;
use std::{collections::BTreeMap, time::SystemTime};

const PLACED: Descriptor = Descriptor::counter("orders.placed", Unit::things("{order}"), "Placed.");
const OPEN: Descriptor = Descriptor::up_down_counter("orders.open", Unit::things("{order}"), "");
const CPU: Descriptor = Descriptor::counter("cpu.time", Unit::SECONDS, "");
const SHARE: Descriptor = Descriptor::gauge("share", Unit::RATIO, "");
const WAIT: Descriptor =
    Descriptor::histogram("wait", Unit::SECONDS, "Waited.").with_edges(&[0.1, 1.0]);

struct Setting {
    registry: &'static Registry,
    hands: ManualClock,
    start: Anchor,
}

impl Setting {
    fn new() -> Self {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
        let registry = Registry::new(Limits::default(), hands.clock());
        Self {
            registry: Box::leak(Box::new(registry)),
            start: hands.clock().anchor(),
            hands,
        }
    }

    fn push(&self, temporality: Temporality) -> MetricsPush {
        let mut resource = Resource::detected();
        resource.set("service.name", "orders");
        let clock = self.hands.clock();
        MetricsPush::new(self.registry, &resource, clock, &self.start, temporality)
    }

    /// The metrics of a first push.
    fn pushed(&self, temporality: Temporality) -> Vec<Metric> {
        decoded(&sole(&mut self.push(temporality)))
    }
}

/// A push, as long as its requests get there: their bodies.
fn said(
    push: &mut MetricsPush,
    most_bytes: usize,
    mut conclude: impl FnMut(&[u8]) -> Conclusion,
) -> Vec<Vec<u8>> {
    push.begin();
    let mut bodies = Vec::new();
    while let Some(body) = push.request(most_bytes) {
        let conclusion = conclude(&body);
        push.concluded(conclusion);
        bodies.push(body);
        if conclusion == Conclusion::NotDelivered {
            break;
        }
    }
    bodies
}

fn delivered(push: &mut MetricsPush, most_bytes: usize) -> Vec<Vec<u8>> {
    said(push, most_bytes, |_| Conclusion::Delivered)
}

/// The body of a push that is one request.
fn sole(push: &mut MetricsPush) -> Vec<u8> {
    let mut bodies = delivered(push, usize::MAX);
    assert_eq!(bodies.len(), 1);
    bodies.remove(0)
}

fn decoded(body: &[u8]) -> Vec<Metric> {
    let mut request = ExportMetricsServiceRequest::decode(body).unwrap();
    let resource = request.resource_metrics.remove(0);
    let scopes = resource.scope_metrics.into_iter();
    scopes.flat_map(|scope| scope.metrics).collect()
}

fn named<'a>(metrics: &'a [Metric], name: &str) -> Option<&'a Metric> {
    metrics.iter().find(|metric| metric.name == name)
}

fn text(attribute: &KeyValue) -> (String, String) {
    let value = attribute.value.clone().and_then(|value| value.value);
    let text = match value.unwrap() {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(integer) => integer.to_string(),
        other => panic!("{other:?}"),
    };
    (attribute.key.clone(), text)
}

fn number(value: Option<number_data_point::Value>) -> f64 {
    match value.unwrap() {
        number_data_point::Value::AsInt(integer) => integer as f64,
        number_data_point::Value::AsDouble(float) => float,
    }
}

type Totals = BTreeMap<(String, Vec<(String, String)>), (Vec<u64>, f64)>;

/// Every series with its buckets and its sum; a number is a sum.
fn totals(metrics: &[Metric]) -> Totals {
    let mut totals = Totals::new();
    for metric in metrics {
        let mut put = |attributes: &[KeyValue], buckets: &[u64], sum: f64| {
            let key = (
                metric.name.clone(),
                attributes.iter().map(text).collect::<Vec<_>>(),
            );
            totals.insert(key, (buckets.to_vec(), sum));
        };
        match metric.data.as_ref().unwrap() {
            Data::Gauge(Gauge { data_points }) | Data::Sum(Sum { data_points, .. }) => {
                for point in data_points {
                    put(&point.attributes, &[], number(point.value));
                }
            }
            Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    assert_eq!(point.count, point.bucket_counts.iter().sum::<u64>());
                    put(&point.attributes, &point.bucket_counts, point.sum.unwrap());
                }
            }
            other => panic!("{other:?}"),
        }
    }
    totals
}

fn totals_of_the_snapshot(snapshot: &Snapshot) -> Totals {
    let mut totals = Totals::new();
    for metric in snapshot.metrics() {
        for series in metric.series() {
            let attributes = series.attributes();
            let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let value = match series.distribution() {
                Some(distribution) => (
                    distribution.buckets().map(|(_, count)| count).collect(),
                    distribution.sum(),
                ),
                None => (Vec::new(), series.number().unwrap()),
            };
            totals.insert((metric.name().to_owned(), attributes.collect()), value);
        }
    }
    totals
}

fn record_some_of_everything(registry: &Registry) {
    let placed = registry.counter(&PLACED);
    placed.with(&[]).add(3);
    placed
        .with(&[
            ("city", "Bari"),
            ("http.response.status_code", "201"),
            ("server.port", "ask"),
        ])
        .add(5);
    registry.up_down_counter(&OPEN).with(&[]).add(-2);
    registry.observed_counter(&CPU).with(&[]).set(1.5);
    registry.gauge(&SHARE).with(&[]).set(0.25);
    let wait = registry.histogram(&WAIT);
    for millis in [50, 100, 101, 5_000] {
        let duration = Duration::from_millis(millis);
        wait.with(&[("city", "Bari")])
            .record_duration(duration, None);
    }
    wait.with(&[]);
}

#[test]
fn a_cumulative_push_says_what_the_snapshot_says() {
    let setting = Setting::new();
    record_some_of_everything(setting.registry);
    let metrics = setting.pushed(Temporality::Cumulative);
    let expected = totals_of_the_snapshot(&Snapshot::of(setting.registry));
    assert_eq!(totals(&metrics), expected);
    assert_eq!(expected.len(), 7);
}

#[test]
fn names_units_and_kinds_are_the_declared_ones() {
    let setting = Setting::new();
    record_some_of_everything(setting.registry);
    let metrics = setting.pushed(Temporality::Cumulative);
    let placed = named(&metrics, "orders.placed").unwrap();
    assert_eq!(
        (&*placed.unit, &*placed.description),
        ("{order}", "Placed.")
    );
    let sum = |name| match named(&metrics, name).unwrap().data.clone() {
        Some(Data::Sum(sum)) => sum,
        other => panic!("{other:?}"),
    };
    for (name, is_monotonic) in [
        ("orders.placed", true),
        ("cpu.time", true),
        ("orders.open", false),
    ] {
        assert_eq!(sum(name).is_monotonic, is_monotonic, "{name}");
        assert_eq!(sum(name).aggregation_temporality, 2, "{name}");
    }
    let status = sum("orders.placed").data_points[1].attributes[1].clone();
    assert_eq!(
        status.value.unwrap().value,
        Some(any_value::Value::IntValue(201))
    );
    assert_eq!(
        sum("cpu.time").data_points[0].value,
        Some(number_data_point::Value::AsDouble(1.5))
    );
    assert!(matches!(
        named(&metrics, "share").unwrap().data,
        Some(Data::Gauge(_))
    ));
    assert_eq!(named(&metrics, "wait").unwrap().unit, "s");
}

#[test]
fn a_histograms_point_is_whole() {
    let setting = Setting::new();
    let wait = setting.registry.histogram(&WAIT);
    wait.with(&[("http.response.status_code", "200")])
        .record_duration(Duration::from_millis(500), Some(trace(7)));
    let below_zero = Descriptor::histogram("drift", Unit::NONE, "").with_edges(&[-1.0]);
    setting.registry.histogram(&below_zero).with(&[]);
    setting.hands.advance(Duration::from_secs(60));
    let metrics = setting.pushed(Temporality::Delta);
    let second = |second: u64| second * 1_000_000_000;
    let status = KeyValue {
        key: "http.response.status_code".to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::IntValue(200)),
        }),
        ..KeyValue::default()
    };
    let exemplar = Exemplar {
        time_unix_nano: second(1_000),
        span_id: trace(7).span_id.to_bytes().into(),
        trace_id: trace(7).trace_id.to_bytes().into(),
        value: Some(exemplar::Value::AsDouble(0.5)),
        ..Exemplar::default()
    };
    let point = HistogramDataPoint {
        attributes: vec![status],
        start_time_unix_nano: second(1_000),
        time_unix_nano: second(1_060),
        count: 1,
        sum: Some(0.5),
        bucket_counts: vec![0, 1, 0],
        explicit_bounds: vec![0.1, 1.0],
        exemplars: vec![exemplar],
        ..HistogramDataPoint::default()
    };
    let expected = Metric {
        name: "wait".to_owned(),
        description: "Waited.".to_owned(),
        unit: "s".to_owned(),
        data: Some(Data::Histogram(HistogramMessage {
            data_points: vec![point],
            aggregation_temporality: 1,
        })),
        ..Metric::default()
    };
    assert_eq!(metrics, [expected]);

    let metrics = setting.pushed(Temporality::Cumulative);
    match &named(&metrics, "drift").unwrap().data {
        Some(Data::Histogram(drift)) => {
            assert_eq!(drift.data_points[0].sum, None, "values may be negative");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_preference_says_which_instruments_have_deltas() {
    let deltas = |temporality| {
        let setting = Setting::new();
        record_some_of_everything(setting.registry);
        let metrics = setting.pushed(temporality);
        let is_delta = |metric: &Metric| match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => sum.aggregation_temporality == 1,
            Data::Histogram(histogram) => histogram.aggregation_temporality == 1,
            _ => false,
        };
        let deltas = metrics.into_iter().filter(is_delta);
        deltas.map(|metric| metric.name).collect::<Vec<_>>()
    };
    assert!(deltas(Temporality::Cumulative).is_empty());
    assert_eq!(
        deltas(Temporality::Delta),
        ["cpu.time", "orders.placed", "wait"]
    );
    assert_eq!(deltas(Temporality::LowMemory), ["orders.placed", "wait"]);
}

#[test]
fn a_delta_that_was_not_delivered_comes_again_and_the_next_begins_where_it_ended() {
    let setting = Setting::new();
    let placed = setting.registry.counter(&PLACED).with(&[]);
    let mut push = setting.push(Temporality::Delta);
    let point = |body: &[u8]| match named(&decoded(body), "orders.placed")?.data.clone() {
        Some(Data::Sum(sum)) => {
            let point = &sum.data_points[0];
            let seconds = |nanos: u64| nanos / 1_000_000_000;
            let times = (point.start_time_unix_nano, point.time_unix_nano);
            Some((number(point.value), seconds(times.0), seconds(times.1)))
        }
        other => panic!("{other:?}"),
    };
    placed.add(1);
    setting.hands.advance(Duration::from_secs(10));
    let first = said(&mut push, usize::MAX, |_| Conclusion::NotDelivered);
    assert_eq!(point(&first[0]), Some((1.0, 1_000, 1_010)));
    placed.add(2);
    setting.hands.advance(Duration::from_secs(10));
    assert_eq!(delivered(&mut push, usize::MAX), first);
    let next = said(&mut push, usize::MAX, |_| Conclusion::Ambiguous);
    assert_eq!(point(&next[0]), Some((2.0, 1_010, 1_020)));
    assert!(delivered(&mut push, usize::MAX).is_empty(), "nothing came");
}

#[test]
fn a_clock_set_back_makes_no_interval_that_ends_before_it_begins() {
    let setting = Setting::new();
    setting.registry.up_down_counter(&OPEN).with(&[]).add(1);
    setting.hands.set_wall(SystemTime::UNIX_EPOCH);
    let metrics = setting.pushed(Temporality::Delta);
    match &metrics[0].data {
        Some(Data::Sum(sum)) => {
            let point = &sum.data_points[0];
            assert!(point.time_unix_nano >= point.start_time_unix_nano);
        }
        other => panic!("{other:?}"),
    }
}

fn trace(id: u64) -> SpanContext {
    SpanContext {
        trace_id: TraceId::new(id.into()).unwrap(),
        span_id: SpanId::new(id).unwrap(),
        is_sampled: true,
    }
}

fn exemplar_of(metrics: &[Metric]) -> Option<f64> {
    match &named(metrics, "wait").unwrap().data {
        Some(Data::Histogram(histogram)) => {
            let exemplar = histogram.data_points[0].exemplars.first()?;
            assert_eq!(exemplar.trace_id.len(), 16);
            match exemplar.value? {
                exemplar::Value::AsDouble(value) => Some(value),
                other @ exemplar::Value::AsInt(_) => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_push_takes_no_exemplar_from_a_scraper_and_renews_them_where_there_is_none() {
    let setting = Setting::new();
    let wait = setting.registry.histogram(&WAIT).with(&[]);
    let mut push = setting.push(Temporality::Cumulative);
    let mut seen = |record: u64, scraped: bool| {
        wait.record_duration(Duration::from_secs(record), Some(trace(record)));
        setting.hands.advance(Duration::from_secs(60));
        if scraped {
            setting.registry.renew_exemplars();
        }
        exemplar_of(&decoded(&sole(&mut push)))
    };
    assert_eq!(seen(9, true), Some(9.0));
    assert_eq!(seen(3, true), Some(3.0), "the scraper had the other");
    assert_eq!(seen(2, false), Some(2.0));
    assert_eq!(seen(1, false), Some(2.0), "the slowest since the scrape");
    assert_eq!(seen(1, false), Some(1.0), "no scraper came");
}

#[test]
fn a_sum_s_point_carries_the_exemplar_of_its_window() {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let setting = Setting::new();
        let placed = setting.registry.counter(&PLACED).with(&[]);
        placed.add_of(2, Some(trace(7)));
        setting.hands.advance(Duration::from_secs(60));
        let metrics = setting.pushed(temporality);
        let Some(Data::Sum(sum)) = &named(&metrics, "orders.placed").unwrap().data else {
            panic!("{metrics:?}");
        };
        let point = &sum.data_points[0];
        assert_eq!(point.value, Some(number_data_point::Value::AsInt(2)));
        let expected = Exemplar {
            time_unix_nano: 1_000_000_000_000,
            span_id: trace(7).span_id.to_bytes().into(),
            trace_id: trace(7).trace_id.to_bytes().into(),
            value: Some(exemplar::Value::AsDouble(2.0)),
            ..Exemplar::default()
        };
        assert_eq!(point.exemplars, [expected], "{temporality:?}");
    }
}

#[test]
fn deltas_add_up_while_other_threads_record() {
    const TIMES: u64 = 20_000;
    let setting = Setting::new();
    let placed = setting.registry.counter(&PLACED).with(&[]);
    let wait = setting.registry.histogram(&WAIT).with(&[]);
    let mut push = setting.push(Temporality::Delta);
    let (mut count, mut buckets, mut sum) = (0.0, 0, 0.0);
    let mut tell = || {
        let bodies = delivered(&mut push, usize::MAX);
        for ((name, _), (in_buckets, more)) in bodies.iter().flat_map(|body| totals(&decoded(body)))
        {
            match &*name {
                "wait" => {
                    buckets += in_buckets.iter().sum::<u64>();
                    sum += more;
                }
                _ => count += more,
            }
        }
    };
    std::thread::scope(|scope| {
        let recorders = [0, 1].map(|_| {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    placed.add(1);
                    wait.record_duration(Duration::from_millis(500), None);
                }
            })
        });
        while !recorders.iter().all(|recorder| recorder.is_finished()) {
            tell();
        }
    });
    tell();
    assert_eq!((count, buckets), (2.0 * TIMES as f64, 2 * TIMES));
    assert!((sum - TIMES as f64).abs() < 1e-6, "{sum}");
}

/// `cargo test --release --lib export::otlp -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn price_of_a_thousand_histograms() {
    const REQUESTS: Descriptor =
        Descriptor::histogram("requests", Unit::SECONDS, "").with_edges(&[
            0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
        ]);
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let setting = Setting::new();
        let requests = setting.registry.histogram(&REQUESTS);
        let series: Vec<_> = (0..1_000)
            .map(|route| {
                requests.with(&[
                    ("http.request.method", "GET"),
                    ("http.response.status_code", "200"),
                    ("http.route", &format!("/orders/{{id}}/items/{route}")),
                    ("network.protocol.version", "1.1"),
                    ("url.scheme", "http"),
                ])
            })
            .collect();
        let mut push = setting.push(temporality);
        let clock = Clock::system();
        let (mut least, mut all) = (Duration::MAX, Duration::ZERO);
        for round in 0..200 {
            for series in &series {
                series.record_duration(Duration::from_millis(round), None);
            }
            let before = clock.now();
            push.begin();
            let body = push.request(usize::MAX).unwrap();
            let took = clock.now() - before;
            (least, all) = (least.min(took), all + took);
            push.concluded(Conclusion::Delivered);
            assert!(body.len() > 1_000 * 15 * 8);
        }
        eprintln!(
            "1,000 histograms of 15 buckets, {temporality:?}: mean {:?}, least {least:?}",
            all / 200
        );
    }
}
