//! Spans of the application within a request.

use std::time::Duration;

use axum::Router;
use axum::routing::{MethodRouter, get};
use orderscope::context::{self, current_trace};
use orderscope::export::{ReceivedSpan, ReceivedSpanKind, ReceivedStatus};
use tokio::task::yield_now;
use tracing::{Instrument as _, info_span, instrument};

use super::super::{Says, Scene, ask, assert_child, named, two_threads};

/// The spans of one request, served on two threads.
fn spans_of(handler: MethodRouter) -> Vec<ReceivedSpan> {
    let scene = Scene::new();
    let app = scene.app(Router::new().route("/", handler));
    let runtime = two_threads(scene.dispatch());
    runtime.block_on(async {
        tokio::spawn(async move { ask(&app, "/").await })
            .await
            .unwrap();
        scene.spans().await
    })
}

#[instrument(fields(found = tracing::field::Empty))]
async fn load(table: &str, id: u32) -> u32 {
    info_span!("query").in_scope(|| ());
    // The request goes on to run on whichever thread is free.
    tokio::time::sleep(Duration::from_millis(1)).await;
    yield_now().await;
    tracing::Span::current().record("found", true);
    info_span!("decode", rows = 3, ratio = 0.5).in_scope(|| ());
    id
}

#[test]
fn spans_of_the_handler_are_children_of_the_request_across_awaits() {
    let spans = spans_of(get(async || {
        load("orders", 7).await;
        async {
            yield_now().await;
            load("dishes", 8)
                .instrument(info_span!("inner", otel.name = "the menu"))
                .await;
        }
        .instrument(info_span!("outer"))
        .await;
    }));
    assert_eq!(spans.len(), 9);
    let request = named(&spans, "GET /");
    let of = |parent: &ReceivedSpan, name: &str| {
        let mut found = spans
            .iter()
            .filter(|span| span.name == name && span.parent_span_id == Some(parent.span_id));
        let span = found.next().unwrap();
        assert!(found.next().is_none());
        assert_child(span, parent);
        span.clone()
    };
    let first = of(request, "load");
    let second = of(&of(&of(request, "outer"), "the menu"), "load");
    for (load, table, id) in [(&first, "orders", "#7"), (&second, "dishes", "#8")] {
        assert_eq!(
            (load.says("table"), load.says("id")),
            (table.into(), id.into())
        );
        assert_eq!(load.says("found"), "#true");
        assert!(load.says("target").ends_with("signals::traces::children"));
        assert_eq!(load.says("code.file.path"), file!());
        of(load, "query");
        let decode = of(load, "decode");
        assert_eq!(
            (decode.says("rows"), decode.says("ratio")),
            ("#3".into(), "#0.5".into())
        );
        assert!(load.started >= request.started && load.ended <= request.ended);
        assert!(decode.started >= load.started && decode.ended <= load.ended);
    }
    assert_eq!(request.kind, ReceivedSpanKind::Server);
    let inner = spans.iter().filter(|span| span.span_id != request.span_id);
    for span in inner {
        assert_eq!(span.kind, ReceivedSpanKind::Internal);
        assert_eq!(span.status, ReceivedStatus::Unset);
    }
}

#[test]
fn a_span_with_an_error_in_it_has_failed() {
    #[instrument(err)]
    async fn pay() -> Result<(), std::fmt::Error> {
        yield_now().await;
        Err(std::fmt::Error)
    }
    let spans = spans_of(get(async || {
        pay().await.unwrap_err();
        info_span!("shrugged", error = false).in_scope(|| ());
        info_span!("told", error = "no card").in_scope(|| ());
    }));
    let status = |name| &named(&spans, name).status;
    assert!(matches!(status("pay"), ReceivedStatus::Error(_)));
    assert!(matches!(status("told"), ReceivedStatus::Error(_)));
    assert_eq!(*status("shrugged"), ReceivedStatus::Unset);
    // The request itself was answered with 200.
    assert_eq!(*status("GET /"), ReceivedStatus::Unset);
}

#[test]
fn a_task_that_carries_the_context_is_a_part_of_the_trace() {
    let spans = spans_of(get(async || {
        let outer = info_span!("outer");
        let task = outer.in_scope(|| {
            tokio::spawn(context::carry(async {
                info_span!("before").in_scope(|| ());
                yield_now().await;
                async { yield_now().await }
                    .instrument(info_span!("after"))
                    .await;
                current_trace().unwrap().span_id()
            }))
        });
        drop(outer);
        let of_request = tokio::spawn(context::carry(async {
            info_span!("beside").in_scope(|| ());
        }));
        task.await.unwrap();
        of_request.await.unwrap();
    }));
    let (request, outer) = (named(&spans, "GET /"), named(&spans, "outer"));
    assert_child(outer, request);
    assert_child(named(&spans, "before"), outer);
    assert_child(named(&spans, "after"), outer);
    assert_child(named(&spans, "beside"), request);
    assert_eq!(spans.len(), 5);
}

#[test]
fn a_task_without_the_context_begins_a_trace_of_its_own() {
    let spans = spans_of(get(async || {
        let task = tokio::spawn(async {
            info_span!("alone").in_scope(|| info_span!("within").in_scope(|| ()));
            current_trace().is_none()
        });
        assert!(task.await.unwrap());
        let blocking = tokio::task::spawn_blocking(|| current_trace().is_none());
        assert!(blocking.await.unwrap());
    }));
    let (request, alone) = (named(&spans, "GET /"), named(&spans, "alone"));
    assert_eq!(alone.parent_span_id, None);
    assert_ne!(alone.trace_id, request.trace_id);
    assert_child(named(&spans, "within"), alone);
}

#[test]
fn a_span_may_name_its_parent_and_a_request_may_be_left() {
    let spans = spans_of(get(async || {
        let first = info_span!("first");
        let _second = info_span!("second").entered();
        info_span!(parent: &first, "of the first").in_scope(|| ());
        info_span!(parent: None, "a root").in_scope(|| ());
    }));
    assert_child(named(&spans, "of the first"), named(&spans, "first"));
    assert_child(named(&spans, "second"), named(&spans, "GET /"));
    let root = named(&spans, "a root");
    assert_eq!(root.parent_span_id, None);
    assert_ne!(root.trace_id, named(&spans, "GET /").trace_id);
}

#[test]
fn requests_that_take_turns_on_a_thread_keep_their_spans_apart() {
    let scene = Scene::new();
    let handler = async |axum::extract::Path(id): axum::extract::Path<u32>| {
        async {
            for _ in 0..20 {
                yield_now().await;
                info_span!("step", id).in_scope(|| ());
            }
        }
        .instrument(info_span!("work", id))
        .await;
    };
    let app = scene.app(Router::new().route("/{id}", get(handler)));
    let runtime = two_threads(scene.dispatch());
    let spans = runtime.block_on(async {
        let asked = (0..8).map(|id| {
            let app = app.clone();
            tokio::spawn(async move { ask(&app, &format!("/{id}")).await })
        });
        for asked in asked.collect::<Vec<_>>() {
            asked.await.unwrap();
        }
        scene.spans().await
    });
    assert_eq!(spans.len(), 8 * 22);
    for request in spans.iter().filter(|span| span.name == "GET /{id}") {
        let id = format!("#{}", &request.says("url.path")[1..]);
        let of_trace: Vec<_> = spans
            .iter()
            .filter(|span| span.trace_id == request.trace_id)
            .collect();
        assert_eq!(of_trace.len(), 22);
        let work = of_trace.iter().find(|span| span.name == "work").unwrap();
        assert_child(work, request);
        for step in of_trace.iter().filter(|span| span.name == "step") {
            assert_child(step, work);
            assert_eq!(step.says("id"), id);
        }
    }
}
