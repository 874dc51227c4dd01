//! The Collector and two stores, which no registry has: `tests/run` runs these tests when OTELCOL,
//! VICTORIA_METRICS and VICTORIA_LOGS name them, and `.ci/run` always.

mod collector;
mod correlation;
mod example;
mod parity;
mod stores;
mod victoria_logs;
