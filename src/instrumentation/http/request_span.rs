//! The request as a span of `tracing`, for those who want one.

use super::request::Traits;
use crate::{
    context,
    records::{REQUEST_TARGET, REQUEST_TARGET_ALWAYS, cut},
    redaction,
};
use tracing::{Span, field};

/// Whether a request is a span of `tracing` too. It costs 150 ns, and four times as much with two
/// threads or a layer that prints.
///
/// It is not needed for the trace: the layer records the request's own span in any case, and spans
/// and log lines of the handler find it without. It serves the layers of others: what they print of
/// the current span, such as `fmt`'s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestSpan {
    /// Never.
    #[default]
    Off,
    /// Where a layer that is not ours reads spans of the target `orderscope::request` at INFO.
    Auto,
    /// Where any layer, one of ours too, reads spans of the target `orderscope::request::always` at
    /// INFO.
    On,
}

impl RequestSpan {
    /// `None`: not wanted. Boxed, since few want it and every future is moved.
    pub(super) fn open(
        self,
        traits: Traits,
        request: &context::Request,
        path: &str,
    ) -> Option<Box<Span>> {
        if self == Self::Off {
            return None;
        }
        let (method, route) = (traits.method(), request.route);
        let path = &*redaction::text(cut(
            path,
            request.pipeline.settings.record_limits.value_bytes,
        ));
        let trace_id = field::display(request.trace.trace_id);
        macro_rules! span {
            ($target:expr) => {
                tracing::info_span!(
                    target: $target,
                    "request",
                    http.request.method = method,
                    http.route = route,
                    url.path = path,
                    trace_id,
                    http.response.status_code = field::Empty,
                )
            };
        }
        let span = match self {
            Self::Off => return None,
            Self::Auto => span!(REQUEST_TARGET),
            Self::On => span!(REQUEST_TARGET_ALWAYS),
        };
        (!span.is_disabled()).then(|| Box::new(span))
    }
}
