//! What has to be known beyond one event: attempts that are under way, sketches of who was there. With the
//! feature `redis`, `Redis` is where the replicas of a service share it.
//!
//! `SharedState` is what a memory and a Redis can both do; in it, units and what was told of them
//! are bytes. A `Follower` makes machines of them, such as the `Attempts` of one unit at a funnel:
//! what follows from an event is written once, and is the same for one process and for many.
//!
//! ```text
//! Follower::tell()   ─→ append()  events wait beside their unit, in whatever order they come
//! Follower::settle() ─→ due()     units of which something is older than the lateness
//!                       Machine   applies it, in order
//!                    ─→ commit()  what is left, unless somebody else was faster ─→ the turns, told once
//! ```
//!
//! Everything here is told the time and reads no clock, so that the same history has the same
//! outcome whenever it is told. Times are microseconds since 1970.

mod attempts;
mod follower;
mod limits;
mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(test)]
mod reference;
#[cfg(test)]
pub(crate) mod replicas;
mod seen;
mod visits;

pub(crate) use attempts::{Attempts, Happening, Outcome, Rules, Turn, What};
pub(crate) use follower::{Follower, Machine};
pub(crate) use limits::{Decision, Limit};
pub(crate) use memory::Memory;
#[cfg(feature = "redis")]
pub use redis::Redis;
pub(crate) use seen::Seen;
pub(crate) use visits::{Deed, Doing, Limits, Reason, Visited, Visits};

use serde::{Deserialize, Serialize};
use std::{fmt, pin::Pin};

/// A unit, or an event, by 128 bits: so many that no two of a billion meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Id([u8; 16]);

impl From<u128> for Id {
    fn from(id: u128) -> Self {
        Self(id.to_be_bytes())
    }
}

impl Id {
    pub(crate) fn as_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// In which of so many shards it is: the same in every process.
    pub(crate) fn shard(self, of: u16) -> u16 {
        let low = self.as_u128() % u128::from(of.max(1));
        // Less than `of`.
        u16::try_from(low).unwrap_or_default()
    }
}

/// Answers come later, or not at all.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send + 'a>>;

/// What holds state for one process or for many.
///
/// Whatever was not answered may be asked again: it has its effect once.
pub(crate) trait SharedState: fmt::Debug + Send + Sync {
    /// Whose numbers they are, as `scope` says it.
    fn scope(&self) -> &'static str;

    /// Whether every answer is there at once, so that whoever looks at the numbers can have them made
    /// up to date.
    fn answers_at_once(&self) -> bool;

    /// Whether it answers.
    fn answer(&self) -> Answer<'_, ()>;

    /// How many shards a space is in.
    fn shards(&self) -> u16;

    /// Lets events wait beside their units. What became of each. `token`: of one that tells, another with
    /// each of its batches.
    fn append<'a>(
        &'a self,
        shard: Shard<'a>,
        token: u64,
        told: &'a [Told],
    ) -> Answer<'a, Vec<Taken>>;

    /// Units of which something is due at `now`. What is older than `settled` is taken no more.
    fn due<'a>(&'a self, shard: Shard<'a>, settled: u64, now: u64) -> Answer<'a, Due>;

    /// Puts units in the place of those that were found and are still as they were.
    fn commit<'a>(&'a self, shard: Shard<'a>, changes: &'a Changes) -> Answer<'a, Done>;

    /// Adds to the sketch of one day of something, such as of those who used a feature.
    fn add<'a>(&'a self, of: &'a str, day: u32, ids: &'a [Id]) -> Answer<'a, ()>;

    /// How many different ids were added on the last so many days until `day`, with a standard error
    /// of 0.81 %.
    fn count<'a>(&'a self, of: &'a str, day: u32, days: u32) -> Answer<'a, u64>;

    /// Of ids of one shard: whether no other process met it within a day.
    fn are_first<'a>(&'a self, shard: u16, met: &'a [Meeting]) -> Answer<'a, Vec<bool>>;

    /// When something was met before, by any process; `None`: never, or there is no other.
    fn meet<'a>(&'a self, of: &'a str, at: u64, release: &'a str) -> Answer<'a, Option<Met>>;

    /// Whether something may be done once more. The one question that a request waits for, at most
    /// [`PATIENCE`]: without an answer, whoever asks does what was declared for that.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the layer that limits rates asks")
    )]
    fn decide<'a>(&'a self, of: &'a str, limit: Limit, key: Id, now: u64) -> Answer<'a, Decision>;
}

/// That an id was met.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meeting {
    pub(crate) id: Id,
    /// Tells this meeting from others.
    #[cfg_attr(
        not(any(feature = "redis", test)),
        expect(dead_code, reason = "a memory has no other")
    )]
    pub(crate) token: u64,
}

/// When, and by which release of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) at: u64,
    pub(crate) release: Box<str>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Nobody is there, or the connection broke.
    Unreachable,
    /// Somebody is there and says nothing.
    Timeout,
    /// Credentials, memory, a replica that cannot be written to.
    Refused,
    /// Something else is kept under the name.
    WrongType,
    /// More was answered than was asked for.
    TooLarge,
}

/// Units that are followed in one way.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    /// Such as `funnel:checkout`.
    pub(crate) name: Box<str>,
    /// Over all shards.
    pub(crate) most_units: usize,
    /// Of all units and what waits beside them, over all shards.
    pub(crate) most_bytes: usize,
    /// Microseconds for which a unit may be left alone.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "a memory keeps"))]
    pub(crate) keep: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard<'a> {
    pub(crate) space: &'a Space,
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "a memory has one"))]
    pub(crate) at: u16,
}

/// An event of a unit.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) unit: Id,
    pub(crate) at: u64,
    /// When it is to be looked at.
    pub(crate) due: u64,
    pub(crate) event: Vec<u8>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    InTime,
    /// It came later than the lateness.
    Late,
    /// As many units as there may be have something under way, or as many bytes, of all or of this one.
    Full,
    /// Something else is kept in its place.
    Impossible,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Due {
    /// Up to where everything is settled now.
    pub(crate) settled: u64,
    pub(crate) units: Vec<Found>,
    /// Units that are open; none where somebody else looks after the shard.
    pub(crate) open: u64,
    /// Whether more is due.
    pub(crate) is_cut: bool,
    /// Units that were given up, since nothing of ours could have put them there.
    pub(crate) garbled: u64,
    /// Microseconds for which there is no use in asking, since somebody else looks after the shard.
    pub(crate) others_for: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) unit: Id,
    /// Changes with everything that is done to the unit.
    pub(crate) version: u64,
    /// As [`Left::bytes`], and after it what was told since.
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Changes {
    /// Of one that asks, each greater than the one before.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "a memory answers"))]
    pub(crate) token: u64,
    pub(crate) changes: Vec<Change>,
}

#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) unit: Id,
    /// As it was found.
    pub(crate) version: u64,
    /// Nothing: it is done with.
    pub(crate) left: Option<Left>,
    /// How many more are open: 1, 0, or -1.
    pub(crate) opened: i8,
}

#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) bytes: Vec<u8>,
    /// When it is to be looked at.
    pub(crate) due: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// Whether each change was made.
    pub(crate) are_done: Vec<bool>,
    /// As [`Due::open`].
    pub(crate) open: u64,
}

/// A unit that nothing is known of yet: `None` in postcard.
const NOTHING: &[u8] = &[0];
/// Bytes of one unit and of what waits beside it.
const MOST_BYTES: usize = 32 * 1_024;
/// Units that are looked at together.
const MOST_DUE: usize = 64;
/// Ids that are asked for together.
pub(crate) const MOST_MET: usize = 256;
/// How long a request may wait for a decision.
#[cfg(feature = "redis")]
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(100);
/// Days for which a sketch is kept.
const KEPT_DAYS: u32 = 29;
