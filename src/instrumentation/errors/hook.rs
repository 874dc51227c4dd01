//! The panic hook: it counts, copies and hands off, and then whoever had the hook before has it.
//!
//! A panic in here aborts the process, so nothing in here can: no code of the host's runs but the
//! previous hook, nothing is indexed or unwrapped, no lock is waited for, nothing is resolved.
//! Standard hooks do not nest (the second one is the abort), so no guard of depth is needed.

use super::{log, panics};
use crate::{
    context,
    pipeline::Pipeline,
    records::{Fields, Record, Severity},
    stack,
};
use std::{
    panic::{self, PanicHookInfo},
    sync::OnceLock,
    thread,
};

/// Whose hook it is.
static HOOKED: OnceLock<&'static Pipeline> = OnceLock::new();

/// Puts the hook before the one that is there, for as long as the process lives: to take a hook
/// away while another thread panics is not safe. A second call does nothing, as does one on a
/// thread that panics, which is not allowed to set a hook.
pub(crate) fn install_hook(pipeline: &'static Pipeline) {
    if thread::panicking() || HOOKED.set(pipeline).is_err() {
        return;
    }
    panics::prepare(pipeline);
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        record(pipeline, info);
        previous(info);
    }));
}

fn record(installed: &'static Pipeline, info: &PanicHookInfo<'_>) {
    let pipeline = context::with_request(|request| request.pipeline).unwrap_or(installed);
    panics::count_panic(pipeline);
    panics::mark_recorded();
    let record = Record::Error(log(pipeline, Severity::Error), Box::new(stack::capture()));
    Fields::compose(pipeline.settings.record_limits, |fields| {
        panics::compose(info.payload(), info.location(), fields);
        pipeline.count_truncated(fields);
        // One that found no shard free is counted there as one that found no room.
        pipeline
            .handoff
            .offer_without_waiting(record, fields.as_bytes());
    });
}
