//! Making a telemetry the process's: all of it, or nothing.

use super::{
    Builder, Telemetry,
    environment::{self, Process},
};
use crate::{error::Error, instrumentation::logs};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// Set by whoever installs, and given back if that fails.
static CLAIMED: AtomicBool = AtomicBool::new(false);
/// Keeps the installed one alive when the application drops its handles.
static INSTALLED: OnceLock<Telemetry> = OnceLock::new();

pub(super) fn install(builder: Builder) -> Result<Telemetry, Error> {
    if CLAIMED.swap(true, Ordering::SeqCst) {
        return Err(Error::already_installed());
    }
    let installed = install_claimed(builder);
    match &installed {
        Ok(telemetry) => {
            INSTALLED.get_or_init(|| telemetry.clone());
        }
        Err(_) => CLAIMED.store(false, Ordering::SeqCst),
    }
    installed
}

fn install_claimed(builder: Builder) -> Result<Telemetry, Error> {
    let (with_subscriber, with_recorder) = (builder.takes_subscriber(), builder.takes_recorder());
    let levels = environment::log_levels(&Process)?;
    let filter = logs::filter(&levels)
        .map_err(|reason| environment::log_levels_refused(&levels, &reason))?;
    // There is no such look at the recorder; setting it fails without a change.
    if with_subscriber && tracing::dispatcher::has_been_set() {
        return Err(Error::foreign_subscriber(""));
    }
    let telemetry = builder.build()?;
    if with_recorder {
        metrics::set_global_recorder(telemetry.recorder())
            .map_err(|_| Error::foreign_recorder())?;
    }
    if with_subscriber {
        let already_set = match with_recorder {
            true => "orderscope's `metrics` recorder",
            false => "nothing of orderscope's",
        };
        tracing::subscriber::set_global_default(logs::subscriber(filter))
            .map_err(|_| Error::foreign_subscriber(already_set))?;
    }
    Ok(telemetry)
}
