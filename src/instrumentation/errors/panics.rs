//! What is told of a panic.

use super::{count, exception::Exception, log};
use crate::{
    context,
    pipeline::Pipeline,
    records::{Fields, Record, Severity, Signal},
};
use std::{any::Any, mem, panic::Location};

/// `exception.type` of every panic.
pub(super) const TYPE: &str = "panic";
const NO_TEXT: &str = "(the payload is no text)";

/// Once it is there, counting a panic takes no memory and waits for nobody.
pub(super) fn prepare(pipeline: &Pipeline) {
    pipeline.counters.exceptions_by_type.keep(TYPE);
}

pub(super) fn count_panic(pipeline: &Pipeline) {
    pipeline.counters.panics.add(1);
    count(pipeline, Severity::Error, false, TYPE);
}

/// Whether the panic under way was recorded for the current request; from here on it is.
pub(super) fn mark_recorded() -> bool {
    let mark = |request: &mut context::Request| mem::replace(&mut request.panic_is_recorded, true);
    context::with_request_mut(mark).unwrap_or(false)
}

pub(super) fn compose(payload: &(dyn Any + Send), at: Option<&Location<'_>>, fields: &mut Fields) {
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let exception = Exception {
        type_name: TYPE,
        message: text.unwrap_or(NO_TEXT),
        is_handled: false,
        at,
    };
    exception.compose(fields);
}

/// Records a panic that was caught, unless the hook did.
pub(super) fn record_caught(pipeline: &Pipeline, payload: &(dyn Any + Send)) {
    if mark_recorded() || pipeline.handoff.is_lost_by_fork(Signal::Logs) {
        return;
    }
    count_panic(pipeline);
    // Its stack is gone.
    let record = Record::Log(log(pipeline, Severity::Error));
    pipeline.record(record, |fields| compose(payload, None, fields));
}

#[cfg(test)]
mod tests {
    use super::{
        super::planted::{Told, counted, counted_type, pipeline, within},
        *,
    };
    use crate::{errors::watch, records::Priority, semconv};

    #[test]
    fn a_panic_that_no_hook_told_of_is_recorded_once_by_the_layer() {
        let pipeline = pipeline();
        watch(pipeline);
        let tap = pipeline.response_tap.get().unwrap();
        within(pipeline, || {
            tap.panicked(&"card 4111 1111 1111 1111".to_owned());
            tap.panicked(&"its body too");
        });
        let told = Told::one(pipeline);
        assert_eq!(told.record.priority(), Priority::Errors);
        assert_eq!(told.text(semconv::EXCEPTION_TYPE), "panic");
        assert_eq!(told.text(semconv::HTTP_ROUTE), "/orders/{id}");
        assert!(!told.text("").contains("1111"), "{}", told.text(""));
        assert_eq!(counted(pipeline, Severity::Error, false), 1);
        assert_eq!(counted_type(pipeline, TYPE), 1);
        assert_eq!(pipeline.counters.panics.read(), 1);
    }

    #[test]
    fn a_payload_that_is_no_text_says_so() {
        let pipeline = pipeline();
        within(pipeline, || record_caught(pipeline, &7));
        assert_eq!(Told::one(pipeline).text(""), NO_TEXT);
    }
}
