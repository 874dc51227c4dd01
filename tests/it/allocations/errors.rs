//! Errors captured for a request.

use std::error::Error;
use std::fmt;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use hyper::Request;
use orderscope::{Telemetry, capture_error};
use tower::ServiceExt;

use super::allocations;

/// Of the addresses of the stack, until the worker has given them their names.
const BOXES: u64 = 1;

#[derive(Debug)]
struct Refused(Option<Box<Self>>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the terminal refused the card")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_deref().map(|cause| cause as _)
    }
}

#[tokio::test]
async fn an_error_with_a_cause_is_one_box_and_beyond_its_group_s_limit_none() {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let routes = Router::new().route(
        "/",
        get(async || {
            let error = Refused(Some(Box::new(Refused(None))));
            orderscope::context::identify("u-1", "s-1");
            // The first ones find no memory of the thread, no counter of the type, no sketch of
            // users, and a hand-off that has to grow; beyond ten, the group's limit has them counted
            // only.
            let counts = (0..30).map(|_| allocations(|| capture_error(&error)).0);
            let counts: Vec<_> = counts.collect();
            let (told, counted) = counts.split_at(10);
            // One of them may be told after all, when a second is over.
            let boxed = counted.iter().filter(|count| **count > 0).count();
            format!("{} {}", told.iter().min().unwrap(), boxed.saturating_sub(1))
        }),
    );
    let app = routes.layer(telemetry.http_layer());
    let request = Request::get("/").body(Body::empty()).unwrap();
    let answer = app.oneshot(request).await.unwrap().into_body();
    let count = axum::body::to_bytes(answer, 64).await.unwrap();
    assert_eq!(count, format!("{BOXES} 0"));
}
