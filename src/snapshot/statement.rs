//! One statement of a database.

use std::time::Duration;

/// What became of one statement, whatever its values, since the process began.
///
/// Made by [`Snapshot::statements`](super::Snapshot::statements).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// The name that the pool was given; `None`: it ran by [`database::time`](crate::database::time).
    pub pool: Option<String>,
    /// `db.system.name`.
    pub system: String,
    /// Of the text and the system: 16 hexadecimal digits, the same in every replica and release.
    pub digest: String,
    /// `db.query.summary`; `_OTHER`: of all statements that found no room, 500 a pool and 5,000, or 4 MiB of text, in all.
    pub summary: String,
    /// Without values and comments, at most 2 KiB; empty for `_OTHER`.
    pub text: String,
    /// How often it ended, one way or another.
    pub calls: u64,
    /// How long all of them took together that had a connection.
    pub total: Duration,
    /// Under which 99 of 100 stayed; interpolated within buckets, 10 s at most.
    pub p99: Duration,
    /// Rows that it returned, and those that it changed as far as the database's own feature
    /// (`sqlx-postgres` and its like) tells.
    pub rows: u64,
    /// Calls that failed or were given up.
    pub errors: u64,
    /// Calls that were slow.
    pub slow: u64,
    /// Requests in which it ran ten times or more, what is carried from them included.
    pub repeated: u64,
}
