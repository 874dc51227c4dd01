//! A service under load that faults are done to.
//!
//! It runs until its time is over or it is told to end (SIGTERM, SIGINT, `stop`, or the end of its
//! standard input, so that it never outlives its test), stops the load, shuts the telemetry down,
//! and says on standard output what it issued and what became of it. Each line on standard input is
//! a command, each line on standard output one JSON object: [`commands`].

#![allow(
    clippy::disallowed_methods,
    reason = "the clock is a room of the crate; this measures it from outside"
)]

mod arguments;
mod commands;
mod figures;
mod load;
mod report;

use arguments::{Arguments, Kind};
use load::{Issued, Load};
use orderscope::{Telemetry, export::Destination};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

fn main() {
    let arguments = Arguments::from_command_line();
    // Before there is a second thread, so that all of them leave these to this one.
    let signals = Signals::blocked();
    // What panics by intent says nothing; orderscope's hook is set before this one.
    std::panic::set_hook(Box::new(|_| ()));
    let telemetry = (!arguments.bare).then(|| installed(&arguments));
    let issued = Arc::new(Issued::default());
    let load = Arc::new(Load::start(&arguments, telemetry.as_ref(), &issued));
    commands::listen(telemetry.clone(), Arc::clone(&load), Arc::clone(&issued));

    if arguments.load == Kind::Sealed {
        load.ended();
    } else {
        signals.wait(arguments.length);
    }
    let told = Instant::now();
    let producers = load.stop();
    let stopped = told.elapsed();
    let report = telemetry.map(|telemetry| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let runtime = runtime.expect("a runtime starts");
        runtime.block_on(telemetry.shutdown(arguments.within))
    });
    let ended = told.elapsed();
    report::print(&issued, producers, report.as_ref(), stopped, ended);
}

fn installed(arguments: &Arguments) -> Telemetry {
    let mut builder = Telemetry::builder("host")
        .queue_byte_budget(arguments.bytes)
        .metrics_interval(arguments.interval);
    for (at, endpoint) in arguments.endpoints.iter().enumerate() {
        let name = if at == 0 {
            "collector".to_owned()
        } else {
            format!("collector-{}", at + 1)
        };
        let mut destination = Destination::otlp(name, endpoint).protocol(arguments.protocol);
        if let Some(timeout) = arguments.timeout {
            destination = destination.timeout(timeout);
        }
        builder = builder.destination(destination);
    }
    builder.install().expect("it is the only one")
}

/// SIGTERM and SIGINT, waited for and never delivered.
struct Signals(libc::sigset_t);

impl Signals {
    fn blocked() -> Self {
        // SAFETY: the set is made by sigemptyset before anything reads it.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::sigaddset(&mut set, libc::SIGINT);
            let failed = libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            assert_eq!(failed, 0);
            Self(set)
        }
    }

    /// Until one of them comes, or the time is over.
    fn wait(&self, at_most: Duration) {
        let until = Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = libc::timespec {
                tv_sec: left.as_secs() as libc::time_t,
                tv_nsec: left.subsec_nanos().into(),
            };
            // SAFETY: both outlive the call; nobody asks for the signal's details.
            let came = unsafe { libc::sigtimedwait(&self.0, std::ptr::null_mut(), &left) };
            let interrupted = std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR);
            if came > 0 || !interrupted {
                return;
            }
        }
    }
}
