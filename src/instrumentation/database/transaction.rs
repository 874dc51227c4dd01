//! Transactions whose queries are measured, their begin and their end as well.

#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
use super::run::Run;
use super::{failure::failure, marked::Marked, pool::Used, query::Query};
use crate::pipeline::Source;
use sqlx::{SqlStr, pool::MaybePoolConnection};
use std::{fmt, future::Future, time::Duration};

/// A transaction of a [`Database`](super::Database), rolled back when it is dropped before it is
/// committed.
///
/// `&mut Transaction` is an executor. `BEGIN`, `COMMIT` and `ROLLBACK` are operations as queries are,
/// and so are `SAVEPOINT` and `RELEASE` of a transaction within one. A rollback by dropping is not:
/// sqlx does it with the next use of the connection.
pub struct Transaction<'c, DB: sqlx::Database> {
    inner: sqlx::Transaction<'c, DB>,
    source: &'static Source,
    slow_after: Duration,
    /// Within another one.
    is_nested: bool,
    /// After the connection: it is in use until then.
    _used: Option<Used>,
}

/// How a transaction begins.
pub(super) struct Beginning {
    pub(super) source: &'static Source,
    pub(super) slow_after: Duration,
    /// In place of `BEGIN`.
    pub(super) statement: Option<SqlStr>,
    pub(super) is_nested: bool,
    /// Of a connection that is the transaction's own.
    pub(super) used: Option<Used>,
}

impl<'c, DB: sqlx::Database> Transaction<'c, DB> {
    pub(super) async fn begin(
        connection: impl Into<MaybePoolConnection<'c, DB>>,
        beginning: Beginning,
    ) -> Result<Self, sqlx::Error> {
        let Beginning {
            source,
            slow_after,
            statement,
            is_nested,
            used,
        } = beginning;
        let found = source.statement(match &statement {
            Some(statement) => statement.as_str(),
            None if is_nested => "SAVEPOINT",
            None => "BEGIN",
        });
        let query = Query::begin(source, found, slow_after);
        let inner = sqlx::Transaction::begin(connection, statement);
        Ok(Self {
            inner: measured(query, inner).await?,
            source,
            slow_after,
            is_nested,
            _used: used,
        })
    }

    /// Begins a transaction within this one: a savepoint.
    ///
    /// # Errors
    /// As `sqlx::Connection::begin`.
    pub async fn begin_nested(&mut self) -> Result<Transaction<'_, DB>, sqlx::Error> {
        let beginning = Beginning {
            source: self.source,
            slow_after: self.slow_after,
            statement: None,
            is_nested: true,
            used: None,
        };
        Transaction::begin(&mut *self.inner, beginning).await
    }

    /// Makes what was done in it last.
    ///
    /// # Errors
    /// As `sqlx::Transaction::commit`.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        let text = if self.is_nested { "RELEASE" } else { "COMMIT" };
        let query = Query::begin(self.source, self.source.statement(text), self.slow_after);
        measured(query, self.inner.commit()).await
    }

    /// Undoes what was done in it.
    ///
    /// # Errors
    /// As `sqlx::Transaction::rollback`.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        let found = self.source.statement("ROLLBACK");
        let query = Query::begin(self.source, found, self.slow_after);
        measured(query, self.inner.rollback()).await
    }

    /// The connection itself, for what sqlx offers of it beside queries, such as `COPY`: what is done
    /// through it is not measured.
    pub fn bare(&mut self) -> &mut DB::Connection {
        &mut self.inner
    }

    #[cfg(any(
        feature = "sqlx-mysql",
        feature = "sqlx-postgres",
        feature = "sqlx-sqlite"
    ))]
    pub(super) fn run(&mut self) -> Run<'_, DB> {
        Run {
            connection: &mut self.inner,
            source: self.source,
            slow_after: self.slow_after,
        }
    }
}

async fn measured<T>(
    mut query: Query,
    future: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let result = Marked::new(Box::pin(future)).await;
    match &result {
        Ok(_) => query.succeeded(),
        Err(error) => query.failed(failure(error)),
    }
    result
}

impl<DB: sqlx::Database> fmt::Debug for Transaction<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("pool", &self.source.traits.pool)
            .finish_non_exhaustive()
    }
}
