//! What errors are counted by; [`crate::errors`] says when.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

/// Errors that were captured, and panics. `handled` is `false` for panics.
pub const EXCEPTIONS: Descriptor = Descriptor::counter(
    "orderscope.exceptions",
    Unit::things("{exception}"),
    "Errors captured and panics, by severity and whether they were handled.",
)
.with_attributes(&[semconv::SEVERITY, semconv::HANDLED]);

/// The same by type; those beyond 1,000 types are `_OTHER`.
pub const EXCEPTIONS_BY_TYPE: Descriptor = Descriptor::counter(
    "orderscope.exceptions.by_type",
    Unit::things("{exception}"),
    "Errors captured and panics, by type.",
)
.with_attributes(&[semconv::EXCEPTION_TYPE]);

/// Panics, wherever in the process, each once.
pub const PANICS: Descriptor =
    Descriptor::counter("orderscope.panics", Unit::things("{panic}"), "Panics.");
