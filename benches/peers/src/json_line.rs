//! A line of log for programs, without a destination that takes records.

use crate::{
    operations::times,
    ours,
    rounds::{Delivered, Subject},
};
use orderscope::{
    Telemetry,
    logs::{Format, LogFile},
};
use std::{env, fs, io, process};
use tracing_subscriber::{filter::LevelFilter, fmt, layer::SubscriberExt as _, registry};

/// Into a file: what our worker does to write it is on the clock of the CPU.
pub(crate) fn through_ours(operation: fn()) -> Subject {
    let directory = env::temp_dir().join(format!("peers-{}", process::id()));
    let telemetry = Telemetry::builder("orders")
        .log_format(Format::Json)
        .log_file(LogFile::never(&directory, "lines"))
        .install();
    let telemetry = telemetry.unwrap_or_else(|error| panic!("{error}"));
    Subject {
        threads: 1,
        run: times(operation),
        settle: ours::settle(&telemetry),
        delivered: Box::new(move || {
            let ledger = telemetry.ledger();
            let lines = ledger.iter().filter(|row| row.destination() == "log_file");
            let logs = lines.map(|row| row.acknowledged()).sum();
            // Gone or not, it is a directory for temporary files.
            fs::remove_dir_all(&directory).ok();
            Delivered {
                logs,
                ..Delivered::default()
            }
        }),
    }
}

pub(crate) fn through_fmt(operation: fn()) -> Subject {
    let lines = fmt::layer().json().with_writer(io::sink);
    let subscriber = registry().with(LevelFilter::INFO).with(lines);
    let installed = tracing::subscriber::set_global_default(subscriber);
    installed.unwrap_or_else(|error| panic!("{error}"));
    Subject {
        threads: 1,
        run: times(operation),
        settle: Box::new(|| {}),
        delivered: Box::new(Delivered::default),
    }
}
