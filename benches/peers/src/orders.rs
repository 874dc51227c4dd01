//! The service that is measured: one route, and how a request to it is served.

use crate::rounds::{Delivered, Subject};
use axum::{Router, body::Body, extract::Path, routing::get};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use std::{
    hint::black_box,
    sync::{OnceLock, mpsc},
    thread,
};
use tokio::runtime;
use tower::ServiceExt as _;
use tracing::Instrument as _;

/// What the handler tells of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    Silent,
    AccessLog,
    ChildSpan,
    /// Answers that it failed.
    Failing,
}

impl Handler {
    pub(crate) fn router(self) -> Router {
        let route = match self {
            Self::Silent => get(silent),
            Self::AccessLog => get(with_access_log),
            Self::ChildSpan => get(with_child_span),
            Self::Failing => get(failing),
        };
        Router::new().route("/orders/{id}", route)
    }
}

async fn silent(Path(id): Path<u32>) -> String {
    format!("order {id}")
}

async fn with_access_log(Path(id): Path<u32>) -> String {
    tracing::info!(order_id = id, restaurant = "Roma", "order read");
    format!("order {id}")
}

async fn with_child_span(Path(id): Path<u32>) -> String {
    let read = async { format!("order {id}") };
    read.instrument(tracing::info_span!("read order", order_id = id))
        .await
}

async fn failing(Path(id): Path<u32>) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("order {id}"))
}

/// Serves requests as `axum::serve` does: the state is applied, the body read to its end.
pub(crate) fn served(
    app: Router,
    settle: Box<dyn FnMut()>,
    delivered: Box<dyn Fn() -> Delivered>,
) -> Subject {
    let app: Router = app.with_state(());
    let runtime = runtime();
    let threads = *THREADS.get().unwrap_or(&1);
    let of_others = || match IS_BESIDE_BARE.get() {
        Some(true) => Handler::Silent.router().with_state(()),
        _ => app.clone(),
    };
    let others: Vec<_> = (1..threads).map(|_| serving(of_others())).collect();
    Subject {
        run: Box::new(move |times| {
            let share = times / threads;
            for (begin, _) in &others {
                let _ = begin.send(share);
            }
            runtime.block_on(serve_all(&app, share));
            for (_, ended) in &others {
                let _ = ended.recv();
            }
        }),
        threads,
        settle,
        delivered,
    }
}

/// On how many threads at once requests are served; one unless it is set.
pub(crate) static THREADS: OnceLock<u32> = OnceLock::new();

/// Whether the other threads serve the bare router: what two threads of a variant cost more than that, they
/// cost each other.
pub(crate) static IS_BESIDE_BARE: OnceLock<bool> = OnceLock::new();

/// A thread that serves as many requests as it is told, and says when it has.
fn serving(app: Router) -> (mpsc::Sender<u32>, mpsc::Receiver<()>) {
    let (begin, begun) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime();
        for times in begun {
            runtime.block_on(serve_all(&app, times));
            let _ = end.send(());
        }
    });
    (begin, ended)
}

async fn serve_all(app: &Router, times: u32) {
    for _ in 0..times {
        serve(app).await;
    }
}

/// The router without anything.
pub(crate) fn bare() -> Subject {
    served(
        Handler::Silent.router(),
        Box::new(|| {}),
        Box::new(Delivered::default),
    )
}

pub(crate) fn runtime() -> runtime::Runtime {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    runtime.unwrap_or_else(|error| panic!("no runtime: {error}"))
}

async fn serve(app: &Router) {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static("/orders/17");
    let Ok(response): Result<Response<Body>, _> = app.clone().oneshot(request).await;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        black_box(frame.ok());
    }
}
