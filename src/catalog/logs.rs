//! What the log lines are counted by.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

/// Log records of each severity, before any filter of a destination: what `tracing` emitted at the
/// levels that our layer reads. Errors and business events are counted by their own instruments.
pub const LOG_RECORDS: Descriptor = Descriptor::counter(
    "orderscope.log.records",
    Unit::things("{record}"),
    "Log records, by severity.",
)
.with_attributes(&[semconv::SEVERITY]);
