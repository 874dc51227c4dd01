//! How long an endpoint is left alone after it failed: longer each time, never all at once, and
//! with one request to find out whether it is back.

use crate::mutation::{self, Mutation};
use std::time::{Duration, Instant};

/// What kind of failure it was, by what another attempt costs whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody was there: to ask again costs one packet, so it is done often.
    Unreachable,
    /// Somebody was there, and may have asked for time.
    Unavailable { after: Option<Duration> },
    /// Somebody has to change something first.
    Denied,
}

impl Failure {
    /// The first pause, and the longest.
    fn pauses(self) -> (Duration, Duration) {
        match self {
            Self::Unreachable => (Duration::from_millis(200), Duration::from_secs(1)),
            Self::Unavailable { .. } => (Duration::from_millis(500), Duration::from_secs(30)),
            Self::Denied => (Duration::from_secs(5), Duration::from_secs(300)),
        }
    }
}

/// Whether a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Go,
    /// A small one, to find out whether the endpoint is back.
    Probe,
    /// Not before so long.
    After(Duration),
    /// Not before the one that finds out has come back.
    AfterProbe,
}

/// One for an endpoint: the signals that go there share what is known of it.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: State,
    failures: u32,
    failing: Option<Outage>,
}

/// From the first failure to the last before a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) began: Instant,
    pub(super) last_failure: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        since: Instant,
        until: Instant,
    },
    Probing,
}

impl Breaker {
    pub(super) fn admit(&self, now: Instant) -> Admission {
        match self.state {
            State::Closed => Admission::Go,
            State::Open { until, .. } => match until.saturating_duration_since(now) {
                Duration::ZERO => Admission::Probe,
                left => Admission::After(left),
            },
            State::Probing => Admission::AfterProbe,
        }
    }

    /// A request is to go: whether it is admitted.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        match self.admit(now) {
            Admission::Go => true,
            Admission::Probe => {
                self.state = State::Probing;
                true
            }
            Admission::After(_) | Admission::AfterProbe => false,
        }
    }

    /// The answer to a request that began at `began` was one of an endpoint that is well. The outage
    /// that this ends, if there was one.
    pub(super) fn succeeded(&mut self, began: Instant) -> Option<Outage> {
        if let State::Open { since, .. } = self.state
            && began <= since
        {
            // It went before the failure came: what the failure asked for stands.
            return None;
        }
        std::mem::take(self).failing
    }

    /// The request that began at `began` failed. What the endpoint asked for is never undercut.
    pub(super) fn failed(&mut self, failure: Failure, began: Instant, now: Instant) {
        let asked = match failure {
            Failure::Unavailable { after } => after.unwrap_or_default(),
            Failure::Unreachable | Failure::Denied => Duration::ZERO,
        };
        if let State::Open { since, until } = &mut self.state
            && began <= *since
        {
            // One of several that were under way when the first failed: one failure.
            *until = (*until).max(now + asked);
            return;
        }
        let (first, longest) = failure.pauses();
        let doubled = first
            .saturating_mul(1 << self.failures.min(10))
            .min(longest);
        self.failures += 1;
        let outage = self.failing.get_or_insert(Outage {
            began,
            last_failure: now,
        });
        outage.last_failure = now;
        // Between half and the whole, so that a fleet does not come back in step.
        let mut pause = doubled.mul_f64(0.5 + fastrand::f64() / 2.0).max(asked);
        if mutation::is_on(Mutation::NoPauses) {
            pause = Duration::from_millis(1);
        }
        self.state = State::Open {
            since: now,
            until: now + pause,
        };
    }

    /// The request that was to find out did not: another one may.
    pub(super) fn found_out_nothing(&mut self, now: Instant) {
        if matches!(self.state, State::Probing) {
            self.state = State::Open {
                since: now,
                until: now,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const BUSY: Failure = Failure::Unavailable { after: None };

    fn pause(breaker: &Breaker, now: Instant) -> Duration {
        match breaker.admit(now) {
            Admission::After(pause) => pause,
            other => panic!("{other:?}"),
        }
    }

    /// Fails once more, as the probe.
    fn fail(breaker: &mut Breaker, failure: Failure, now: &mut Instant) {
        if let Admission::After(pause) = breaker.admit(*now) {
            *now += pause;
        }
        assert!(breaker.begin(*now));
        breaker.failed(failure, *now, *now);
    }

    #[test]
    fn pauses_grow_to_what_the_kind_of_failure_bears_and_end_with_a_success() {
        for (failure, longest) in [
            (Failure::Unreachable, 1),
            (BUSY, 30),
            (Failure::Denied, 300),
        ] {
            let (mut breaker, began) = (Breaker::default(), Clock::system().now());
            let mut now = began;
            assert_eq!(breaker.admit(now), Admission::Go);
            let longest = Duration::from_secs(longest);
            let mut seen = Duration::ZERO;
            for _ in 0..20 {
                fail(&mut breaker, failure, &mut now);
                seen = seen.max(pause(&breaker, now));
            }
            assert!((longest / 2..=longest).contains(&seen), "{seen:?}");
            let later = now + longest;
            assert!(breaker.begin(later));
            let outage = breaker.succeeded(later);
            assert_eq!(outage.map(|outage| outage.began), Some(began));
            assert_eq!(breaker.admit(now), Admission::Go);
        }
    }

    #[test]
    fn what_the_endpoint_asks_for_is_never_undercut() {
        let (mut breaker, now) = (Breaker::default(), Clock::system().now());
        let after = Some(Duration::from_secs(120));
        let earlier = now - Duration::from_secs(1);
        breaker.failed(Failure::Unavailable { after }, earlier, now);
        assert!(pause(&breaker, now) >= Duration::from_secs(120));
        // Others that were under way: one is answered well, one badly.
        assert_eq!(breaker.succeeded(earlier), None);
        breaker.failed(BUSY, earlier, now);
        assert!(pause(&breaker, now) >= Duration::from_secs(120));
        assert_eq!(breaker.failures, 1);
    }

    #[test]
    fn one_request_finds_out_and_the_others_wait_for_it() {
        let (mut breaker, mut now) = (Breaker::default(), Clock::system().now());
        fail(&mut breaker, BUSY, &mut now);
        assert!(!breaker.begin(now));
        let later = now + Duration::from_secs(1);
        assert_eq!(breaker.admit(later), Admission::Probe);
        assert!(breaker.begin(later));
        assert_eq!(breaker.admit(later), Admission::AfterProbe);
        assert!(!breaker.begin(later));
        breaker.failed(BUSY, later, later);
        assert!(pause(&breaker, later) > Duration::ZERO);
    }
}
