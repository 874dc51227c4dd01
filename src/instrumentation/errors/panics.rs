//! What is told of a panic.

use super::{
    exception::Exception,
    raise::{self, Raise},
    recorded,
    template::template,
};
use crate::{
    context,
    pipeline::Pipeline,
    records::{Fields, Raised, Record, Severity, Signal},
    stack::{Fingerprint, RawStack},
};
use rustc_hash::FxBuildHasher;
use std::{any::Any, hash::BuildHasher as _, panic::Location, time::Instant};

/// `exception.type` of every panic.
pub(super) const TYPE: &str = "panic";
/// In the fingerprint of those that are not told apart.
const OTHERS: &str = "_OTHER";
const NO_TEXT: &str = "(the payload is no text)";

/// Once it is there, counting a panic takes no memory and waits for nobody.
pub(super) fn prepare(pipeline: &Pipeline) {
    pipeline.counters.exceptions_by_type.keep(TYPE);
}

/// A panic there.
pub(super) fn raised(place: Option<(&str, u32)>) -> Raise<'_> {
    Raise {
        severity: Severity::Error,
        is_handled: false,
        type_name: TYPE,
        place,
        fingerprint: None,
    }
}

pub(super) fn count(pipeline: &Pipeline, raise: &Raise<'_>, key: u64) {
    pipeline
        .counters
        .panics
        .add_of(1, raise::exemplar(pipeline));
    raise.count(pipeline, key);
}

pub(super) fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or(NO_TEXT)
}

pub(super) fn compose(
    payload: &(dyn Any + Send),
    when: Instant,
    at: Option<&Location<'_>>,
    fields: &mut Fields,
) {
    let exception = Exception {
        type_name: TYPE,
        message: text_of(payload),
        causes: "",
        is_handled: false,
        when,
        at,
    };
    exception.compose(fields);
}

/// Records a panic that was caught, unless the hook did.
pub(super) fn record_caught(pipeline: &Pipeline, payload: &(dyn Any + Send)) {
    if recorded::has(payload) {
        return;
    }
    recorded::mark(payload);
    if pipeline.handoff.is_lost_by_fork(Signal::Logs) {
        return;
    }
    // Its stack and its place are gone: those of one endpoint that say the same are one. What they
    // say may be a client's words, so beyond some, all others of the endpoint are one.
    let route = context::with_request(|request| request.route).flatten();
    let said = FxBuildHasher.hash_one(template(text_of(payload)));
    let groups = &pipeline.error_groups;
    let is_told_apart = groups.tells_apart(FxBuildHasher.hash_one(route), said);
    let others = || Fingerprint::of_words(&[TYPE, OTHERS, route.unwrap_or_default()]);
    let raise = Raise {
        fingerprint: (!is_told_apart).then(others),
        ..raised(route.map(|route| (route, 0)))
    };
    let key = raise.key(said);
    let is_admitted = raise::is_admitted(pipeline, key);
    count(pipeline, &raise, key);
    if is_admitted {
        let raised = Box::new(Raised {
            stack: RawStack::NONE,
            site: key,
            fingerprint: raise.fingerprint,
        });
        let log = raise.log(pipeline);
        let when = log.at;
        let record = Record::Error(log, raised);
        pipeline.record(record, |fields| compose(payload, when, None, fields));
    }
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
            tap.panicked(&"card 4111 1111 1111 1111".to_owned());
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
    fn a_payload_that_goes_on_after_another_panic_was_caught_is_recorded() {
        let pipeline = pipeline();
        within(pipeline, || {
            recorded::mark(&"caught by the handler");
            record_caught(pipeline, &"resumed");
        });
        assert_eq!(Told::one(pipeline).text(""), "resumed");
        assert_eq!(pipeline.counters.panics.read(), 1);
    }

    #[test]
    fn a_payload_that_is_no_text_says_so() {
        let pipeline = pipeline();
        within(pipeline, || record_caught(pipeline, &7));
        assert_eq!(Told::one(pipeline).text(""), NO_TEXT);
    }
}
