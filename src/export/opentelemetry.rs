//! The OpenTelemetry API's door: libraries that speak `opentelemetry::global` are heard here.
//!
//! Their spans are the stock SDK's. One that ends is encoded at once and left in the hand-off,
//! where it is counted as any record of ours; the SDK's own processors, which lose spans silently,
//! take no part. A span without a parent of its own becomes a child of the span that the calling
//! code is in, and is recorded when that is. The SDK would take a span's two ends from the wall
//! clock, which may jump in between; here they are as far apart as the monotonic clock says.
//!
//! Their instruments are ours: one storage, the same caps, the same refusals as for the `metrics`
//! facade.

mod instruments;
mod meter;
mod propagator;
mod sampler;
mod series;
mod spans;
mod tracer;

pub(crate) use {meter::MeterProvider, propagator::Propagator, tracer::TracerProvider};

use crate::{
    delivery::Handoff,
    ids::{SpanContext, TraceId},
    metrics::Registry,
    records::Limits,
};
use std::{fmt, sync::Arc};

/// What the door asks of the rooms above it.
pub(crate) struct Above {
    /// The span that the calling code is in.
    pub(crate) parent_of_calling_code: fn() -> Option<SpanContext>,
    /// Whether a trace is recorded; with what a remote caller decided on it, when there is one.
    pub(crate) samples: Box<dyn Fn(TraceId, Option<bool>) -> bool + Send + Sync>,
    /// Told how many values were cut.
    pub(crate) count_truncated: Box<dyn Fn(u64) + Send + Sync>,
}

impl fmt::Debug for Above {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Above").finish_non_exhaustive()
    }
}

/// What is given to `opentelemetry::global`.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    tracer_provider: TracerProvider,
    meter_provider: MeterProvider,
    above: Arc<Above>,
}

impl Door {
    /// `limits` are those of every record.
    pub(crate) fn new(
        handoff: &'static Handoff,
        registry: &'static Registry,
        limits: Limits,
        above: Above,
    ) -> Self {
        let above = Arc::new(above);
        Self {
            tracer_provider: TracerProvider::new(
                handoff,
                registry.clock(),
                limits,
                Arc::clone(&above),
            ),
            meter_provider: MeterProvider::new(registry),
            above,
        }
    }

    pub(crate) fn tracer_provider(&self) -> TracerProvider {
        self.tracer_provider.clone()
    }

    pub(crate) fn meter_provider(&self) -> MeterProvider {
        self.meter_provider.clone()
    }

    /// `is_on`: whether traces are taken over and sent along.
    pub(crate) fn propagator(&self, is_on: bool) -> Propagator {
        Propagator::new(Arc::clone(&self.above), is_on)
    }
}
