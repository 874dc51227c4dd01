//! How many CPUs the process used since it was last looked at.

use std::time::{Duration, Instant};

/// Readings that come sooner are told the last one: CPU time over so little is noise.
const SHORTEST: Duration = Duration::from_secs(1);
/// The grain of a process's start, below which its age says nothing.
const YOUNGEST: Duration = Duration::from_millis(10);

/// The reading before.
#[derive(Debug, Default)]
pub(super) struct Utilization {
    last: Option<(Instant, [Duration; 2])>,
}

impl Utilization {
    /// CPUs used, by mode, since the last reading, or since the process started; `taken` is the CPU
    /// time up to `now`. `None`: what was told last still holds.
    pub(super) fn cpus_used(
        &mut self,
        now: Instant,
        age: Option<Duration>,
        taken: [Duration; 2],
    ) -> Option<[f64; 2]> {
        let (elapsed, before) = match self.last {
            Some((last, before)) => {
                // Zero also for one who read the clock earlier and comes later.
                let elapsed = now.saturating_duration_since(last);
                if elapsed < SHORTEST {
                    return None;
                }
                (Some(elapsed), before)
            }
            None => (age.map(|age| age.max(YOUNGEST)), [Duration::ZERO; 2]),
        };
        self.last = Some((now, taken));
        let elapsed = elapsed?;
        let used = |mode: usize| taken[mode].saturating_sub(before[mode]);
        Some([0, 1].map(|mode| used(mode).div_duration_f64(elapsed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn millis(user: u64, system: u64) -> [Duration; 2] {
        [user, system].map(Duration::from_millis)
    }

    #[test]
    fn the_first_reading_is_since_the_start_and_the_next_since_the_one_before() {
        let (mut utilization, start) = (Utilization::default(), Clock::system().now());
        let age = Some(SECOND * 10);
        let first = utilization.cpus_used(start, age, millis(5_000, 1_000));
        assert_eq!(first, Some([0.5, 0.1]));
        let next = utilization.cpus_used(start + SECOND * 2, None, millis(8_000, 1_000));
        assert_eq!(next, Some([1.5, 0.0]));
    }

    #[test]
    fn who_comes_soon_after_another_changes_nothing() {
        let (mut utilization, start) = (Utilization::default(), Clock::system().now());
        let _ = utilization.cpus_used(start, Some(SECOND), millis(0, 0));
        for at in [0, 1, 500, 999] {
            let at = start + Duration::from_millis(at);
            assert_eq!(utilization.cpus_used(at, None, millis(9_999, 0)), None);
        }
        let earlier = start - SECOND;
        assert_eq!(utilization.cpus_used(earlier, None, millis(1, 0)), None);
        let next = utilization.cpus_used(start + SECOND, None, millis(500, 250));
        assert_eq!(next, Some([0.5, 0.25]));
    }

    #[test]
    fn without_an_age_the_first_reading_says_nothing() {
        let (mut utilization, start) = (Utilization::default(), Clock::system().now());
        assert_eq!(utilization.cpus_used(start, None, millis(700, 0)), None);
        let next = utilization.cpus_used(start + SECOND, None, millis(1_000, 0));
        assert_eq!(next, Some([0.3, 0.0]));
    }

    #[test]
    fn a_process_that_was_just_born_did_not_use_a_thousand_cpus() {
        let (mut utilization, start) = (Utilization::default(), Clock::system().now());
        let born = utilization.cpus_used(start, Some(Duration::ZERO), millis(5, 0));
        assert_eq!(born, Some([0.5, 0.0]));
    }
}
