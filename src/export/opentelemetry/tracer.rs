//! The stock SDK's tracer, whose spans find their parent in our context.

use super::{Above, sampler::Sampler, spans::Leave};
use crate::{
    clock::{Anchor, Clock},
    delivery::Handoff,
    ids,
    records::{Limits, Signal},
};
use ::opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{
        self, Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt as _,
        TraceFlags, TraceId, TraceState,
        noop::{NoopSpan, NoopTracer},
    },
};
use opentelemetry_sdk::{
    Resource,
    trace::{IdGenerator, SdkTracer, SdkTracerProvider, Span as SdkSpan},
};
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Makes the tracers of libraries.
#[derive(Clone, Debug)]
pub(crate) struct TracerProvider {
    inner: SdkTracerProvider,
    handoff: &'static Handoff,
    clock: Clock,
    above: Arc<Above>,
}

impl TracerProvider {
    pub(super) fn new(
        handoff: &'static Handoff,
        clock: &Clock,
        limits: Limits,
        above: Arc<Above>,
    ) -> Self {
        let sampler = Sampler {
            above: Arc::clone(&above),
        };
        let leave = Leave {
            handoff,
            limits,
            above: Arc::clone(&above),
        };
        let inner = SdkTracerProvider::builder()
            .with_id_generator(Ids)
            .with_sampler(sampler)
            .with_span_processor(leave)
            // The destination adds the resource; the SDK would detect one of its own.
            .with_resource(Resource::builder_empty().build())
            .build();
        Self {
            inner,
            handoff,
            clock: clock.clone(),
            above,
        }
    }
}

impl trace::TracerProvider for TracerProvider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer {
            inner: self.inner.tracer_with_scope(scope),
            handoff: self.handoff,
            clock: self.clock.clone(),
            above: Arc::clone(&self.above),
        }
    }
}

/// Ids by our generator, as the other spans have.
#[derive(Debug)]
struct Ids;

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_bytes(ids::TraceId::random().to_bytes())
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_bytes(ids::SpanId::random().to_bytes())
    }
}

/// The tracer of one library.
#[derive(Clone, Debug)]
pub(crate) struct Tracer {
    inner: SdkTracer,
    handoff: &'static Handoff,
    clock: Clock,
    above: Arc<Above>,
}

impl Tracer {
    /// A context in which the span of the calling code is the active one, unless `context` has an
    /// active one itself.
    fn adopted(&self, context: &Context) -> Option<Context> {
        if context.span().span_context().is_valid() {
            return None;
        }
        let parent = (self.above.parent_of_calling_code)()?;
        let parent = SpanContext::new(
            TraceId::from_bytes(parent.trace_id.to_bytes()),
            SpanId::from_bytes(parent.span_id.to_bytes()),
            TraceFlags::new(parent.flags()),
            // It is this process's own, and its trace was decided on.
            false,
            TraceState::NONE,
        );
        Some(context.with_remote_span_context(parent))
    }
}

impl trace::Tracer for Tracer {
    type Span = Span;

    fn build_with_context(&self, mut builder: SpanBuilder, context: &Context) -> Span {
        let adopted = self.adopted(context);
        let context = adopted.as_ref().unwrap_or(context);
        let is_wanted = self.handoff.wants(Signal::Traces);
        if !is_wanted || self.handoff.is_lost_by_fork(Signal::Traces) {
            // Not dropped by the sampler: what goes on to other services would then say that the
            // trace is not recorded.
            return Span::Passed(NoopTracer::new().build_with_context(builder, context));
        }
        let timing = builder.start_time.is_none().then(|| {
            let anchor = self.clock.anchor();
            builder.start_time = Some(anchor.time(anchor.instant()));
            Timing {
                anchor,
                clock: self.clock.clone(),
            }
        });
        let span = self.inner.build_with_context(builder, context);
        Span::Stock(span, timing)
    }
}

/// A span of the stock SDK, or its parent passed on where nobody wants spans.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and a box would be an allocation for each span"
)]
#[derive(Debug)]
pub(crate) enum Span {
    /// Without a timing its start was given, and its other times are as they are given.
    Stock(SdkSpan, Option<Timing>),
    Passed(NoopSpan),
}

/// Both clocks as a span began: its events and its end are reckoned from there.
#[derive(Debug)]
pub(crate) struct Timing {
    anchor: Anchor,
    clock: Clock,
}

/// A wall clock that is off by less was not set.
const LEAST_JUMP: Duration = Duration::from_millis(10);

impl Timing {
    /// When something was that the wall clock had as `given`. The API reads that clock itself, and
    /// then looks like a caller who gives a time of his own: one that is nearer to what the wall
    /// clock says now than to what it would say without a jump was read after the jump.
    fn of(&self, given: SystemTime) -> SystemTime {
        let wall = Clock::system().wall();
        let reckoned = self.anchor.time(self.clock.now());
        if apart(wall, reckoned) < LEAST_JUMP || apart(given, reckoned) < apart(given, wall) {
            return given;
        }
        let moved = match wall.duration_since(given) {
            Ok(ago) => reckoned.checked_sub(ago),
            Err(ahead) => reckoned.checked_add(ahead.duration()),
        };
        moved.unwrap_or(reckoned)
    }
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other)
        .unwrap_or_else(|other_is_later| other_is_later.duration())
}

impl Span {
    fn time(&self, given: SystemTime) -> SystemTime {
        match self {
            Self::Stock(_, Some(timing)) => timing.of(given),
            // Its start is the caller's, or nobody reads this.
            Self::Stock(_, None) | Self::Passed(_) => given,
        }
    }
}

macro_rules! either {
    ($self:ident, $span:ident => $call:expr) => {
        match $self {
            Span::Stock($span, _) => $call,
            Span::Passed($span) => $call,
        }
    };
}

impl trace::Span for Span {
    fn add_event_with_timestamp<T>(&mut self, name: T, at: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        let at = self.time(at);
        either!(self, span => span.add_event_with_timestamp(name, at, attributes));
    }

    fn span_context(&self) -> &SpanContext {
        either!(self, span => span.span_context())
    }

    fn is_recording(&self) -> bool {
        either!(self, span => span.is_recording())
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        either!(self, span => span.set_attribute(attribute));
    }

    fn set_status(&mut self, status: Status) {
        either!(self, span => span.set_status(status));
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        either!(self, span => span.update_name(new_name));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        either!(self, span => span.add_link(span_context, attributes));
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        let timestamp = self.time(timestamp);
        either!(self, span => span.end_with_timestamp(timestamp));
    }
}

impl Drop for Span {
    /// The SDK would end it by the wall clock.
    fn drop(&mut self) {
        if matches!(self, Self::Stock(span, Some(_)) if span.is_recording()) {
            trace::Span::end(self);
        }
    }
}
