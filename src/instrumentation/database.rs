//! Queries, the pools they wait for, and the statements that take the longest.
//!
//! [`Telemetry::database`](crate::Telemetry::database) makes a handle of a pool of sqlx (features
//! `sqlx-postgres`, `sqlx-mysql`, `sqlx-sqlite`). `&database` is an executor where `&pool` was one;
//! [`Database::acquire`](crate::database) and `begin` hand out connections and transactions whose
//! queries are measured too: give them on as `&mut connection`, `&mut transaction`, where sqlx's own
//! are given on as `&mut *connection`. [`time`] measures an operation of any other client.
//! The tests run it against PostgreSQL 15, SQLite, and MariaDB 10.11 by the driver of MySQL, which names
//! either `mysql`.
//!
//! # When is what recorded
//!
//! | when | what |
//! | --- | --- |
//! | an operation ends | [`operation.duration`], by system, summary, namespace and `error.type`; a span of kind CLIENT named by the summary, where its trace is recorded; its statement's row in [`Snapshot::statements`] |
//! | it took more than 300 ms ([`slow_after`](Operation::slow_after)) | a log record `orderscope.db.slow_query` of severity WARN, with the statement: of one statement ten at once, then one a second; [`Statement::slow`] counts all. Those without a row of their own are one in this, too |
//! | one statement, of the first 32 that a request runs, runs the tenth time within it | a log record `orderscope.db.repeated_query` of severity WARN, once for each request, what is [carried](crate::context::carry) from it included, and statement: a query in a loop, where one may do; ten at once and one a second, as well. An event stream is free to ask again and again |
//! | a connection is had, or is waited for no more | [`wait_time`]: of one that was not had, how long it was waited for, which is less than it would have taken |
//! | it is given back | [`use_time`] |
//! | nobody gave one in time | [`timeouts`] + 1 |
//! | at each collection | [`connection.count`] by state, [`connection.max`], [`pending_requests`]; [`idle.min`] and [`idle.max`] of pools that tell |
//!
//! An operation lasts from being handed to its connection until its result ends: a stream, until its
//! last row was taken, so that whoever takes rows slowly is in it. The wait for a connection is not. An
//! operation that gets none, since the pool refused it or it was given up, is counted all the same, and
//! lasts for as long as it waited; it is a call and an error of its statement, and adds no time to it, nor
//! is it told as slow. `BEGIN`, `COMMIT` and `ROLLBACK` are operations; to prepare a statement is none, nor
//! is a rollback by dropping. A script of several statements is one operation, named by its first.
//!
//! The two log records go to destinations; they are no lines on stderr or in a log file. sqlx itself
//! warns of statements that take a second, in lines as well; of its events, and of whatever else is
//! recorded as `db.query.text` or `db.statement`, the SQL leaves our layers without values too (but for
//! what sqlx explains of SQLite at the level TRACE).
//!
//! # How an operation ends
//!
//! | outcome | `error.type` |
//! | --- | --- |
//! | it succeeded, with or without rows: `fetch_one` that finds none is no failure of the database | |
//! | the database refused it | its code, which is `db.response.status_code` of spans and records too: PostgreSQL's SQLSTATE (`23505`), the number of MySQL and MariaDB (`1062`) or SQLite (`2067`); `database` without one |
//! | it succeeded as far as anybody asked: a stream that is dropped after one of its rows, since enough were taken | |
//! | it was given up: its future was dropped before the end, or its stream while the next row was waited for | `cancelled` |
//! | the connection or the pool failed | `io`, `tls`, `protocol`, `worker_crashed`, `pool_timeout`, `pool_closed`, `configuration`, `begin_failed`, `invalid_savepoint`; `_OTHER` for what a newer sqlx may know |
//! | its values did | `encode`, `decode`, `type_not_found`, `column_not_found`, `invalid_argument` |
//! | [`time`] | `_OTHER`, or what [`Timed::error_type`] says |
//!
//! What goes wrong when a row is read into a type of the application's comes after the operation.
//!
//! # What is told of a statement
//!
//! Its summary is the operation and at most two tables: `SELECT orders customers`,
//! `INSERT order_items`. Its text leaves without values: literals and placeholders are `?`, lists and rows
//! of them one, comments are gone; at most 2 KiB of it. What a server may read in two ways, by its
//! settings, is masked to the end of the statement. A name in quotes is told; SQLite takes a name that
//! there is not for a string, so quote values by `'`.
//!
//! 500 statements of each pool have a row of their own, 5,000 in all with 4 MiB of text. Those beyond share the row `_OTHER`, each time
//! counted in `orderscope.evictions{store="statements"}`; their summary stands on the metric all the
//! same. 128 pools, and other clients by system and namespace, are told apart; what runs on others is of
//! the system `_OTHER`, each time that one is asked for counted in
//! `orderscope.evictions{store="databases"}`. Their connections are shown under the pool's own name, those beyond 256
//! names under `_OTHER`.
//!
//! # What a pool can tell
//!
//! | pool | used, idle | max | pending | wait, use | timeouts | idle.min |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | sqlx 0.9, by the handle | yes | yes | by the handle | by the handle | by the handle | no: `min_connections` counts all |
//! | deadpool 0.12, `status()` | `size - available`, `available` | `max_size` | `waiting` | no | no | no |
//! | bb8 0.9, `state()` | `connections - idle_connections`, `idle_connections` | no | `statistics.pending_gets()` | no | `statistics.get_timed_out` | no |
//! | r2d2 0.8, `state()` | `connections - idle_connections`, `idle_connections` | `max_size()` | no | no | no | `min_idle()` |
//!
//! None of them tells how long a connection took to be made (`create_time`) or has an `idle.max`. A pool
//! whose own words panic is asked no more; 256 are asked at each collection. All but the first are shown by
//! [`Telemetry::watch_pool`](crate::Telemetry::watch_pool):
//!
//! ```
//! use orderscope::database::PoolStatus;
//!
//! # struct Status { max_size: usize, size: usize, available: usize, waiting: usize }
//! # struct Pool;
//! # impl Pool { fn status(&self) -> Status { Status { max_size: 8, size: 2, available: 1, waiting: 0 } } }
//! struct Deadpool(Pool);
//!
//! impl PoolStatus for Deadpool {
//!     fn idle(&self) -> Option<u64> {
//!         Some(self.0.status().available as u64)
//!     }
//!     fn used(&self) -> Option<u64> {
//!         let status = self.0.status();
//!         Some(status.size.saturating_sub(status.available) as u64)
//!     }
//!     fn max(&self) -> Option<u64> {
//!         Some(self.0.status().max_size as u64)
//!     }
//!     fn pending_requests(&self) -> Option<u64> {
//!         Some(self.0.status().waiting as u64)
//!     }
//! }
//!
//! let telemetry = orderscope::Telemetry::builder("orders").build()?;
//! telemetry.watch_pool("sessions", Deadpool(Pool));
//! assert_eq!(telemetry.snapshot().pools()[0].used, Some(1));
//! # Ok::<(), orderscope::Error>(())
//! ```
//!
//! # Without the handle
//!
//! [`Builder::with_bare_queries`](crate::telemetry::Builder::with_bare_queries), or
//! [`Telemetry::bare_queries_layer`](crate::Telemetry::bare_queries_layer) in a subscriber of the
//! application's, takes what sqlx itself says of queries through `tracing`, at the target `sqlx::query`:
//! their duration, as sqlx has it, by summary, with the system `other_sql`. How they failed, whether they
//! were given up, their spans and their pools are not known, nor whether they are slow, nor whose SQL it
//! is: a name in double quotes may be a string, and is left out. What runs through a handle is not counted
//! twice.
//!
//! [`operation.duration`]: crate::catalog::database::OPERATION_DURATION
//! [`wait_time`]: crate::catalog::database::WAIT_TIME
//! [`use_time`]: crate::catalog::database::USE_TIME
//! [`timeouts`]: crate::catalog::database::TIMEOUTS
//! [`connection.count`]: crate::catalog::database::CONNECTION_COUNT
//! [`connection.max`]: crate::catalog::database::CONNECTION_MAX
//! [`pending_requests`]: crate::catalog::database::PENDING_REQUESTS
//! [`idle.min`]: crate::catalog::database::CONNECTION_IDLE_MIN
//! [`idle.max`]: crate::catalog::database::CONNECTION_IDLE_MAX
//! [`Statement::slow`]: crate::snapshot::Statement::slow
//! [`Snapshot::statements`]: crate::snapshot::Snapshot::statements

mod bare;
mod query;
mod status;
mod timed;

#[cfg(feature = "sqlx")]
mod connection;
#[cfg(feature = "sqlx")]
mod executor;
#[cfg(feature = "sqlx")]
mod failure;
#[cfg(feature = "sqlx")]
mod marked;
#[cfg(feature = "sqlx")]
mod pool;
#[cfg(feature = "sqlx")]
mod run;
#[cfg(feature = "sqlx")]
mod target;
#[cfg(feature = "sqlx")]
mod transaction;

pub use {
    bare::{BareQueries, BareQueriesLayer},
    status::PoolStatus,
    timed::{Operation, Timed, time},
};
#[cfg(feature = "sqlx")]
pub use {connection::Connection, pool::Database, transaction::Transaction};

pub(crate) use {bare::bare_queries_layer, status::watch_pool};
