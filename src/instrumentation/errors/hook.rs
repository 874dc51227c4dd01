//! The panic hook: it counts, copies and hands off, and then whoever had the hook before has it.
//!
//! A panic in here aborts the process, so nothing in here can: no code of the host's runs but the
//! previous hook, nothing is indexed or unwrapped, no lock is waited for, nothing is resolved.
//! Standard hooks do not nest (the second one is the abort), so no guard of depth is needed.

use super::{exception::place, panics, raise::WAY_OF_A_PANIC, recorded};
use crate::{
    context,
    mutation::{self, Mutation},
    pipeline::Pipeline,
    records::{Fields, Record, Signal},
    semconv, worker,
};
use std::{
    any::Any,
    panic::{self, Location},
    sync::OnceLock,
    thread,
    time::Duration,
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
        record(pipeline, info.payload(), info.location());
        previous(info);
    }));
}

fn record(installed: &'static Pipeline, payload: &(dyn Any + Send), at: Option<&Location<'_>>) {
    let pipeline = context::with_request(|request| request.pipeline).unwrap_or(installed);
    if pipeline.handoff.is_lost_by_fork(Signal::Logs) {
        return;
    }
    if mutation::is_on(Mutation::PatientHook) {
        thread::sleep(Duration::from_millis(20));
    }
    let raise = panics::raised(at.map(place));
    let (key, raised) = raise.look(WAY_OF_A_PANIC, Some(pipeline));
    panics::count(pipeline, &raise, key);
    // A record of it would be sent by what just failed, and would fail it again.
    if worker::is_this_thread() {
        return;
    }
    let is_repeated = recorded::mark(payload);
    let Some(raised) = raised else {
        return;
    };
    let log = raise.log(pipeline);
    let when = log.at;
    let record = Record::Error(log, raised);
    Fields::compose(pipeline.settings.record_limits, |fields| {
        panics::compose(payload, when, at, fields);
        if is_repeated {
            fields.flag(semconv::PANIC_REPEATED, true);
        }
        pipeline.count_truncated(fields);
        // One that found no shard free is counted there as one that found no room.
        pipeline
            .handoff
            .offer_without_waiting(record, fields.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            planted::{Told, counted, counted_type, pipeline, within},
            watch,
        },
        *,
    };
    use crate::records::{Severity, Value};

    fn panicked(installed: &'static Pipeline, text: &'static str) {
        record(installed, &text, Some(Location::caller()));
    }

    #[test]
    fn a_panic_of_a_request_is_its_pipeline_s_and_the_layer_does_not_tell_it_again() {
        let (installed, of_request) = (pipeline(), pipeline());
        watch(of_request);
        within(of_request, || {
            panicked(installed, "password=hunter2");
            let tap = of_request.response_tap.get().unwrap();
            tap.panicked(&"password=hunter2");
        });
        assert!(Told::all(installed).is_empty());
        let told = Told::one(of_request);
        assert!(matches!(told.record, Record::Error(..)));
        assert_eq!(told.text(""), "password=***");
        assert_eq!(told.text(semconv::CODE_FILE_PATH), file!());
        let handled = told.value(semconv::ERROR_HANDLED);
        assert_eq!(handled, Some(Value::Boolean(false)));
        assert_eq!(told.value(semconv::PANIC_REPEATED), None);
        assert_eq!(of_request.counters.panics.read(), 1);
        assert_eq!(counted(of_request, Severity::Error, false), 1);
        assert_eq!(counted_type(of_request, "panic"), 1);
    }

    #[test]
    fn a_second_panic_of_a_request_is_told_as_such() {
        let pipeline = pipeline();
        within(pipeline, || {
            panicked(pipeline, "in the handler");
            panicked(pipeline, "in a destructor");
        });
        let told = Told::all(pipeline);
        let repeated = told.iter().map(|told| told.value(semconv::PANIC_REPEATED));
        let repeated: Vec<_> = repeated.collect();
        assert_eq!(repeated, [None, Some(Value::Boolean(true))]);
        assert_eq!(pipeline.counters.panics.read(), 2);
    }

    #[test]
    fn a_panic_of_no_request_is_the_installed_pipeline_s() {
        let pipeline = pipeline();
        panicked(pipeline, "alone");
        assert_eq!(Told::one(pipeline).value(semconv::HTTP_ROUTE), None);
        assert_eq!(pipeline.counters.panics.read(), 1);
    }
}
