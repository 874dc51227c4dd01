//! The other end of the assembly as opentelemetry-otlp makes it: encoded to OTLP, then dropped.

use crate::sinks::Sink;
use opentelemetry_proto::{
    tonic::collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    transform::{
        common::tonic::ResourceAttributesWithSchema, logs::tonic::group_logs_by_resource_and_scope,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter},
    trace::{SpanData, SpanExporter},
};
use prost::Message as _;
use std::hint::black_box;

#[derive(Debug)]
pub(crate) struct Encoded {
    sink: Sink,
    resource: ResourceAttributesWithSchema,
}

impl Encoded {
    pub(crate) fn into(sink: Sink) -> Self {
        let resource = ResourceAttributesWithSchema::default();
        Self { sink, resource }
    }
}

impl SpanExporter for Encoded {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.sink.count_spans(batch.len());
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        black_box(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl LogExporter for Encoded {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.sink.count_logs(batch.iter().count());
        let resource_logs = group_logs_by_resource_and_scope(&batch, &self.resource);
        black_box(ExportLogsServiceRequest { resource_logs }.encode_to_vec());
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
