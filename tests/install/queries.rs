//! Queries of sqlx that go past every handle.

use std::time::Duration;

use orderscope::Telemetry;
use sqlx::sqlite::SqlitePoolOptions;

use super::{alone, block_on, printed};

const DURATION: &str = "db.client.operation.duration";

#[test]
fn whoever_asks_for_it_hears_of_bare_queries_whatever_the_levels_and_no_query_twice() {
    let output = alone(&[("RUST_LOG", "info")], || {
        let telemetry = Telemetry::builder("orders").with_bare_queries();
        let telemetry = telemetry.install().unwrap();
        block_on(run(&telemetry));
        let count = |of: &[(&str, &str)]| telemetry.snapshot().histogram(DURATION, of).count();
        let bare = [
            ("db.system.name", "other_sql"),
            ("db.query.summary", "SELECT orders"),
        ];
        assert_eq!(count(&bare), 10);
        let handled = [
            ("db.system.name", "sqlite"),
            ("db.query.summary", "SELECT orders"),
        ];
        assert_eq!(count(&handled), 7);
    });
    let said = printed(&output);
    assert!(said.contains("ten and seven"), "{said}");
    assert!(!said.contains("sqlx"), "{said}");
    assert!(!said.contains("fine"), "{said}");
}

#[test]
fn nobody_who_did_not_ask_hears_of_them() {
    alone(&[("RUST_LOG", "info")], || {
        let telemetry = Telemetry::builder("orders").install().unwrap();
        block_on(run(&telemetry));
        let snapshot = telemetry.snapshot();
        let bare = snapshot.histogram(DURATION, &[("db.system.name", "other_sql")]);
        assert_eq!(bare.count(), 0);
    });
}

/// Ten queries past the handle, seven through it.
async fn run(telemetry: &Telemetry) {
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.acquire_timeout(Duration::from_secs(10));
    let pool = pool.connect("sqlite::memory:").await.unwrap();
    let made = sqlx::query("CREATE TABLE orders (id INTEGER)");
    made.execute(&pool).await.unwrap();
    let orders = || sqlx::query("SELECT id FROM orders");
    for _ in 0..10 {
        orders().fetch_all(&pool).await.unwrap();
    }
    let database = telemetry.database("orders-db", pool);
    for _ in 0..7 {
        orders().fetch_all(&database).await.unwrap();
    }
    tracing::debug!("fine");
    tracing::info!("ten and seven");
}
