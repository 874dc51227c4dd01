//! Queries, the pools they wait for, and the statements that take the longest.

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
mod pool;
#[cfg(feature = "sqlx")]
mod run;
#[cfg(feature = "sqlx")]
mod transaction;

#[cfg(feature = "sqlx")]
pub use {connection::Connection, pool::Database, transaction::Transaction};
pub use {
    status::PoolStatus,
    timed::{Operation, Timed, time},
};

pub(crate) use status::watch_pool;
