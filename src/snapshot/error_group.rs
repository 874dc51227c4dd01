//! One group of errors.

use std::time::SystemTime;

/// What operators call one error: all errors of one fingerprint in this process, since it began.
///
/// Made by [`Snapshot::error_groups`](super::Snapshot::error_groups).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ErrorGroup {
    /// As `orderscope.error.fingerprint` on its error events; 16 hexadecimal digits.
    pub fingerprint: String,
    /// `exception.type` of its last event; `_OTHER`: of errors beyond the number of places that are
    /// told apart.
    pub exception_type: String,
    /// The message of its last event, masked, at most 256 bytes.
    pub message: String,
    /// The innermost function of the application on the stack of its last event.
    pub function: Option<String>,
    /// `ERROR`, or what its last event was said to be.
    pub severity: &'static str,
    /// `false`: a panic.
    pub is_handled: bool,
    /// When the first error came.
    pub first_seen: SystemTime,
    /// When the last one came.
    pub last_seen: SystemTime,
    /// All errors, those without an event of their own included: beyond ten at once and one a
    /// second, errors of a group are only counted.
    pub count: u64,
    /// Errors of the last five minutes, to the minute.
    pub recent: u64,
    /// Distinct users ([`context::identify`](crate::context::identify)) that it met: an estimate with
    /// a standard error of 1.6 %, exact but for one or two below a hundred. Where replicas share a state,
    /// those of all of them in the last 28 days; 0.81 %.
    pub affected_users: u64,
    /// The same of the last five minutes; 3.3 %.
    pub recently_affected_users: u64,
    /// Method and route of requests that it met, at most 16 for each way to it, in the order in
    /// which they were met: `POST /orders`.
    pub endpoints: Vec<String>,
    /// The version of the service that runs (`service.version`).
    pub release: Option<String>,
    /// How often it came back after
    /// [`error_quiet_period`](crate::telemetry::Builder::error_quiet_period) without it; where replicas
    /// share a state, without it in any of them, also since before this process began.
    pub regressions: u64,
    /// The release in which a replica met it last before it came back; `None` where no state is shared.
    pub previous_release: Option<String>,
}

impl ErrorGroup {
    /// Errors a minute over the last five.
    pub fn rate_per_minute(&self) -> f64 {
        self.recent as f64 / 5.0
    }
}
