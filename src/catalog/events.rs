//! What business events are counted by; [`crate::events`] says when.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

/// Business events by name; those beyond 1,000 names are `_OTHER`.
pub const EVENTS: Descriptor = Descriptor::counter(
    "orderscope.events",
    Unit::things("{event}"),
    "Business events, by name.",
)
.with_attributes(&[semconv::EVENT]);

/// Events that were not taken, and so are not in [`EVENTS`].
pub const EVENTS_REFUSED: Descriptor = Descriptor::counter(
    "orderscope.events.refused",
    Unit::things("{event}"),
    "Events refused, by reason.",
)
.with_attributes(&[semconv::REASON]);
