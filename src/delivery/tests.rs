//! The whole of delivery under a clock that runs ahead: hours in a second, and the same each time.

mod outages;
mod pushes;
mod random;
mod records;
mod refusals;
mod shutdown;
mod world;
