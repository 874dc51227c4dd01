//! Time is a room: nothing else in the crate reads the system's clocks.
//!
//! Durations come from the monotonic clock, timestamps from the wall clock; the two are never
//! mixed, so a wall clock that jumps changes no latency.

use crate::mutation::{self, Mutation};
use std::{
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// The end of 2262-04-11: receivers that keep nanoseconds in 64 signed bits know no later time.
const LATEST: u64 = i64::MAX as u64;

/// Where a [`Telemetry`](crate::Telemetry) takes its time from.
///
/// The default is the system's clocks; a test hands in a [`ManualClock`].
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<Hands>),
    /// The runtime's, which a test can let run ahead.
    #[cfg(test)]
    Simulated,
}

#[derive(Debug)]
struct Hands {
    origin: Instant,
    advanced_nanos: AtomicU64,
    wall: Mutex<SystemTime>,
}

impl Clock {
    /// The system's monotonic and wall clocks.
    pub fn system() -> Self {
        Self::default()
    }

    /// The time of the runtime that asks, with the system's wall clock.
    #[cfg(test)]
    pub(crate) fn simulated() -> Self {
        Self(Source::Simulated)
    }

    /// The monotonic clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match &self.0 {
            Source::System if mutation::is_on(Mutation::WallClockDurations) => by_the_wall(),
            Source::System => Instant::now(),
            Source::Manual(hands) => {
                hands.origin + Duration::from_nanos(hands.advanced_nanos.load(Ordering::Relaxed))
            }
            #[cfg(test)]
            Source::Simulated => tokio::time::Instant::now().into_std(),
        }
    }

    /// The wall clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
    pub(crate) fn wall(&self) -> SystemTime {
        match &self.0 {
            Source::System => SystemTime::now(),
            Source::Manual(hands) => *hands.wall.lock().unwrap_or_else(PoisonError::into_inner),
            #[cfg(test)]
            Source::Simulated => SystemTime::now(),
        }
    }

    /// Both clocks now. A wall clock before 1970 counts as 1970, one beyond 2262 as its end: what
    /// is reckoned from there keeps its duration.
    pub(crate) fn anchor(&self) -> Anchor {
        let since_1970 = self.wall().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = since_1970.unwrap_or_default().as_nanos();
        Anchor {
            instant: self.now(),
            unix_nanos: u64::try_from(nanos).unwrap_or(LATEST).min(LATEST),
        }
    }
}

/// What the monotonic clock must never be: an instant that moves with the wall clock.
#[cold]
#[expect(clippy::disallowed_methods, reason = "a rule that tests break")]
fn by_the_wall() -> Instant {
    static ORIGIN: LazyLock<(Instant, SystemTime)> =
        LazyLock::new(|| (Instant::now(), SystemTime::now()));
    let (instant, wall) = *ORIGIN;
    let moved = match SystemTime::now().duration_since(wall) {
        Ok(later) => instant.checked_add(later),
        Err(earlier) => instant.checked_sub(earlier.duration()),
    };
    moved.unwrap_or(instant)
}

/// The two clocks read at one moment: it gives instants of the recent past their time of the day,
/// though the wall clock may have jumped in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    instant: Instant,
    unix_nanos: u64,
}

impl Anchor {
    /// When the clocks were read, by the monotonic one.
    pub(crate) fn instant(&self) -> Instant {
        self.instant
    }

    /// When the clocks were read, in nanoseconds since 1970.
    pub(crate) fn taken_at(&self) -> u64 {
        self.unix_nanos
    }

    /// Nanoseconds since 1970, as OTLP has it.
    pub(crate) fn unix_nanos(&self, at: Instant) -> u64 {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match at.checked_duration_since(self.instant) {
            Some(later) => self.unix_nanos.saturating_add(nanos(later)),
            None => self
                .unix_nanos
                .saturating_sub(nanos(self.instant.saturating_duration_since(at))),
        }
    }

    /// The instant of a time in nanoseconds since 1970; one that the monotonic clock has no word for is
    /// when the clocks were read.
    pub(crate) fn instant_of(&self, unix_nanos: u64) -> Instant {
        let found = match unix_nanos.checked_sub(self.unix_nanos) {
            Some(later) => self.instant.checked_add(Duration::from_nanos(later)),
            None => {
                let earlier = Duration::from_nanos(self.unix_nanos - unix_nanos);
                self.instant.checked_sub(earlier)
            }
        };
        found.unwrap_or(self.instant)
    }

    /// The same as a time of the system's type.
    pub(crate) fn time(&self, at: Instant) -> SystemTime {
        let since_1970 = Duration::from_nanos(self.unix_nanos(at));
        SystemTime::UNIX_EPOCH
            .checked_add(since_1970)
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// A clock that moves only when it is told to.
///
/// ```
/// use orderscope::clock::ManualClock;
/// use std::time::{Duration, SystemTime};
///
/// let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
/// let telemetry = orderscope::Telemetry::builder("orders").clock(hands.clock()).build()?;
/// hands.advance(Duration::from_secs(60));
/// # drop(telemetry);
/// # Ok::<(), orderscope::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Hands>);

impl ManualClock {
    /// A clock whose wall time is `wall` until it is moved.
    pub fn starting_at(wall: SystemTime) -> Self {
        Self(Arc::new(Hands {
            origin: Clock::system().now(),
            advanced_nanos: AtomicU64::new(0),
            wall: Mutex::new(wall),
        }))
    }

    /// The [`Clock`] to hand to a builder. All clones move together.
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(Arc::clone(&self.0)))
    }

    /// Moves the monotonic and the wall clock on by `by`.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.advanced_nanos.fetch_add(nanos, Ordering::Relaxed);
        let mut wall = self.0.wall.lock().unwrap_or_else(PoisonError::into_inner);
        *wall = wall.checked_add(by).unwrap_or(*wall);
    }

    /// Sets the wall clock alone, as a time server or an operator does.
    pub fn set_wall(&self, wall: SystemTime) {
        *self.0.wall.lock().unwrap_or_else(PoisonError::into_inner) = wall;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_set_back_leaves_the_monotonic_one_alone() {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        let clock = hands.clock();
        let before = clock.now();
        hands.advance(Duration::from_secs(5));
        hands.set_wall(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now() - before, Duration::from_secs(5));
        assert_eq!(clock.wall(), SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn a_duration_is_kept_however_far_the_wall_clock_is_from_now() {
        const SECONDS_A_YEAR: u64 = 31_556_952;
        let took = Duration::from_millis(7);
        for years in [-60_i64, 0, 136, 293, 585, 8_100, 200_000] {
            let distance = Duration::from_secs(years.unsigned_abs() * SECONDS_A_YEAR);
            let wall = match years < 0 {
                true => SystemTime::UNIX_EPOCH - distance,
                false => SystemTime::UNIX_EPOCH + distance,
            };
            let hands = ManualClock::starting_at(wall);
            let clock = hands.clock();
            let (began, anchor) = (clock.now(), clock.anchor());
            hands.advance(took);
            let nanos = [began, clock.now()].map(|at| anchor.unix_nanos(at));
            assert_eq!(nanos[1] - nanos[0], took.as_nanos() as u64, "{years}");
            let times = [began, clock.now()].map(|at| anchor.time(at));
            assert_eq!(
                times[1].duration_since(times[0]).ok(),
                Some(took),
                "{years}"
            );
            // Read once the time is over, as the worker does.
            let nanos = [began, clock.now()].map(|at| clock.anchor().unix_nanos(at));
            assert!(nanos[0] <= nanos[1], "{years}");
        }
    }
}
