//! The request as a span of `tracing`, for the layers of others.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::get;
use orderscope::http::RequestSpan;
use orderscope::tracing_layer::Levels;
use tracing::info_span;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{fmt, registry};

use super::super::{Scene, ask, assert_child, named};

/// What a foreign layer prints.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    pub(in super::super) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).unwrap()
    }
}

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Printed {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Asks once, with a handler that has a span and a line, beside a foreign layer or without. Gives
/// what that layer printed, having looked at the spans.
async fn printed(mode: Option<RequestSpan>, with_foreign: bool) -> String {
    let (scene, printed) = (Scene::new(), Printed::default());
    let foreign = fmt::layer().with_ansi(false).with_writer(printed.clone());
    let subscriber = registry()
        .with(scene.telemetry.tracing_layer().at(Levels::default()))
        .with(with_foreign.then_some(foreign));
    let _listens = tracing::subscriber::set_default(subscriber);
    let handler = async || {
        let inner = info_span!("inner");
        inner.in_scope(|| tracing::info!("in the kitchen"));
    };
    let layer = scene.telemetry.http_layer();
    let layer = match mode {
        Some(mode) => layer.request_span(mode),
        None => layer,
    };
    let app = Router::new()
        .route("/orders/{id}", get(handler))
        .layer(layer);
    ask(&app, "/orders/7").await;

    // In every mode the request is recorded once, and what is within stands under it.
    let spans = scene.spans().await;
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let (request, inner) = (named(&spans, "GET /orders/{id}"), named(&spans, "inner"));
    assert_child(inner, request);
    let log = scene.log().await;
    assert_eq!(log.trace_id, Some(request.trace_id));
    assert_eq!(log.span_id, Some(inner.span_id));
    let printed = printed.text();
    assert_eq!(
        printed.contains(&request.trace_id.to_string()),
        printed.contains("request{"),
        "{printed}"
    );
    printed
}

const OPEN: &str = "request{http.request.method=\"GET\" http.route=\"/orders/{id}\" \
    url.path=\"/orders/7\" trace_id=";

#[tokio::test]
async fn a_foreign_layer_sees_the_request_s_span_unless_it_is_off() {
    for mode in [RequestSpan::Auto, RequestSpan::On] {
        let printed = printed(Some(mode), true).await;
        assert!(printed.contains(OPEN), "{mode:?}: {printed}");
        assert!(printed.contains("}:inner: "), "{mode:?}: {printed}");
    }
    for mode in [None, Some(RequestSpan::Off)] {
        let printed = printed(mode, true).await;
        assert!(!printed.contains("request{"), "{mode:?}: {printed}");
        assert!(printed.contains(" INFO inner: "), "{mode:?}: {printed}");
    }
}

#[tokio::test]
async fn alone_our_layer_wants_none_and_the_request_is_recorded_once_in_every_mode() {
    for mode in [RequestSpan::Off, RequestSpan::Auto, RequestSpan::On] {
        assert_eq!(printed(Some(mode), false).await, "");
    }
}
