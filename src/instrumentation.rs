//! The sources: each watches one kind of thing and records it. They do not know each other.

pub mod errors;
pub mod events;
pub mod http;
pub(crate) mod logs;
pub(crate) mod process;
