//! What waiting for a connection is measured to take, beside a clock of the test's own.

use crate::postgres::Postgres;
use orderscope::{Telemetry, database::Database};
use sqlx::{Postgres as Pg, postgres::PgPoolOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Barrier,
    time::{Instant, sleep},
};

const CONNECTIONS: u32 = 5;
const USERS: usize = 50;
const HELD: Duration = Duration::from_millis(50);

async fn use_one(database: Database<Pg>, together: Arc<Barrier>) -> Duration {
    together.wait().await;
    let began = Instant::now();
    let connection = database.acquire().await.unwrap();
    let waited = began.elapsed();
    sleep(HELD).await;
    drop(connection);
    waited
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_and_pending_are_as_who_waits_measures_them() {
    let postgres = Postgres::start();
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .min_connections(CONNECTIONS)
        .connect(&postgres.url())
        .await
        .unwrap();
    let database = telemetry.database("orders-db", pool);
    let together = Arc::new(Barrier::new(USERS));
    let done = Arc::new(AtomicU64::new(0));
    let users: Vec<_> = (0..USERS)
        .map(|_| {
            let (using, done) = (
                use_one(database.clone(), Arc::clone(&together)),
                Arc::clone(&done),
            );
            tokio::spawn(async move {
                let waited = using.await;
                done.fetch_add(1, Ordering::Relaxed);
                waited
            })
        })
        .collect();
    // In the midst of the first turn.
    sleep(HELD / 2).await;
    let pending = telemetry.snapshot().pools().remove(0).pending.unwrap();
    let expected = (USERS as u64).saturating_sub(u64::from(CONNECTIONS));
    assert_eq!(
        done.load(Ordering::Relaxed),
        0,
        "the machine is too busy to tell"
    );
    assert!(
        pending.abs_diff(expected) <= expected / 10,
        "{pending} of {expected}"
    );
    let mut waited = Duration::ZERO;
    for user in users {
        waited += user.await.unwrap();
    }
    let pool = telemetry.snapshot().pools().remove(0);
    assert_eq!(
        (pool.waits.count(), pool.uses.count(), pool.pending),
        (50, 50, Some(0))
    );
    let (told, waited) = (pool.waits.sum(), waited.as_secs_f64());
    println!("{told:.3} s of waiting told, {waited:.3} s measured");
    assert!(
        (told - waited).abs() <= waited / 10.0,
        "{told} s of {waited} s"
    );
    let used = pool.uses.sum() / USERS as f64;
    assert!(
        (HELD.as_secs_f64()..HELD.as_secs_f64() * 1.5).contains(&used),
        "{used} s"
    );
    assert_eq!(pool.max, Some(CONNECTIONS.into()));
    // sqlx takes a connection back in a task of its own.
    for _ in 0..100 {
        if telemetry.snapshot().pools().remove(0).used == Some(0) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", telemetry.snapshot().pools());
}
