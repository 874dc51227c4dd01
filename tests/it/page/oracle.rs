//! The same operations through the usual Prometheus recorder and through ours: its counters and
//! gauges, read by the official parser, are ours.

use std::collections::BTreeMap;

use metrics::{counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::Subject;
use crate::exposition::{Family, Format, Parser};

#[derive(Clone, Debug)]
enum Operation {
    Increment(u64),
    Absolute(u64),
    Set(f64),
    Add(f64),
    Subtract(f64),
}

/// Few names and label values, so that operations meet.
fn operations() -> impl Strategy<Value = Vec<(usize, String, Operation)>> {
    let operation = prop_oneof![
        (0..1_000_000_u64).prop_map(Operation::Increment),
        (0..1_000_000_u64).prop_map(Operation::Absolute),
        (-1e9..1e9).prop_map(Operation::Set),
        (-1e9..1e9).prop_map(Operation::Add),
        (-1e9..1e9).prop_map(Operation::Subtract),
    ];
    let value = prop::sample::select(vec![
        "x",
        "y \"quoted\"",
        "back\\slash",
        "new\nline",
        "é🍮\r",
    ]);
    prop::collection::vec(
        (0..2_usize, value.prop_map(str::to_owned), operation),
        1..40,
    )
}

fn record(operations: &[(usize, String, Operation)]) {
    for (name, city, operation) in operations {
        let city = city.clone();
        let counter =
            |city: String| counter!(["orders_placed", "baskets.opened"][*name], "city" => city);
        let gauge = |city: String| gauge!(["couriers", "kitchen.load"][*name], "city" => city, "unit" => "1");
        match operation {
            Operation::Increment(by) => counter(city).increment(*by),
            Operation::Absolute(to) => counter(city).absolute(*to),
            Operation::Set(to) => gauge(city).set(*to),
            Operation::Add(by) => gauge(city).increment(*by),
            Operation::Subtract(by) => gauge(city).decrement(*by),
        }
    }
}

/// Kind and values by series; other families left out.
type Read = BTreeMap<String, (String, BTreeMap<BTreeMap<String, String>, f64>)>;

fn read(families: impl IntoIterator<Item = Family>) -> Read {
    let ours = [
        "orders_placed",
        "baskets_opened",
        "couriers",
        "kitchen_load",
    ];
    families
        .into_iter()
        .filter(|family| ours.contains(&family.name.as_str()))
        .map(|family| {
            let samples = family.samples.into_iter();
            let values = samples
                .map(|sample| (sample.labels, sample.value))
                .collect();
            (family.name, (family.kind, values))
        })
        .collect()
}

#[test]
fn counters_and_gauges_are_those_of_the_usual_recorder() {
    let parser = std::cell::RefCell::new(Parser::start());
    let config = Config {
        cases: 256,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&operations(), |operations| {
        let theirs = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&theirs, || record(&operations));
        let subject = Subject::new();
        subject.record(|| record(&operations));

        let mut parser = parser.borrow_mut();
        let theirs = parser.parse(Format::Text, &theirs.handle().render());
        let theirs = read(theirs.map_err(TestCaseError::fail)?);
        prop_assert!(!theirs.is_empty());
        for format in super::BOTH {
            let ours = subject.parsed(&mut parser, format);
            let ours = read(ours.map_err(TestCaseError::fail)?.into_values());
            prop_assert_eq!(&ours, &theirs, "{:?}", format);
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}
