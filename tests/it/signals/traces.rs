//! Spans: which there are, what they say, and under which they stand.

mod call_ends;
mod children;
mod client;
mod request_span;
mod sampling;
mod server;
mod two_services;

pub(super) use client::serve;
pub(super) use request_span::Printed;

/// The trace of a caller, and its span.
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The header of a caller that records, with `01`, or does not, with `00`.
fn traceparent(flags: &str) -> String {
    format!("00-{TRACE_ID}-{CALLER}-{flags}")
}
