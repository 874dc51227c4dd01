//! Active users and users of features: whoever is seen is told here, and becomes part of a day's sketch
//! on the telemetry's own thread.
//!
//! ```text
//! track_event, request ─→ tell() (who, when: 40 bytes, unless seen today) ─→ waiting ─→ settle() ─→ shared_state ─→ gauges
//! ```

mod days;
mod recent;

use super::{Sharing, subject};
use crate::{
    catalog::{
        declared::Declared,
        events::{FEATURE_USERS, FEATURE_USES, USERS_ACTIVE, USERS_REFUSED},
        feature::Feature,
        funnel::Subject,
    },
    clock::{Anchor, Clock},
    fork::Lock,
    metrics::{Counter, Gauge, Registry},
    semconv,
    shared_state::{Id, Unavailable},
};
use days::Days;
use recent::Recent;
use rustc_hash::{FxHashMap, FxHashSet};
use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// With how many days each has, today included.
const PERIODS: [(&str, u32); 3] = [("day", 1), ("week", 7), ("month", 28)];
/// Sightings that wait to be taken, and those that wait for the state.
const MOST_WAITING: usize = 65_536;
/// Users who are added to a sketch together.
const MOST_ADDED: usize = 1_000;
/// How often a state is asked that does not answer at once.
const PAUSE: Duration = Duration::from_secs(10);

/// All users of one telemetry.
#[derive(Debug)]
pub(crate) struct Users {
    /// None where nothing is declared.
    sketches: Box<[Sketch]>,
    /// Whether the first of them is of everybody.
    are_all_counted: bool,
    by_event: FxHashMap<Box<str>, Box<[Use]>>,
    recent: Recent,
    waiting: Lock<Vec<Seen>>,
    counting: Mutex<Counting>,
    /// Those that found no room, and those whose place is taken.
    refused: Option<[Arc<Counter>; 2]>,
    sharing: Arc<Sharing>,
    clock: Clock,
    began: Anchor,
}

/// Who is counted as one number by period.
#[derive(Debug)]
struct Sketch {
    /// As the shared state knows it.
    name: Box<str>,
    /// By period.
    users: [Arc<Gauge>; PERIODS.len()],
}

/// What an event is to a feature.
#[derive(Debug)]
struct Use {
    sketch: u16,
    uses: Arc<Counter>,
}

/// Somebody who is to be in a sketch.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sketch: u16,
    user: Id,
    at: u64,
}

/// What only who settles touches.
#[derive(Debug)]
struct Counting {
    days: Days,
    /// By sketch and day, those that the state has not taken yet.
    untold: BTreeMap<(u16, u32), FxHashSet<Id>>,
    /// Changes places with what waits, so that neither is made anew.
    swapped: Vec<Seen>,
    /// When the state was last asked for numbers.
    asked: Option<Instant>,
}

/// An event that says of whom it is that they are active, or use a feature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting<'a> {
    users: &'a Users,
    uses: &'a [Use],
}

impl Users {
    pub(super) fn new(
        declared: &Declared,
        clock: Clock,
        registry: &Registry,
        sharing: Arc<Sharing>,
    ) -> Self {
        let scope = (semconv::SCOPE, sharing.state().scope());
        let answers_at_once = sharing.state().answers_at_once();
        let kept = |gauge: Arc<Gauge>| {
            if !answers_at_once {
                // Until it is known.
                gauge.withhold();
            }
            gauge
        };
        let zone = declared.active_users.clone().unwrap_or_default().zone();
        // Days of another time zone are others.
        let of_zone = match zone.iana_name() {
            None | Some("UTC") => String::new(),
            Some(zone) => format!("@{zone}"),
        };
        let mut sketches = Vec::new();
        if declared.active_users.is_some() {
            let family = registry.gauge(&USERS_ACTIVE);
            sketches.push(Sketch {
                name: format!("users{of_zone}").into(),
                users: PERIODS
                    .map(|(period, _)| kept(family.kept(&[(semconv::PERIOD, period), scope]))),
            });
        }
        let mut by_event: FxHashMap<Box<str>, Vec<Use>> = FxHashMap::default();
        if !declared.features.is_empty() {
            let (uses, users) = (
                registry.counter(&FEATURE_USES),
                registry.gauge(&FEATURE_USERS),
            );
            for feature in &declared.features {
                let name = (semconv::FEATURE_NAME, Feature::name(feature));
                // `build()` has seen to it that they are fewer.
                let sketch = u16::try_from(sketches.len()).unwrap_or(u16::MAX);
                let counter = uses.kept(&[name]);
                for event in feature.uses() {
                    by_event
                        .entry(event.as_str().into())
                        .or_default()
                        .push(Use {
                            sketch,
                            uses: Arc::clone(&counter),
                        });
                }
                sketches.push(Sketch {
                    name: format!("feature:{}{of_zone}", feature.name()).into(),
                    users: PERIODS.map(|(period, _)| {
                        kept(users.kept(&[name, (semconv::PERIOD, period), scope]))
                    }),
                });
            }
        }
        let refused = (!sketches.is_empty()).then(|| {
            let family = registry.counter(&USERS_REFUSED);
            ["queue_full", "unavailable"].map(|why| family.kept(&[(semconv::REASON, why)]))
        });
        let boxed = |(event, uses): (_, Vec<_>)| (event, uses.into_boxed_slice());
        Self {
            are_all_counted: declared.active_users.is_some(),
            recent: Recent::new(!sketches.is_empty()),
            sketches: sketches.into(),
            by_event: by_event.into_iter().map(boxed).collect(),
            waiting: Lock::default(),
            counting: Mutex::new(Counting {
                days: Days::new(zone),
                untold: BTreeMap::new(),
                swapped: Vec::new(),
                asked: None,
            }),
            refused,
            sharing,
            began: clock.anchor(),
            clock,
        }
    }

    /// Whether anybody is counted.
    #[inline]
    pub(crate) fn are_declared(&self) -> bool {
        !self.sketches.is_empty()
    }

    /// Counts the event as uses of features. `None`: nothing asks whose it is.
    #[inline]
    pub(crate) fn tracked(&self, event: &str) -> Option<Sighting<'_>> {
        if !self.are_declared() {
            return None;
        }
        let uses = self.by_event.get(event).map_or(&[][..], |uses| uses);
        for of in uses {
            of.uses.add(1);
        }
        let is_asked_for = self.are_all_counted || !uses.is_empty();
        is_asked_for.then_some(Sighting { users: self, uses })
    }

    /// A request has ended that was this user's.
    pub(crate) fn tell_request(&self, at: Instant, user: &str) {
        if self.are_all_counted
            && let Some(user) = subject::of_text(user)
        {
            self.tell(at, user, &[]);
        }
    }

    /// Hands a sighting off, unless the user was seen today. Waits for nobody but who takes or adds
    /// one, and takes memory only where the hand-off grows.
    fn tell(&self, at: Instant, user: Id, uses: &[Use]) {
        let at = self.micros(at);
        let everybody = self.are_all_counted.then_some(0);
        for sketch in everybody.into_iter().chain(uses.iter().map(|of| of.sketch)) {
            let key = self.recent.key(sketch, user, at);
            if self.recent.has(key) {
                continue;
            }
            let waiting = self.waiting.hold();
            match waiting.filter(|waiting| waiting.len() < MOST_WAITING) {
                Some(mut waiting) => waiting.push(Seen { sketch, user, at }),
                None => {
                    self.refuse(0, 1);
                    continue;
                }
            }
            self.recent.put(key);
        }
    }

    fn refuse(&self, why: usize, sightings: usize) {
        if let Some(refused) = &self.refused {
            refused[why].add(sightings as u64);
        }
    }

    fn micros(&self, at: Instant) -> u64 {
        self.began.unix_nanos(at) / 1_000
    }

    /// Tells the state what waits, and asks it for numbers where it is time to.
    pub(crate) async fn settle(&self) -> Result<(), Unavailable> {
        if !self.are_declared() {
            return Ok(());
        }
        let mut counting = self.counting.lock().await;
        let now = self.clock.now();
        let is_due = |asked: Instant| now.saturating_duration_since(asked) >= PAUSE;
        // A memory is asked by whoever looks.
        let asks = !self.sharing.state().answers_at_once() && counting.asked.is_none_or(is_due);
        self.settle_by(&mut counting, now, asks).await
    }

    async fn settle_now(&self) -> Result<(), Unavailable> {
        let mut counting = self.counting.lock().await;
        self.settle_by(&mut counting, self.clock.now(), true).await
    }

    async fn settle_by(
        &self,
        counting: &mut Counting,
        now: Instant,
        asks: bool,
    ) -> Result<(), Unavailable> {
        self.take(counting);
        let (today, ends) = counting.days.of(self.micros(now));
        self.recent.day_ends(ends);
        let mut answer = self.add(counting).await;
        if asks && !matches!(answer, Err(why) if why != Unavailable::WrongType) {
            answer = answer.and(self.count(today).await);
            counting.asked = Some(now);
        }
        if answer.is_err() {
            // Until it answers again, which is asked the next time.
            counting.asked = None;
            self.withhold();
        }
        answer
    }

    /// What waits, by the day and each user once.
    fn take(&self, counting: &mut Counting) {
        let Counting {
            days,
            untold,
            swapped,
            ..
        } = counting;
        if let Some(mut waiting) = self.waiting.hold() {
            mem::swap(&mut *waiting, swapped);
        }
        let mut held: usize = untold.values().map(FxHashSet::len).sum();
        for Seen { sketch, user, at } in swapped.drain(..) {
            let of_day = untold.entry((sketch, days.of(at).0)).or_default();
            if held < MOST_WAITING {
                held += usize::from(of_day.insert(user));
            } else if !of_day.contains(&user) {
                self.refuse(0, 1);
                // They are to be told when they are seen the next time.
                self.recent.forget();
            }
        }
    }

    async fn add(&self, counting: &mut Counting) -> Result<(), Unavailable> {
        let state = self.sharing.state();
        let mut answer = Ok(());
        while let Some(next) = counting.untold.first_entry() {
            let (sketch, day) = *next.key();
            let Some(Sketch { name, .. }) = self.sketches.get(usize::from(sketch)) else {
                next.remove();
                continue;
            };
            let users: Vec<Id> = next.get().iter().copied().collect();
            for users in users.chunks(MOST_ADDED) {
                match state.add(name, day, users).await {
                    Ok(()) => {}
                    // It will be no other the next time, and the other sketches are none the worse.
                    Err(wrong @ Unavailable::WrongType) => {
                        self.refuse(1, users.len());
                        // As above.
                        self.recent.forget();
                        answer = Err(wrong);
                    }
                    // Told again as a whole: a sketch has each once.
                    Err(unavailable) => return Err(unavailable),
                }
            }
            counting.untold.remove(&(sketch, day));
        }
        answer
    }

    async fn count(&self, today: u32) -> Result<(), Unavailable> {
        for Sketch { name, users } in &self.sketches {
            for ((_, days), gauge) in PERIODS.into_iter().zip(users) {
                let count = self.sharing.state().count(name, today, days).await?;
                gauge.set(count as f64);
            }
        }
        Ok(())
    }

    /// What was counted last would be taken for today's.
    fn withhold(&self) {
        let gauges = self.sketches.iter().flat_map(|sketch| &sketch.users);
        gauges.for_each(|gauge| gauge.withhold());
    }

    /// Counts before each look at the numbers, where that can be done at once.
    pub(super) fn observe(&'static self, registry: &Registry) {
        if self.are_declared() && self.sharing.state().answers_at_once() {
            registry.observe(|| self.sharing.at_once(self.settle_now()));
        }
    }
}

impl Sighting<'_> {
    /// Tells of the user that the event's fields name, if any.
    pub(crate) fn tell(self, at: Instant, fields: &[u8]) {
        if let Some(user) = subject::of(&Subject::User, fields) {
            self.users.tell(at, user, self.uses);
        }
    }
}

#[cfg(test)]
mod tests;
