//! Errors as a backend sees them: what, where in the source, in which request, how often.

use std::error::Error;
use std::fmt;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Extension, Router};
use hyper::Request;
use orderscope::errors::{HandlerError, Severity, capture_error_as};
use orderscope::export::ReceivedStatus;
use orderscope::{capture_error, context};
use tracing::{Instrument as _, info_span};

use super::{Says, Scene, ask, body, named, send};

#[derive(Debug)]
struct OrderError {
    said: &'static str,
    cause: Option<Box<Self>>,
}

impl OrderError {
    fn new(said: &'static str, cause: Option<Self>) -> Self {
        let cause = cause.map(Box::new);
        Self { said, cause }
    }
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.said)
    }
}

impl Error for OrderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

const TYPE: &str = "it::signals::errors::OrderError";

/// Captures an error, and says in which line.
#[inline(never)]
fn reach_the_kitchen() -> u32 {
    let timed_out = OrderError::new("timed out after 3 s", None);
    let kitchen = OrderError::new("the kitchen does not answer", Some(timed_out));
    let error = OrderError::new("order 7 is stuck", Some(kitchen));
    let (line, ()) = (line!(), capture_error(&error));
    line
}

#[tokio::test]
async fn an_error_says_what_where_for_whom_and_in_which_span() {
    let scene = Scene::new();
    let _listens = scene.listens();
    let handler = async || {
        context::identify("u-7", "s-9");
        async { reach_the_kitchen().to_string() }
            .instrument(info_span!("cook"))
            .await
    };
    let app = scene.app(Router::new().route("/orders/{id}", put(handler)));
    let request = Request::put("/orders/7").body(axum::body::Body::empty());
    let (_, line) = send(&app, request.unwrap()).await;

    let (log, spans) = (scene.log().await, scene.spans().await);
    assert_eq!(log.event_name, "exception");
    assert_eq!(
        (log.severity_number, log.severity_text.as_str()),
        (17, "ERROR")
    );
    let message = "order 7 is stuck: the kitchen does not answer: timed out after 3 s";
    assert_eq!(body(&log), message);
    for (name, value) in [
        ("exception.type", TYPE),
        ("exception.message", message),
        ("orderscope.error.handled", "#true"),
        (
            "code.function.name",
            "it::signals::errors::reach_the_kitchen",
        ),
        ("code.file.path", file!()),
        ("code.line.number", &format!("#{line}")),
        ("http.route", "/orders/{id}"),
        ("http.request.method", "PUT"),
        ("user.id", "u-7"),
        ("session.id", "s-9"),
    ] {
        assert_eq!(log.says(name), value, "{name}");
    }
    let stack = log.says("exception.stacktrace");
    assert!(
        stack.contains("it::signals::errors::reach_the_kitchen"),
        "{stack}"
    );
    assert!(stack.contains(&format!("{}:{line}", file!())), "{stack}");
    // The capture itself is no part of it.
    assert!(!stack.contains("orderscope::stack::"), "{stack}");
    assert!(!stack.contains("capture_error"), "{stack}");

    let (request, cook) = (named(&spans, "PUT /orders/{id}"), named(&spans, "cook"));
    assert_eq!(log.trace_id, Some(request.trace_id));
    assert_eq!(log.span_id, Some(cook.span_id));
    assert_eq!(request.status, ReceivedStatus::Unset, "it was dealt with");
    let numbers = scene.telemetry.snapshot();
    let handled = [("severity", "ERROR"), ("handled", "true")];
    assert_eq!(numbers.counter("orderscope.exceptions", &handled), 1);
    let by_type = [("exception.type", TYPE)];
    assert_eq!(
        numbers.counter("orderscope.exceptions.by_type", &by_type),
        1
    );
    assert_eq!(numbers.counter("orderscope.panics", &[]), 0);
}

#[tokio::test]
async fn an_error_may_be_more_grave_and_of_no_known_type() {
    let scene = Scene::new();
    let handler = async || {
        let error: Box<dyn Error> = Box::new(OrderError::new("captured twice", None));
        capture_error_as(&*error, Severity::Critical);
    };
    let app = scene.app(Router::new().route("/", get(handler)));
    ask(&app, "/").await;
    let log = scene.log().await;
    assert_eq!(
        (log.severity_number, log.severity_text.as_str()),
        (21, "CRITICAL")
    );
    // Of a trait object, what its `Debug` begins with.
    assert_eq!(log.says("exception.type"), "OrderError");
    let numbers = scene.telemetry.snapshot();
    let critical = [("severity", "CRITICAL"), ("handled", "true")];
    assert_eq!(numbers.counter("orderscope.exceptions", &critical), 1);
}

impl IntoResponse for OrderError {
    fn into_response(self) -> Response {
        let error = Extension(HandlerError::new(&self));
        (StatusCode::BAD_GATEWAY, error, "try again").into_response()
    }
}

#[tokio::test]
async fn an_error_that_a_handler_answers_with_is_recorded_once_with_the_status() {
    let scene = Scene::new();
    let handler = async || -> Result<(), OrderError> {
        context::identify_user("u-7");
        Err(OrderError::new("the courier is lost", None))
    };
    let app = scene.app(Router::new().route("/couriers", get(handler)));
    let (status, told) = ask(&app, "/couriers").await;
    assert_eq!(
        (status, told.as_str()),
        (StatusCode::BAD_GATEWAY, "try again")
    );

    let (log, span) = (scene.log().await, scene.span().await);
    assert_eq!(log.event_name, "exception");
    for (name, value) in [
        ("exception.type", TYPE),
        ("exception.message", "the courier is lost"),
        ("http.response.status_code", "#502"),
        ("http.route", "/couriers"),
        ("user.id", "u-7"),
    ] {
        assert_eq!(log.says(name), value, "{name}");
    }
    let stack = log.says("exception.stacktrace");
    assert!(stack.contains("into_response"), "{stack}");
    assert_eq!(
        (log.trace_id, log.span_id),
        (Some(span.trace_id), Some(span.span_id))
    );
    assert_eq!(span.says("error.type"), "502");
    let numbers = scene.telemetry.snapshot();
    assert_eq!(numbers.counter("orderscope.exceptions", &[]), 1);
}

#[tokio::test]
async fn one_that_no_answer_carries_is_recorded_once_all_the_same() {
    let scene = Scene::new();
    let handler = async || {
        let made = HandlerError::new(&OrderError::new("forgotten", None));
        drop((made.clone(), made));
        "fine"
    };
    let app = scene.app(Router::new().route("/", get(handler)));
    ask(&app, "/").await;
    let log = scene.log().await;
    assert_eq!(log.says("exception.message"), "forgotten");
    assert_eq!(log.says("http.route"), "/");
    assert!(log.attribute("http.response.status_code").is_none());
}

#[tokio::test]
async fn a_panic_that_no_hook_told_of_is_recorded_once_by_the_layer() {
    let scene = Scene::new();
    let handler = async || -> String {
        context::identify("u-7", "s-9");
        panic!("oven {} exploded", 7)
    };
    let app = scene.app(Router::new().route("/ovens/{id}", get(handler)));
    let (status, answer) = ask(&app, "/ovens/7").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.contains("exploded"), "{answer}");

    let (log, span) = (scene.log().await, scene.span().await);
    for (name, value) in [
        ("exception.type", "panic"),
        ("exception.message", "oven 7 exploded"),
        ("orderscope.error.handled", "#false"),
        ("http.route", "/ovens/{id}"),
        ("user.id", "u-7"),
        ("session.id", "s-9"),
    ] {
        assert_eq!(log.says(name), value, "{name}");
    }
    assert_eq!(log.trace_id, Some(span.trace_id));
    assert!(answer.contains(&span.trace_id.to_string()), "{answer}");
    let numbers = scene.telemetry.snapshot();
    let unhandled = [("severity", "ERROR"), ("handled", "false")];
    assert_eq!(numbers.counter("orderscope.exceptions", &unhandled), 1);
    assert_eq!(numbers.counter("orderscope.panics", &[]), 1);
}
