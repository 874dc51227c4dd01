//! Models of delivery: what no order of the threads' steps may break.
//!
//!     cargo run --manifest-path tests/model/Cargo.toml
//!
//! A program and not a test, so that the unit tests of the linked files stay with the crate.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a model fails by panicking, and tells what it has shown"
)]

mod delivery;
mod fork;
mod mutation;
mod records;
mod sync;

use std::{sync::atomic::Ordering::Relaxed, time::Instant};

fn main() {
    for (name, model) in delivery::MODELS {
        let (before, began) = (delivery::ORDERS.load(Relaxed), Instant::now());
        model();
        let orders = delivery::ORDERS.load(Relaxed) - before;
        println!("{name}: {orders} orders in {:.1?}", began.elapsed());
    }
    println!("model: {} hold in every order", delivery::MODELS.len());
}
