//! Sessions: what users do is told here, and becomes sessions on the telemetry's own thread, which tells
//! of their starts and ends.
//!
//! ```text
//! track_event, request ─→ tell() (who, what, when) ─→ waiting ─→ tell(), settle() ─→ shared_state ─→ metrics, records
//! ```

mod counts;
mod waiting;

use super::{
    Pipeline, Sharing,
    following::{Following, Refusal, Until},
    subject,
};
use crate::{
    catalog::sessions::{Carrier, Sessions as Declared},
    clock::{Anchor, Clock},
    fork::Lock,
    metrics::Registry,
    records::{Fields, Log, Record, Severity, Signal},
    semconv,
    shared_state::{Follower, Id, Limits, Space, Unavailable, Visited, Visits},
};
use compact_str::CompactString;
use counts::Counts;
use rustc_hash::FxHashSet;
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;
use waiting::Waiting;
pub(crate) use waiting::{Named, Who};

/// Microseconds for which the id of a session that ended is known to the next.
const REMEMBERED: u64 = 24 * 3_600 * 1_000_000;
/// Microseconds for which a unit is kept after it was to be looked at.
const KEPT: u64 = 24 * 3_600 * 1_000_000;
/// Sessions that are open or remembered.
const MOST_UNITS: usize = 1_000_000;
/// Of all of them; one takes some 200, and up to 5,000 with the longest path.
const MOST_BYTES: usize = 512 * 1_024 * 1_024;
const START: &str = "session.start";
const END: &str = "session.end";

/// The sessions of one telemetry; none where they are not declared.
#[derive(Debug)]
pub(crate) struct Sessions(Option<Box<Followed>>);

#[derive(Debug)]
struct Followed {
    /// Events that are no activity of the user.
    others: FxHashSet<Box<str>>,
    carrier: Option<Carrier>,
    counts: Counts,
    waiting: Lock<Waiting>,
    counting: Mutex<Counting>,
    sharing: Arc<Sharing>,
    clock: Clock,
    began: Anchor,
}

/// What only who settles touches.
#[derive(Debug)]
struct Counting {
    following: Following<Visits>,
    /// Changes places with what waits, so that neither is made anew.
    swapped: Waiting,
}

/// An event that is activity of a user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity<'a>(&'a Followed);

impl Sessions {
    pub(super) fn new(
        declared: Option<&Declared>,
        clock: Clock,
        registry: &Registry,
        sharing: Arc<Sharing>,
    ) -> Self {
        let followed = |declared: &Declared| {
            let others = declared.others_events().iter();
            let counts = Counts::new(registry, sharing.state().scope());
            let way = (follower(declared), Arc::clone(&counts.units));
            Box::new(Followed {
                others: others.map(|event| event.as_str().into()).collect(),
                carrier: declared.carrier().cloned(),
                counts,
                waiting: Lock::default(),
                counting: Mutex::new(Counting {
                    following: Following::new([way].into_iter()),
                    swapped: Waiting::default(),
                }),
                began: clock.anchor(),
                clock,
                sharing,
            })
        };
        Self(declared.map(followed))
    }

    #[inline]
    pub(crate) fn are_declared(&self) -> bool {
        self.0.is_some()
    }

    /// What of a request names the session that it is of.
    #[inline]
    pub(crate) fn carrier(&self) -> Option<&Carrier> {
        self.0.as_deref()?.carrier.as_ref()
    }

    /// Whether the event is activity of a user; `None` also where nobody is followed.
    #[inline]
    pub(crate) fn activity(&self, event: &str) -> Option<Activity<'_>> {
        let followed = self.0.as_deref()?;
        (!followed.others.contains(event)).then_some(Activity(followed))
    }

    /// A request has ended, or the session is to.
    pub(crate) fn tell(&self, at: Instant, id: u128, what: Named, who: Who<'_>) {
        if let Some(followed) = &self.0 {
            followed.tell(at, id.into(), what, who);
        }
    }

    /// Tells the state what waits.
    pub(crate) async fn tell_all(&self) -> Result<(), Unavailable> {
        match &self.0 {
            Some(followed) => followed.tell_all().await,
            None => Ok(()),
        }
    }

    /// Counts what was told, and what has come to its end a moment ago.
    pub(crate) async fn settle(&self, pipeline: &Pipeline) -> Result<(), Unavailable> {
        match &self.0 {
            Some(followed) => followed.settle_until(pipeline, Until::NothingIsLate).await,
            None => Ok(()),
        }
    }

    /// For the end: counts all where every answer is there at once, and else that there was none to
    /// what waits still.
    pub(crate) fn settle_all(&self, pipeline: &Pipeline) {
        let Some(followed) = &self.0 else {
            return;
        };
        if followed.sharing.state().answers_at_once() {
            followed.sharing.at_once(async {
                followed.tell_all().await?;
                followed.settle_until(pipeline, Until::TheEnd).await
            });
        } else if let Ok(mut counting) = followed.counting.try_lock() {
            followed.take(&mut counting);
            counting.following.give_up();
        }
    }

    /// Settles before each look at the numbers, where that can be done at once.
    pub(super) fn observe(pipeline: &'static Pipeline) {
        if let Some(followed) = &pipeline.sessions.0
            && followed.sharing.state().answers_at_once()
        {
            pipeline.registry.observe(|| {
                followed.sharing.at_once(async {
                    followed.tell_all().await?;
                    pipeline.sessions.settle(pipeline).await
                });
            });
        }
    }
}

impl Followed {
    fn micros(&self, at: Instant) -> u64 {
        self.began.unix_nanos(at) / 1_000
    }

    /// Waits for nobody but who takes or adds something, and takes memory only where the hand-off grows.
    fn tell(&self, at: Instant, id: Id, what: Named, who: Who<'_>) {
        if who.is_nobody() {
            return;
        }
        let at = self.micros(at);
        let waiting = self.waiting.hold();
        let has_room = waiting.is_some_and(|mut waiting| waiting.push(at, id, what, who));
        if !has_room {
            self.counts.units.refuse(Refusal::QueueFull);
        }
    }

    async fn tell_all(&self) -> Result<(), Unavailable> {
        // As for funnels: read before what waits is taken.
        let now = self.micros(self.clock.now());
        let mut counting = self.counting.lock().await;
        if !counting.following.has_untold() {
            self.take(&mut counting);
        }
        counting.following.tell(&self.sharing, now).await
    }

    fn take(&self, Counting { following, swapped }: &mut Counting) {
        if let Some(mut waiting) = self.waiting.hold() {
            mem::swap(&mut *waiting, swapped);
        }
        swapped.take(|unit, deed| following.take(0, unit, deed));
    }

    async fn settle_until(&self, pipeline: &Pipeline, until: Until) -> Result<(), Unavailable> {
        let mut counting = self.counting.lock().await;
        let tell = |_, turn: Visited| {
            self.counts.tell(&turn);
            self.record(pipeline, &turn);
        };
        counting.following.settle(&self.sharing, until, tell).await
    }

    /// As a log record with a name, where a destination takes logs.
    fn record(&self, pipeline: &Pipeline, turn: &Visited) {
        if !pipeline.handoff.wants(Signal::Logs) {
            return;
        }
        let record = Record::Log(Log {
            // It is of no one request.
            context: None,
            at: self.began.instant_of(turn.at.saturating_mul(1_000)),
            severity: Severity::Info,
            event_name: CompactString::const_new(if turn.end.is_some() { END } else { START }),
        });
        pipeline.record(record, |fields| describe(turn, fields));
    }
}

impl Activity<'_> {
    /// Tells of whom the event's fields name, if anybody.
    pub(crate) fn tell(self, at: Instant, id: &str, event: &'static str, fields: &[u8]) {
        waiting::who(fields, |who| {
            let id = subject::of_event(id);
            self.0.tell(at, id, Named::Event(event), who);
        });
    }
}

fn describe(turn: &Visited, fields: &mut Fields) {
    fields.word(semconv::SESSION_ID, &turn.session);
    if let Some(previous) = &turn.previous {
        fields.word(semconv::SESSION_PREVIOUS_ID, previous);
    }
    if !turn.user.is_empty() {
        fields.word(semconv::USER_ID, &turn.user);
    }
    if let Some(end) = &turn.end {
        let lasted = Duration::from_micros(end.lasted).as_secs_f64();
        fields.float(semconv::SESSION_DURATION, lasted);
        fields.word(semconv::SESSION_REASON, counts::reason(end.reason));
        fields.word(semconv::SESSION_PATH, &end.path);
        fields.number(semconv::SESSION_STEPS_BEYOND, end.beyond.into());
    }
}

fn follower(declared: &Declared) -> Follower<Visits> {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let limits = Limits {
        idle: micros(declared.idle()),
        longest: micros(declared.longest()),
        remembered: REMEMBERED,
    };
    let lateness = micros(declared.allowed_lateness());
    let longest_rest = limits.idle.max(REMEMBERED);
    let space = Space {
        // Services that declare others have others.
        name: format!("sessions:{}:{}:{lateness}", limits.idle, limits.longest).into(),
        most_units: MOST_UNITS,
        most_bytes: MOST_BYTES,
        keep: longest_rest.saturating_add(lateness).saturating_add(KEPT),
    };
    Follower::new(space, limits, lateness)
}
