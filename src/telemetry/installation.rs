//! Making a telemetry the process's: all of it, or nothing.

use super::{
    Builder, Telemetry,
    environment::{self, Process},
};
use crate::{error::Error, errors, instrumentation::logs};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};
use tracing::{
    dispatcher::{self, Dispatch},
    subscriber::NoSubscriber,
};
use tracing_subscriber::EnvFilter;

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
    // Levels that only our subscriber would read are read for it alone.
    let filter = with_subscriber.then(filter).transpose()?;
    // There is no such look at the recorder; setting it fails without a change.
    if with_subscriber && has_subscriber() {
        return Err(Error::foreign_subscriber(""));
    }
    let telemetry = builder.build()?;
    if with_recorder {
        metrics::set_global_recorder(telemetry.recorder())
            .map_err(|_| Error::foreign_recorder())?;
    }
    if let Some(filter) = filter {
        let already_set = match with_recorder {
            true => "orderscope's `metrics` recorder",
            false => "nothing of orderscope's",
        };
        tracing::subscriber::set_global_default(logs::subscriber(filter))
            .map_err(|_| Error::foreign_subscriber(already_set))?;
    }
    // Last, since it stays.
    errors::install_hook(telemetry.inner.pipeline);
    Ok(telemetry)
}

fn filter() -> Result<EnvFilter, Error> {
    let levels = environment::log_levels(&Process)?;
    logs::filter(&levels).map_err(|reason| environment::log_levels_refused(&levels, &reason))
}

/// Whether a subscriber of somebody else's is in place. One that was set for a scope that has
/// ended is not.
fn has_subscriber() -> bool {
    let is_none = |current: &Dispatch| current.is::<NoSubscriber>();
    dispatcher::has_been_set() && !dispatcher::get_default(is_none)
}
