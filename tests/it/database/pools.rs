//! What is shown of pools.

use super::orders;
use orderscope::database::PoolStatus;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

#[tokio::test]
async fn a_pool_tells_who_uses_it_and_who_waits() {
    let (telemetry, _, database) = orders().await;
    let pool = || telemetry.snapshot().pools().remove(0);
    let held = database.acquire().await.unwrap();
    let waiting = tokio::spawn({
        let database = database.clone();
        async move { database.acquire().await.map(drop) }
    });
    sleep(Duration::from_millis(50)).await;
    let now = pool();
    assert_eq!(now.name, "orders-db");
    assert_eq!((now.used, now.idle, now.max), (Some(1), Some(0), Some(1)));
    assert_eq!(
        (now.pending, now.waits.count(), now.uses.count()),
        (Some(1), 1, 0)
    );
    drop(held);
    waiting.await.unwrap().unwrap();
    let given_up = database.acquire().await.unwrap();
    tokio::time::timeout(Duration::from_millis(5), database.acquire())
        .await
        .unwrap_err();
    let now = pool();
    assert_eq!(
        (now.pending, now.waits.count(), now.uses.count()),
        (Some(0), 3, 2)
    );
    assert!(now.waits.sum() >= 0.04 && now.uses.sum() >= 0.04, "{now:?}");
    drop(given_up);
    drop(database);
    let now = pool();
    assert_eq!(
        (now.used, now.idle, now.max, now.pending),
        (None, None, None, None)
    );
}

#[tokio::test]
async fn of_others_is_shown_what_they_tell() {
    struct Others(Arc<AtomicU64>);
    impl PoolStatus for Others {
        fn used(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Relaxed))
        }
        fn timeouts(&self) -> Option<u64> {
            Some(3)
        }
        fn is_closed(&self) -> bool {
            self.0.load(Ordering::Relaxed) == 0
        }
    }
    let (telemetry, _, database) = orders().await;
    drop(database);
    let used = Arc::new(AtomicU64::new(5));
    telemetry.watch_pool("cache", Others(Arc::clone(&used)));
    let pool = || {
        let pools = telemetry.snapshot().pools().into_iter();
        pools
            .filter(|pool| pool.name == "cache")
            .collect::<Vec<_>>()
            .remove(0)
    };
    let now = pool();
    assert_eq!(
        (now.used, now.idle, now.max, now.pending),
        (Some(5), None, None, None)
    );
    assert_eq!(now.timeouts, 3);
    used.store(0, Ordering::Relaxed);
    assert_eq!(pool().used, None);
}
