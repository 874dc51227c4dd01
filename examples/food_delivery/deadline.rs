//! A moment that many tasks wait for: the visitors' leaving, the server's closing.

use std::sync::Arc;

use tokio::sync::watch;

/// A moment that passes once; clones share it.
#[derive(Clone)]
pub(crate) struct Deadline(Arc<watch::Sender<bool>>);

impl Deadline {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn pass(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_passed(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the moment; returns at once if it has passed.
    pub(crate) async fn passed(&self) {
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = self.0.subscribe().wait_for(|passed| *passed).await;
    }
}
