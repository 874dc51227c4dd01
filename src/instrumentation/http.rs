//! One layer around a router: latency to the first and to the last byte, exactly one outcome for
//! each request, sizes, streams, panics.
mod body;
mod exchange;
mod future;
mod instruments;
mod layer;
mod outcome;
mod problem;
mod propagation;
mod request;
mod route;
mod unwound;
mod upgrade;

pub(crate) use instruments::Instruments;
#[cfg(feature = "axum")]
pub use route::{MatchedRoute, MatchedRouteOr};
pub use {
    body::{RequestBody, ResponseBody},
    future::ResponseFuture,
    layer::{CountBody, HttpLayer, HttpService, SameBody, WrappedBody},
    outcome::{Mark, Outcome},
    route::{NameRoute, RequestHead, RouteBy},
    upgrade::UpgradedStream,
};
