//! Against a real MariaDB, by sqlx's driver of MySQL.

use super::{DURATION, SUMMARY, all, count, flush, statement, until_there_is_one};
use crate::mariadb::MariaDb;
use orderscope::{
    Telemetry,
    database::Database,
    export::{Destination, InMemory},
};
use sqlx::{
    Executor as _,
    mysql::{MySql, MySqlPoolOptions},
};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// With two orders.
async fn watched(mariadb: &MariaDb) -> (Telemetry, InMemory, Database<MySql>) {
    let memory = InMemory::new();
    let telemetry = Telemetry::builder("orders")
        .destination(Destination::in_memory("memory", &memory))
        .build()
        .unwrap();
    let options = MySqlPoolOptions::new().max_connections(5);
    let making = options.connect(&mariadb.url()).await.unwrap();
    making.execute("CREATE DATABASE shop").await.unwrap();
    making.close().await;
    let options = MySqlPoolOptions::new().max_connections(5);
    let url = format!("{}/shop", mariadb.url());
    let pool = options.connect(&url).await.unwrap();
    let script = "CREATE TABLE orders (id BIGINT PRIMARY KEY, dish VARCHAR(40) NOT NULL);
                  INSERT INTO orders VALUES (1, 'soup'), (2, 'pie');";
    sqlx::raw_sql(script).execute(&pool).await.unwrap();
    let database = telemetry.database("orders-db", pool);
    (telemetry, memory, database)
}

#[tokio::test]
async fn queries_of_mysql_are_counted_by_summary_and_by_how_they_end() {
    let mariadb = MariaDb::start();
    let (telemetry, memory, database) = watched(&mariadb).await;
    for id in 0..1_000_i64 {
        let dish = sqlx::query("SELECT dish FROM orders WHERE id = ?").bind(id);
        dish.fetch_optional(&database).await.unwrap();
    }
    let twice = sqlx::query(r#"INSERT INTO `orders` VALUES (1, "S3CR3T")"#);
    twice.execute(&database).await.unwrap_err();
    let hangs = sqlx::query("SELECT SLEEP(60)").execute(&database);
    timeout(Duration::from_millis(100), hangs)
        .await
        .unwrap_err();
    assert_eq!(count(&telemetry, "SELECT orders", ""), 1_000);
    assert_eq!(count(&telemetry, "INSERT orders", "1062"), 1);
    assert_eq!(count(&telemetry, "SELECT", "cancelled"), 1);
    let of = [("db.namespace", "shop"), ("db.system.name", "mysql")];
    assert_eq!(telemetry.snapshot().histogram(DURATION, &of).count(), 1_002);
    assert_eq!(all(&telemetry), 1_002);
    flush(&telemetry).await;
    let spans = memory.spans();
    assert_eq!(spans.len(), 1_002);
    let mut failed = spans.iter().filter(|span| span.name == "INSERT orders");
    let failed = failed.next().unwrap();
    let said = |name| failed.attribute(name).and_then(|value| value.as_str());
    assert_eq!(said("server.address"), Some("127.0.0.1"));
    assert_eq!(said("db.response.status_code"), Some("1062"));
    assert_eq!(
        said("db.query.text"),
        Some("INSERT INTO `orders` VALUES (?)")
    );
    let said = format!("{spans:?}{:?}{:?}", memory.logs(), telemetry.snapshot());
    assert!(!said.contains("S3CR3T"));
}

#[tokio::test]
async fn a_transaction_of_mysql_tells_its_rows_and_is_rolled_back() {
    let mariadb = MariaDb::start();
    let (telemetry, _, database) = watched(&mariadb).await;
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
    for summary in ["BEGIN", "DELETE orders", "ROLLBACK", "SELECT orders"] {
        assert_eq!(count(&telemetry, summary, ""), 1, "{summary}");
    }
    assert_eq!(statement(&telemetry, "SELECT orders").rows, 1);
}

#[tokio::test]
async fn a_query_of_mysql_that_a_lock_holds_up_is_slow() {
    let mariadb = MariaDb::start();
    let (telemetry, memory, database) = watched(&mariadb).await;
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
    let waits = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'";
    until_there_is_one(&database, waits).await;
    sleep(Duration::from_millis(500)).await;
    holder.commit().await.unwrap();
    held.await.unwrap();
    let shown = statement(&telemetry, "UPDATE orders");
    let text = "UPDATE orders SET dish = ? WHERE id = ?";
    assert_eq!((shown.slow, shown.calls, shown.text.as_str()), (1, 1, text));
    assert_eq!(shown.rows, 1);
    let of = [(SUMMARY, "UPDATE orders")];
    let beyond = telemetry.snapshot().histogram(DURATION, &of);
    let beyond = beyond.buckets().filter(|(edge, _)| *edge > 0.3);
    assert_eq!(beyond.map(|(_, count)| count).sum::<u64>(), 1);
    flush(&telemetry).await;
    let logs = memory.logs();
    // Another may have been, on a busy machine.
    let slow = logs.iter().filter(|log| {
        let said = log
            .attribute("db.query.text")
            .and_then(|text| text.as_str());
        log.event_name == "orderscope.db.slow_query" && said == Some(text)
    });
    assert_eq!(slow.count(), 1, "{logs:?}");
}
