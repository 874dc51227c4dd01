//! A pool of sqlx whose queries and connections are measured.

use super::{
    connection::Connection,
    failure::failure,
    query::{Failure, Query, SLOW_AFTER},
    target::traits,
    transaction::Transaction,
};
use crate::{
    context,
    ids::SpanContext,
    pipeline::{Databases, Gauged, Pipeline, PoolSeries, Source, Traits},
};
use compact_str::CompactString;
use sqlx::{SqlSafeStr, SqlStr};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A pool of sqlx whose queries are measured, made by
/// [`Telemetry::database`](crate::Telemetry::database). Clones are handles to the same one, whatever they
/// say of it; two handles that are made of one pool by `Telemetry::database` count its connections twice.
///
/// `&Database` is an executor as `&sqlx::Pool` is. sqlx's `Acquire` is not there for it: that can
/// only hand out connections of sqlx's own, whose queries nobody would see. [`acquire`](Self::acquire)
/// and [`begin`](Self::begin) hand out ours.
pub struct Database<DB: sqlx::Database> {
    shared: Arc<Shared<DB>>,
}

struct Shared<DB: sqlx::Database> {
    watched: Arc<Watched<DB>>,
    source: &'static Source,
    slow_after: Duration,
}

/// A pool, and who waits for its connections, whichever handle they wait by.
struct Watched<DB: sqlx::Database> {
    pool: sqlx::Pool<DB>,
    pending: AtomicU64,
    series: &'static PoolSeries,
}

impl<DB: sqlx::Database> Database<DB> {
    pub(crate) fn new(pipeline: &'static Pipeline, name: &str, pool: sqlx::Pool<DB>) -> Self {
        let source = pipeline.databases().source(&traits(name, &pool));
        let watched = Arc::new(Watched {
            pool,
            pending: AtomicU64::new(0),
            series: source.databases.pools.series(name),
        });
        watched.watch(source.databases, name);
        let shared = Arc::new(Shared {
            watched,
            source,
            slow_after: SLOW_AFTER,
        });
        Self { shared }
    }

    /// When a query counts as slow and is told, with its statement. Default: after 300 ms.
    #[must_use = "it is the returned handle whose queries are judged so"]
    pub fn slow_after(self, slow_after: Duration) -> Self {
        self.changed(|_, slow| *slow = slow_after)
    }

    /// `db.namespace`: the name of the database within the system. Default: the one that the pool
    /// connects to with PostgreSQL and MySQL, none otherwise.
    #[must_use = "it is the returned handle whose queries are named so"]
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        let namespace = CompactString::from(namespace.into());
        self.changed(|traits, _| traits.namespace = namespace)
    }

    fn changed(self, change: impl FnOnce(&mut Traits, &mut Duration)) -> Self {
        let Shared {
            watched,
            source,
            slow_after,
        } = &*self.shared;
        let (mut traits, mut slow_after) = (source.traits.clone(), *slow_after);
        change(&mut traits, &mut slow_after);
        let shared = Arc::new(Shared {
            watched: Arc::clone(watched),
            source: source.databases.source(&traits),
            slow_after,
        });
        Self { shared }
    }

    /// The pool itself: what is done through it is not measured.
    pub fn bare(&self) -> &sqlx::Pool<DB> {
        &self.shared.watched.pool
    }

    /// Waits for a connection. Its queries are measured as those of the pool are; it goes back to the
    /// pool when it is dropped. To wait is no operation: of one that is not had, the wait is
    /// measured, and a timeout counted.
    ///
    /// # Errors
    /// As `sqlx::Pool::acquire`.
    pub async fn acquire(&self) -> Result<Connection<DB>, sqlx::Error> {
        let Shared {
            watched,
            source,
            slow_after,
        } = &*self.shared;
        let waiting = Waiting::begin(source, watched);
        let acquired = watched.pool.acquire().await;
        let used = waiting.end(&acquired);
        let connection = acquired?;
        Ok(Connection::new(connection, source, *slow_after, used))
    }

    /// Waits for a connection and begins a transaction on it.
    ///
    /// # Errors
    /// As `sqlx::Pool::begin`.
    pub async fn begin(&self) -> Result<Transaction<'static, DB>, sqlx::Error> {
        let connection = self.acquire_for("BEGIN").await?;
        connection.into_transaction(None).await
    }

    /// As [`begin`](Self::begin), by a statement of the caller's, such as `BEGIN IMMEDIATE`.
    ///
    /// # Errors
    /// As `sqlx::Pool::begin_with`.
    pub async fn begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'static, DB>, sqlx::Error> {
        let statement: SqlStr = statement.into_sql_str();
        let connection = self.acquire_for(statement.as_str()).await?;
        connection.into_transaction(Some(statement)).await
    }

    /// A query that never had a connection has failed all the same, or was given up.
    pub(super) async fn acquire_for(&self, sql: &str) -> Result<Connection<DB>, sqlx::Error> {
        let mut unserved = Unserved {
            shared: Some(&*self.shared),
            sql,
            within: context::active(),
            since: self.shared.source.databases.pipeline.clock.now(),
            failure: None,
        };
        let acquired = self.acquire().await;
        match &acquired {
            Ok(_) => unserved.shared = None,
            Err(error) => unserved.failure = Some(failure(error)),
        }
        acquired
    }
}

/// A query that waits for a connection: dropped before there is one, it is told of.
struct Unserved<'a, DB: sqlx::Database> {
    /// `None`: it is served.
    shared: Option<&'a Shared<DB>>,
    sql: &'a str,
    /// Whoever drops it may be within another request, or none.
    within: Option<SpanContext>,
    since: Instant,
    /// `None`: it was given up.
    failure: Option<Failure>,
}

impl<DB: sqlx::Database> Drop for Unserved<'_, DB> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared {
            let found = shared.source.statement(self.sql);
            let mut query = Query::of(shared.source, found, shared.slow_after, self.within);
            query.waited_in_vain(self.since);
            if let Some(failure) = self.failure.take() {
                query.failed(failure);
            }
        }
    }
}

impl<DB: sqlx::Database> Watched<DB> {
    /// As long as anybody has a handle.
    fn watch(self: &Arc<Self>, databases: &Databases, name: &str) {
        let pool = Arc::downgrade(self);
        let look = move || pool.upgrade().map(|watched| watched.gauged());
        databases.watch(name, Box::new(look));
    }

    fn gauged(&self) -> Gauged {
        let (open, idle) = (u64::from(self.pool.size()), self.pool.num_idle() as u64);
        Gauged {
            idle: Some(idle.min(open)),
            used: Some(open.saturating_sub(idle)),
            max: Some(self.pool.options().get_max_connections().into()),
            pending: Some(self.pending.load(Ordering::Relaxed)),
            ..Gauged::default()
        }
    }
}

/// Who waits for a connection; given up or not, it is over when this is dropped.
struct Waiting<'a> {
    source: &'static Source,
    pending: &'a AtomicU64,
    series: &'static PoolSeries,
    since: Instant,
}

impl<'a> Waiting<'a> {
    fn begin<DB: sqlx::Database>(source: &'static Source, watched: &'a Watched<DB>) -> Self {
        let Watched {
            pending, series, ..
        } = watched;
        pending.fetch_add(1, Ordering::Relaxed);
        Self {
            source,
            pending,
            series,
            since: source.databases.pipeline.clock.now(),
        }
    }

    /// `None`: there is no connection.
    fn end<T>(self, acquired: &Result<T, sqlx::Error>) -> Option<Used> {
        if matches!(acquired, Err(sqlx::Error::PoolTimedOut)) {
            self.series.timeouts.add(1);
        }
        acquired.is_ok().then(|| Used {
            source: self.source,
            series: self.series,
            since: self.source.databases.pipeline.clock.now(),
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pending.fetch_sub(1, Ordering::Relaxed);
        let now = self.source.databases.pipeline.clock.now();
        let waited = now.saturating_duration_since(self.since);
        self.series.waits.record_duration(waited, None);
    }
}

/// A connection in use, until it is dropped.
pub(super) struct Used {
    source: &'static Source,
    series: &'static PoolSeries,
    since: Instant,
}

impl Drop for Used {
    fn drop(&mut self) {
        let now = self.source.databases.pipeline.clock.now();
        let used = now.saturating_duration_since(self.since);
        self.series.uses.record_duration(used, None);
    }
}

impl<DB: sqlx::Database> Clone for Database<DB> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<DB: sqlx::Database> fmt::Debug for Database<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("name", &self.shared.source.traits.pool)
            .finish_non_exhaustive()
    }
}
