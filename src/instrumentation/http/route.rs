//! Which route a request matched: a template that the service declared, never a path that a
//! client chose.

use ::http::{Extensions, HeaderMap, Method, Uri};

/// What a closure given to [`HttpLayer::route_by`](super::HttpLayer::route_by) or
/// [`Telemetry::tower_layer`](crate::Telemetry::tower_layer) sees of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    pub(super) fn of<B>(request: &'a ::http::Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The method, as the client sent it.
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The path without its query, as the client sent it.
    pub fn path(&self) -> &'a str {
        self.uri.path()
    }

    /// The target, as the client sent it.
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The headers.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// What earlier layers and the server left with the request.
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }
}

/// Names the route of a request. Implemented by [`MatchedRoute`], [`RouteBy`] and
/// [`MatchedRouteOr`].
pub trait NameRoute: sealed::Sealed {
    /// The route's template, or `None` when the request matched no route.
    fn route<'a>(&self, head: RequestHead<'a>) -> Option<&'a str>;
}

/// axum's [`MatchedPath`](axum::extract::MatchedPath), the full one of nested routers.
#[cfg(feature = "axum")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MatchedRoute;

/// What a closure says.
#[derive(Clone, Copy, Debug)]
pub struct RouteBy<F>(pub(super) F);

/// axum's [`MatchedPath`](axum::extract::MatchedPath), and what a closure says where there is
/// none: under `nest_service`, or in a fallback.
#[cfg(feature = "axum")]
#[derive(Clone, Copy, Debug)]
pub struct MatchedRouteOr<F>(pub(super) F);

#[cfg(feature = "axum")]
impl NameRoute for MatchedRoute {
    #[inline]
    fn route<'a>(&self, head: RequestHead<'a>) -> Option<&'a str> {
        let matched = head.extensions.get::<axum::extract::MatchedPath>()?;
        Some(matched.as_str())
    }
}

impl<F> NameRoute for RouteBy<F>
where
    F: for<'a> Fn(RequestHead<'a>) -> Option<&'a str>,
{
    #[inline]
    fn route<'a>(&self, head: RequestHead<'a>) -> Option<&'a str> {
        (self.0)(head)
    }
}

#[cfg(feature = "axum")]
impl<F> NameRoute for MatchedRouteOr<F>
where
    F: for<'a> Fn(RequestHead<'a>) -> Option<&'a str>,
{
    fn route<'a>(&self, head: RequestHead<'a>) -> Option<&'a str> {
        MatchedRoute.route(head).or_else(|| (self.0)(head))
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals")]
    pub trait Sealed {}
    #[cfg(feature = "axum")]
    impl Sealed for super::MatchedRoute {}
    impl<F> Sealed for super::RouteBy<F> {}
    #[cfg(feature = "axum")]
    impl<F> Sealed for super::MatchedRouteOr<F> {}
}
