//! The sources: each watches one kind of thing and records it. They do not know each other.

pub mod database;
pub mod errors;
pub mod events;
pub mod http;
pub mod logs;
pub(crate) mod process;
pub mod tracing_layer;
