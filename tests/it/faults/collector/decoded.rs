//! The ids of the records within a request.

use std::io::Read;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, metric::Data, number_data_point::Value as Number,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use orderscope::export::Signal;
use prost::Message;

/// A counter of the load.
pub(crate) const DISHES: &str = "dishes.ordered";

/// What a record is, each with numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// `track_event!("probe", id = n)`.
    Event,
    /// `tracing::info!(id = n)`.
    Line,
    /// `tracing::error!(id = n)`; an error or a panic whose message ends in the number.
    Error,
    /// A request whose trace id ends in the number.
    Span,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Event, Self::Line, Self::Error, Self::Span];

    pub(crate) fn signal(self) -> Signal {
        match self {
            Self::Event | Self::Line | Self::Error => Signal::Logs,
            Self::Span => Signal::Traces,
        }
    }
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    pub(crate) kind: Kind,
    pub(crate) number: u64,
}

/// What a request carries.
#[derive(Clone, Debug, Default)]
pub(super) struct Carried {
    /// Of those that have one.
    pub(super) ids: Vec<Id>,
    /// Spans, log records or data points, those without an id included.
    pub(super) records: u64,
    /// The sum of the counter [`DISHES`].
    pub(super) dishes: i64,
}

pub(super) fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    plain
}

pub(super) fn decoded(signal: Signal, body: &[u8]) -> Carried {
    match signal {
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let resources = request.resource_spans.into_iter();
            let scopes = resources.flat_map(|resource| resource.scope_spans);
            of_records(scopes.flat_map(|scope| scope.spans), of_span)
        }
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(body).unwrap();
            let resources = request.resource_logs.into_iter();
            let scopes = resources.flat_map(|resource| resource.scope_logs);
            of_records(scopes.flat_map(|scope| scope.log_records), of_log)
        }
        _ => {
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            let resources = request.resource_metrics.into_iter();
            let scopes = resources.flat_map(|resource| resource.scope_metrics);
            let metrics: Vec<_> = scopes.flat_map(|scope| scope.metrics).collect();
            Carried {
                ids: Vec::new(),
                records: metrics.len() as u64,
                dishes: metrics.iter().map(dishes).sum(),
            }
        }
    }
}

fn of_records<R>(records: impl Iterator<Item = R>, id: impl Fn(&R) -> Option<Id>) -> Carried {
    let mut carried = Carried::default();
    for record in records {
        carried.records += 1;
        carried.ids.extend(id(&record));
    }
    carried
}

fn dishes(metric: &Metric) -> i64 {
    match &metric.data {
        Some(Data::Sum(sum)) if metric.name == DISHES => sum
            .data_points
            .iter()
            .map(|point| match point.value {
                Some(Number::AsInt(number)) => number,
                Some(Number::AsDouble(number)) => number as i64,
                None => 0,
            })
            .sum(),
        _ => 0,
    }
}

fn of_span(span: &Span) -> Option<Id> {
    let low = span.trace_id.get(8..)?;
    Some(Id {
        kind: Kind::Span,
        number: u64::from_be_bytes(low.try_into().ok()?),
    })
}

fn of_log(record: &LogRecord) -> Option<Id> {
    if record.event_name == "exception" {
        return of_exception(record);
    }
    let of_id = record.attributes.iter().find(|known| known.key == "id")?;
    let number = match of_id.value.as_ref()?.value.as_ref()? {
        Value::IntValue(number) => u64::try_from(*number).ok()?,
        _ => return None,
    };
    let kind = match record.event_name.as_str() {
        "probe" => Kind::Event,
        _ if record.severity_number >= 17 => Kind::Error,
        _ => Kind::Line,
    };
    Some(Id { kind, number })
}

fn of_exception(record: &LogRecord) -> Option<Id> {
    let Value::StringValue(message) = record.body.as_ref()?.value.as_ref()? else {
        return None;
    };
    let (_, number) = message.rsplit_once(' ')?;
    Some(Id {
        kind: Kind::Error,
        number: number.parse().ok()?,
    })
}
