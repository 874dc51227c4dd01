//! Responses of our own, as RFC 9457 has them: for a handler that panicked or ran out of time.

use crate::ids::TraceId;
use ::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;

/// A problem document that names the trace, so that a client's report
/// leads to it.
pub(super) fn document(status: StatusCode, trace_id: Option<TraceId>) -> Response<Bytes> {
    let mut document = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
    });
    if let Some(trace_id) = trace_id {
        document["trace_id"] = trace_id.to_string().into();
    }
    let mut response = Response::new(Bytes::from(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}
