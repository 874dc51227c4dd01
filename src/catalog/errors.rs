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

/// Groups of errors that had one within the last five minutes.
pub const ERROR_GROUPS_ACTIVE: Descriptor = Descriptor::gauge(
    "orderscope.error.groups.active",
    Unit::things("{group}"),
    "Error groups with an error in the last 5 minutes.",
);

/// Groups that were met for the first time since the process began.
pub const ERROR_GROUPS_NEW: Descriptor = Descriptor::counter(
    "orderscope.error.groups.new",
    Unit::things("{group}"),
    "Error groups met for the first time in this process.",
);

/// Of the group that met the most: distinct users within the last five minutes, by a sketch of a
/// standard error of 3.3 %, which is exact but for one or two below a hundred.
pub const ERROR_GROUP_AFFECTED_USERS: Descriptor = Descriptor::gauge(
    "orderscope.error.group.affected_users",
    Unit::things("{user}"),
    "Distinct users affected in the last 5 minutes by the error group that affected the most.",
);
