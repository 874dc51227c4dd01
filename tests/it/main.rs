//! The integration tests, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, its helpers as well"
)]

mod allocations;
mod backends;
mod bugs;
mod daemon;
mod database;
mod descriptors;
mod example;
mod exposition;
mod faults;
mod floor_plan;
mod health;
mod http;
mod instructions;
mod loopback;
mod mariadb;
mod misuse;
mod otlp;
mod page;
mod postgres;
mod programs;
mod prometheus;
mod redis;
mod repository;
mod shared_state;
mod signals;
mod started;
mod timed;
