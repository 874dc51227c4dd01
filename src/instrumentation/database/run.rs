//! Running a query on a connection, measured.

use super::{failure::failure, marked::Marked, query::Query};
use crate::pipeline::Source;
use futures_core::Stream;
use sqlx::{Either, Execute, Executor, SqlStr, error::BoxDynError};
use std::{
    any::Any,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

/// A connection, and how what runs on it is measured.
pub(super) struct Run<'c, DB: sqlx::Database> {
    pub(super) connection: &'c mut DB::Connection,
    pub(super) source: &'static Source,
    pub(super) slow_after: Duration,
}

/// A query whose text is known before it is run.
pub(super) struct Prepared<DB: sqlx::Database> {
    pub(super) sql: SqlStr,
    statement: Option<DB::Statement>,
    arguments: Result<Option<DB::Arguments>, BoxDynError>,
    is_persistent: bool,
}

/// What a query returns bit by bit.
pub(super) type Step<DB> = Either<<DB as sqlx::Database>::QueryResult, <DB as sqlx::Database>::Row>;

impl<DB: sqlx::Database> Prepared<DB> {
    pub(super) fn of<'q>(mut query: impl Execute<'q, DB>) -> Self {
        Self {
            arguments: query.take_arguments(),
            statement: query.statement().cloned(),
            is_persistent: query.persistent(),
            sql: query.sql(),
        }
    }
}

impl<'q, DB: sqlx::Database> Execute<'q, DB> for Prepared<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.is_persistent
    }
}

impl<'c, DB> Run<'c, DB>
where
    DB: sqlx::Database,
    for<'x> &'x mut DB::Connection: Executor<'x, Database = DB>,
{
    fn begin(&self, query: &Prepared<DB>) -> Query {
        let found = self.source.statement(query.sql.as_str());
        Query::begin(self.source, found, self.slow_after)
    }

    pub(super) async fn execute(self, query: Prepared<DB>) -> Result<DB::QueryResult, sqlx::Error> {
        let mut total = DB::QueryResult::default();
        self.each(query, |step| {
            if let Either::Left(done) = step {
                total.extend([done]);
            }
        })
        .await?;
        Ok(total)
    }

    pub(super) async fn fetch_all(self, query: Prepared<DB>) -> Result<Vec<DB::Row>, sqlx::Error> {
        let mut rows = Vec::new();
        self.each(query, |step| rows.extend(step.right())).await?;
        Ok(rows)
    }

    pub(super) async fn fetch_optional(
        self,
        query: Prepared<DB>,
    ) -> Result<Option<DB::Row>, sqlx::Error> {
        let mut measured = self.begin(&query);
        let row = Marked::new(self.connection.fetch_optional(query)).await;
        match &row {
            Ok(row) => {
                measured.returned = u64::from(row.is_some());
                measured.succeeded();
            }
            Err(error) => measured.failed(failure(error)),
        }
        row
    }

    async fn each(
        self,
        query: Prepared<DB>,
        take: impl FnMut(Step<DB>),
    ) -> Result<(), sqlx::Error> {
        let mut take = take;
        let mut stream = self.stream(query);
        while let Some(step) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
            take(step?);
        }
        Ok(())
    }

    pub(super) fn stream(self, query: Prepared<DB>) -> Measured<'c, DB> {
        Measured {
            source: self.source,
            slow_after: self.slow_after,
            sql: Some(query.sql.clone()),
            inner: Marked::new(self.connection.fetch_many(query)),
            query: None,
        }
    }
}

/// The steps of a query, which begins with the first poll. Dropped while the next step is waited for, it is
/// given up; dropped after a step, it has given what was asked of it.
pub(super) struct Measured<'c, DB: sqlx::Database> {
    inner: Marked<dyn Stream<Item = Result<Step<DB>, sqlx::Error>> + Send + 'c>,
    source: &'static Source,
    slow_after: Duration,
    /// `None`: it has begun.
    sql: Option<SqlStr>,
    /// `None`: it has ended, or not begun.
    query: Option<Query>,
}

impl<DB: sqlx::Database> Stream for Measured<'_, DB> {
    type Item = Result<Step<DB>, sqlx::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(sql) = this.sql.take() {
            let found = this.source.statement(sql.as_str());
            this.query = Some(Query::begin(this.source, found, this.slow_after));
        }
        let polled = Pin::new(&mut this.inner).poll_next(cx);
        if let (Poll::Pending, Some(query)) = (&polled, &mut this.query) {
            query.waits();
        }
        let step = ready!(polled);
        if let Some(query) = &mut this.query {
            match &step {
                Some(Ok(Either::Left(done))) => {
                    query.affected(affected::<DB>(done));
                    query.succeeded();
                }
                Some(Ok(Either::Right(_))) => {
                    query.returned += 1;
                    query.succeeded();
                }
                Some(Err(error)) => {
                    query.failed(failure(error));
                    this.query = None;
                }
                None => {
                    query.succeeded();
                    this.query = None;
                }
            }
        }
        Poll::Ready(step)
    }
}

/// Rows that a statement changed, where the database's own feature lets that be known.
fn affected<DB: sqlx::Database>(done: &DB::QueryResult) -> u64 {
    let done: &dyn Any = done;
    #[cfg(feature = "sqlx-postgres")]
    if let Some(done) = done.downcast_ref::<sqlx::postgres::PgQueryResult>() {
        return done.rows_affected();
    }
    #[cfg(feature = "sqlx-mysql")]
    if let Some(done) = done.downcast_ref::<sqlx::mysql::MySqlQueryResult>() {
        return done.rows_affected();
    }
    #[cfg(feature = "sqlx-sqlite")]
    if let Some(done) = done.downcast_ref::<sqlx::sqlite::SqliteQueryResult>() {
        return done.rows_affected();
    }
    let _ = done;
    0
}
