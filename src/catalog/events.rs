//! What business events are counted by; [`crate::events`] says when.

use crate::{
    metrics::{Descriptor, Unit},
    semconv,
};

/// Business events by name; those beyond 1,000 names are `_OTHER`.
pub const EVENTS: Descriptor = Descriptor::counter(
    "orderscope.events",
    Unit::things("{event}"),
    "Business events, by name.",
)
.with_attributes(&[semconv::EVENT]);

/// Events that were not taken, and so are not in [`EVENTS`].
pub const EVENTS_REFUSED: Descriptor = Descriptor::counter(
    "orderscope.events.refused",
    Unit::things("{event}"),
    "Events refused, by reason.",
)
.with_attributes(&[semconv::REASON]);

/// Events with an id of the application's that were taken though the shared state did not answer, for ten
/// seconds or with 16,384 of them waiting, whether another replica met it before: of a duplicate among
/// them, two are in [`EVENTS`]. Only where a state is shared.
pub const EVENTS_UNCHECKED: Descriptor = Descriptor::counter(
    "orderscope.events.unchecked",
    Unit::things("{event}"),
    "Events that may have come to another replica before.",
);

/// Transactions that ended, by whether they succeeded or failed, as the events say that they are
/// declared with.
pub const TRANSACTIONS: Descriptor = Descriptor::counter(
    "orderscope.transactions",
    Unit::things("{transaction}"),
    "Transactions that ended, by outcome.",
)
.with_attributes(&[semconv::TRANSACTION_NAME, semconv::OUTCOME]);

/// Users who were active on the last 1, 7 or 28 calendar days, today included, by HyperLogLog with a
/// standard error of 0.81 %. Never to be summed over processes: with `scope="global"` each tells the
/// same number, of which `max()` is it; with `scope="process"` each has its own.
pub const USERS_ACTIVE: Descriptor = Descriptor::gauge(
    "orderscope.users.active",
    Unit::things("{user}"),
    "Users who were active in the period, today included.",
)
.with_attributes(&[semconv::PERIOD, semconv::SCOPE]);

/// Sightings of users that could not be counted; whoever is seen again is told again. `reason` is
/// `queue_full` (too many waited), `unavailable` (the shared state keeps something else in its place).
pub const USERS_REFUSED: Descriptor = Descriptor::counter(
    "orderscope.users.refused",
    Unit::things("{sighting}"),
    "Sightings of users that could not be counted, by reason.",
)
.with_attributes(&[semconv::REASON]);

/// Events that a feature is declared to be used by, counted where they are tracked.
pub const FEATURE_USES: Descriptor = Descriptor::counter(
    "orderscope.feature.uses",
    Unit::things("{use}"),
    "Uses of a feature.",
)
.with_attributes(&[semconv::FEATURE_NAME]);

/// As [`USERS_ACTIVE`], of those who used a feature.
pub const FEATURE_USERS: Descriptor = Descriptor::gauge(
    "orderscope.feature.users",
    Unit::things("{user}"),
    "Users of a feature in the period, today included.",
)
.with_attributes(&[semconv::FEATURE_NAME, semconv::PERIOD, semconv::SCOPE]);

/// Seconds that people take over a step: from a glance to a day.
const HUMAN: &[f64] = &[
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0,
];

/// Attempts at a funnel: its first step, while none is open.
pub const FUNNEL_OPENED: Descriptor = Descriptor::counter(
    "orderscope.funnel.attempts.opened",
    Unit::things("{attempt}"),
    "Attempts at a funnel that were begun.",
)
.with_attributes(&[semconv::FUNNEL_NAME, semconv::SCOPE]);

/// Attempts within their window, which may still be converted.
pub const FUNNEL_OPEN: Descriptor = Descriptor::up_down_counter(
    "orderscope.funnel.attempts.open",
    Unit::things("{attempt}"),
    "Attempts at a funnel that may still come to its last step.",
)
.with_attributes(&[semconv::FUNNEL_NAME, semconv::SCOPE]);

/// Steps that attempts came to, each once, when the step has been applied.
pub const FUNNEL_REACHED: Descriptor = Descriptor::counter(
    "orderscope.funnel.step.reached",
    Unit::things("{step}"),
    "Steps that attempts at a funnel came to.",
)
.with_attributes(&[semconv::FUNNEL_NAME, semconv::FUNNEL_STEP, semconv::SCOPE]);

/// Attempts that came to an end; `funnel.step` is the last that they came to. The abandonment rate is
/// that of `outcome="abandoned"` among all of these.
pub const FUNNEL_CLOSED: Descriptor = Descriptor::counter(
    "orderscope.funnel.attempts.closed",
    Unit::things("{attempt}"),
    "Attempts at a funnel that ended, by outcome and last step.",
)
.with_attributes(&[
    semconv::FUNNEL_NAME,
    semconv::FUNNEL_STEP,
    semconv::OUTCOME,
    semconv::SCOPE,
]);

/// From the first step to the last, of attempts that were converted.
pub const FUNNEL_DURATION: Descriptor = Descriptor::histogram(
    "orderscope.funnel.duration",
    Unit::SECONDS,
    "Time from the first step of a converted attempt to its last.",
)
.with_attributes(&[semconv::FUNNEL_NAME, semconv::SCOPE])
.with_edges(HUMAN);

/// From the step before to this one.
pub const FUNNEL_STEP_DURATION: Descriptor = Descriptor::histogram(
    "orderscope.funnel.step.duration",
    Unit::SECONDS,
    "Time from the step before to this one.",
)
.with_attributes(&[semconv::FUNNEL_NAME, semconv::FUNNEL_STEP, semconv::SCOPE])
.with_edges(HUMAN);

/// Steps that no attempt could be made of: `reason` is `no_subject` (nobody is known to have made it),
/// `late` (later than the lateness), `units_full` (1,000,000 have something under way, or 256 MiB, or one of
/// them has 32 KiB), `queue_full`, `unavailable` and `garbled` (the shared state keeps something else in its
/// place).
pub const FUNNEL_REFUSED: Descriptor = Descriptor::counter(
    "orderscope.funnel.steps.refused",
    Unit::things("{step}"),
    "Steps of a funnel that could not be counted, by reason.",
)
.with_attributes(&[semconv::FUNNEL_NAME, semconv::REASON]);

/// Sessions that were begun, when their first activity has been applied.
pub const SESSIONS_STARTED: Descriptor = Descriptor::counter(
    "orderscope.sessions.started",
    Unit::things("{session}"),
    "Sessions that were begun.",
)
.with_attributes(&[semconv::SCOPE]);

/// Sessions that go on.
pub const SESSIONS_OPEN: Descriptor = Descriptor::up_down_counter(
    "orderscope.sessions.open",
    Unit::things("{session}"),
    "Sessions that go on.",
)
.with_attributes(&[semconv::SCOPE]);

/// Sessions that ended: `reason` is `timeout` (no activity), `max_duration`, `explicit`.
pub const SESSIONS_ENDED: Descriptor = Descriptor::counter(
    "orderscope.sessions.ended",
    Unit::things("{session}"),
    "Sessions that ended, by reason.",
)
.with_attributes(&[semconv::REASON, semconv::SCOPE]);

/// From the first activity of a session that ended to its last, or to the end that it was given.
pub const SESSION_DURATION: Descriptor = Descriptor::histogram(
    "orderscope.session.duration",
    Unit::SECONDS,
    "Time from a session's start to its end.",
)
.with_attributes(&[semconv::SCOPE])
.with_edges(HUMAN);

/// Sessions that ended, by their last step.
pub const SESSION_EXITS: Descriptor = Descriptor::counter(
    "orderscope.session.exits",
    Unit::things("{session}"),
    "Sessions that ended, by the last step of each.",
)
.with_attributes(&[semconv::SESSION_STEP, semconv::SCOPE]);

/// Activity that no session could be made of: `reason` is `late` (later than the lateness), `units_full`
/// (1,000,000 sessions are open or remembered, or 512 MiB, or one has too much at once), `queue_full`, `unavailable`
/// and `garbled` (the shared state keeps something else in its place).
pub const SESSIONS_REFUSED: Descriptor = Descriptor::counter(
    "orderscope.sessions.refused",
    Unit::things("{activity}"),
    "Activity of users that could not be counted to a session, by reason.",
)
.with_attributes(&[semconv::REASON]);
