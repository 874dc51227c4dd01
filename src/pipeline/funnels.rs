//! Funnels: events that are steps of one are told here, and become attempts on the telemetry's own
//! thread.
//!
//! ```text
//! track_event ─→ Step::tell() (who, which step, when: 80 bytes) ─→ waiting ─→ tell(), settle() ─→ shared_state ─→ metrics
//! ```

mod counts;

use super::{
    Sharing,
    following::{Following, Refusal, Until},
    subject,
};
use crate::{
    catalog::funnel::{Funnel, Subject},
    clock::{Anchor, Clock},
    fork::Lock,
    metrics::Registry,
    shared_state::{Attempts, Follower, Happening, Id, Rules, Space, Unavailable, What},
};
use counts::{Counts, Families};
use rustc_hash::FxHashMap;
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Microseconds for which a unit is kept after its last event would have been due.
const KEPT: u64 = 24 * 3_600 * 1_000_000;
/// Steps that wait to be counted.
const MOST_WAITING: usize = 65_536;
/// Units of one funnel that have something under way.
const MOST_UNITS: usize = 1_000_000;
/// Of all of them; one takes some 30.
const MOST_BYTES: usize = 256 * 1_024 * 1_024;

/// All funnels of one telemetry.
#[derive(Debug)]
pub(crate) struct Funnels {
    by_event: FxHashMap<Box<str>, Box<[Place]>>,
    funnels: Box<[Followed]>,
    waiting: Lock<Vec<Told>>,
    counting: Mutex<Counting>,
    sharing: Arc<Sharing>,
    clock: Clock,
    began: Anchor,
}

/// What only who settles touches.
#[derive(Debug)]
struct Counting {
    /// One way for each funnel.
    following: Following<Attempts>,
    /// Changes places with what waits, so that neither is made anew.
    swapped: Vec<Told>,
}

#[derive(Debug)]
struct Followed {
    subject: Subject,
    counts: Counts,
}

/// What an event is to a funnel.
#[derive(Clone, Copy, Debug)]
struct Place {
    funnel: usize,
    what: What,
}

/// One step, by whom.
#[derive(Clone, Copy, Debug)]
struct Told {
    funnel: usize,
    unit: Id,
    happening: Happening,
}

/// An event that funnels ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    funnels: &'a Funnels,
    places: &'a [Place],
}

impl Funnels {
    pub(super) fn new(
        declared: &[Funnel],
        clock: Clock,
        registry: &Registry,
        sharing: Arc<Sharing>,
    ) -> Self {
        let mut by_event: FxHashMap<Box<str>, Vec<Place>> = FxHashMap::default();
        for (funnel, declared) in declared.iter().enumerate() {
            let mut steps: FxHashMap<&str, u16> = FxHashMap::default();
            for (at, event) in declared.steps().enumerate() {
                *steps.entry(event).or_default() |= 1 << at;
            }
            let steps = steps
                .into_iter()
                .map(|(event, steps)| (event, What::Step(steps)));
            let exclusions = declared.exclusions().map(|event| (event, What::Exclusion));
            for (event, what) in steps.chain(exclusions) {
                let places = by_event.entry(event.into()).or_default();
                places.push(Place { funnel, what });
            }
        }
        let boxed = |(event, places): (_, Vec<_>)| (event, places.into_boxed_slice());
        let funnels: Box<[_]> = match declared {
            // Then none of their instruments is there.
            [] => Box::default(),
            _ => {
                let families = Families::new(registry, sharing.state().scope());
                let followed = |declared: &Funnel| Followed {
                    subject: declared.subject().clone(),
                    counts: families.of(declared),
                };
                declared.iter().map(followed).collect()
            }
        };
        let way = |(declared, funnel): (_, &Followed)| {
            (follower(declared), Arc::clone(&funnel.counts.units))
        };
        Self {
            by_event: by_event.into_iter().map(boxed).collect(),
            waiting: Lock::default(),
            counting: Mutex::new(Counting {
                following: Following::new(declared.iter().zip(&funnels).map(way)),
                swapped: Vec::new(),
            }),
            funnels,
            sharing,
            began: clock.anchor(),
            clock,
        }
    }

    /// Whether there are any.
    pub(crate) fn are_declared(&self) -> bool {
        !self.funnels.is_empty()
    }

    /// What the events of that name are to them.
    #[inline]
    pub(crate) fn step(&self, event: &str) -> Option<Step<'_>> {
        if self.by_event.is_empty() {
            return None;
        }
        let places = self.by_event.get(event)?;
        Some(Step {
            funnels: self,
            places,
        })
    }

    fn micros(&self, at: Instant) -> u64 {
        self.began.unix_nanos(at) / 1_000
    }

    /// Tells the state what waits.
    pub(crate) async fn tell(&self) -> Result<(), Unavailable> {
        // Read before what waits is taken: what is told later happened later, but for the moment
        // between a look at the clock and the hand-off.
        let now = self.micros(self.clock.now());
        let mut counting = self.counting.lock().await;
        // What could not be told yet comes first, and what waits is bounded.
        if !counting.following.has_untold() {
            self.take(&mut counting);
        }
        counting.following.tell(&self.sharing, now).await
    }

    fn take(&self, Counting { following, swapped }: &mut Counting) {
        if let Some(mut waiting) = self.waiting.hold() {
            mem::swap(&mut *waiting, swapped);
        }
        for told in swapped.drain(..) {
            following.take(told.funnel, told.unit, told.happening);
        }
    }

    /// Counts what was told, and what has come to its end a moment ago.
    pub(crate) async fn settle(&self) -> Result<(), Unavailable> {
        self.settle_until(Until::NothingIsLate).await
    }

    async fn settle_until(&self, until: Until) -> Result<(), Unavailable> {
        let mut counting = self.counting.lock().await;
        let tell = |funnel, turn| {
            if let Some(Followed { counts, .. }) = self.funnels.get(funnel) {
                counts.tell(turn);
            }
        };
        counting.following.settle(&self.sharing, until, tell).await
    }

    /// As [`tell`](Self::tell) and [`settle`](Self::settle), where every answer is there at once.
    fn settle_at_once(&self) {
        self.sharing.at_once(async {
            self.tell().await?;
            self.settle().await
        });
    }

    /// For the end: counts all where every answer is there at once, and else that there was none to
    /// what waits still.
    pub(crate) fn settle_all(&self) {
        if self.sharing.state().answers_at_once() {
            self.sharing.at_once(async {
                self.tell().await?;
                self.settle_until(Until::TheEnd).await
            });
        } else if let Ok(mut counting) = self.counting.try_lock() {
            self.take(&mut counting);
            counting.following.give_up();
        }
    }

    /// Settles before each look at the numbers, where that can be done at once.
    pub(super) fn observe(&'static self, registry: &Registry) {
        if self.are_declared() && self.sharing.state().answers_at_once() {
            registry.observe(|| self.settle_at_once());
        }
    }
}

impl Step<'_> {
    /// Hands the step off, by whom the event's fields name. Waits for nobody but who takes or adds
    /// one, and takes memory only where the hand-off grows.
    pub(crate) fn tell(self, at: Instant, id: &str, fields: &[u8]) {
        let at = self.funnels.micros(at);
        for place in self.places {
            let Some(followed) = self.funnels.funnels.get(place.funnel) else {
                continue;
            };
            let Some(unit) = subject::of(&followed.subject, fields) else {
                followed.counts.has_no_subject();
                continue;
            };
            let told = Told {
                funnel: place.funnel,
                unit,
                happening: Happening {
                    at,
                    what: place.what,
                    id: subject::of_event(id),
                },
            };
            let waiting = self.funnels.waiting.hold();
            match waiting.filter(|waiting| waiting.len() < MOST_WAITING) {
                Some(mut waiting) => waiting.push(told),
                None => followed.counts.units.refuse(Refusal::QueueFull),
            }
        }
    }
}

fn follower(declared: &Funnel) -> Follower<Attempts> {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let (window, lateness) = (
        micros(declared.window()),
        micros(declared.allowed_lateness()),
    );
    let space = Space {
        // Attempts at one that was declared otherwise are attempts at another.
        name: format!("funnel:{}:{:x}", declared.name(), declared.digest()).into(),
        most_units: MOST_UNITS,
        most_bytes: MOST_BYTES,
        keep: window.saturating_add(lateness).saturating_add(KEPT),
    };
    let rules = Rules {
        // `build()` has seen to it that they fit.
        steps: u8::try_from(declared.steps().len()).unwrap_or(u8::MAX),
        window,
        reentry: declared.reentry_mode(),
    };
    Follower::new(space, rules, lateness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock, metrics, records, semconv, shared_state::Memory, snapshot::Snapshot,
    };
    use std::time::SystemTime;

    fn in_memory(registry: &Registry) -> Arc<Sharing> {
        Arc::new(Sharing::new(
            Arc::<Memory>::default(),
            Clock::system(),
            registry,
        ))
    }

    /// Funnels in a time of their own.
    struct Watched {
        hands: ManualClock,
        registry: Registry,
        funnels: Funnels,
    }

    impl Watched {
        fn new(declared: &[Funnel]) -> Self {
            let hands =
                ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
            let registry = Registry::new(metrics::Limits::default(), hands.clock());
            Self {
                funnels: Funnels::new(declared, hands.clock(), &registry, in_memory(&registry)),
                hands,
                registry,
            }
        }

        fn tell(&self, event: &str, who: (&str, &str)) {
            records::Fields::compose(records::Limits::default(), |fields| {
                fields.word(who.0, who.1);
                let step = self.funnels.step(event).unwrap();
                step.tell(self.hands.clock().now(), "an-id", fields.as_bytes());
            });
        }

        fn refused(&self, reason: &str) -> u64 {
            let snapshot = Snapshot::of(&self.registry);
            snapshot.counter("orderscope.funnel.steps.refused", &[("reason", reason)])
        }

        fn counted(&self) -> crate::snapshot::Funnel {
            self.funnels.settle_at_once();
            Snapshot::of(&self.registry).funnels().remove(0)
        }
    }

    fn checkout() -> Funnel {
        Funnel::new("checkout").step("a").step("b").excluding("x")
    }

    const USER: &str = semconv::USER_ID;

    #[test]
    fn an_event_that_no_funnel_asks_for_is_no_step() {
        let watched = Watched::new(&[checkout()]);
        assert!(watched.funnels.step("c").is_none());
        assert!(watched.funnels.step("x").is_some());
    }

    #[test]
    fn steps_are_counted_by_whom_they_are_made() {
        let watched = Watched::new(&[checkout()]);
        for user in ["u-1", "u-2", "u-3"] {
            watched.tell("a", (USER, user));
        }
        watched.hands.advance(Duration::from_secs(4));
        watched.tell("b", (USER, "u-1"));
        watched.tell("x", (USER, "u-2"));
        assert_eq!(
            watched.counted().attempts,
            0,
            "they may still be put in order"
        );
        watched.hands.advance(Duration::from_secs(11));
        let counted = watched.counted();
        let outcomes = [counted.converted, counted.excluded, counted.open];
        assert_eq!((counted.attempts, outcomes), (3, [1, 1, 1]));
        assert_eq!(counted.steps[1].reached, 1);
        let median = counted.steps[1].median_seconds.unwrap();
        assert!((1.0..=5.0).contains(&median), "{median}");
        watched.hands.advance(Duration::from_secs(30 * 60));
        let counted = watched.counted();
        assert_eq!((counted.abandoned, counted.open), (1, 0));
        assert_eq!(counted.steps[0].abandoned, 1);
        assert_eq!(counted.abandonment_rate(), Some(1.0 / 3.0));
    }

    #[test]
    fn at_the_end_nothing_is_waited_for_that_may_be_late() {
        let watched = Watched::new(&[checkout()]);
        watched.tell("a", (USER, "u-1"));
        watched.tell("b", (USER, "u-1"));
        watched.hands.advance(Duration::from_millis(1));
        watched.funnels.settle_all();
        let counted = Snapshot::of(&watched.registry).funnels().remove(0);
        assert_eq!((counted.attempts, counted.converted), (1, 1));
    }

    #[test]
    fn what_is_told_by_many_while_it_is_counted_is_in_time_though_no_lateness_is_allowed() {
        const USERS: u32 = 4_000;
        let funnel = checkout().lateness(Duration::ZERO);
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
        let registry = Registry::new(metrics::Limits::default(), hands.clock());
        let funnels = Funnels::new(&[funnel], hands.clock(), &registry, in_memory(&registry));
        let tell = |event: &str, user: &str| {
            records::Fields::compose(records::Limits::default(), |fields| {
                fields.word(USER, user);
                // All of it takes less time than what is told may be on its way, so that a thread that
                // is held up is not late.
                hands.advance(Duration::from_micros(1));
                let now = funnels.clock.now();
                funnels
                    .step(event)
                    .unwrap()
                    .tell(now, "an-id", fields.as_bytes());
            });
        };
        std::thread::scope(|scope| {
            let tellers: Vec<_> = (0..4)
                .map(|teller| {
                    scope.spawn(move || {
                        for user in 0..USERS {
                            let user = format!("u-{teller}-{user}");
                            tell("a", &user);
                            tell("b", &user);
                        }
                    })
                })
                .collect();
            while !tellers
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
            {
                funnels.settle_at_once();
            }
        });
        funnels.settle_all();
        hands.advance(Duration::from_millis(1));
        funnels.settle_all();
        let snapshot = Snapshot::of(&registry);
        let refused = snapshot.counter("orderscope.funnel.steps.refused", &[]);
        let counted = snapshot.funnels().remove(0);
        assert_eq!((counted.converted, refused), (u64::from(4 * USERS), 0));
    }

    #[test]
    fn who_is_not_known_or_masked_makes_no_attempt_and_is_counted() {
        let by_cart = checkout().followed_by(Subject::Property("cart".to_owned()));
        let watched = Watched::new(&[by_cart]);
        watched.tell("a", (USER, "u-1"));
        watched.tell("a", ("cart", "***"));
        watched.tell("a", ("cart", " "));
        watched.tell("a", ("cart", "c-1"));
        watched.hands.advance(Duration::from_secs(11));
        assert_eq!(watched.counted().attempts, 1);
        assert_eq!(watched.refused("no_subject"), 3);
    }

    #[test]
    fn what_finds_no_place_to_wait_is_counted_and_the_rest_is_whole() {
        let watched = Watched::new(&[checkout()]);
        for user in 0..MOST_WAITING + 100 {
            watched.tell("a", (USER, &user.to_string()));
        }
        watched.hands.advance(Duration::from_secs(11));
        assert_eq!(watched.counted().attempts, MOST_WAITING as u64);
        assert_eq!(watched.refused("queue_full"), 100);
        watched.tell("a", (USER, "one more"));
        assert_eq!(watched.refused("queue_full"), 100);
    }
}
