//! When an event happened, by whoever saw it.

use crate::clock::Clock;
use std::time::{Duration, Instant, SystemTime};

/// How far from the server's a clock may be that is believed.
const BELIEVED: Duration = Duration::from_secs(24 * 3_600);

/// When an event happened, and whether that is another time than it says.
#[derive(Clone, Copy)]
pub(super) struct When {
    pub(super) at: Instant,
    pub(super) is_replaced: bool,
}

impl When {
    pub(super) fn of(clock: &Clock, given: Option<SystemTime>) -> Self {
        let now = clock.now();
        let Some(given) = given else {
            return Self {
                at: now,
                is_replaced: false,
            };
        };
        let (anchor, wall) = (clock.anchor(), clock.wall());
        let away = given.duration_since(wall).unwrap_or_else(|e| e.duration());
        let nanos = given
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let nanos = u64::try_from(nanos.as_nanos()).unwrap_or(u64::MAX);
        match away <= BELIEVED {
            true => Self {
                at: anchor.instant_of(nanos),
                is_replaced: false,
            },
            false => Self {
                at: now,
                is_replaced: true,
            },
        }
    }
}
