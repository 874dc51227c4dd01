//! Which spans of the OpenTelemetry API are recorded: those of recorded traces.

use super::Above;
use crate::ids::TraceId;
use ::opentelemetry::{
    Context, KeyValue,
    trace::{self, Link, SpanKind, TraceContextExt as _, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use std::sync::Arc;

/// Follows a parent within the process; asks above about all else.
#[derive(Clone, Debug)]
pub(super) struct Sampler {
    pub(super) above: Arc<Above>,
}

impl ShouldSample for Sampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: trace::TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|context| context.span().span_context().clone());
        let parent = parent.filter(trace::SpanContext::is_valid);
        let decides = |by_caller| {
            let trace_id = TraceId::new(u128::from_be_bytes(trace_id.to_bytes()));
            trace_id.is_some_and(|trace_id| (self.above.samples)(trace_id, by_caller))
        };
        let is_sampled = match &parent {
            Some(parent) if parent.is_remote() => decides(Some(parent.is_sampled())),
            Some(parent) => parent.is_sampled(),
            None => decides(None),
        };
        SamplingResult {
            decision: match is_sampled {
                true => SamplingDecision::RecordAndSample,
                false => SamplingDecision::Drop,
            },
            attributes: Vec::new(),
            trace_state: parent.map_or(TraceState::NONE, |parent| parent.trace_state().clone()),
        }
    }
}
