//! Against a real PostgreSQL.

use super::{DURATION, SUMMARY, all, count, flush, statement, until_there_is_one};
use crate::postgres::Postgres;
use orderscope::{
    Telemetry,
    database::Database,
    export::{Destination, InMemory},
};
use sqlx::postgres::{PgPoolOptions, Postgres as Pg};
use std::time::Duration;
use tokio::time::{sleep, timeout};

async fn watched(postgres: &Postgres) -> (Telemetry, InMemory, Database<Pg>) {
    let memory = InMemory::new();
    let telemetry = Telemetry::builder("orders")
        .destination(Destination::in_memory("memory", &memory))
        .build()
        .unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(5)
        .acquire_timeout(Duration::from_secs(20))
        .connect(&postgres.url())
        .await
        .unwrap();
    let database = telemetry.database("orders-db", pool);
    (telemetry, memory, database)
}

async fn create(database: &Database<Pg>) {
    let script = "DROP TABLE IF EXISTS orders;
                  CREATE TABLE orders (id BIGINT PRIMARY KEY, dish TEXT NOT NULL);
                  INSERT INTO orders VALUES (1, 'soup'), (2, 'pie');";
    sqlx::raw_sql(script)
        .execute(database.bare())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_s_queries_are_counted_by_summary_and_by_how_they_end() {
    let postgres = Postgres::start();
    let (telemetry, memory, database) = watched(&postgres).await;
    create(&database).await;
    for id in 0..1_000_i64 {
        let dish = sqlx::query("SELECT dish FROM orders WHERE id = $1").bind(id);
        dish.fetch_optional(&database).await.unwrap();
    }
    let twice = sqlx::query("INSERT INTO orders VALUES (1, 'S3CR3T')");
    twice.execute(&database).await.unwrap_err();
    let hangs = sqlx::query("SELECT pg_sleep(60)").execute(&database);
    timeout(Duration::from_millis(100), hangs)
        .await
        .unwrap_err();
    assert_eq!(count(&telemetry, "SELECT orders", ""), 1_000);
    assert_eq!(count(&telemetry, "INSERT orders", "23505"), 1);
    assert_eq!(count(&telemetry, "SELECT", "cancelled"), 1);
    assert_eq!(all(&telemetry), 1_002);
    let of = [
        ("db.namespace", "postgres"),
        ("db.system.name", "postgresql"),
    ];
    assert_eq!(telemetry.snapshot().histogram(DURATION, &of).count(), 1_002);
    flush(&telemetry).await;
    let spans = memory.spans();
    let span = spans
        .iter()
        .find(|span| span.name == "INSERT orders")
        .unwrap();
    let said = |name| span.attribute(name).and_then(|value| value.as_str());
    assert_eq!(said("server.address"), Some("127.0.0.1"));
    assert_eq!(said("db.query.text"), Some("INSERT INTO orders VALUES (?)"));
    let said = format!("{spans:?}{:?}{:?}", memory.logs(), telemetry.snapshot());
    assert!(!said.contains("S3CR3T"));

    let changed = sqlx::query("UPDATE orders SET dish = 'tart'");
    changed.execute(&database).await.unwrap();
    assert_eq!(statement(&telemetry, "UPDATE orders").rows, 2);
    let mut transaction = database.begin().await.unwrap();
    let gone = sqlx::query("DELETE FROM orders WHERE id = 1");
    gone.execute(&mut transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(&database)
        .await
        .unwrap();
    assert_eq!(left, 2);
    for summary in ["BEGIN", "DELETE orders", "ROLLBACK"] {
        assert_eq!(count(&telemetry, summary, ""), 1, "{summary}");
    }
}

#[tokio::test]
async fn what_sqlx_tells_of_by_itself_is_measured_and_a_handle_s_queries_are_not_twice() {
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::{filter::LevelFilter, fmt, layer::SubscriberExt as _, registry};
    let postgres = Postgres::start();
    let (telemetry, _, database) = watched(&postgres).await;
    create(&database).await;
    let quiet = fmt::layer().with_writer(std::io::sink);
    let subscriber = registry()
        .with(telemetry.bare_queries_layer())
        .with(quiet.with_filter(LevelFilter::ERROR));
    // One thread runs all of it.
    let _listens = tracing::subscriber::set_default(subscriber);
    let sql = "SELECT dish FROM orders WHERE dish = 'S3CR3T' ORDER BY id";
    // Other tests run queries on threads where nobody listens; when one of them is the first to, `tracing`
    // keeps in mind that nobody does. Now it is asked anew, here, where somebody does; until then a query
    // may be told of or not.
    sqlx::query(sql).fetch_all(&database).await.unwrap();
    tracing::callsite::rebuild_interest_cache();
    let bare = [("db.system.name", "other_sql"), (SUMMARY, "SELECT orders")];
    let of = |of: &[(&str, &str)]| telemetry.snapshot().histogram(DURATION, of).count();
    let before = of(&bare);
    for _ in 0..10 {
        sqlx::query(sql).fetch_all(database.bare()).await.unwrap();
    }
    assert_eq!(of(&bare), before + 10);
    for _ in 0..7 {
        sqlx::query(sql).fetch_all(&database).await.unwrap();
        sqlx::query(sql).fetch_optional(&database).await.unwrap();
    }
    let hangs = sqlx::query("SELECT pg_sleep(60) FROM orders").fetch_optional(&database);
    timeout(Duration::from_millis(100), hangs)
        .await
        .unwrap_err();
    let mut transaction = database.begin().await.unwrap();
    sqlx::query(sql).execute(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(of(&bare), before + 10);
    assert_eq!(
        of(&[("db.system.name", "postgresql"), (SUMMARY, "SELECT orders")]),
        17
    );
    assert_eq!(all(&telemetry), before + 10 + 17 + 2);
    let said = format!("{:?}", telemetry.snapshot());
    assert!(!said.contains("S3CR3T"));
}

#[tokio::test]
async fn a_query_that_a_lock_holds_up_is_slow_and_told_with_its_statement() {
    let postgres = Postgres::start();
    let (telemetry, memory, database) = watched(&postgres).await;
    create(&database).await;
    let mut holder = database.begin().await.unwrap();
    let lock = sqlx::query("SELECT * FROM orders WHERE id = 1 FOR UPDATE");
    lock.fetch_all(&mut holder).await.unwrap();
    let held = tokio::spawn({
        let database = database.clone();
        async move {
            let update = sqlx::query("UPDATE orders SET dish = 'S3CR3T' WHERE id = 1");
            update.execute(&database).await.unwrap();
        }
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    until_there_is_one(&database, waits).await;
    sleep(Duration::from_millis(500)).await;
    holder.commit().await.unwrap();
    held.await.unwrap();
    flush(&telemetry).await;
    let logs = memory.logs();
    let slow: Vec<_> = logs
        .iter()
        .filter(|log| log.event_name == "orderscope.db.slow_query")
        .map(|log| {
            log.attribute("db.query.text")
                .and_then(|text| text.as_str())
        })
        .collect();
    let text = "UPDATE orders SET dish = ? WHERE id = ?";
    assert!(slow.contains(&Some(text)), "{logs:?}");
    let shown = statement(&telemetry, "UPDATE orders");
    assert_eq!((shown.slow, shown.calls, shown.text.as_str()), (1, 1, text));
    assert!(shown.total >= Duration::from_millis(300), "{shown:?}");
    let of = [(SUMMARY, "UPDATE orders")];
    let beyond = telemetry.snapshot().histogram(DURATION, &of);
    let beyond = beyond.buckets().filter(|(edge, _)| *edge > 0.3);
    assert_eq!(beyond.map(|(_, count)| count).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_server_that_goes_amid_a_query_is_an_error_and_work_goes_on_when_it_is_back() {
    let mut postgres = Postgres::start();
    let (telemetry, _, database) = watched(&postgres).await;
    create(&database).await;
    let hangs = tokio::spawn({
        let database = database.clone();
        async move { sqlx::query("SELECT pg_sleep(60)").execute(&database).await }
    });
    let runs = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until_there_is_one(&database, runs).await;
    postgres.stop();
    let error = hangs.await.unwrap().unwrap_err();
    let snapshot = telemetry.snapshot();
    let errors = snapshot.attribute_values(DURATION, "error.type");
    let told = ["io", "57P01", "57P02"].map(|known| errors.iter().any(|error| error == known));
    assert!(told.contains(&true), "{errors:?} of {error}");
    assert_eq!(all(&telemetry), 1);
    postgres.restart();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(&database)
        .await
        .unwrap();
    assert_eq!(left, 2);
    assert_eq!(count(&telemetry, "SELECT orders", ""), 1);
    assert_eq!(all(&telemetry), 2);
}
