//! Funnels, users and sessions between two looks at the numbers: what waits is counted all the same.

use crate::{pipeline::Pipeline, worker::Worker};
use std::time::Duration;
use tokio::time;

const PAUSE: Duration = Duration::from_millis(250);

/// Has the worker count the steps of funnels, users and sessions, where there are any.
pub(crate) fn settle(pipeline: &'static Pipeline, worker: &Worker) {
    let is_any_declared = pipeline.funnels.are_declared()
        || pipeline.users.are_declared()
        || pipeline.sessions.are_declared();
    if !is_any_declared {
        return;
    }
    worker.settle(move |mut stop| async move {
        // An error: it was dropped.
        while time::timeout(PAUSE, stop.wait_for(|stops| *stops))
            .await
            .is_err()
        {
            settle_all(pipeline).await;
        }
        settle_all(pipeline).await;
    });
}

async fn settle_all(pipeline: &Pipeline) {
    let answers = [
        pipeline.funnels.settle().await,
        pipeline.users.settle().await,
        pipeline.sessions.settle(pipeline).await,
    ];
    pipeline
        .sharing
        .heard(answers.into_iter().collect::<Result<(), _>>());
}
