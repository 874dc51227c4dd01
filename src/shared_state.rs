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
