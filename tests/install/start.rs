//! What it takes to install a telemetry.

use std::time::{Duration, Instant};

use orderscope::Telemetry;

use super::{alone, least, printed};

/// Without a destination: with one, the certificates of the system are read. Unoptimised code, as tests
/// usually are, takes several times as long.
const START: Duration = Duration::from_millis(if cfg!(debug_assertions) { 15 } else { 5 });

#[test]
fn a_service_is_up_with_it_in_milliseconds() {
    let best = least(START, || {
        let output = alone(&[("RUST_LOG", "off")], || {
            let began = Instant::now();
            let telemetry = Telemetry::builder("orders").install().unwrap();
            let took = began.elapsed();
            drop(telemetry);
            eprintln!("{}", took.as_micros());
        });
        let printed = printed(&output);
        let mut micros = printed.lines().filter_map(|line| line.parse().ok());
        Duration::from_micros(micros.next_back().expect("a number"))
    });
    println!("install() took {best:?}");
    assert!(best < START, "{best:?}");
}
