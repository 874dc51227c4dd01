//! The rooms of delivery that threads share.

mod custody;
mod handoff;
mod ledger;
mod models;

pub(crate) use models::{MODELS, ORDERS};
