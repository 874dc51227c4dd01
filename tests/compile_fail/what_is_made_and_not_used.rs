//! A builder, a telemetry and a report that nobody looks at.

#![deny(unused_must_use)]

use orderscope::{Error, Telemetry};
use std::time::Duration;

async fn run() -> Result<(), Error> {
    Telemetry::builder("orders");
    Telemetry::builder("orders").install()?;
    let telemetry = Telemetry::builder("orders").build()?;
    telemetry.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

fn main() {
    drop(run());
}
