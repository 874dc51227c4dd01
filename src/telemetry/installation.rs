//! Making a telemetry the process's: all of it, or nothing.

use super::{
    Builder, Telemetry,
    environment::{self, Process},
};
use crate::{
    error::Error,
    errors,
    logs::{self, Levels},
};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};
use tracing::{
    dispatcher::{self, Dispatch},
    subscriber::NoSubscriber,
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
    let (with_subscriber, with_recorder) = (builder.with_subscriber, builder.with_recorder);
    let with_opentelemetry = builder.with_opentelemetry;
    let with_bare_queries = builder.with_bare_queries;
    // Levels that only our subscriber would read are read for it alone.
    let levels = with_subscriber.then(levels).transpose()?;
    // There is no such look at the recorder; setting it fails without a change.
    if with_subscriber && has_subscriber() {
        return Err(Error::foreign_subscriber(""));
    }
    let (telemetry, mut warnings) = builder.assemble()?;
    if with_recorder {
        metrics::set_global_recorder(telemetry.recorder())
            .map_err(|_| Error::foreign_recorder())?;
    }
    if let Some(levels) = levels {
        let already_set = match with_recorder {
            true => "orderscope's `metrics` recorder",
            false => "nothing of orderscope's",
        };
        warnings.extend(levels.warning());
        let (records, lines) = (telemetry.tracing_layer(), telemetry.lines());
        let set = match with_bare_queries {
            true => {
                let bare = telemetry.bare_queries_layer();
                let subscriber = logs::recording_subscriber_beside(levels, records, lines, bare);
                tracing::subscriber::set_global_default(subscriber)
            }
            false => {
                let subscriber = logs::recording_subscriber(levels, records, lines);
                tracing::subscriber::set_global_default(subscriber)
            }
        };
        set.map_err(|_| Error::foreign_subscriber(already_set))?;
    }
    // From here on nothing can fail.
    telemetry.inner.pipeline.install();
    if with_opentelemetry {
        let door = telemetry.opentelemetry();
        let propagates = telemetry.inner.pipeline.settings.propagates;
        let set = || {
            opentelemetry::global::set_tracer_provider(door.tracer_provider());
            opentelemetry::global::set_meter_provider(door.meter_provider());
            opentelemetry::global::set_text_map_propagator(door.propagator(propagates));
        };
        match with_subscriber {
            // It logs that it was set, which is no news to who installs.
            true => dispatcher::with_default(&Dispatch::none(), set),
            // A dispatcher for a scope would be taken for one of somebody's.
            false => set(),
        }
    }
    // Last, since it stays.
    errors::install_hook(telemetry.inner.pipeline);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(telemetry)
}

fn levels() -> Result<Levels, Error> {
    let directives = environment::log_levels(&Process)?;
    Levels::read(&directives)
        .map_err(|reason| environment::log_levels_refused(&directives, &reason))
}

/// Whether a subscriber of somebody else's is in place. One that was set for a scope that has
/// ended is not.
fn has_subscriber() -> bool {
    let is_none = |current: &Dispatch| current.is::<NoSubscriber>();
    dispatcher::has_been_set() && !dispatcher::get_default(is_none)
}
