//! Whatever is recorded is what the official parsers read, in both formats.

use std::collections::{BTreeMap, BTreeSet};

use metrics::{Key, Label, Level, Metadata, Recorder};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{BOTH, Subject};
use crate::exposition::{Family, Format, Parser};

const CASES: u32 = 256;
const METADATA: Metadata<'static> = Metadata::new("it", Level::INFO, None);

/// One instrument, one series of it, and what is recorded into it.
#[derive(Clone, Debug)]
struct Recorded {
    name: String,
    labels: Vec<(String, String)>,
    value: Value,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Counter(u64),
    Gauge(f64),
    Histogram(f64),
}

impl Recorded {
    fn record(&self, recorder: &impl Recorder) {
        let labels: Vec<_> = self
            .labels
            .iter()
            .map(|(name, value)| Label::new(name.clone(), value.clone()))
            .collect();
        let key = Key::from_parts(self.name.clone(), labels);
        match self.value {
            Value::Counter(by) => recorder.register_counter(&key, &METADATA).increment(by),
            Value::Gauge(to) => recorder.register_gauge(&key, &METADATA).set(to),
            Value::Histogram(value) => {
                recorder.register_histogram(&key, &METADATA).record(value);
            }
        }
    }

    /// The family's name: without the `_total` that a counter's samples have.
    fn family(&self) -> &str {
        match self.value {
            Value::Counter(_) => self.name.strip_suffix("_total").unwrap_or(&self.name),
            _ => &self.name,
        }
    }

    /// An empty value is no label; of a name given twice the last value counts.
    fn expected_labels(&self) -> BTreeMap<String, String> {
        let mut labels: BTreeMap<_, _> = self.labels.iter().cloned().collect();
        labels.retain(|_, value| !value.is_empty());
        labels
    }

    fn is_in(&self, family: &Family) -> Result<(), TestCaseError> {
        let (name, labels) = (self.family(), self.expected_labels());
        let sample = |suffix: &str| {
            let full = format!("{name}{suffix}");
            let found = family
                .named(&full)
                .find(|sample| sample.labels == labels)
                .map(|sample| sample.value);
            found.ok_or_else(|| TestCaseError::fail(format!("no {full}{labels:?} in {family:#?}")))
        };
        let (kind, read) = match self.value {
            Value::Counter(by) => ("counter", sample("_total")? == by as f64),
            Value::Gauge(to) => ("gauge", sample("")? == to),
            Value::Histogram(value) => {
                let read = sample("_count")? == 1.0 && sample("_sum")? == value;
                ("histogram", read)
            }
        };
        prop_assert_eq!(&family.kind, kind);
        prop_assert!(read, "{:?} is not in {:#?}", self, family);
        Ok(())
    }
}

/// Names that Prometheus accepts as they are.
fn metric_name() -> impl Strategy<Value = String> {
    "[a-zA-Z_:][a-zA-Z0-9_:]{4,24}"
}

fn label_name() -> impl Strategy<Value = String> {
    "[a-zA-Z_][a-zA-Z0-9_]{0,15}".prop_filter("reserved by Prometheus", |name| {
        !name.starts_with("__") && name != "le"
    })
}

/// Any text, with what breaks parsers, terminals and logs in plenty.
fn label_value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "\"",
            "\\",
            "\n",
            "\r",
            "\r\n",
            "\0",
            "\t",
            " ",
            "\u{1b}[31m",
            "\u{202e}",
            "\u{2066}",
            "\u{2028}",
            "\u{2029}",
            "\u{85}",
            "\u{feff}",
            "\u{10ffff}",
            "{",
            "}",
            ",",
            "=",
            "#",
            " # ",
            "\\n",
            "\\\\",
            "le=\"1\"",
            "# EOF",
            "é",
            "🍮",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let finite = any::<f64>().prop_filter("finite", |value| value.is_finite());
    prop_oneof![
        any::<u64>().prop_map(Value::Counter),
        finite.prop_map(Value::Gauge),
        // OpenMetrics knows no sum that shrinks.
        (0.0..f64::MAX).prop_map(Value::Histogram),
    ]
}

fn recorded(
    name: impl Strategy<Value = String>,
    label_name: impl Strategy<Value = String>,
) -> impl Strategy<Value = Recorded> {
    let labels = prop::collection::vec((label_name, label_value()), 0..5);
    (name, labels, value()).prop_map(|(name, labels, value)| Recorded {
        name,
        labels,
        value,
    })
}

fn check<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    if let Err(failure) = TestRunner::new(config).run(strategy, test) {
        panic!("{failure}");
    }
}

fn names_and_values_survive_in(format: Format) {
    let parser = std::cell::RefCell::new(Parser::start());
    let some = prop::collection::vec(recorded(metric_name(), label_name()), 1..4);
    check(&some, |recorded| {
        let families: BTreeSet<_> = recorded.iter().map(Recorded::family).collect();
        prop_assume!(families.len() == recorded.len());
        let subject = Subject::new();
        let recorder = subject.telemetry.recorder();
        recorded.iter().for_each(|each| each.record(&recorder));
        let page = subject
            .parsed(&mut parser.borrow_mut(), format)
            .map_err(TestCaseError::fail)?;
        for each in &recorded {
            let family = page.get(each.family());
            let family = family.ok_or_else(|| {
                TestCaseError::fail(format!("no family {} of {each:?}", each.family()))
            })?;
            each.is_in(family)?;
        }
        Ok(())
    });
}

#[test]
fn names_and_values_survive_in_text() {
    names_and_values_survive_in(Format::Text);
}

#[test]
fn names_and_values_survive_in_openmetrics() {
    names_and_values_survive_in(Format::OpenMetrics);
}

#[test]
fn no_name_whatever_makes_the_page_unreadable() {
    let parser = std::cell::RefCell::new(Parser::start());
    let any_name = || {
        prop_oneof![
            label_value(),
            // Names that begin and end alike, as those of one subject do.
            "(a|b)[._](total|created|count|sum|bucket|info|seconds|)(_total|_created|_|)",
        ]
    };
    let many = prop::collection::vec(recorded(any_name(), label_value()), 1..6);
    check(&many, |recorded| {
        let subject = Subject::new();
        let recorder = subject.telemetry.recorder();
        recorded.iter().for_each(|each| each.record(&recorder));
        for format in BOTH {
            let page = subject.parsed(&mut parser.borrow_mut(), format);
            page.map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
}
