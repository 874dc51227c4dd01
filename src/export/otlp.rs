//! OTLP: records and metrics of this crate, written as protobuf directly. The types of
//! `opentelemetry-proto` are the oracle of the tests: built, they cost several times as much.

mod attributes;
mod logs;
mod metrics;
mod spans;
mod wire;

pub(crate) use metrics::MetricsPush;

use crate::{
    delivery::{Encode, Entry},
    records::{Record, Signal, Value},
    resource::Resource,
    semconv,
};

/// What stands before the bytes of one record, so that a batch can be cut between any two.
const OURS: u8 = 0;
const FOREIGN: u8 = 1;

/// The messages of the three signals are alike from the request down to the scope: the same fields
/// have the same numbers.
mod field {
    /// `Export…ServiceRequest`.
    pub(super) const RESOURCES: u8 = 1;
    /// `Resource…`.
    pub(super) const RESOURCE: u8 = 1;
    pub(super) const SCOPES: u8 = 2;
    /// `Scope…`.
    pub(super) const SCOPE: u8 = 1;
    pub(super) const RECORDS: u8 = 2;
    /// Of both.
    pub(super) const SCHEMA_URL: u8 = 3;
    /// `InstrumentationScope`.
    pub(super) const NAME: u8 = 1;
    pub(super) const VERSION: u8 = 2;
    /// `Resource`.
    pub(super) const ATTRIBUTES: u8 = 1;
}

/// Spells spans and log records as OTLP.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// The resource, as a field.
    resource: Vec<u8>,
    /// This crate's scope, as a field.
    scope: Vec<u8>,
    /// The version of the conventions, as a field.
    schema_url: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(resource: &Resource) -> Self {
        let mut attributes = Vec::new();
        for (name, value) in resource.iter() {
            let value = typed(name, value);
            attributes::attribute(&mut attributes, field::ATTRIBUTES, name, value);
        }
        let mut scope = Vec::new();
        wire::text(&mut scope, field::NAME, env!("CARGO_PKG_NAME"));
        wire::text(&mut scope, field::VERSION, env!("CARGO_PKG_VERSION"));
        Self {
            resource: framed(field::RESOURCE, &attributes),
            scope: framed(field::SCOPE, &scope),
            schema_url: framed(field::SCHEMA_URL, semconv::SCHEMA_URL.as_bytes()),
        }
    }
}

fn framed(field: u8, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(wire::field_length(message.len()));
    wire::bytes(&mut out, field, message);
    out
}

/// The value of an attribute that is kept as text: a number where the conventions want one.
fn typed<'a>(name: &str, value: &'a str) -> Value<'a> {
    let integer = match name {
        semconv::HTTP_RESPONSE_STATUS_CODE | semconv::SERVER_PORT | semconv::PROCESS_PID => {
            value.parse().ok()
        }
        _ => None,
    };
    integer.map_or(Value::Text(value), Value::Integer)
}

impl Encode for Encoder {
    fn record(&self, entry: Entry<'_>, out: &mut Vec<u8>) {
        let Entry {
            record,
            fields,
            anchor,
        } = entry;
        out.push(match record {
            Record::Foreign(_) => FOREIGN,
            _ => OURS,
        });
        match record {
            Record::Request(span) => spans::request(span, anchor, out),
            Record::Span(span) => spans::span(span, fields, anchor, out),
            Record::Log(log) | Record::Error(log, _) => logs::log(log, fields, anchor, out),
            Record::Foreign(message) => out.extend_from_slice(message),
        }
    }

    fn request(&self, _: Signal, records: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
        let records: Vec<Spelled<'_>> = records
            .filter_map(|record| record.split_first())
            .map(|(from, message)| Spelled {
                is_ours: *from == OURS,
                message,
            })
            .collect();
        // Those of ours that follow each other are one scope's.
        let runs = || records.chunk_by(|one, next| one.is_ours && next.is_ours);
        let scopes = runs().map(|run| wire::field_length(self.scope_length(run)));
        let length = self.resource.len() + scopes.sum::<usize>() + self.schema_url.len();
        let mut out = Vec::with_capacity(wire::field_length(length));
        wire::head(&mut out, field::RESOURCES, length);
        out.extend_from_slice(&self.resource);
        for run in runs() {
            wire::head(&mut out, field::SCOPES, self.scope_length(run));
            self.scope(run, &mut out);
        }
        out.extend_from_slice(&self.schema_url);
        out
    }
}

/// A record as [`Encode::record`] left it.
#[derive(Clone, Copy)]
struct Spelled<'a> {
    is_ours: bool,
    message: &'a [u8],
}

impl Encoder {
    /// The bytes of a request with records of ours, which take `records` bytes within it.
    fn request_length(&self, records: usize) -> usize {
        let scope = self.scope.len() + records + self.schema_url.len();
        let resource = self.resource.len() + wire::field_length(scope) + self.schema_url.len();
        wire::field_length(resource)
    }

    /// The bytes that [`scope`](Self::scope) writes.
    fn scope_length(&self, run: &[Spelled<'_>]) -> usize {
        let lengths = run.iter().map(|record| record.message.len());
        match run {
            [foreign] if !foreign.is_ours => foreign.message.len(),
            _ => {
                let records: usize = lengths.map(wire::field_length).sum();
                self.scope.len() + records + self.schema_url.len()
            }
        }
    }

    fn scope(&self, run: &[Spelled<'_>], out: &mut Vec<u8>) {
        if let [foreign] = run
            && !foreign.is_ours
        {
            out.extend_from_slice(foreign.message);
            return;
        }
        out.extend_from_slice(&self.scope);
        for record in run {
            wire::bytes(out, field::RECORDS, record.message);
        }
        out.extend_from_slice(&self.schema_url);
    }
}

#[cfg(test)]
mod oracle;
