//! Queries through the handle, against a database in the process and a real server.

mod mariadb;
mod operations;
mod pools;
mod server;
mod statements;
mod traces;

use orderscope::{
    Telemetry,
    database::Database,
    export::{Destination, InMemory},
    snapshot::Statement,
};
use sqlx::{Sqlite, sqlite::SqlitePoolOptions};
use std::time::Duration;

const DURATION: &str = "db.client.operation.duration";
const SUMMARY: &str = "db.query.summary";
const ERROR: &str = "error.type";

/// A database in memory with two orders, and who watches it.
async fn orders() -> (Telemetry, InMemory, Database<Sqlite>) {
    let memory = InMemory::new();
    let telemetry = Telemetry::builder("orders")
        .destination(Destination::in_memory("memory", &memory))
        .build()
        .unwrap();
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    sqlx::raw_sql(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, dish TEXT NOT NULL);
         INSERT INTO orders VALUES (1, 'soup'), (2, 'pie');",
    )
    .execute(&pool)
    .await
    .unwrap();
    let database = telemetry.database("orders-db", pool);
    (telemetry, memory, database)
}

/// How many operations of that summary ended so; `""`: without an error.
fn count(telemetry: &Telemetry, summary: &str, error: &str) -> u64 {
    let of = [(SUMMARY, summary), (ERROR, error)];
    telemetry.snapshot().histogram(DURATION, &of).count()
}

fn all(telemetry: &Telemetry) -> u64 {
    telemetry.snapshot().histogram(DURATION, &[]).count()
}

fn statement(telemetry: &Telemetry, summary: &str) -> Statement {
    let statements = telemetry.snapshot().statements().to_vec();
    let mut of = statements
        .into_iter()
        .filter(|known| known.summary == summary);
    let statement = of.next().unwrap_or_else(|| panic!("no {summary}"));
    assert!(of.next().is_none(), "two of {summary}");
    statement
}

async fn flush(telemetry: &Telemetry) {
    assert!(telemetry.flush(Duration::from_secs(10)).await);
}
