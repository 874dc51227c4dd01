//! One layer around a router: exactly one outcome for each accepted request, latency to the first
//! and to the last byte, sizes as they passed, streams on their own instruments, panics answered.
//!
//! ```
//! use axum::{Router, routing::get};
//!
//! let telemetry = orderscope::Telemetry::builder("orders").build()?;
//! let app: Router = Router::new()
//!     .route("/orders/{id}", get(async || "on its way"))
//!     .layer(telemetry.http_layer())
//!     .route("/metrics", telemetry.metrics_route());
//! # Ok::<(), orderscope::Error>(())
//! ```
//!
//! # When is what recorded
//!
//! | when | what |
//! | --- | --- |
//! | the layer is called | [`requests.started`] + 1, [`active_requests`] + 1 |
//! | the response's head is ready | [`time_to_first_byte`]: not for upgrades and gRPC, and not when no head is made |
//! | the request ends | [`active_requests`] − 1, [`requests.finished`] + 1 with its outcome; [`request.duration`], the size of the response's body, and that of the request's when it came with one: not for upgrades and gRPC; for event streams, [`streams.duration`] in place of the duration |
//! | an event stream begins, ends | [`streams.active`] ± 1 |
//! | an upgraded connection begins, ends | [`streams.active`] ± 1 and [`streams.duration`], for who holds an [`UpgradedStream`] |
//!
//! At rest, `started` equals the sum of `finished` over all outcomes, and `active` is 0.
//!
//! # How a request ends
//!
//! | outcome | when | `error.type` |
//! | --- | --- | --- |
//! | `completed` | the last byte was handed to the server, whatever the status | the status, from 500 on |
//! | `client_closed` | the future or the body was dropped before its end; or the connection broke off amid the request's body, whatever the handler made of it | `client_closed` |
//! | `timed_out` | [`timeout`](HttpLayer::timeout) passed, or the response bears [`Mark::TimedOut`] | `timeout` |
//! | `panicked` | the handler or the body panicked | `panic` |
//! | `shed` | the response bears [`Mark::Shed`] | `shed` |
//! | `body_failed` | the body or the inner service returned an error; or a gRPC response ended without `grpc-status` | `body_failed` |
//! | `upgraded` | 101, or 2xx to CONNECT | |
//!
//! The end of a body is its last frame, as many bytes as `Content-Length` announced, or the head
//! itself where no body follows: HEAD, 204, 304, an empty body. The last byte is the one handed to
//! the server; the server and the kernel may still hold it.
//!
//! A panic in the handler becomes `500 application/problem+json`; one in a body breaks the response
//! off and leaves the connection's other streams alone. The panic hook has run by then.
//!
//! gRPC requests, told by `content-type: application/grpc`, count in started, finished and active;
//! any `grpc-status` completes them. They are in no HTTP histogram.
//!
//! # The order of layers
//!
//! What lies inside the layer is measured, what lies outside is not.
//!
//! - Authentication, compression, body limits: inside (added before), so that what they answer is
//!   counted and the sizes are those on the wire.
//! - A timeout inside the layer that drops the handler and answers itself is `completed` with the
//!   status it gave, unless it marks its response with [`Mark`]. One outside drops the layer's own
//!   future: `client_closed`. `http_layer().timeout(d)` is `timed_out`.
//! - `/metrics` and health routes: added after the layer, so that they are not counted.
//! - **Not** `.layer(telemetry.http_layer()).merge(other)`: axum takes the fallback of `other`, and
//!   unmatched requests never reach the layer. Add routes with `.route` or `.nest` after the layer,
//!   or add the layer last.
//!
//! # What becomes a label
//!
//! The route's template, never a path: an unmatched request has no `http.route`. The method when
//! the conventions know it, else `_OTHER`. Never a host, a user agent, or anything else that a
//! client chooses. `url.scheme` is that of the request's target, `http` when it names none, as over
//! HTTP/1; what a proxy in front spoke is not known here.
//!
//! # Trace context
//!
//! A `traceparent` is taken over when it is valid to the letter; otherwise a new trace begins. Code
//! inside a handler finds it with [`context::current_trace`](crate::context::current_trace).
//!
//! # Calls to others
//!
//! [`ClientLayer`], around a client, sends the trace along and measures each call; its page says when
//! one ends and what its `error.type` means.
//!
//! [`requests.started`]: crate::catalog::http::REQUESTS_STARTED
//! [`requests.finished`]: crate::catalog::http::REQUESTS_FINISHED
//! [`active_requests`]: crate::catalog::http::ACTIVE_REQUESTS
//! [`request.duration`]: crate::catalog::http::REQUEST_DURATION
//! [`time_to_first_byte`]: crate::catalog::http::TIME_TO_FIRST_BYTE
//! [`streams.active`]: crate::catalog::http::STREAMS_ACTIVE
//! [`streams.duration`]: crate::catalog::http::STREAMS_DURATION

mod body;
mod client;
mod exchange;
mod future;
mod instruments;
mod layer;
mod outcome;
mod problem;
mod propagation;
mod request;
mod request_span;
mod route;
mod session;
mod unwound;
mod upgrade;

#[cfg(feature = "axum")]
pub use route::{MatchedRoute, MatchedRouteOr};
pub use {
    body::{RequestBody, ResponseBody},
    client::{ClientBody, ClientFuture, ClientLayer, ClientService, UrlTemplate},
    future::ResponseFuture,
    layer::{CountBody, HttpLayer, HttpService, SameBody, WrappedBody},
    outcome::{Mark, Outcome},
    request_span::RequestSpan,
    route::{NameRoute, RequestHead, RouteBy},
    upgrade::UpgradedStream,
};
pub(crate) use {client::Client, instruments::Instruments};
