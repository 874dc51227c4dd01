//! What the HTTP layer records; [`crate::http`] says when.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

/// What a request is told apart by.
const REQUEST: &[&str] = &[
    semconv::HTTP_REQUEST_METHOD,
    semconv::HTTP_ROUTE,
    semconv::HTTP_RESPONSE_STATUS_CODE,
    semconv::URL_SCHEME,
    semconv::ERROR_TYPE,
    semconv::NETWORK_PROTOCOL_VERSION,
];
/// The conventions' edges, and the two that the product's thresholds stand on: 0.2 and 2.
const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0,
];
/// A second to a working day: streams are held open by people.
const STREAM_SECONDS: &[f64] = &[
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 14_400.0, 28_800.0,
];
/// 64 B to 64 MiB, each four times the one before.
const BYTES: &[f64] = &[
    0.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// From accepting a request to the last byte of its response, handed to the server. Every outcome
/// but `upgraded`; event streams and gRPC are not in it.
pub const REQUEST_DURATION: Descriptor = Descriptor::histogram(
    semconv::HTTP_SERVER_REQUEST_DURATION,
    Unit::SECONDS,
    "Time from accepting a request to the end of its response's body.",
)
.with_attributes(REQUEST)
.with_edges(SECONDS);

/// From accepting a request to the head of its response: the service's own time, untouched by
/// slow clients. Absent when no head was sent; event streams are in it, upgrades and gRPC are not.
pub const TIME_TO_FIRST_BYTE: Descriptor = Descriptor::histogram(
    "orderscope.http.server.time_to_first_byte",
    Unit::SECONDS,
    "Time from accepting a request to the head of its response.",
)
.with_attributes(REQUEST)
.with_edges(SECONDS);

/// Every request that reached the layer. Equals the sum of the finished ones over all outcomes,
/// and the active ones.
pub const REQUESTS_STARTED: Descriptor = Descriptor::counter(
    "orderscope.http.server.requests.started",
    Unit::things("{request}"),
    "Requests accepted.",
);

/// Every request that ended, once, by how it ended.
pub const REQUESTS_FINISHED: Descriptor = Descriptor::counter(
    "orderscope.http.server.requests.finished",
    Unit::things("{request}"),
    "Requests ended, by outcome.",
)
.with_attributes(&[semconv::OUTCOME, semconv::STATUS_CLASS]);

/// Requests accepted and not yet ended.
pub const ACTIVE_REQUESTS: Descriptor = Descriptor::up_down_counter(
    semconv::HTTP_SERVER_ACTIVE_REQUESTS,
    Unit::things("{request}"),
    "Requests in flight.",
)
.with_attributes(&[semconv::HTTP_REQUEST_METHOD, semconv::URL_SCHEME]);

/// Bytes of the request's body that the handler read, whatever was announced; not recorded for
/// requests that came without a body.
pub const REQUEST_BODY_SIZE: Descriptor = Descriptor::histogram(
    semconv::HTTP_SERVER_REQUEST_BODY_SIZE,
    Unit::BYTES,
    "Bytes read of request bodies.",
)
.with_attributes(REQUEST)
.with_edges(BYTES);

/// Bytes of the response's body that were handed to the server, streamed ones included.
pub const RESPONSE_BODY_SIZE: Descriptor = Descriptor::histogram(
    semconv::HTTP_SERVER_RESPONSE_BODY_SIZE,
    Unit::BYTES,
    "Bytes handed over of response bodies.",
)
.with_attributes(REQUEST)
.with_edges(BYTES);

/// Event streams and upgraded connections that are open.
pub const STREAMS_ACTIVE: Descriptor = Descriptor::up_down_counter(
    "orderscope.http.server.streams.active",
    Unit::things("{stream}"),
    "Long-lived responses that are open.",
)
.with_attributes(&[semconv::HTTP_ROUTE, semconv::STREAM_KIND]);

/// How long event streams and upgraded connections were open.
pub const STREAMS_DURATION: Descriptor = Descriptor::histogram(
    "orderscope.http.server.streams.duration",
    Unit::SECONDS,
    "Time that long-lived responses were open.",
)
.with_attributes(&[
    semconv::HTTP_ROUTE,
    semconv::STREAM_KIND,
    semconv::ERROR_TYPE,
])
.with_edges(STREAM_SECONDS);

/// From an outgoing call to the end of its response's body, or to where it was given up or failed;
/// [`ClientLayer`](crate::http::ClientLayer) says when that is, and what each `error.type` means.
/// Servers beyond the caps are gathered in the overflow set.
pub const CLIENT_REQUEST_DURATION: Descriptor = Descriptor::histogram(
    semconv::HTTP_CLIENT_REQUEST_DURATION,
    Unit::SECONDS,
    "Time from an outgoing call to the end of its response.",
)
.with_attributes(&[
    semconv::HTTP_REQUEST_METHOD,
    semconv::SERVER_ADDRESS,
    semconv::SERVER_PORT,
    semconv::HTTP_RESPONSE_STATUS_CODE,
    semconv::ERROR_TYPE,
    semconv::URL_TEMPLATE,
])
.with_edges(SECONDS);
