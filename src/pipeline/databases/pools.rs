//! Pools of connections, read at each collection.

use crate::{
    catalog::database::{
        CONNECTION_COUNT, CONNECTION_IDLE_MAX, CONNECTION_IDLE_MIN, CONNECTION_MAX,
        PENDING_REQUESTS, TIMEOUTS,
    },
    fork::Lock,
    metrics::{Counter, Family, Gauge, Registry},
    semconv,
};
#[cfg(feature = "sqlx")]
use crate::{
    catalog::database::{USE_TIME, WAIT_TIME},
    metrics::{Histogram, InsertOnlyMap},
};
#[cfg(feature = "sqlx")]
use rustc_hash::FxBuildHasher;
use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
#[cfg(feature = "sqlx")]
use std::{hash::BuildHasher as _, sync::OnceLock};

/// Pools that are watched at a time.
pub(super) const MOST: usize = 256;

/// What one pool tells at one moment; what it cannot tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gauged {
    pub(crate) idle: Option<u64>,
    pub(crate) used: Option<u64>,
    pub(crate) max: Option<u64>,
    pub(crate) idle_max: Option<u64>,
    pub(crate) idle_min: Option<u64>,
    pub(crate) pending: Option<u64>,
    /// Since it was made; of all of one name since they were asked last.
    pub(crate) timeouts: Option<u64>,
}

impl Gauged {
    fn add(&mut self, other: Self) {
        let add = |mine: &mut Option<u64>, theirs: Option<u64>| {
            if let Some(theirs) = theirs {
                *mine = Some(mine.unwrap_or_default().saturating_add(theirs));
            }
        };
        add(&mut self.idle, other.idle);
        add(&mut self.used, other.used);
        add(&mut self.max, other.max);
        add(&mut self.idle_max, other.idle_max);
        add(&mut self.idle_min, other.idle_min);
        add(&mut self.pending, other.pending);
        add(&mut self.timeouts, other.timeouts);
    }
}

/// `None`: the pool is gone.
pub(crate) type Look = Box<dyn Fn() -> Option<Gauged> + Send + Sync>;

struct Watched {
    name: String,
    look: Look,
    /// Timeouts that it told of.
    timeouts: AtomicU64,
}

impl Watched {
    /// `None`: the pool is gone, or panics and is not to be asked again.
    fn look(&self) -> Option<Gauged> {
        // It may be the application's own.
        let looked = catch_unwind(AssertUnwindSafe(&self.look));
        if looked.is_err() {
            tracing::warn!(pool = %self.name, "asking the pool panicked; it is asked no more");
        }
        let mut now = looked.ok().flatten()?;
        now.timeouts = now.timeouts.map(|all| {
            let before = self.timeouts.swap(all, Ordering::Relaxed);
            // One that was made anew begins anew.
            all.checked_sub(before).unwrap_or(all)
        });
        Some(now)
    }
}

/// The instruments, and who is asked.
pub(crate) struct Pools {
    levels: [Family<Gauge>; 5],
    timeouts: Family<Counter>,
    #[cfg(feature = "sqlx")]
    waits: Family<Histogram>,
    #[cfg(feature = "sqlx")]
    uses: Family<Histogram>,
    /// By the name of the pool.
    #[cfg(feature = "sqlx")]
    series: InsertOnlyMap<Box<str>, PoolSeries>,
    /// Of all that found no room.
    #[cfg(feature = "sqlx")]
    beyond: OnceLock<PoolSeries>,
    watched: Lock<Vec<Arc<Watched>>>,
    /// Held while they are asked: the timeouts of each are taken once. Who comes meanwhile does not wait
    /// long: what pools do is theirs.
    asking: Lock<()>,
}

thread_local! {
    /// Whether this thread asks: what a pool is asked may lead here.
    static IS_ASKING: Cell<bool> = const { Cell::new(false) };
}

/// That this thread asks.
struct Asking;

impl Asking {
    /// `None`: it does already.
    fn begin() -> Option<Self> {
        (!IS_ASKING.replace(true)).then(|| Self)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        IS_ASKING.set(false);
    }
}

/// Of one pool whose connections are handed out by us.
#[cfg(feature = "sqlx")]
#[derive(Debug)]
pub(crate) struct PoolSeries {
    pub(crate) waits: Arc<Histogram>,
    pub(crate) uses: Arc<Histogram>,
    pub(crate) timeouts: Arc<Counter>,
}

const USED: &str = "used";
const IDLE: &str = "idle";

impl Pools {
    pub(super) fn new(registry: &Registry) -> Self {
        let levels = [
            &CONNECTION_COUNT,
            &CONNECTION_MAX,
            &CONNECTION_IDLE_MAX,
            &CONNECTION_IDLE_MIN,
            &PENDING_REQUESTS,
        ];
        let [count, max, idle_max, idle_min, pending] = levels.map(|level| registry.gauge(level));
        Self {
            levels: [count, max, idle_max, idle_min, pending],
            timeouts: registry.counter(&TIMEOUTS),
            #[cfg(feature = "sqlx")]
            waits: registry.histogram(&WAIT_TIME),
            #[cfg(feature = "sqlx")]
            uses: registry.histogram(&USE_TIME),
            #[cfg(feature = "sqlx")]
            series: InsertOnlyMap::new(MOST / 4, MOST),
            #[cfg(feature = "sqlx")]
            beyond: OnceLock::new(),
            watched: Lock::default(),
            asking: Lock::default(),
        }
    }

    #[cfg(feature = "sqlx")]
    pub(crate) fn series(&'static self, pool: &str) -> &'static PoolSeries {
        let hash = FxBuildHasher.hash_one(pool);
        let make = || (pool.into(), self.made(pool));
        let known = self.series.get(hash, |known| **known == *pool);
        let insert = || self.series.insert(hash, |known| **known == *pool, make);
        let known = known.or_else(insert);
        known.unwrap_or_else(|| self.beyond.get_or_init(|| self.made(super::OTHER)))
    }

    #[cfg(feature = "sqlx")]
    fn made(&self, pool: &str) -> PoolSeries {
        let pool = [(semconv::DB_CLIENT_CONNECTION_POOL_NAME, pool)];
        PoolSeries {
            waits: self.waits.with(&pool),
            uses: self.uses.with(&pool),
            timeouts: self.timeouts.with(&pool),
        }
    }

    /// Asks `look` at each collection, until it says that the pool is gone. Pools of one name are
    /// shown as one. Whether there was room.
    pub(super) fn watch(&self, name: &str, look: Look) -> bool {
        let is_full = |all: &Vec<_>| all.len() >= MOST;
        if self.watched.hold().is_some_and(|all| is_full(&all)) {
            // Some may be gone.
            self.look();
        }
        let Some(mut watched) = self.watched.hold() else {
            return false;
        };
        let has_room = !is_full(&watched);
        if has_room {
            watched.push(Arc::new(Watched {
                name: name.to_owned(),
                look,
                timeouts: AtomicU64::new(0),
            }));
        }
        has_room
    }

    /// `None`: another thread has been asking for so long that one of the pools must hold it up; what was
    /// told last stands.
    fn begin(&self) -> Option<MutexGuard<'_, ()>> {
        const LOOKS: u32 = 20;
        (0..LOOKS).find_map(|_| {
            let asking = self.asking.hold_soon();
            if asking.is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            asking
        })
    }

    pub(super) fn look(&self) {
        let Some(_this_thread) = Asking::begin() else {
            return;
        };
        let Some(_asking) = self.begin() else {
            return;
        };
        // Copied out: who is asked may watch another one.
        let watched = self.watched.hold().map(|watched| watched.clone());
        let mut pools: BTreeMap<&str, Gauged> = BTreeMap::new();
        let (watched, mut gone) = (watched.unwrap_or_default(), Vec::new());
        for pool in &watched {
            let all = pools.entry(&pool.name).or_default();
            match pool.look() {
                Some(now) => all.add(now),
                None => gone.push(pool),
            }
        }
        for (name, now) in pools {
            self.show(name, now);
        }
        if let Some(mut all) = self.watched.hold().filter(|_| !gone.is_empty()) {
            all.retain(|pool| !gone.iter().any(|gone| Arc::ptr_eq(gone, pool)));
        }
    }

    fn show(&self, name: &str, now: Gauged) {
        let pool = (semconv::DB_CLIENT_CONNECTION_POOL_NAME, name);
        let state = |state| [pool, (semconv::DB_CLIENT_CONNECTION_STATE, state)];
        let [count, max, idle_max, idle_min, pending] = &self.levels;
        show(count, &state(IDLE), now.idle);
        show(count, &state(USED), now.used);
        show(max, &[pool], now.max);
        show(idle_max, &[pool], now.idle_max);
        show(idle_min, &[pool], now.idle_min);
        show(pending, &[pool], now.pending);
        if let Some(timeouts) = now.timeouts {
            self.timeouts.with(&[pool]).add(timeouts);
        }
    }
}

/// What is not known is not shown; a pool that is gone has nothing any more.
fn show(level: &Family<Gauge>, attributes: &[(&str, &str)], now: Option<u64>) {
    let series = level.with(attributes);
    match now {
        Some(now) => series.set(now as f64),
        None => series.withhold(),
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}
