//! What has to be known beyond one event: the attempts that are under way, by whom they are made.
//!
//! Everything here is told the time and reads no clock, so that the same history has the same
//! outcome whenever it is told. Times are microseconds since 1970.

mod attempts;
mod memory;
#[cfg(test)]
mod reference;

pub(crate) use attempts::{Happening, Outcome, Rules, Turn, What};
pub(crate) use memory::{Memory, Taken};

/// A unit, or an event, by 128 bits: so many that no two of a billion meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id([u64; 2]);

/// In halves, since a million of them are kept without the padding that whole ones ask for.
impl From<u128> for Id {
    fn from(id: u128) -> Self {
        Self([(id >> 64) as u64, id as u64])
    }
}
