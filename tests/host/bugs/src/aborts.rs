//! Panics, to be built so that a panic aborts; with an argument, under an installed telemetry.

use std::{panic, thread};

fn main() {
    panic::set_hook(Box::new(|panicked| {
        eprintln!("the hook before: {panicked}")
    }));
    if std::env::args().len() > 1 {
        let telemetry = orderscope::Telemetry::builder("aborts").install();
        let _kept = telemetry.expect("the only one");
    }
    // Not the main thread: nothing but the abort ends the process.
    let _ = thread::spawn(|| panic!("planted")).join();
    eprintln!("nothing aborted");
}
