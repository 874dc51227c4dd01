//! What a tokio runtime is told by: the one that the telemetry was made on, or that
//! [`watch_runtime`](crate::Telemetry::watch_runtime) was called on. Read at each collection; absent
//! without a runtime.
//!
//! The second half is told by builds with `--cfg tokio_unstable` alone, since tokio does.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

/// Worker threads of the runtime.
pub const WORKERS: Descriptor = Descriptor::gauge(
    "orderscope.tokio.workers",
    Unit::things("{thread}"),
    "Worker threads of the runtime.",
);

/// Tasks that were spawned and have not ended.
pub const ALIVE_TASKS: Descriptor = Descriptor::gauge(
    "orderscope.tokio.alive_tasks",
    Unit::things("{task}"),
    "Tasks that have not ended.",
);

/// Tasks that are ready and wait for any worker; one that keeps growing tells of too few workers, or
/// of workers that are blocked.
pub const GLOBAL_QUEUE_DEPTH: Descriptor = Descriptor::gauge(
    "orderscope.tokio.global_queue_depth",
    Unit::things("{task}"),
    "Tasks that wait for any worker.",
);

/// The share of time that each worker was at work, in place of waiting for some, between two readings
/// that are a second or more apart; within a second the last one is told again. A worker of a
/// multi-threaded runtime that did not get to wait in all that time, since a task blocks it, is at 1;
/// that of a `current_thread` runtime tells of such a time once it is over. Absent until a second has
/// passed since the runtime is watched.
pub const BUSY_RATIO: Descriptor = Descriptor::gauge(
    "orderscope.tokio.worker.busy_ratio",
    Unit::RATIO,
    "Share of time that a worker was at work.",
)
.with_attributes(&[semconv::TOKIO_WORKER]);

/// Threads for blocking work (`spawn_blocking`, files), idle ones included. Under `tokio_unstable`.
pub const BLOCKING_THREADS: Descriptor = Descriptor::gauge(
    "orderscope.tokio.blocking.threads",
    Unit::things("{thread}"),
    "Threads for blocking work.",
);

/// Pieces of blocking work that wait for a thread. Under `tokio_unstable`.
pub const BLOCKING_QUEUE_DEPTH: Descriptor = Descriptor::gauge(
    "orderscope.tokio.blocking.queue_depth",
    Unit::things("{task}"),
    "Blocking work that waits for a thread.",
);

/// Times that a task was made to yield since it had used up its budget. Under `tokio_unstable`.
pub const FORCED_YIELDS: Descriptor = Descriptor::counter(
    "orderscope.tokio.forced_yields",
    Unit::things("{yield}"),
    "Times that a task was made to yield.",
);

/// Tasks that are ready and wait for one worker. Under `tokio_unstable`.
pub const LOCAL_QUEUE_DEPTH: Descriptor = Descriptor::gauge(
    "orderscope.tokio.worker.local_queue_depth",
    Unit::things("{task}"),
    "Tasks that wait for one worker.",
)
.with_attributes(&[semconv::TOKIO_WORKER]);

/// Polls of tasks by a worker. Under `tokio_unstable`.
pub const POLLS: Descriptor = Descriptor::counter(
    "orderscope.tokio.worker.polls",
    Unit::things("{poll}"),
    "Polls of tasks.",
)
.with_attributes(&[semconv::TOKIO_WORKER]);

/// Tasks that a worker took over from others. Under `tokio_unstable`.
pub const STEALS: Descriptor = Descriptor::counter(
    "orderscope.tokio.worker.steals",
    Unit::things("{task}"),
    "Tasks taken over from other workers.",
)
.with_attributes(&[semconv::TOKIO_WORKER]);
