//! From the end of a span of the stock SDK to the hand-off.

use super::Above;
use crate::{
    delivery::Handoff,
    records::{Limits, Record},
    redaction::{self, Masking},
    semconv::{EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE},
};
use ::opentelemetry::Context;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{ScopeSpans, Span},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span as SdkSpan, SpanData, SpanProcessor},
};
use prost::Message as _;
use std::{borrow::Cow, sync::Arc, time::Duration};

/// Leaves each span that ends in the hand-off, as a message of its own.
#[derive(Debug)]
pub(super) struct Leave {
    pub(super) handoff: &'static Handoff,
    pub(super) limits: Limits,
    pub(super) above: Arc<Above>,
}

impl SpanProcessor for Leave {
    fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let scope = span.instrumentation_scope.clone();
        let mut span = Span::from(span);
        let mut cleaning = Cleaning {
            limits: &self.limits,
            truncated: 0,
        };
        cleaning.span(&mut span);
        let truncated = cleaning.truncated;
        let message = ScopeSpans {
            schema_url: scope.schema_url().unwrap_or_default().to_owned(),
            scope: Some((scope, None).into()),
            spans: vec![span],
        };
        if truncated > 0 {
            (self.above.count_truncated)(truncated);
        }
        let message = Record::Foreign(message.encode_to_vec().into());
        self.handoff.offer(message, &[]);
    }

    /// The worker sends; there is nothing here to be sent.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// The telemetry ends by itself, and counts what comes after.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Masks secrets and cuts what is too long, as `Fields` does for records of our own.
struct Cleaning<'a> {
    limits: &'a Limits,
    truncated: u64,
}

impl Cleaning<'_> {
    fn span(&mut self, span: &mut Span) {
        let (limits, masking) = (self.limits, Masking::ByPattern);
        self.text(&mut span.name, limits.value_bytes, masking);
        self.attributes(&mut span.attributes);
        for event in &mut span.events {
            self.text(&mut event.name, limits.value_bytes, masking);
            self.attributes(&mut event.attributes);
        }
        for link in &mut span.links {
            self.attributes(&mut link.attributes);
        }
        if let Some(status) = &mut span.status {
            self.text(&mut status.message, limits.message_bytes, masking);
        }
    }

    fn attributes(&mut self, attributes: &mut [KeyValue]) {
        for KeyValue { key, value, .. } in attributes {
            let Some(value) = value else { continue };
            let masking = Masking::of(key);
            if let Masking::Whole = masking {
                *value = text(redaction::MASK);
                continue;
            }
            let limit = match key.as_str() {
                EXCEPTION_MESSAGE | EXCEPTION_STACKTRACE => self.limits.message_bytes,
                _ => self.limits.value_bytes,
            };
            self.value(value, limit, masking);
        }
    }

    fn value(&mut self, value: &mut AnyValue, limit: usize, masking: Masking) {
        match &mut value.value {
            Some(any_value::Value::StringValue(text)) => self.text(text, limit, masking),
            // The API has arrays of plain values, and no other nesting.
            Some(any_value::Value::ArrayValue(array)) => {
                for value in &mut array.values {
                    self.value(value, limit, masking);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &mut String, limit: usize, masking: Masking) {
        if text.len() > limit {
            self.truncated += 1;
            // `str::floor_char_boundary` is younger than our `rust-version`.
            let mut ends = (0..=limit).rev();
            let end = ends.find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
        }
        if let Cow::Owned(masked) = masking.apply(text) {
            *text = masked;
        }
    }
}

fn text(text: &str) -> AnyValue {
    AnyValue {
        value: Some(any_value::Value::StringValue(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        clock::{Clock, ManualClock},
        delivery::Handoff,
        export::opentelemetry::{Above, Door},
        ids::{SpanContext, SpanId, TraceId},
        metrics::{self, Registry},
        records::{Limits, Record, Signal},
    };
    use ::opentelemetry::{
        Array, Context, InstrumentationScope, KeyValue, StringValue, Value, trace,
        trace::{
            Span as _, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceState, Tracer as _,
            TracerProvider as _,
        },
    };
    use opentelemetry_proto::tonic::{
        common::v1::any_value,
        trace::v1::{ScopeSpans, Span, status::StatusCode},
    };
    use prost::Message as _;
    use std::{
        cell::Cell,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::{Duration, UNIX_EPOCH},
    };

    thread_local! {
        static CURRENT: Cell<Option<SpanContext>> = const { Cell::new(None) };
    }

    struct Fixture {
        door: Door,
        handoff: &'static Handoff,
        truncated: Arc<AtomicU64>,
    }

    /// `samples` decides on traces; the hand-off takes records of `wanted`.
    fn fixture(wanted: &[Signal], samples: fn(TraceId, Option<bool>) -> bool) -> Fixture {
        fixture_at(Clock::system(), wanted, samples)
    }

    fn fixture_at(
        clock: Clock,
        wanted: &[Signal],
        samples: fn(TraceId, Option<bool>) -> bool,
    ) -> Fixture {
        let handoff: &'static Handoff = Box::leak(Box::new(Handoff::new(1 << 20, wanted)));
        let registry = Registry::new(metrics::Limits::default(), clock);
        let truncated = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&truncated);
        let above = Above {
            parent_of_calling_code: || CURRENT.get(),
            samples: Box::new(samples),
            count_truncated: Box::new(move |n| {
                count.fetch_add(n, Ordering::Relaxed);
            }),
        };
        let limits = Limits {
            value_bytes: 10,
            ..Limits::default()
        };
        let door = Door::new(handoff, Box::leak(Box::new(registry)), limits, above);
        Fixture {
            door,
            handoff,
            truncated,
        }
    }

    fn all(_: TraceId, _: Option<bool>) -> bool {
        true
    }

    fn left(handoff: &Handoff) -> Vec<ScopeSpans> {
        let held = handoff.drain().into_iter();
        held.map(|(record, fields)| {
            assert!(fields.is_empty());
            match record {
                Record::Foreign(message) => ScopeSpans::decode(message).unwrap(),
                record => panic!("{record:?}"),
            }
        })
        .collect()
    }

    fn spans(handoff: &Handoff) -> Vec<Span> {
        let spans = left(handoff).into_iter().flat_map(|scope| scope.spans);
        spans.collect()
    }

    fn current(is_sampled: bool) -> SpanContext {
        let span = SpanContext {
            trace_id: TraceId::random(),
            span_id: SpanId::random(),
            is_sampled,
        };
        CURRENT.set(Some(span));
        span
    }

    #[test]
    fn spans_of_a_library_form_a_tree_under_the_span_that_the_calling_code_is_in() {
        let fixture = fixture(&[Signal::Traces], all);
        let request = current(true);
        let scope = InstrumentationScope::builder("redis")
            .with_version("1.2")
            .with_schema_url("https://schema")
            .build();
        let tracer = fixture.door.tracer_provider().tracer_with_scope(scope);
        tracer.in_span("outer", |_| tracer.in_span("inner", |_| ()));
        let left = left(fixture.handoff);
        let scope = left[0].scope.as_ref().unwrap();
        assert_eq!((&*scope.name, &*scope.version), ("redis", "1.2"));
        assert_eq!(left[0].schema_url, "https://schema");
        let [inner, outer] = [&left[0].spans[0], &left[1].spans[0]];
        assert_eq!((&*inner.name, &*outer.name), ("inner", "outer"));
        assert_eq!(outer.trace_id, request.trace_id.to_bytes());
        assert_eq!(outer.parent_span_id, request.span_id.to_bytes());
        assert_eq!(inner.trace_id, outer.trace_id);
        assert_eq!(inner.parent_span_id, outer.span_id);
        // Known to be local.
        assert_eq!(outer.flags, 0x101);
    }

    #[test]
    fn a_span_lasts_as_long_as_it_did_though_the_wall_clock_jumps() {
        const WALL: Duration = Duration::from_secs(1_000_000);
        const TOOK: Duration = Duration::from_secs(2);
        let hands = ManualClock::starting_at(UNIX_EPOCH + WALL);
        let fixture = fixture_at(hands.clock(), &[Signal::Traces], all);
        CURRENT.set(None);
        let tracer = fixture.door.tracer_provider().tracer("lib");
        let began = WALL.as_nanos() as u64;
        for (is_dropped, jumps_to) in [(false, 5 * WALL), (true, Duration::ZERO)] {
            hands.set_wall(UNIX_EPOCH + WALL);
            let mut span = tracer.start("GET");
            hands.advance(TOOK / 2);
            hands.set_wall(UNIX_EPOCH + jumps_to);
            span.add_event("retry", Vec::new());
            hands.advance(TOOK / 2);
            match is_dropped {
                true => drop(span),
                false => span.end(),
            }
            let span = spans(fixture.handoff).remove(0);
            let took = TOOK.as_nanos() as u64;
            assert_eq!(span.start_time_unix_nano, began);
            // What passes between two readings of the system's clock.
            for (at, after) in [
                (span.events[0].time_unix_nano, took / 2),
                (span.end_time_unix_nano, took),
            ] {
                let late = (began + after).checked_sub(at).unwrap();
                assert!(late < took / 2, "{after} {late}");
            }
        }
        // A time that the library itself gives is its own.
        let span = tracer.span_builder("GET").with_start_time(UNIX_EPOCH);
        span.start(&tracer).end_with_timestamp(UNIX_EPOCH + TOOK);
        let span = spans(fixture.handoff).remove(0);
        assert_eq!(span.start_time_unix_nano, 0);
        assert_eq!(span.end_time_unix_nano, TOOK.as_nanos() as u64);
    }

    #[test]
    fn attributes_events_links_and_the_status_survive() {
        let fixture = fixture(&[Signal::Traces], all);
        CURRENT.set(None);
        let tracer = fixture.door.tracer_provider().tracer("lib");
        let linked = trace::SpanContext::new(
            trace::TraceId::from(5),
            trace::SpanId::from(6),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        let mut span = tracer
            .span_builder("GET")
            .with_kind(SpanKind::Client)
            .start(&tracer);
        assert!(span.is_recording());
        span.set_attribute(KeyValue::new("port", 6379));
        let keys: Vec<StringValue> = vec!["a".into(), "b".into()];
        span.set_attribute(KeyValue::new("keys", Value::Array(Array::String(keys))));
        span.add_event("retry", vec![KeyValue::new("again", true)]);
        span.add_link(linked, vec![KeyValue::new("why", 0.5)]);
        span.set_status(Status::error("refused"));
        span.end();
        let span = spans(fixture.handoff).remove(0);
        assert_eq!(span.kind, 3);
        assert!(span.parent_span_id.is_empty());
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        assert_eq!(span.attributes[0].key, "port");
        let value = |of: &Option<super::AnyValue>| of.clone().unwrap().value.unwrap();
        let port = value(&span.attributes[0].value);
        assert_eq!(port, any_value::Value::IntValue(6379));
        let any_value::Value::ArrayValue(keys) = value(&span.attributes[1].value) else {
            panic!("{span:?}");
        };
        assert_eq!(keys.values.len(), 2);
        assert_eq!(span.events[0].name, "retry");
        assert_eq!(span.events[0].attributes[0].key, "again");
        assert_eq!(span.links[0].trace_id, 5_u128.to_be_bytes());
        assert_eq!(span.links[0].attributes[0].key, "why");
        let status = span.status.unwrap();
        assert_eq!(
            (status.code, &*status.message),
            (StatusCode::Error as i32, "refused")
        );
    }

    #[test]
    fn a_span_of_an_unsampled_request_is_not_recorded_nor_are_those_within_it() {
        let fixture = fixture(&[Signal::Traces], all);
        let request = current(false);
        let tracer = fixture.door.tracer_provider().tracer("lib");
        tracer.in_span("outer", |context| {
            assert!(!context.span().is_recording());
            let id = context.span().span_context().trace_id().to_bytes();
            assert_eq!(id, request.trace_id.to_bytes());
            tracer.in_span("inner", |_| ());
        });
        assert!(spans(fixture.handoff).is_empty());
    }

    #[test]
    fn sampling_decides_on_new_traces_and_on_those_of_remote_callers() {
        // New traces are not recorded; those of callers are, whatever the callers decided.
        let fixture = fixture(&[Signal::Traces], |_, by_caller| by_caller.is_some());
        CURRENT.set(None);
        let tracer = fixture.door.tracer_provider().tracer("lib");
        tracer.in_span("root", |_| ());
        let caller = trace::SpanContext::new(
            trace::TraceId::from(5),
            trace::SpanId::from(6),
            TraceFlags::default(),
            true,
            TraceState::NONE,
        );
        let message = Context::new().with_remote_span_context(caller);
        tracer.start_with_context("consume", &message).end();
        let spans = spans(fixture.handoff);
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].parent_span_id, 6_u64.to_be_bytes());
        // Known to be remote.
        assert_eq!(spans[0].flags, 0x301);
    }

    #[test]
    fn where_nobody_wants_spans_the_callers_context_is_passed_on() {
        let fixture = fixture(&[Signal::Logs], all);
        let request = current(true);
        let tracer = fixture.door.tracer_provider().tracer("lib");
        tracer.in_span("outer", |context| {
            let span = context.span();
            assert!(!span.is_recording());
            assert!(span.span_context().is_sampled());
            assert_eq!(
                span.span_context().span_id().to_bytes(),
                request.span_id.to_bytes()
            );
        });
        assert!(spans(fixture.handoff).is_empty());
        assert_eq!(fixture.handoff.counts(Signal::Traces), <_>::default());
    }

    #[test]
    fn secrets_are_masked_and_what_is_too_long_is_cut_and_counted() {
        let fixture = fixture(&[Signal::Traces], all);
        CURRENT.set(None);
        let tracer = fixture.door.tracer_provider().tracer("lib");
        let mut span = tracer.start("x");
        span.set_attribute(KeyValue::new("password", 1234));
        span.set_attribute(KeyValue::new("statement", "0123456789ab"));
        span.set_attribute(KeyValue::new("db.statement", "SET a='Ada'"));
        span.add_event("e", vec![KeyValue::new("api_key", "k")]);
        span.end();
        let span = spans(fixture.handoff).remove(0);
        let text = |attribute: &super::KeyValue| attribute.value.clone().unwrap();
        assert_eq!(text(&span.attributes[0]), super::text("***"));
        assert_eq!(text(&span.attributes[1]), super::text("0123456789"));
        assert_eq!(text(&span.attributes[2]), super::text("SET a=?"));
        assert_eq!(text(&span.events[0].attributes[0]), super::text("***"));
        assert_eq!(fixture.truncated.load(Ordering::Relaxed), 2);
    }
}
