//! What is shown of pools.

use super::orders;
use orderscope::database::PoolStatus;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
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
        (Some(0), 4, 2)
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

#[tokio::test]
async fn handles_that_say_something_else_of_one_pool_count_its_connections_once() {
    let (telemetry, _, database) = orders().await;
    let patient = database.clone().slow_after(Duration::from_secs(2));
    let named = patient.clone().namespace("archive");
    let held = named.acquire().await.unwrap();
    let waiting = tokio::spawn(async move { patient.acquire().await.map(drop) });
    sleep(Duration::from_millis(50)).await;
    let now = telemetry.snapshot().pools().remove(0);
    assert_eq!(
        (now.used, now.idle, now.max, now.pending),
        (Some(1), Some(0), Some(1), Some(1))
    );
    drop((held, database));
    waiting.await.unwrap().unwrap();
    assert_eq!(telemetry.snapshot().pools()[0].max, Some(1));
    drop(named);
    assert_eq!(telemetry.snapshot().pools()[0].max, None);
}

#[tokio::test]
async fn timeouts_of_a_pool_that_is_made_anew_count_on() {
    struct Others(Arc<AtomicU64>);
    impl PoolStatus for Others {
        fn timeouts(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Relaxed))
        }
    }
    let (telemetry, _, _) = orders().await;
    let told = [7, 5].map(|told| Arc::new(AtomicU64::new(told)));
    for told in &told {
        telemetry.watch_pool("cache", Others(Arc::clone(told)));
    }
    let timeouts = || {
        let pools = telemetry.snapshot().pools();
        let cache = pools.into_iter().find(|pool| pool.name == "cache");
        cache.map(|pool| pool.timeouts)
    };
    assert_eq!(timeouts(), Some(12));
    assert_eq!(timeouts(), Some(12));
    // One begins anew, the other goes on.
    told[0].store(2, Ordering::Relaxed);
    told[1].store(6, Ordering::Relaxed);
    assert_eq!(timeouts(), Some(15));
}

#[tokio::test]
async fn a_pool_that_panics_or_asks_back_holds_up_nobody() {
    #[derive(Clone, Default)]
    struct Panics(Arc<AtomicU64>);
    impl PoolStatus for Panics {
        fn used(&self) -> Option<u64> {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("no pool any more")
        }
    }
    struct AsksBack(orderscope::Telemetry);
    impl PoolStatus for AsksBack {
        fn used(&self) -> Option<u64> {
            let pools = self.0.snapshot().pools().len() as u64;
            self.0.watch_pool("another", Panics::default());
            Some(pools)
        }
        fn is_closed(&self) -> bool {
            self.0.snapshot().pools().is_empty()
        }
    }
    let (telemetry, _, database) = orders().await;
    let broken = Panics::default();
    telemetry.watch_pool("broken", broken.clone());
    telemetry.watch_pool("asks back", AsksBack(telemetry.clone()));
    for _ in 0..3 {
        let pools = telemetry.snapshot().pools();
        let of = |name| pools.iter().find(|pool| pool.name == name);
        assert_eq!(of("orders-db").and_then(|pool| pool.max), Some(1));
        assert_eq!(of("broken").and_then(|pool| pool.used), None);
    }
    assert_eq!(broken.0.load(Ordering::Relaxed), 1, "it is asked no more");
    drop(database);
}

#[tokio::test]
async fn a_pool_that_does_not_answer_holds_up_only_who_asked_it() {
    struct Hangs(mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>);
    impl PoolStatus for Hangs {
        fn used(&self) -> Option<u64> {
            self.0.send(()).unwrap();
            let answers = self.1.lock().unwrap();
            answers.recv().ok().map(|()| 7)
        }
    }
    let (telemetry, _, database) = orders().await;
    assert_eq!(telemetry.snapshot().pools()[0].max, Some(1));
    let (asked, is_asked) = mpsc::channel();
    let (answers, answer) = mpsc::channel();
    telemetry.watch_pool("hangs", Hangs(asked, Mutex::new(answer)));
    let asking = thread::spawn({
        let telemetry = telemetry.clone();
        move || telemetry.snapshot().pools()
    });
    is_asked.recv().unwrap();
    // It comes back at all; what was known before stands.
    assert_eq!(telemetry.snapshot().pools()[0].max, Some(1));
    answers.send(()).unwrap();
    let pools = asking.join().unwrap();
    let hung = pools.iter().find(|pool| pool.name == "hangs").unwrap();
    assert_eq!(hung.used, Some(7));
    drop((answers, database));
}

#[tokio::test]
async fn pools_beyond_those_that_are_told_apart_keep_their_name_and_their_figures() {
    let (telemetry, _, database) = orders().await;
    let named = |number: usize| format!("tenant-{number}");
    let handles: Vec<_> = (0..140)
        .map(|number| telemetry.database(&named(number), database.bare().clone()))
        .collect();
    for handle in &handles {
        let one = sqlx::query("SELECT 1").execute(handle);
        one.await.unwrap();
    }
    let pools = telemetry.snapshot().pools();
    for number in 0..140 {
        let pool = pools.iter().find(|pool| pool.name == named(number));
        let pool = pool.unwrap_or_else(|| panic!("no {number}"));
        assert_eq!(
            (pool.max, pool.waits.count(), pool.uses.count()),
            (Some(1), 1, 1)
        );
    }
    assert!(pools.iter().all(|pool| !pool.name.is_empty()));
    // The first place is that of the handle which all of them are made of.
    let evicted = [("store", "databases")];
    let evicted = telemetry
        .snapshot()
        .counter("orderscope.evictions", &evicted);
    assert_eq!(evicted, 13);
    let other = [("db.system.name", "_OTHER")];
    let numbers = telemetry.snapshot();
    assert_eq!(numbers.histogram(super::DURATION, &other).count(), 13);
}
