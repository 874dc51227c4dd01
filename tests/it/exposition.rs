//! What an independent parser reads in an exposition document: the official Python client's, for
//! both formats, in a process that serves many documents.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Deserializer};

use crate::programs;

mod parser_tests;

/// The two exposition formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `text/plain; version=0.0.4`
    Text,
    /// `application/openmetrics-text`
    OpenMetrics,
}

/// One metric family as the parser saw it. In both formats a counter's family is named without
/// its `_total`, while its samples have it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Family {
    pub(crate) name: String,
    /// `counter`, `gauge`, `histogram`, `info`, `unknown` (`untyped` is read as this) …
    pub(crate) kind: String,
    /// Empty where the document gives none, as the text format never does.
    pub(crate) unit: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

impl Family {
    /// The samples of that full name, such as `…_bucket`.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |sample| sample.name == name)
    }
}

/// One line of a family, its label values unescaped.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "number")]
    pub(crate) value: f64,
    /// Seconds.
    #[serde(deserialize_with = "perhaps_number")]
    pub(crate) timestamp: Option<f64>,
    pub(crate) exemplar: Option<Exemplar>,
}

/// The exemplar of a sample; only OpenMetrics has them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Exemplar {
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "number")]
    pub(crate) value: f64,
    /// Seconds.
    #[serde(deserialize_with = "perhaps_number")]
    pub(crate) timestamp: Option<f64>,
}

/// The official parsers, running. Ends with its value.
#[derive(Debug)]
pub(crate) struct Parser {
    process: Child,
    documents: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Parser {
    pub(crate) fn start() -> Self {
        let script = programs::repository().join("tests/it/exposition/parser.py");
        let mut process = Command::new(programs::python())
            .arg("-I")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the parser starts");
        let documents = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("its output is piped"));
        Self {
            process,
            documents,
            answers,
        }
    }

    /// The families of a document, or why the parser refuses it.
    pub(crate) fn parse(&mut self, format: Format, document: &str) -> Result<Vec<Family>, String> {
        let name = match format {
            Format::Text => "text",
            Format::OpenMetrics => "openmetrics",
        };
        let documents = self.documents.as_mut().expect("open until dropped");
        writeln!(documents, "{name} {}", document.len())
            .and_then(|()| documents.write_all(document.as_bytes()))
            .and_then(|()| documents.flush())
            .expect(
                "the parser reads documents; run `bash tests/run`, which installs its packages",
            );
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("the parser answers in UTF-8");
        match serde_json::from_str(&line).expect("the parser answers a line of JSON") {
            Answer::Families(families) => Ok(families),
            Answer::Refused { error } => Err(error),
        }
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        // The end of its input ends it; the kill is for one that hangs in a document.
        drop(self.documents.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Families(Vec<Family>),
    Refused { error: String },
}

fn number<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    let written = String::deserialize(source)?;
    written.parse().map_err(serde::de::Error::custom)
}

fn perhaps_number<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    let written = Option::<String>::deserialize(source)?;
    written
        .map(|written| written.parse())
        .transpose()
        .map_err(serde::de::Error::custom)
}
