//! What `opentelemetry::global` propagates with: the trace of the current request, where the caller's
//! own context has none.

use super::Above;
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::sync::Arc;

/// W3C Trace Context.
#[derive(Debug)]
pub(crate) struct Propagator {
    stock: TraceContextPropagator,
    above: Arc<Above>,
    /// Whether the trace is taken over and sent along at all.
    is_on: bool,
}

impl Propagator {
    pub(super) fn new(above: Arc<Above>, is_on: bool) -> Self {
        Self {
            stock: TraceContextPropagator::new(),
            above,
            is_on,
        }
    }
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        if !self.is_on {
            return;
        }
        let has_one = context.span().span_context().is_valid();
        match (self.above.parent_of_calling_code)().filter(|_| !has_one) {
            None => self.stock.inject_context(context, injector),
            Some(span) => {
                let flags = TraceFlags::new(span.flags());
                let span = SpanContext::new(
                    TraceId::from_bytes(span.trace_id.to_bytes()),
                    SpanId::from_bytes(span.span_id.to_bytes()),
                    flags,
                    false,
                    TraceState::default(),
                );
                let context = context.with_remote_span_context(span);
                self.stock.inject_context(&context, injector);
            }
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        match self.is_on {
            true => self.stock.extract_with_context(context, extractor),
            false => context.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        self.stock.fields()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids;
    use std::collections::HashMap;

    fn sent(parent: fn() -> Option<ids::SpanContext>, is_on: bool) -> HashMap<String, String> {
        let above = Above {
            parent_of_calling_code: parent,
            samples: Box::new(|_, _| true),
            count_truncated: Box::new(|_| {}),
        };
        let mut headers = HashMap::new();
        let propagator = Propagator::new(Arc::new(above), is_on);
        propagator.inject_context(&Context::new(), &mut headers);
        headers
    }

    fn parent() -> Option<ids::SpanContext> {
        Some(ids::SpanContext {
            trace_id: ids::TraceId::new(1)?,
            span_id: ids::SpanId::new(2)?,
            is_sampled: true,
        })
    }

    #[test]
    fn the_request_s_trace_is_sent_along_unless_that_is_off() {
        let traceparent = format!("00-{:032x}-{:016x}-01", 1, 2);
        assert_eq!(sent(parent, true)["traceparent"], traceparent);
        assert!(sent(parent, false).is_empty());
        assert!(sent(|| None, true).is_empty());
    }
}
