//! How much of a text is masked.

use super::{
    MASK, is_secret_name,
    sql::{self, Dialect},
    text,
};
use std::borrow::Cow;

#[derive(Clone, Copy)]
pub(crate) enum Masking {
    Not,
    /// Where it looks like a secret.
    ByPattern,
    /// Each value of a statement, and what looks like a secret in the rest: it may be no SQL.
    Sql,
    Whole,
}

impl Masking {
    /// Of what comes from outside under that name.
    pub(crate) fn of(name: &str) -> Self {
        match is_secret_name(name) {
            true => Self::Whole,
            false if is_sql_name(name) => Self::Sql,
            false => Self::ByPattern,
        }
    }

    pub(crate) fn apply(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Not => Cow::Borrowed(value),
            Self::ByPattern => text(value),
            Self::Sql => {
                let statement = sql::masked(value, Dialect::Unknown);
                Cow::Owned(text(&statement).into_owned())
            }
            Self::Whole => Cow::Borrowed(MASK),
        }
    }
}

/// Whether an attribute of this name holds SQL, by OpenTelemetry's conventions of today and before.
fn is_sql_name(name: &str) -> bool {
    matches!(name, "db.query.text" | "db.statement")
}
