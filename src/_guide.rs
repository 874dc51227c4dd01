//! Pages to read, without code of their own: what the crate as a whole promises.

#[doc = include_str!("guide/correlation.md")]
pub mod correlation {}

#[doc = include_str!("guide/delivery.md")]
pub mod delivery {}

#[doc = include_str!("guide/errors.md")]
pub mod errors {}
