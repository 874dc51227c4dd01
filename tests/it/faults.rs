//! What delivery must survive: a collector that misbehaves in one way at a time, a load beside it,
//! and an oracle that knows what was issued and accounts for every record.

pub(crate) mod collector;
pub(crate) mod load;
pub(crate) mod oracle;
mod rig;
