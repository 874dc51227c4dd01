//! Funnels, users and sessions between two looks at the numbers: what waits is counted all the same.

use super::tracked;
use crate::{
    pipeline::{Pipeline, Sharing},
    worker::{Worker, block_on},
};
use std::time::Duration;
use tokio::time;

const PAUSE: Duration = Duration::from_millis(250);

/// Has the worker count the steps of funnels, users and sessions, where there are any.
pub(crate) fn settle(pipeline: &'static Pipeline, worker: &Worker) {
    let is_asked_for = pipeline.funnels.are_declared()
        || pipeline.users.are_declared()
        || pipeline.sessions.are_declared()
        || pipeline.given_ids.are_shared();
    if !is_asked_for {
        return;
    }
    worker.settle(move |mut stop| async move {
        let over_and_over = async {
            // An error: it was dropped.
            while time::timeout(PAUSE, stop.wait_for(|stops| *stops))
                .await
                .is_err()
            {
                settle_all(pipeline).await;
            }
        };
        tokio::select! {
            biased;
            () = pipeline.sharing.ended() => {}
            () = over_and_over => {}
        }
    });
}

/// What is recorded once others have answered is recorded when this comes to its end.
pub(crate) async fn settle_shared(pipeline: &Pipeline) {
    if pipeline.given_ids.are_shared() {
        settle_all(pipeline).await;
    }
}

async fn settle_all(pipeline: &Pipeline) {
    let let_go = |event| tracked::let_go(pipeline, event);
    let refuse = || tracked::refuse(pipeline);
    let answers = [
        // First: they may be steps.
        pipeline.given_ids.settle(let_go, refuse).await,
        // All is told before anything is settled, so that others wait for nothing.
        pipeline.funnels.tell().await,
        pipeline.sessions.tell_all().await,
        pipeline.funnels.settle().await,
        pipeline.users.settle().await,
        pipeline.sessions.settle(pipeline).await,
        pipeline.error_groups.settle(pipeline).await,
    ];
    pipeline
        .sharing
        .heard(answers.into_iter().fold(Ok(()), Sharing::worse));
}

/// For the end, before what is recorded is taken for the last time: where a state is shared, it has half
/// of the time to answer.
pub(crate) fn settle_for_the_last_time(
    pipeline: &'static Pipeline,
    worker: &Worker,
    within: Duration,
) {
    if !pipeline.sharing.state().answers_at_once() {
        // Whoever is at it comes to an end first, and leaves nothing in its hands.
        pipeline.sharing.end();
        let settling = worker.attend(within / 2, settle_all(pipeline));
        // `None`: nobody answered, which is nobody's fault any more.
        let _ = block_on(within / 2, settling);
    }
    let let_go = |event| tracked::let_go(pipeline, event);
    pipeline.given_ids.let_all_go(let_go);
    pipeline.funnels.settle_all();
    pipeline.sessions.settle_all(pipeline);
}
