//! What orderscope tells of itself: what it refused, cut or could not hold.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

/// Attribute sets that found no room, because their instrument or the byte budget was full, each
/// time they were looked up. What is recorded under them stands in the instrument's overflow set.
pub const SERIES_OVERFLOWED: Descriptor = Descriptor::counter(
    "orderscope.series.overflowed",
    Unit::things("{set}"),
    "Attribute sets that found no room, each time they were looked up, by metric.",
)
.with_attributes(&[semconv::METRIC]);

/// Instruments of the `metrics` facade that were refused.
pub const INSTRUMENTS_REFUSED: Descriptor = Descriptor::counter(
    "orderscope.instruments.refused",
    Unit::things("{instrument}"),
    "Instruments refused, by reason.",
)
.with_attributes(&[semconv::REASON]);

/// Values that are no finite number.
pub const VALUES_REFUSED: Descriptor = Descriptor::counter(
    "orderscope.values.refused",
    Unit::things("{value}"),
    "Values refused, by reason.",
)
.with_attributes(&[semconv::REASON, semconv::SIGNAL]);

/// Names and values of attributes that were cut to their limit.
pub const VALUES_TRUNCATED: Descriptor = Descriptor::counter(
    "orderscope.values.truncated",
    Unit::things("{value}"),
    "Attribute names and values cut to their limit.",
)
.with_attributes(&[semconv::SIGNAL]);

/// Tenants of the telemetry worker that failed and were started again.
pub const WORKER_RESTARTS: Descriptor = Descriptor::counter(
    "orderscope.worker.restarts",
    Unit::things("{restart}"),
    "Restarts of the telemetry worker's tenants.",
);

/// Events and errors recorded outside every telemetry, because none was installed (yet); over the
/// whole process.
pub const RECORDS_UNCLAIMED: Descriptor = Descriptor::counter(
    "orderscope.records.unclaimed",
    Unit::things("{record}"),
    "Records that no telemetry was there to take.",
);

/// Entries of a bounded store that made room for later ones before their time, by store.
pub const EVICTIONS: Descriptor = Descriptor::counter(
    "orderscope.evictions",
    Unit::things("{entry}"),
    "Entries of a bounded store that made room for later ones before their time.",
)
.with_attributes(&[semconv::STORE]);

/// 1 while the state that replicas share does not answer, by reason, else 0.
pub const SHARED_STATE_DEGRADED: Descriptor = Descriptor::gauge(
    "orderscope.shared_state.degraded",
    Unit::NONE,
    "Whether the state that replicas share does not answer, by reason.",
)
.with_attributes(&[semconv::REASON]);
