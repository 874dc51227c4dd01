//! Pools of others.

use crate::pipeline::{Gauged, Pipeline};

/// What a pool of connections can tell of itself, at each collection and without waiting. What it
/// cannot tell is absent from the metrics; so is what is not overridden.
pub trait PoolStatus: Send + Sync + 'static {
    /// Connections that wait for use.
    fn idle(&self) -> Option<u64> {
        None
    }

    /// Connections in use.
    fn used(&self) -> Option<u64> {
        None
    }

    /// How many there may be.
    fn max(&self) -> Option<u64> {
        None
    }

    /// How many idle ones are kept at most.
    fn idle_max(&self) -> Option<u64> {
        None
    }

    /// How many idle ones are kept at least.
    fn idle_min(&self) -> Option<u64> {
        None
    }

    /// Who waits for a connection now.
    fn pending_requests(&self) -> Option<u64> {
        None
    }

    /// How often somebody waited for too long, since the pool was made.
    fn timeouts(&self) -> Option<u64> {
        None
    }

    /// Whether the pool is gone: then it is asked no more.
    fn is_closed(&self) -> bool {
        false
    }
}

/// Asks `status` at each collection of `pipeline`.
pub(crate) fn watch_pool(pipeline: &'static Pipeline, name: &str, status: impl PoolStatus) {
    let look = move || {
        (!status.is_closed()).then(|| Gauged {
            idle: status.idle(),
            used: status.used(),
            max: status.max(),
            idle_max: status.idle_max(),
            idle_min: status.idle_min(),
            pending: status.pending_requests(),
            timeouts: status.timeouts(),
        })
    };
    pipeline.databases().watch(name, Box::new(look));
}
