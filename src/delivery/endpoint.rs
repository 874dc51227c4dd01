//! One endpoint of a destination, as its signals share it: whether it is asked just now, and what
//! was last said of it.

use super::{
    Answer,
    breaker::{Admission, Breaker, Failure, Outage},
};
use crate::clock::Clock;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Between two lines of log about failures.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Between two lines of log about the same failure.
const SAME_TOLD_AGAIN_AFTER: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct Endpoint {
    state: Mutex<State>,
    /// Sent to when an attempt has ended.
    attempts: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    breaker: Breaker,
    /// Nothing was taken there since somebody should have changed something.
    is_denying: bool,
    /// The failure that the last line of log was about, and when that was.
    told: Option<(String, Instant)>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            attempts: watch::Sender::new(()),
        }
    }
}

impl Endpoint {
    pub(super) fn admit(&self, now: Instant) -> Admission {
        self.lock().breaker.admit(now)
    }

    pub(super) fn is_paused(&self, now: Instant) -> bool {
        let admission = self.admit(now);
        matches!(admission, Admission::After(_) | Admission::AfterProbe)
    }

    /// Whether nothing is taken there before somebody changes something.
    pub(super) fn is_denying(&self) -> bool {
        self.lock().is_denying
    }

    /// To be asked before [`admit`](Self::admit), so that no end of an attempt is missed.
    pub(super) fn attempts(&self) -> watch::Receiver<()> {
        self.attempts.subscribe()
    }

    /// A request goes, where one is admitted.
    pub(super) fn begin<'a>(&'a self, clock: &'a Clock) -> Option<Attempt<'a>> {
        let began = clock.now();
        let is_admitted = self.lock().breaker.begin(began);
        is_admitted.then(|| Attempt {
            endpoint: self,
            clock,
            began,
            is_over: false,
        })
    }

    /// Whether a line of log is to tell of this failure.
    pub(super) fn is_news(&self, failure: &str, now: Instant) -> bool {
        let told = &mut self.lock().told;
        let is_news = told.as_ref().is_none_or(|(last, at)| {
            let pause = match last == failure {
                true => SAME_TOLD_AGAIN_AFTER,
                false => TOLD_AGAIN_AFTER,
            };
            now.saturating_duration_since(*at) >= pause
        });
        if is_news {
            *told = Some((failure.to_owned(), now));
        }
        is_news
    }

    /// It is well again: the next failure is told at once. Whether one had been told.
    pub(super) fn forget_news(&self) -> bool {
        self.lock().told.take().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way. One that is dropped, because what sends it panicked, counts as a failure.
#[derive(Debug)]
#[must_use]
pub(super) struct Attempt<'a> {
    endpoint: &'a Endpoint,
    clock: &'a Clock,
    began: Instant,
    is_over: bool,
}

impl Attempt<'_> {
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Learns from the answer. The outage that it ends, if there was one.
    pub(super) fn ended(mut self, answer: &Answer, now: Instant) -> Option<Outage> {
        self.is_over = true;
        let failure = match answer {
            // Somebody is there, and reads what is sent.
            Answer::Accepted { .. } | Answer::Malformed { .. } | Answer::TooLarge { .. } => None,
            Answer::Denied { .. } => Some(Failure::Denied),
            Answer::Unreachable { .. } => Some(Failure::Unreachable),
            Answer::Unavailable { after, .. } => Some(Failure::Unavailable { after: *after }),
            // What comes next would most likely end the same way, and be lost.
            Answer::Refused { .. } | Answer::Unanswered { .. } => {
                Some(Failure::Unavailable { after: None })
            }
        };
        let mut state = self.endpoint.lock();
        match answer {
            Answer::Accepted { .. } => state.is_denying = false,
            Answer::Denied { .. } => state.is_denying = true,
            Answer::Malformed { .. } | Answer::TooLarge { .. } if state.is_denying => {
                // Perhaps once more for what is in it, perhaps as all before.
                state.breaker.found_out_nothing(now);
                return None;
            }
            _ => {}
        }
        match failure {
            None => state.breaker.succeeded(self.began),
            Some(failure) => {
                state.breaker.failed(failure, self.began, now);
                None
            }
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let (failure, now) = (Failure::Unavailable { after: None }, self.clock.now());
            let breaker = &mut self.endpoint.lock().breaker;
            breaker.failed(failure, self.began, now);
        }
        self.endpoint.attempts.send_replace(());
    }
}
