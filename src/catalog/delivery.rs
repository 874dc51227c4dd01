//! The ledger: of the records that a destination was to have, what became of each. At rest
//! accepted = acknowledged + rejected + dropped + ambiguous + queued + in flight + spooled.
//!
//! The records of `signal="metrics"` are requests, each with all metrics in it.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

const RECORD: Unit = Unit::things("{record}");
const OF: &[&str] = &[semconv::DESTINATION, semconv::SIGNAL];

/// Records that were recorded for the destination.
pub const ACCEPTED: Descriptor = Descriptor::counter(
    "orderscope.delivery.accepted",
    RECORD,
    "Records recorded for a destination.",
)
.with_attributes(OF);

/// Records that the destination says it has.
pub const ACKNOWLEDGED: Descriptor = Descriptor::counter(
    "orderscope.delivery.acknowledged",
    RECORD,
    "Records that the destination acknowledged.",
)
.with_attributes(OF);

/// Records that the destination refused one by one, in an answer of partial success.
pub const REJECTED: Descriptor = Descriptor::counter(
    "orderscope.delivery.rejected",
    RECORD,
    "Records that the destination rejected by partial success.",
)
.with_attributes(OF);

/// Records that were given up, by reason.
pub const DROPPED: Descriptor = Descriptor::counter(
    "orderscope.delivery.dropped",
    RECORD,
    "Records given up, by reason.",
)
.with_attributes(&[semconv::DESTINATION, semconv::SIGNAL, semconv::REASON]);

/// Records that were sent and never answered for: the destination has them, or not.
pub const AMBIGUOUS: Descriptor = Descriptor::counter(
    "orderscope.delivery.ambiguous",
    RECORD,
    "Records sent whose answer was lost.",
)
.with_attributes(OF);

/// Records that wait.
pub const QUEUED: Descriptor = Descriptor::gauge(
    "orderscope.delivery.queued",
    RECORD,
    "Records that wait to be sent.",
)
.with_attributes(OF);

/// Records of requests under way.
pub const IN_FLIGHT: Descriptor = Descriptor::gauge(
    "orderscope.delivery.in_flight",
    RECORD,
    "Records of requests under way.",
)
.with_attributes(OF);

/// Records that wait on disk.
pub const SPOOLED: Descriptor = Descriptor::gauge(
    "orderscope.delivery.spooled",
    RECORD,
    "Records that wait on disk.",
)
.with_attributes(OF);

/// Bytes of what waits and what is under way, as encoded.
pub const QUEUE_SIZE: Descriptor = Descriptor::gauge(
    "orderscope.delivery.queue.size",
    Unit::BYTES,
    "Bytes of the records that wait or are under way.",
)
.with_attributes(&[semconv::DESTINATION]);

/// How long a request took, to its answer or its deadline.
pub const EXPORT_DURATION: Descriptor = Descriptor::histogram(
    "orderscope.delivery.export.duration",
    Unit::SECONDS,
    "Time of one request to a destination, to its answer or its deadline.",
)
.with_attributes(&[semconv::DESTINATION])
.with_edges(&[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
]);

/// 1 while a destination is given time to recover, else 0.
pub const BREAKER_OPEN: Descriptor = Descriptor::gauge(
    "orderscope.delivery.breaker.open",
    Unit::NONE,
    "Whether sending to a destination is paused after failures.",
)
.with_attributes(&[semconv::DESTINATION]);
