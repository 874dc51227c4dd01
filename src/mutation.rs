//! Deliberately broken behaviour, so that each fault test can be seen failing without the rule that
//! it guards. One at a time, named by `ORDERSCOPE_MUTATION`, and only with the cargo feature
//! `mutations`: without it nothing is read and every question is answered no by the compiler.

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// F1: the queue's budget of bytes is not kept.
    UnboundedQueue,
    /// F1: errors are given up before anything else.
    ErrorsFirst,
    /// F2: an attempt has no deadline.
    NoAttemptDeadline,
    /// F3: an answer is read to its end, however long.
    EndlessAnswers,
    /// F4: what the destination asks for is not heard.
    DeafToRetryAfter,
    /// F5: of a request that is not acceptable, all is given up.
    NoBisection,
    /// F5: what is denied is sent again, for ever.
    DenialsRetried,
    /// F6: a request of which something was rejected is sent again.
    RejectedSentAgain,
    /// F7: a request that was not answered is sent again.
    UnansweredSentAgain,
    /// F8: no pause between attempts.
    NoPauses,
    /// F9: shutdown waits until all is sent.
    PatientShutdown,
    /// F12: the panic hook waits, as one does that flushes.
    PatientHook,
    /// F13: what an error says of itself is asked for unguarded.
    TrustsErrors,
    /// F18: durations are taken from the wall clock.
    WallClockDurations,
    /// F19: what was not answered is not asked again.
    UnansweredForgotten,
    /// F22: recording waits for room.
    WaitsForRoom,
    /// F23: a deadline is kept by the timer of the caller's runtime.
    BorrowedTimer,
    /// F24: what comes after shutdown is not counted.
    SilentAfterShutdown,
    /// F26: a forked child goes on as if it had the worker.
    ForksUnnoticed,
    /// F27: what the telemetry's own thread logs becomes telemetry.
    RecordsItself,
    /// Several destinations: while one is paused, nothing is taken over for any.
    SharedFate,
}

/// Whether this rule is broken in this process.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub(crate) const fn is_on(_: Mutation) -> bool {
    false
}

/// Whether this rule is broken in this process.
#[cfg(feature = "mutations")]
#[inline]
pub(crate) fn is_on(mutation: Mutation) -> bool {
    static CHOSEN: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("ORDERSCOPE_MUTATION").unwrap_or_default());
    !CHOSEN.is_empty() && *CHOSEN == format!("{mutation:?}")
}
