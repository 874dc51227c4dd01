//! Tests that keep time. `tests/run` runs them one by one, after the others: they measure the
//! telemetry, not who else is busy on the machine.

mod attempts;
mod database;
mod metrics_listener;
mod process;
mod scrapes;
