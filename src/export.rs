//! What leaves the process, in the formats of others.

pub(crate) mod prometheus;
