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
use tokio::time::{Instant, sleep};

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

/// Waits until this count, asked past the handle, is one.
async fn until_there_is_one<DB>(database: &Database<DB>, count: &'static str)
where
    DB: sqlx::Database,
    for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
    DB::Arguments: sqlx::IntoArguments<DB>,
    i64: sqlx::Type<DB> + for<'r> sqlx::Decode<'r, DB>,
    usize: sqlx::ColumnIndex<DB::Row>,
{
    let began = Instant::now();
    while sqlx::query_scalar::<_, i64>(count)
        .fetch_one(database.bare())
        .await
        .unwrap()
        != 1
    {
        assert!(began.elapsed() < Duration::from_secs(60), "{count}");
        // MariaDB tells what it told before to who asks again within a tenth of a second.
        sleep(Duration::from_millis(150)).await;
    }
}

async fn flush(telemetry: &Telemetry) {
    assert!(telemetry.flush(Duration::from_secs(60)).await);
}
