//! SQL without its values: what a statement does, to which tables, and never with whose data.
//!
//! A statement is read once, in linear time, up to [`MOST_READ`] bytes. What could be read in two
//! ways, by how a server is set up, is masked to the end of the statement.

mod masked;
mod summary;
#[cfg(test)]
mod tests;
mod tokens;
mod words;

pub(crate) use masked::masked;
pub(crate) use summary::summary;

/// Bytes of a statement that are read; what comes after is left out.
pub(crate) const MOST_READ: usize = 16 * 1024;
/// Bytes of what is shown of it.
pub(crate) const LONGEST: usize = 2 * 1024;

/// How a database spells values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    Postgres,
    MySql,
    Sqlite,
    /// Any of them.
    Unknown,
}

/// As much of a statement as is read, and whether that is all.
fn read(statement: &str) -> (&str, bool) {
    let ends = (0..=MOST_READ.min(statement.len())).rev();
    let end = ends.into_iter().find(|at| statement.is_char_boundary(*at));
    let read = statement.get(..end.unwrap_or_default()).unwrap_or_default();
    (read, read.len() == statement.len())
}
