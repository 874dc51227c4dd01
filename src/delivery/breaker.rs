//! How long a destination is left alone after it failed: longer each time, never all at once.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// One for a destination: its signals share what is known of it.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    closed_from: Option<Instant>,
}

impl Breaker {
    /// How long to wait before the next attempt; `None`: not at all.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        let left = self.closed_from?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// `after` is what the destination asked for, which is never undercut.
    pub(super) fn failed(&mut self, now: Instant, after: Option<Duration>) {
        let doubled = FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST);
        self.failures += 1;
        // Between half and the whole, so that a fleet does not come back in step.
        let jittered = doubled.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.closed_from = Some(now + after.unwrap_or_default().max(jittered));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn pauses_grow_to_half_a_minute_and_end_with_a_success() {
        let (mut breaker, now) = (Breaker::default(), Clock::system().now());
        assert_eq!(breaker.pause(now), None);
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            breaker.failed(now, None);
            longest = longest.max(breaker.pause(now).unwrap());
        }
        assert!((LONGEST / 2..=LONGEST).contains(&longest), "{longest:?}");
        breaker.succeeded();
        assert_eq!(breaker.pause(now), None);
    }

    #[test]
    fn what_the_destination_asks_for_is_never_undercut() {
        let (mut breaker, now) = (Breaker::default(), Clock::system().now());
        breaker.failed(now, Some(Duration::from_secs(120)));
        assert!(breaker.pause(now).unwrap() >= Duration::from_secs(120));
    }
}
