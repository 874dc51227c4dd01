//! OTLP as others read it: a service in a process of its own sends to receivers that are not ours.

mod decoded;
pub(crate) mod expected;
pub(crate) mod received;
pub(crate) mod rotel;
pub(crate) mod service;
mod shop;
pub(crate) mod sink;
