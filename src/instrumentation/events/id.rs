//! Ids of events: UUIDs of version 7, made and written without an allocation.

use crate::clock::Clock;
use std::{cell::Cell, time::SystemTime};
use uuid::{Uuid, fmt::Hyphenated};

/// The bits below the time.
const TAIL: u128 = (1 << 74) - 1;
/// A clock set back by more than this many milliseconds is believed.
const LEAST_JUMP: u64 = 10_000;

/// The milliseconds and the tail of the id that this thread made last.
type Last = (u64, u128);

/// Passes on a new id. Within a thread each is greater than the one before, also within a
/// millisecond and over a small step back of the wall clock.
pub(super) fn next(clock: &Clock, pass_on: impl FnOnce(&str)) {
    thread_local! {
        static LAST: Cell<Last> = const { Cell::new((0, 0)) };
    }
    let now = (millis(clock.wall()), random());
    let made = LAST
        .try_with(|last| {
            last.set(after(last.get(), now));
            last.get()
        })
        // The thread is going.
        .unwrap_or(now);
    let mut text = [0; Hyphenated::LENGTH];
    pass_on(id(made).hyphenated().encode_lower(&mut text));
}

/// `now`, unless the id made last was of this millisecond or of a later one.
fn after((millis, tail): Last, now: Last) -> Last {
    let is_later = now.0 > millis || now.0 + LEAST_JUMP < millis;
    // A random step, so that the next id is not told by this one.
    let step = 1 + (now.1 & u128::from(u32::MAX));
    match (tail + step <= TAIL, is_later) {
        (true, false) => (millis, tail + step),
        _ => now,
    }
}

fn id((millis, tail): Last) -> Uuid {
    const VERSION: u128 = 7 << 76;
    const VARIANT: u128 = 0b10 << 62;
    const LOW: u128 = (1 << 62) - 1;
    let time = u128::from(millis) << 80;
    Uuid::from_u128(time | VERSION | (tail >> 62) << 64 | VARIANT | (tail & LOW))
}

/// The highest bit is left for steps.
fn random() -> u128 {
    fastrand::u128(..) & (TAIL >> 1)
}

/// Since 1970, in the 48 bits that an id has for it.
fn millis(wall: SystemTime) -> u64 {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64 & ((1 << 48) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::time::Duration;

    fn made(clock: &Clock) -> Uuid {
        let mut id = None;
        next(clock, |text| id = Uuid::parse_str(text).ok());
        id.unwrap()
    }

    #[test]
    fn ids_sort_by_time_also_within_a_millisecond() {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
        let clock = hands.clock();
        let ids: Vec<_> = (0..20_000)
            .map(|n| {
                hands.advance(Duration::from_millis(u64::from(n % 1_000 == 0)));
                made(&clock)
            })
            .collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(
            ids.iter()
                .all(|id| id.get_variant() == uuid::Variant::RFC4122)
        );
        let (seconds, nanos) = ids[0].get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanos), (1 << 30, 1_000_000));
    }

    #[test]
    fn a_wall_clock_set_back_a_little_does_not_disturb_the_order() {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 31));
        let clock = hands.clock();
        let before = made(&clock);
        hands.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs((1 << 31) - 2));
        assert!(made(&clock) > before);
        hands.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        assert!(made(&clock) < before);
    }

    #[test]
    fn a_tail_without_room_for_a_step_begins_anew() {
        let full = (5, TAIL);
        let now = (5, random());
        assert_eq!(after(full, now), now);
        assert_eq!(id(full).get_version_num(), 7);
    }
}
