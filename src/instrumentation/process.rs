//! CPU, memory, threads and descriptors of this process, and its tokio runtime, read at each
//! collection.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod linux;
mod runtime;

pub(crate) use runtime::Watched;

use crate::pipeline::Pipeline;
use std::sync::Arc;

/// Registers the process metrics; where the operating system is not Linux they are absent. Watches
/// the runtime that the caller is on, if any.
pub(crate) fn watch(pipeline: &'static Pipeline) -> Arc<Watched> {
    #[cfg(target_os = "linux")]
    linux::watch(pipeline);
    let watched = Watched::new(pipeline);
    watched.watch_current();
    watched
}
