//! Which traces are recorded.

use crate::ids::{SpanContext, TraceId};

/// Which traces are recorded, decided where they begin. Default: all.
///
/// What a caller decided is kept, as its `traceparent` says it, unless
/// [`regardless_of_parent`](Self::regardless_of_parent). Requests that fail or take longer than
/// [`slow_after`](crate::telemetry::Builder::slow_after) keep their span whatever is decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    share: Share,
    is_parent_based: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Share {
    All,
    None,
    /// Of the 63 bits of a trace id that decide, those below.
    Below(u64),
}

impl Sampling {
    /// Every trace.
    pub const ALL: Self = Self {
        share: Share::All,
        is_parent_based: true,
    };

    /// None but those that a caller records.
    pub const NONE: Self = Self {
        share: Share::None,
        is_parent_based: true,
    };

    /// This share of all traces, picked by the trace's id, so that services of one share pick the
    /// same ones. From 1 on all, from 0 down (and for a value that is no number) none.
    pub fn ratio(ratio: f64) -> Self {
        Self::ALL.with_ratio(ratio)
    }

    /// Another share, decided by the same.
    pub(crate) fn with_ratio(self, ratio: f64) -> Self {
        let share = match ratio {
            ratio if ratio >= 1.0 => Share::All,
            ratio if ratio > 0.0 => Share::Below((ratio * (1_u64 << 63) as f64) as u64),
            _ => Share::None,
        };
        Self { share, ..self }
    }

    /// What a caller decided counts for nothing here.
    #[must_use]
    pub fn regardless_of_parent(mut self) -> Self {
        self.is_parent_based = false;
        self
    }

    /// Of a trace that begins here.
    #[inline]
    pub(crate) fn begins(self, trace_id: TraceId) -> bool {
        match self.share {
            Share::All => true,
            Share::None => false,
            // As OpenTelemetry's TraceIdRatioBased, so that mixed fleets agree.
            Share::Below(below) => trace_id.low() >> 1 < below,
        }
    }

    /// Of a trace that a caller decided on.
    #[inline]
    pub(crate) fn continues(self, trace_id: TraceId, parent_is_sampled: bool) -> bool {
        match self.is_parent_based {
            true => parent_is_sampled,
            false => self.begins(trace_id),
        }
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self::ALL
    }
}

/// Which measurements may stand for their series, as `OTEL_METRICS_EXEMPLAR_FILTER` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Exemplars {
    /// Those of any request.
    All,
    None,
    /// Those within a trace that is recorded.
    #[default]
    OfRecordedTraces,
}

impl Exemplars {
    /// The span, if a measurement within it may stand for its series.
    #[inline]
    pub(crate) fn choose(self, span: SpanContext) -> Option<SpanContext> {
        match self {
            Self::All => Some(span),
            Self::None => None,
            Self::OfRecordedTraces => span.is_sampled.then_some(span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_given_share_of_traces_is_recorded() {
        let tenth = Sampling::ratio(0.1);
        let picked = (0..10_000).filter(|_| tenth.begins(TraceId::random()));
        let picked = picked.count();
        assert!((800..1_200).contains(&picked), "{picked}");
    }

    #[test]
    fn the_ends_of_the_scale_are_exact() {
        let trace = TraceId::new(u128::MAX).unwrap();
        assert!(Sampling::ratio(1.0).begins(trace));
        let first = TraceId::new(1 << 64).unwrap();
        for ratio in [0.0, -1.0, f64::NAN] {
            assert!(!Sampling::ratio(ratio).begins(first));
        }
    }

    #[test]
    fn a_caller_decides_unless_it_is_not_asked() {
        let trace = TraceId::random();
        assert!(Sampling::NONE.continues(trace, true));
        assert!(!Sampling::ALL.continues(trace, false));
        assert!(Sampling::ALL.regardless_of_parent().continues(trace, false));
    }
}
