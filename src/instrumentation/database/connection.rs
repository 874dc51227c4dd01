//! Connections whose queries are measured.

use super::{
    pool::Used,
    run::Run,
    transaction::{Beginning, Transaction},
};
use crate::pipeline::Source;
use sqlx::{SqlSafeStr, SqlStr, pool::PoolConnection};
use std::{fmt, time::Duration};

/// A connection of a [`Database`](super::Database); it goes back to the pool when it is dropped.
///
/// `&mut Connection` is an executor, as `&mut PgConnection` and its like are. It does not lead to those
/// by `*`: their queries would not be seen.
pub struct Connection<DB: sqlx::Database> {
    inner: PoolConnection<DB>,
    pub(super) source: &'static Source,
    pub(super) slow_after: Duration,
    /// After the connection: it is in use until then.
    used: Option<Used>,
}

impl<DB: sqlx::Database> Connection<DB> {
    pub(super) fn new(
        inner: PoolConnection<DB>,
        source: &'static Source,
        slow_after: Duration,
        used: Option<Used>,
    ) -> Self {
        Self {
            inner,
            source,
            slow_after,
            used,
        }
    }

    /// A transaction that has the connection for itself.
    pub(super) async fn into_transaction(
        self,
        statement: Option<SqlStr>,
    ) -> Result<Transaction<'static, DB>, sqlx::Error> {
        let beginning = self.beginning(statement);
        let Self { inner, used, .. } = self;
        Transaction::begin(inner, Beginning { used, ..beginning }).await
    }

    fn beginning(&self, statement: Option<SqlStr>) -> Beginning {
        Beginning {
            source: self.source,
            slow_after: self.slow_after,
            statement,
            is_nested: false,
            used: None,
        }
    }

    /// The connection itself, for what sqlx offers of it beside queries, such as `COPY` and
    /// `close_on_drop`: what is done through it is not measured.
    pub fn bare(&mut self) -> &mut PoolConnection<DB> {
        &mut self.inner
    }

    /// Begins a transaction on this connection.
    ///
    /// # Errors
    /// As `sqlx::Connection::begin`.
    pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, sqlx::Error> {
        let beginning = self.beginning(None);
        Transaction::begin(&mut *self.inner, beginning).await
    }

    /// As [`begin`](Self::begin), by a statement of the caller's, such as `BEGIN IMMEDIATE`.
    ///
    /// # Errors
    /// As `sqlx::Connection::begin_with`.
    pub async fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'_, DB>, sqlx::Error> {
        let beginning = self.beginning(Some(statement.into_sql_str()));
        Transaction::begin(&mut *self.inner, beginning).await
    }

    pub(super) fn run(&mut self) -> Run<'_, DB> {
        Run {
            connection: &mut self.inner,
            source: self.source,
            slow_after: self.slow_after,
        }
    }
}

impl<DB: sqlx::Database> fmt::Debug for Connection<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("pool", &self.source.traits.pool)
            .finish_non_exhaustive()
    }
}
