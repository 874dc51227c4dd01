//! A pool of sqlx whose queries and connections are measured.

use super::{
    connection::Connection,
    failure::error_type,
    query::{Query, SLOW_AFTER},
    transaction::Transaction,
};
use crate::{
    pipeline::{Gauged, Pipeline, PoolSeries, Source, Traits},
    redaction::sql::Dialect,
};
use compact_str::CompactString;
use sqlx::{ConnectOptions as _, SqlSafeStr, SqlStr};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// A pool of sqlx whose queries are measured, made by
/// [`Telemetry::database`](crate::Telemetry::database). Clones are handles to the same one.
///
/// `&Database` is an executor as `&sqlx::Pool` is. sqlx's `Acquire` is not there for it: that can
/// only hand out connections of sqlx's own, whose queries nobody would see. [`acquire`](Self::acquire)
/// and [`begin`](Self::begin) hand out ours.
pub struct Database<DB: sqlx::Database> {
    shared: Arc<Shared<DB>>,
}

struct Shared<DB: sqlx::Database> {
    pool: sqlx::Pool<DB>,
    source: &'static Source,
    slow_after: Duration,
}

impl<DB: sqlx::Database> Database<DB> {
    pub(crate) fn new(pipeline: &'static Pipeline, name: &str, pool: sqlx::Pool<DB>) -> Self {
        let source = pipeline.databases().source(&traits(name, &pool));
        let shared = Arc::new(Shared {
            pool,
            source,
            slow_after: SLOW_AFTER,
        });
        shared.watch();
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
            pool,
            source,
            slow_after,
        } = &*self.shared;
        let (mut traits, mut slow_after) = (source.traits.clone(), *slow_after);
        change(&mut traits, &mut slow_after);
        let shared = Arc::new(Shared {
            pool: pool.clone(),
            source: source.databases.source(&traits),
            slow_after,
        });
        // The one before goes, and is asked no more.
        drop(self);
        shared.watch();
        Self { shared }
    }

    /// The pool itself: what is done through it is not measured.
    pub fn bare(&self) -> &sqlx::Pool<DB> {
        &self.shared.pool
    }

    /// Waits for a connection. Its queries are measured as those of the pool are; it goes back to the
    /// pool when it is dropped.
    ///
    /// # Errors
    /// As `sqlx::Pool::acquire`.
    pub async fn acquire(&self) -> Result<Connection<DB>, sqlx::Error> {
        let Shared {
            pool,
            source,
            slow_after,
        } = &*self.shared;
        let waiting = source
            .pool
            .as_ref()
            .map(|pool| Waiting::begin(source, pool));
        let acquired = pool.acquire().await;
        let used = waiting.and_then(|waiting| waiting.end(&acquired));
        acquired.map(|connection| Connection::new(connection, source, *slow_after, used))
    }

    /// Waits for a connection and begins a transaction on it.
    ///
    /// # Errors
    /// As `sqlx::Pool::begin`.
    pub async fn begin(&self) -> Result<Transaction<'static, DB>, sqlx::Error> {
        let connection = self.acquire().await?;
        Transaction::begin(connection, None).await
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
        let connection = self.acquire().await?;
        Transaction::begin(connection, Some(statement)).await
    }

    /// A query that never had a connection has failed all the same.
    pub(super) async fn acquire_for(&self, sql: &SqlStr) -> Result<Connection<DB>, sqlx::Error> {
        let acquired = self.acquire().await;
        if let Err(error) = &acquired {
            let Shared {
                source, slow_after, ..
            } = &*self.shared;
            let found = source.statement(sql.as_str());
            Query::begin(source, found, *slow_after).failed(error_type(error));
        }
        acquired
    }
}

impl<DB: sqlx::Database> Shared<DB> {
    fn watch(self: &Arc<Self>) {
        let pool = Arc::downgrade(self);
        let look = move || pool.upgrade().map(|shared| shared.gauged());
        let (databases, name) = (self.source.databases, &self.source.traits.pool);
        if !databases.pools.watch(name, Box::new(look)) {
            tracing::warn!(pool = %name, "the pool is not watched: there are too many");
        }
    }

    fn gauged(&self) -> Gauged {
        let (open, idle) = (u64::from(self.pool.size()), self.pool.num_idle() as u64);
        Gauged {
            idle: Some(idle.min(open)),
            used: Some(open.saturating_sub(idle)),
            max: Some(self.pool.options().get_max_connections().into()),
            pending: self.source.pool.as_ref().map(PoolSeries::pending),
            ..Gauged::default()
        }
    }
}

/// Where the pool leads.
fn traits<DB: sqlx::Database>(name: &str, pool: &sqlx::Pool<DB>) -> Traits {
    let (system, dialect) = match DB::NAME {
        "PostgreSQL" => ("postgresql", Dialect::Postgres),
        "MySQL" => ("mysql", Dialect::MySql),
        "SQLite" => ("sqlite", Dialect::Sqlite),
        _ => ("other_sql", Dialect::Unknown),
    };
    let mut traits = Traits {
        pool: name.into(),
        ..Traits::of_system(system, dialect)
    };
    // Options of other drivers need not have a URL, and panic where they have none.
    if matches!(dialect, Dialect::Postgres | Dialect::MySql) {
        let url = pool.connect_options().to_url_lossy();
        let database = url.path().trim_start_matches('/');
        let database = percent_encoding::percent_decode_str(database).decode_utf8_lossy();
        traits.namespace = CompactString::from(database);
        traits.address = url.host_str().unwrap_or_default().into();
        traits.port = url.port().unwrap_or_default();
    }
    traits
}

/// Who waits for a connection; given up or not, it is over when this is dropped.
struct Waiting {
    source: &'static Source,
    series: &'static PoolSeries,
    since: Instant,
}

impl Waiting {
    fn begin(source: &'static Source, series: &'static PoolSeries) -> Self {
        series.pending.fetch_add(1, Ordering::Relaxed);
        Self {
            source,
            series,
            since: source.databases.pipeline.clock.now(),
        }
    }

    fn end<T>(self, acquired: &Result<T, sqlx::Error>) -> Option<Used> {
        match acquired {
            Ok(_) => {
                let now = self.source.databases.pipeline.clock.now();
                let waited = now.saturating_duration_since(self.since);
                self.series.waits.record_duration(waited, None);
                Some(Used {
                    source: self.source,
                    series: self.series,
                    since: now,
                })
            }
            Err(error) => {
                if matches!(error, sqlx::Error::PoolTimedOut) {
                    self.series.timeouts.add(1);
                }
                None
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.series.pending.fetch_sub(1, Ordering::Relaxed);
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
