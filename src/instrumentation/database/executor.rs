//! sqlx's `Executor`, for the pool, its connections and its transactions.

use super::{
    Database,
    run::{Prepared, Step},
};
use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
use sqlx::{Describe, Execute, Executor, SqlStr};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

impl<'p, DB> Executor<'p> for &'_ Database<DB>
where
    DB: sqlx::Database,
    for<'x> &'x mut DB::Connection: Executor<'x, Database = DB>,
{
    type Database = DB;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DB::QueryResult, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let (database, query) = (self.clone(), Prepared::of(query));
        Box::pin(async move {
            let mut connection = database.acquire_for(query.sql.as_str()).await?;
            connection.run().execute(query).await
        })
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<DB::Row>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let (database, query) = (self.clone(), Prepared::of(query));
        Box::pin(async move {
            let mut connection = database.acquire_for(query.sql.as_str()).await?;
            connection.run().fetch_all(query).await
        })
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step<DB>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let (database, query) = (self.clone(), Prepared::of(query));
        let slot = Slot::default();
        let given = slot.clone();
        let inner = Box::pin(async move {
            let mut connection = database.acquire_for(query.sql.as_str()).await?;
            let mut steps = connection.run().stream(query);
            while let Some(step) = poll_fn(|cx| Pin::new(&mut steps).poll_next(cx)).await {
                given.give(step?).await;
            }
            Ok(())
        });
        Box::pin(Given {
            inner: Some(inner),
            slot,
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let (database, query) = (self.clone(), Prepared::of(query));
        Box::pin(async move {
            let mut connection = database.acquire_for(query.sql.as_str()).await?;
            connection.run().fetch_optional(query).await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, sqlx::Error>>
    where
        'p: 'e,
    {
        let database = self.clone();
        Box::pin(async move {
            let mut connection = database.acquire().await?;
            let run = connection.run();
            run.connection.prepare_with(sql, parameters).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, sqlx::Error>>
    where
        'p: 'e,
    {
        let database = self.clone();
        Box::pin(async move {
            let mut connection = database.acquire().await?;
            connection.run().connection.describe(sql).await
        })
    }
}

// For each database: one implementation for all of them would send the compiler in circles over any
// code that is generic in the database, as sqlx says of its own connections.
#[cfg(any(
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
macro_rules! executor {
    ($database:ty, $of:ty) => {
        impl<'c> Executor<'c> for &'c mut $of {
            type Database = $database;

            fn execute<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<<$database as sqlx::Database>::QueryResult, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $database>,
            {
                Box::pin(self.run().execute(Prepared::of(query)))
            }

            fn fetch_all<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Vec<<$database as sqlx::Database>::Row>, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $database>,
            {
                Box::pin(self.run().fetch_all(Prepared::of(query)))
            }

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxStream<'e, Result<Step<$database>, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $database>,
            {
                Box::pin(self.run().stream(Prepared::of(query)))
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Option<<$database as sqlx::Database>::Row>, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, $database>,
            {
                Box::pin(self.run().fetch_optional(Prepared::of(query)))
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [<$database as sqlx::Database>::TypeInfo],
            ) -> BoxFuture<'e, Result<<$database as sqlx::Database>::Statement, sqlx::Error>>
            where
                'c: 'e,
            {
                self.run().connection.prepare_with(sql, parameters)
            }

            fn describe<'e>(
                self,
                sql: SqlStr,
            ) -> BoxFuture<'e, Result<Describe<$database>, sqlx::Error>>
            where
                'c: 'e,
            {
                self.run().connection.describe(sql)
            }
        }
    };
}

#[cfg(feature = "sqlx-mysql")]
executor!(sqlx::MySql, super::Connection<sqlx::MySql>);
#[cfg(feature = "sqlx-mysql")]
executor!(sqlx::MySql, super::Transaction<'_, sqlx::MySql>);
#[cfg(feature = "sqlx-postgres")]
executor!(sqlx::Postgres, super::Connection<sqlx::Postgres>);
#[cfg(feature = "sqlx-postgres")]
executor!(sqlx::Postgres, super::Transaction<'_, sqlx::Postgres>);
#[cfg(feature = "sqlx-sqlite")]
executor!(sqlx::Sqlite, super::Connection<sqlx::Sqlite>);
#[cfg(feature = "sqlx-sqlite")]
executor!(sqlx::Sqlite, super::Transaction<'_, sqlx::Sqlite>);

/// What the future of a stream has to give.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Slot<T> {
    /// Puts it where the stream finds it, and ends this poll of the future.
    async fn give(&self, step: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
        let mut is_given = false;
        poll_fn(|_| match std::mem::replace(&mut is_given, true) {
            // The stream polls the future again for the next one.
            false => Poll::Pending,
            true => Poll::Ready(()),
        })
        .await;
    }

    fn take(&self) -> Option<T> {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.take()
    }
}

/// A stream of what a future gives: it owns a connection, and borrows from that.
struct Given<'e, T> {
    /// `None`: it has ended.
    inner: Option<BoxFuture<'e, Result<(), sqlx::Error>>>,
    slot: Slot<T>,
}

impl<T> Stream for Given<'_, T> {
    type Item = Result<T, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        match inner.as_mut().poll(cx) {
            Poll::Ready(ended) => {
                self.inner = None;
                Poll::Ready(ended.err().map(Err))
            }
            Poll::Pending => match self.slot.take() {
                Some(step) => Poll::Ready(Some(Ok(step))),
                None => Poll::Pending,
            },
        }
    }
}
