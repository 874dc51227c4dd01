//! What is counted of operations.

use super::{all, count, orders, statement};
use futures_util::TryStreamExt as _;
use orderscope::database::Database;
use sqlx::{Executor, Row as _, SqlSafeStr as _, SqlStr};
use std::time::Duration;
use tokio::time::timeout;

/// Some seconds of work: whoever gives it up leaves the thread of its connection at it.
const LONG: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
                    SELECT count(*) FROM n, orders WHERE i > 5";

#[tokio::test]
async fn a_thousand_queries_are_a_thousand_measurements_of_their_summary() {
    let (telemetry, _, database) = orders().await;
    for id in 0..1_000 {
        let rows = sqlx::query("SELECT dish FROM orders WHERE id = ?")
            .bind(id % 4)
            .fetch_all(&database)
            .await
            .unwrap();
        assert_eq!(rows.len(), usize::from((1..=2).contains(&(id % 4))));
    }
    assert_eq!(count(&telemetry, "SELECT orders", ""), 1_000);
    assert_eq!(all(&telemetry), 1_000);
    let series = telemetry.snapshot();
    let series = series.metric(super::DURATION).unwrap().series();
    let attributes: Vec<_> = series
        .iter()
        .flat_map(|series| series.attributes())
        .collect();
    assert_eq!(
        attributes,
        [
            ("db.query.summary", "SELECT orders"),
            ("db.system.name", "sqlite")
        ]
    );
    let shown = statement(&telemetry, "SELECT orders");
    assert_eq!((shown.calls, shown.rows, shown.errors), (1_000, 500, 0));
    assert_eq!(shown.text, "SELECT dish FROM orders WHERE id = ?");
    assert_eq!(shown.pool.as_deref(), Some("orders-db"));
    assert!(shown.p99 > Duration::ZERO && shown.total > shown.p99);
}

#[tokio::test]
async fn every_way_to_run_a_query_is_measured_once() {
    let (telemetry, _, database) = orders().await;
    const ALL: &str = "SELECT id FROM orders ORDER BY id";
    const ONE: &str = "SELECT id FROM orders WHERE id = 1";
    const NEW: &str = "INSERT INTO orders (dish) VALUES ('tart')";
    let mut ran = 0;
    let mut connection = database.acquire().await.unwrap();
    macro_rules! each {
        ($executor:expr) => {{
            assert_eq!(
                sqlx::query(NEW)
                    .execute($executor)
                    .await
                    .unwrap()
                    .rows_affected(),
                1
            );
            let row = sqlx::query(ONE).fetch_one($executor).await.unwrap();
            assert_eq!(row.get::<i64, _>(0), 1);
            let none = sqlx::query("SELECT id FROM orders WHERE id < 0");
            assert!(none.fetch_optional($executor).await.unwrap().is_none());
            let ids: Vec<i64> = sqlx::query_scalar(ALL).fetch_all($executor).await.unwrap();
            let streamed = sqlx::query(ALL).fetch($executor);
            let streamed: Vec<_> = streamed.try_collect().await.unwrap();
            assert_eq!(ids.len(), streamed.len());
            let script = sqlx::raw_sql("SELECT 1; SELECT id FROM orders");
            let steps: Vec<_> = script.fetch_many($executor).try_collect().await.unwrap();
            assert_eq!(steps.len(), ids.len() + 3);
            ran += 6;
            assert_eq!(all(&telemetry), ran);
        }};
    }
    each!(&mut connection);
    let mut transaction = connection.begin().await.unwrap();
    ran += 1;
    each!(&mut transaction);
    transaction.rollback().await.unwrap();
    ran += 1;
    drop(connection);
    each!(&database);
    let prepared = (&database).prepare(ONE.into_sql_str()).await.unwrap();
    let row = sqlx::Statement::query(&prepared)
        .fetch_one(&database)
        .await
        .unwrap();
    assert_eq!(row.get::<i64, _>(0), 1);
    assert_eq!(all(&telemetry), ran + 1, "to prepare is no operation");
    assert_eq!(statement(&telemetry, "INSERT orders").rows, 3);
}

#[tokio::test]
async fn a_transaction_s_begin_and_end_are_operations_and_dropped_it_is_rolled_back() {
    let (telemetry, _, database) = orders().await;
    let dishes = async || -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM orders");
        count.fetch_one(database.bare()).await.unwrap()
    };
    let insert = "INSERT INTO orders (dish) VALUES ('tart')";
    let mut transaction = database.begin().await.unwrap();
    sqlx::query(insert).execute(&mut transaction).await.unwrap();
    let mut within = transaction.begin_nested().await.unwrap();
    sqlx::query(insert).execute(&mut within).await.unwrap();
    within.rollback().await.unwrap();
    let mut within = transaction.begin_nested().await.unwrap();
    sqlx::query(insert).execute(&mut within).await.unwrap();
    within.commit().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(dishes().await, 4);

    let mut transaction = database.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query(insert).execute(&mut transaction).await.unwrap();
    drop(transaction);
    assert_eq!(dishes().await, 4);
    for (summary, times) in [
        ("BEGIN", 2),
        ("SAVEPOINT", 2),
        ("RELEASE", 1),
        ("ROLLBACK", 1),
        ("COMMIT", 1),
        ("INSERT orders", 4),
    ] {
        assert_eq!(count(&telemetry, summary, ""), times, "{summary}");
    }
    assert_eq!(all(&telemetry), 11);
}

#[tokio::test]
async fn what_fails_has_the_database_s_code_or_the_kind_of_error() {
    let (telemetry, _, database) = orders().await;
    for _ in 0..3 {
        let twice = sqlx::query("INSERT INTO orders VALUES (1, 'soup')");
        twice.execute(&database).await.unwrap_err();
    }
    sqlx::query("SELECT nothing FROM orders")
        .fetch_all(&database)
        .await
        .unwrap_err();
    assert_eq!(count(&telemetry, "INSERT orders", "1555"), 3);
    assert_eq!(count(&telemetry, "SELECT orders", "1"), 1);
    let none = sqlx::query("SELECT dish FROM orders WHERE id = 7")
        .fetch_one(&database)
        .await;
    assert!(matches!(none, Err(sqlx::Error::RowNotFound)));
    assert_eq!(
        count(&telemetry, "SELECT orders", ""),
        1,
        "no row is no failure"
    );
    assert_eq!(statement(&telemetry, "INSERT orders").errors, 3);
    database.bare().close().await;
    sqlx::query("SELECT dish FROM orders")
        .execute(&database)
        .await
        .unwrap_err();
    assert_eq!(count(&telemetry, "SELECT orders", "pool_closed"), 1);
    assert_eq!(all(&telemetry), 6);
}

#[tokio::test]
async fn what_is_given_up_is_cancelled() {
    let (telemetry, _, database) = orders().await;
    let long = sqlx::query(LONG).fetch_one(&database);
    timeout(Duration::from_millis(50), long).await.unwrap_err();
    assert_eq!(count(&telemetry, "SELECT orders", "cancelled"), 1);
    // The connection is busy with it until it is closed.
    let (telemetry, _, database) = orders().await;
    {
        let mut rows = sqlx::query("SELECT id FROM orders").fetch(&database);
        assert!(rows.try_next().await.unwrap().is_some());
    }
    assert_eq!(
        count(&telemetry, "SELECT orders", ""),
        1,
        "enough rows were taken"
    );
    let (telemetry, _, database) = orders().await;
    let row_by_row = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
         SELECT id FROM orders UNION ALL SELECT i FROM n WHERE i < 0";
    {
        let mut rows = sqlx::query(row_by_row).fetch(&database);
        let until_none_comes = async { while rows.try_next().await.unwrap().is_some() {} };
        timeout(Duration::from_millis(50), until_none_comes)
            .await
            .unwrap_err();
    }
    assert_eq!(
        count(&telemetry, "SELECT orders", "cancelled"),
        1,
        "more rows were waited for"
    );
    let (telemetry, _, database) = orders().await;
    let never = sqlx::query("SELECT id FROM orders").execute(&database);
    drop(never);
    let mut connection = database.acquire().await.unwrap();
    drop(sqlx::query("SELECT id FROM orders").fetch(&mut connection));
    assert_eq!(all(&telemetry), 0, "what was never begun is none");
}

#[tokio::test]
async fn what_never_had_a_connection_is_an_operation_all_the_same() {
    let (telemetry, memory, database) = orders().await;
    let database = database.slow_after(Duration::ZERO);
    let held = database.acquire().await.unwrap();
    let at_once = Duration::from_millis(5);
    for _ in 0..3 {
        let waits = sqlx::query("SELECT id FROM orders").execute(&database);
        timeout(at_once, waits).await.unwrap_err();
        timeout(at_once, database.begin()).await.unwrap_err();
    }
    timeout(at_once, database.acquire()).await.unwrap_err();
    assert_eq!(count(&telemetry, "SELECT orders", "cancelled"), 3);
    assert_eq!(count(&telemetry, "BEGIN", "cancelled"), 3);
    // It took as long as it waited, which is no time of the statement.
    let numbers = telemetry.snapshot();
    let waited = numbers.histogram(super::DURATION, &[(super::ERROR, "cancelled")]);
    assert!(waited.sum() >= 6.0 * at_once.as_secs_f64(), "{waited:?}");
    let select = statement(&telemetry, "SELECT orders");
    assert_eq!((select.calls, select.errors, select.slow), (3, 3, 0));
    assert_eq!((select.total, select.p99), (Duration::ZERO, Duration::ZERO));
    drop(held);
    database.bare().close().await;
    let failed = database.begin_with("BEGIN IMMEDIATE").await;
    assert!(matches!(failed, Err(sqlx::Error::PoolClosed)), "{failed:?}");
    assert!(database.begin().await.is_err());
    assert_eq!(count(&telemetry, "BEGIN", "pool_closed"), 2);
    assert_eq!(all(&telemetry), 8);
    let pool = telemetry.snapshot().pools().remove(0);
    assert_eq!((pool.waits.count(), pool.uses.count()), (1 + 7 + 2, 1));
    super::flush(&telemetry).await;
    assert!(memory.logs().is_empty(), "the pool was slow, no query");
}

#[tokio::test]
async fn a_connection_begins_by_a_statement_of_the_caller_s() {
    let (telemetry, _, database) = orders().await;
    let mut connection = database.acquire().await.unwrap();
    let mut immediate = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let gone = sqlx::query("DELETE FROM orders");
    gone.execute(&mut immediate).await.unwrap();
    let nested = immediate.begin_nested().await.unwrap();
    nested.commit().await.unwrap();
    immediate.rollback().await.unwrap();
    for summary in ["BEGIN", "DELETE orders", "SAVEPOINT", "RELEASE", "ROLLBACK"] {
        assert_eq!(count(&telemetry, summary, ""), 1, "{summary}");
    }
}

#[tokio::test]
async fn code_that_is_generic_in_the_database_runs_as_with_a_pool() {
    async fn first<DB>(database: &Database<DB>, sql: &'static str) -> DB::Row
    where
        DB: sqlx::Database,
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    {
        let sql: SqlStr = sql.into_sql_str();
        database.fetch_one(sql).await.unwrap()
    }
    async fn any<'c, E>(executor: E) -> i64
    where
        E: Executor<'c, Database = sqlx::Sqlite>,
    {
        let count = sqlx::query_scalar("SELECT count(*) FROM orders");
        count.fetch_one(executor).await.unwrap()
    }
    async fn bare<DB>(pool: &sqlx::Pool<DB>) -> DB::Row
    where
        DB: sqlx::Database,
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    {
        let mut connection = pool.acquire().await.unwrap();
        (&mut *connection)
            .fetch_one("SELECT 1".into_sql_str())
            .await
            .unwrap()
    }
    let (telemetry, _, database) = orders().await;
    first(&database, "SELECT id FROM orders").await;
    assert_eq!(any(&database).await, 2);
    let mut connection = database.acquire().await.unwrap();
    assert_eq!(any(&mut connection).await, 2);
    assert_eq!(any(&mut **connection.bare()).await, 2);
    drop(connection);
    bare(database.bare()).await;
    assert_eq!(all(&telemetry), 3);
    // A task of its own takes it along.
    let task = tokio::spawn(async move { any(&database).await });
    assert_eq!(task.await.unwrap(), 2);
}
