//! How much of a text is masked.

use crate::redaction::{
    self,
    sql::{self, Dialect},
};
use std::borrow::Cow;

#[derive(Clone, Copy)]
pub(super) enum Masked {
    Not,
    /// Where it looks like a secret.
    ByPattern,
    /// Each value of a statement.
    Sql,
    Whole,
}

impl Masked {
    pub(super) fn of(name: &str) -> Self {
        match redaction::is_secret_name(name) {
            true => Self::Whole,
            false if redaction::is_sql_name(name) => Self::Sql,
            false => Self::ByPattern,
        }
    }

    pub(super) fn apply(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Not => Cow::Borrowed(value),
            Self::ByPattern => redaction::text(value),
            Self::Sql => Cow::Owned(sql::masked(value, Dialect::Unknown)),
            Self::Whole => Cow::Borrowed(redaction::MASK),
        }
    }
}
