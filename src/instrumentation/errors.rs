//! Errors that the program dealt with, and panics, which it did not.
//!
//! ```
//! use orderscope::capture_error;
//!
//! fn total(basket: &str) -> u32 {
//!     match basket.parse() {
//!         Ok(total) => total,
//!         Err(error) => {
//!             capture_error(&error);
//!             0
//!         }
//!     }
//! }
//! # assert_eq!(total("12"), 12);
//! # assert_eq!(total("twelve"), 0);
//! ```
//!
//! # What is counted when
//!
//! | when | counted |
//! | --- | --- |
//! | [`capture_error`] is called | [`exceptions`] (`handled="true"`), [`exceptions.by_type`] |
//! | a [`HandlerError`] reaches the HTTP layer in a response of 400 and beyond, or else is dropped | the same, once |
//! | a `tracing` event of level ERROR, or [`critical!`](crate::critical), carries an error: `error!(error = &error as &dyn Error, "payment failed")` | the same, and the event in `orderscope.log.records` as ever |
//! | anything panics, under [`install()`](crate::telemetry::Builder::install) | [`panics`], [`exceptions`] (`handled="false"`, `ERROR`), [`exceptions.by_type`] as `panic` |
//! | the HTTP layer catches a panic that no hook told of: `resume_unwind`, or any under [`build()`](crate::telemetry::Builder::build) | the same |
//!
//! A payload that goes on by `resume_unwind`, as from a task's `JoinError`, was a panic on the task
//! and is one of the request that it ends: two.
//!
//! # What an error event says
//!
//! Each is also a log record of the EventName `exception`, of severity `ERROR` unless it is given
//! another, as far as the limit of its group allows. It is lost last, and belongs to the innermost
//! span.
//!
//! | attribute | what |
//! | --- | --- |
//! | `exception.type` | the type as Rust names it, [of a trait object](capture_error#trait-objects) what can be told; `panic` |
//! | `exception.message`, and the body | the error, its cause, the cause of that: `order 7: payment: timed out`, 16 causes at most; one that the message before it ends with already is not repeated. A panic's text. Of an error that a line of log carries, the body is the line's own message |
//! | `orderscope.error.causes` | the causes once more, one a line, each with its type: `TimedOut: timed out` |
//! | `orderscope.error.fingerprint` | which group it is of |
//! | `orderscope.error.group.count` | errors of that group so far in this process, those without a record included |
//! | `orderscope.error.trail` | what happened in the request before: its last sixteen lines of log, events, calls and errors |
//! | `orderscope.error.source` | the lines around the innermost function of the application, where its source is at hand; strings left out |
//! | `orderscope.error.regressed` | `true`: the first after [`error_quiet_period`](crate::telemetry::Builder::error_quiet_period) without one |
//! | `exception.stacktrace` | from where it was captured, or panicked, outward; not of a panic that no hook told of |
//! | `code.function.name` | the innermost function that is the application's own |
//! | `code.file.path`, `code.line.number` | where it was captured, or panicked |
//! | `orderscope.error.handled` | `false`: a panic |
//! | `orderscope.panic.repeated` | `true`: its request had panicked before; this one is of a destructor that ran because of that, or came after the program had caught it |
//! | `http.route`, `http.request.method`, `user.id`, `session.id` | of the current request |
//! | `http.response.status_code` | of a [`HandlerError`] |
//! | `thread.name` | |
//! | any other | tags of [`capture_error_with`], values of a line of log |
//!
//! [The guide](crate::guide::errors) shows one as an operator sees it.
//!
//! What looks like a secret in a message is masked before it leaves the thread. Only addresses of
//! the stack are taken there; the telemetry's own thread gives them their names.
//!
//! # Groups
//!
//! What happens again and again is one group, which [`snapshot()`](crate::Telemetry::snapshot) has
//! with its count, its rate, the users and endpoints that it met, and when it came first and last.
//! The group is told by a fingerprint, the same in each build and on each machine:
//!
//! 1. one that the application gives ([`Details::fingerprint`]);
//! 2. else the type and the application's own functions on the stack, as far as they have line
//!    tables: without lines, generic arguments and the numbers of closures, so that it survives an
//!    edit above it and another level of optimisation. A closure, and what an `async fn` does, is told by
//!    its column and the function that it stands in; with line tables alone, which do not say that one,
//!    by the `async fn` that is the task or the handler;
//! 3. else, in a build without line tables, the type and the place that is told;
//! 4. else the type and the message, numbers and quoted words left out.
//!
//! Of one group ten errors are told at once, then one a second; the others are counted where they
//! are raised, with their users and endpoints, for one and a half microseconds: a storm of 10,000 errors
//! a second costs 1.5 % of a core, and no count is lost. (Until the telemetry's own thread has seen the
//! first error of a way, a moment later, that way has a limit of its own.)
//!
//! Ways to errors that are told apart are bounded by 512 in a process, and stay for as long as it lives;
//! users by sketches that do not keep them. Beyond, errors are one group, `_OTHER`. Panics that no hook
//! told of have nothing but their words, which may be a client's: of one endpoint, eight messages have
//! a group each, and all others one.
//!
//! [`exceptions`]: crate::catalog::errors::EXCEPTIONS
//! [`exceptions.by_type`]: crate::catalog::errors::EXCEPTIONS_BY_TYPE
//! [`panics`]: crate::catalog::errors::PANICS

mod details;
mod exception;
mod grouping;
mod handler;
mod hook;
mod kinds;
mod logged;
mod panics;
mod raise;
mod recorded;
mod resolve;
mod tap;
mod template;
mod told;

pub use crate::records::Severity;
pub use details::{Details, Tag};
pub use handler::HandlerError;
pub(crate) use {grouping::JoinGroup, hook::install_hook, resolve::ResolveStack, tap::watch};

use crate::{
    context::{self, Happened},
    pipeline,
    records::{Record, Signal},
    stack::Fingerprint,
};
use exception::{Exception, place};
use raise::{Raise, WAY};
use std::{any, error::Error, panic::Location};
use told::Told;

/// Records an error that the program dealt with, as an event with the stack, and counts it.
///
/// Takes any error: one of its own type, `&dyn Error`, a `Box<dyn Error>` by `&*error`, a report of
/// `anyhow` or `eyre` by `&*report`; and it fits into a chain:
///
/// ```
/// use orderscope::capture_error;
///
/// # fn load() -> Result<String, Box<dyn std::error::Error>> {
/// let menu = std::fs::read_to_string("menu.json").inspect_err(capture_error);
/// if let Err(error) = "seven".parse::<u8>().map_err(Box::<dyn std::error::Error>::from) {
///     capture_error(&*error);
/// }
/// # Ok(menu?)
/// # }
/// # let _ = load();
/// ```
///
/// It goes to the telemetry of the current request, else to the installed one; without either it
/// is counted in [`records.unclaimed`](crate::catalog::telemetry::RECORDS_UNCLAIMED). The room's
/// [page](crate::errors) says what the event holds.
///
/// # Trait objects
///
/// What type stands behind a `dyn Error` cannot be asked. `exception.type` is then the name that its
/// `Debug` output begins with, as derived ones do: the struct, or the variant of the enum; of words
/// that `anyhow` puts around an error, that of the error within. A `Debug` that begins otherwise
/// leaves `dyn Error`.
///
/// # Panics
///
/// Never. The error's own `Display` may: then its message ends with a note of that.
#[track_caller]
pub fn capture_error<E: Error + ?Sized>(error: &E) {
    // `&E` is an error of known size, and so becomes a `dyn Error` whatever `E` is.
    capture(
        &Told::new(&error, any::type_name::<E>()),
        &PLAIN,
        Location::caller(),
    );
}

/// As [`capture_error`], more or less grave than `ERROR`.
///
/// ```
/// use orderscope::errors::{Severity, capture_error_as};
///
/// # let captured_twice = std::fmt::Error;
/// capture_error_as(&captured_twice, Severity::Critical);
/// ```
///
/// # Panics
///
/// Never.
#[track_caller]
pub fn capture_error_as<E: Error + ?Sized>(error: &E, severity: Severity) {
    capture(
        &Told::new(&error, any::type_name::<E>()),
        &Details::new().severity(severity),
        Location::caller(),
    );
}

/// As [`capture_error`], with typed tags, a severity of its own, or the group that it is to be of.
///
/// ```
/// use orderscope::errors::{Details, capture_error_with};
///
/// # let declined = std::fmt::Error;
/// capture_error_with(
///     &declined,
///     Details::new()
///         .tag("order_id", 1024)
///         .tag("provider", "girocard")
///         .fingerprint("card declined"),
/// );
/// ```
///
/// # Panics
///
/// Never.
#[track_caller]
pub fn capture_error_with<E: Error + ?Sized>(error: &E, details: Details<'_>) {
    capture(
        &Told::new(&error, any::type_name::<E>()),
        &details,
        Location::caller(),
    );
}

/// Of errors that come with none.
static PLAIN: Details<'static> = Details::new();

fn capture(told: &Told<'_>, details: &Details<'_>, at: &Location<'_>) {
    let Some(pipeline) = context::pipeline() else {
        return pipeline::count_unclaimed();
    };
    if pipeline.handoff.is_lost_by_fork(Signal::Logs) {
        return;
    }
    let given = details.given_fingerprint();
    let given = given.map(|text| Fingerprint::of_words(&[text]));
    told.with_type(|type_name| {
        let raise = Raise {
            severity: details.given_severity(),
            is_handled: true,
            type_name,
            place: Some(place(at)),
            fingerprint: given,
        };
        let (key, raised) = raise.look(WAY, Some(pipeline));
        raise.count(pipeline, key);
        let Some(raised) = raised else {
            return;
        };
        let log = raise.log(pipeline);
        let when = log.at;
        let record = Record::Error(log, raised);
        told.with_text(pipeline.settings.record_limits, |text| {
            let exception = Exception {
                type_name,
                message: text.message,
                causes: text.causes,
                is_handled: true,
                when,
                at: exception::in_a_file_of_the_program(at),
            };
            pipeline.record(record, |fields| {
                exception.compose(fields);
                details.describe(fields);
                context::note_record(when, Happened::Error, type_name, fields);
            });
        });
    });
}

#[cfg(test)]
mod planted {
    //! Requests and records of this room's tests.

    use super::*;
    use crate::{
        context::{Request, TraceContext, enter},
        ids::{SpanId, TraceId},
        pipeline::Pipeline,
        records::{Log, Value, read},
    };

    pub(super) fn pipeline() -> &'static Pipeline {
        Pipeline::for_tests(&[Signal::Logs])
    }

    pub(super) fn request(pipeline: &'static Pipeline) -> Box<Request> {
        Box::new(Request {
            trace: TraceContext {
                trace_id: TraceId::random(),
                span_id: SpanId::random(),
                sampled: true,
                state: None,
            },
            pipeline,
            route: Some("/orders/{id}"),
            method: "PUT",
            identity: None,
            panic_is_recorded: false,
            trail: None,
            repeats: None,
        })
    }

    /// Runs `code` for a request of this pipeline.
    pub(super) fn within<T>(pipeline: &'static Pipeline, code: impl FnOnce() -> T) -> T {
        let mut request = Some(request(pipeline));
        let _entered = enter(&mut request);
        code()
    }

    /// A record that was handed off, with its fields by name.
    #[derive(Debug)]
    pub(super) struct Told {
        pub(super) record: Record,
        pub(super) fields: Vec<u8>,
    }

    impl Told {
        pub(super) fn all(pipeline: &Pipeline) -> Vec<Self> {
            let drained = pipeline.handoff.drain().into_iter();
            drained
                .map(|(record, fields)| Self { record, fields })
                .collect()
        }

        /// The only one.
        pub(super) fn one(pipeline: &Pipeline) -> Self {
            let mut all = Self::all(pipeline);
            assert_eq!(all.len(), 1, "{all:?}");
            all.remove(0)
        }

        pub(super) fn value(&self, name: &str) -> Option<Value<'_>> {
            let mut found = read(&self.fields).filter(|(known, _)| *known == name);
            let value = found.next().map(|(_, value)| value);
            assert!(found.next().is_none(), "{name} is there twice");
            value
        }

        #[track_caller]
        pub(super) fn text(&self, name: &str) -> &str {
            match self.value(name) {
                Some(Value::Text(text)) => text,
                other => panic!("{name} is {other:?}"),
            }
        }

        pub(super) fn log(&self) -> &Log {
            match &self.record {
                Record::Error(log, _) | Record::Log(log) => log,
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn counted(pipeline: &Pipeline, severity: Severity, is_handled: bool) -> u64 {
        pipeline.counters.exceptions(severity, is_handled).read()
    }

    pub(super) fn counted_type(pipeline: &Pipeline, type_name: &str) -> u64 {
        pipeline.counters.exceptions_by_type.get(type_name).read()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        planted::{Told, counted, counted_type, pipeline, within},
        *,
    };
    use crate::{
        records::{Priority, Value},
        semconv, stack,
    };
    use std::{fmt, sync::Arc};

    /// Says what it is given, and has the cause that it is given.
    #[derive(Debug)]
    struct Failed(&'static str, Option<Box<Failed>>);

    impl fmt::Display for Failed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Failed {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    fn failed(said: &'static str) -> Failed {
        Failed(said, None)
    }

    fn because(said: &'static str, cause: Failed) -> Failed {
        Failed(said, Some(Box::new(cause)))
    }

    const FAILED: &str = "orderscope::instrumentation::errors::tests::Failed";

    fn captured<E: Error + ?Sized>(error: &E) -> Told {
        let pipeline = pipeline();
        within(pipeline, || capture_error(error));
        Told::one(pipeline)
    }

    #[test]
    fn an_error_is_told_with_its_place_its_request_and_its_chain() {
        let pipeline = pipeline();
        let chain = because("order 7", because("payment", failed("timed out")));
        let (active, line) = within(pipeline, || {
            context::identify("u-1", "s-2");
            let line = line!() + 1;
            capture_error(&chain);
            (context::active(), line)
        });
        let told = Told::one(pipeline);
        assert_eq!(told.record.priority(), Priority::Errors);
        assert_eq!(told.log().context, active);
        assert_eq!(told.log().severity, Severity::Error);
        assert_eq!(told.log().event_name, "exception");
        let message = "order 7: payment: timed out";
        for (name, value) in [
            ("", message),
            (semconv::EXCEPTION_MESSAGE, message),
            (semconv::EXCEPTION_TYPE, FAILED),
            (semconv::CODE_FILE_PATH, file!()),
            (semconv::HTTP_ROUTE, "/orders/{id}"),
            (semconv::HTTP_REQUEST_METHOD, "PUT"),
            (semconv::USER_ID, "u-1"),
            (semconv::SESSION_ID, "s-2"),
        ] {
            assert_eq!(told.text(name), value, "{name}");
        }
        let line = Value::Integer(line.into());
        assert_eq!(told.value(semconv::CODE_LINE_NUMBER), Some(line));
        let handled = told.value(semconv::ERROR_HANDLED);
        assert_eq!(handled, Some(Value::Boolean(true)));
        assert!(told.text(semconv::THREAD_NAME).contains("an_error_is_told"));
        assert_eq!(counted(pipeline, Severity::Error, true), 1);
        assert_eq!(counted(pipeline, Severity::Error, false), 0);
        assert_eq!(counted_type(pipeline, FAILED), 1);
    }

    #[test]
    fn an_error_is_as_grave_as_it_is_said_to_be() {
        let pipeline = pipeline();
        within(pipeline, || {
            capture_error_as(&failed("captured twice"), Severity::Critical);
        });
        assert_eq!(Told::one(pipeline).log().severity, Severity::Critical);
        assert_eq!(counted(pipeline, Severity::Critical, true), 1);
    }

    #[test]
    fn the_type_of_a_trait_object_is_what_its_debug_begins_with() {
        let boxed: Box<dyn Error + Send + Sync> = Box::new(failed("x"));
        assert_eq!(captured(&*boxed).text(semconv::EXCEPTION_TYPE), "Failed");
        let shared: Arc<dyn Error> = Arc::new(failed("x"));
        assert_eq!(captured(&shared).text(semconv::EXCEPTION_TYPE), "Failed");
        let of_text: Box<dyn Error> = "Hunter2".into();
        let told = captured(&*of_text);
        assert_eq!(told.text(semconv::EXCEPTION_TYPE), "dyn Error");
        assert_eq!(told.text(""), "Hunter2");
        let sized = Box::new(failed("x"));
        assert_eq!(captured(&sized).text(semconv::EXCEPTION_TYPE), FAILED);
    }

    #[test]
    fn captured_within_a_chain_it_names_no_place_of_the_standard_library() {
        let pipeline = pipeline();
        within(pipeline, || {
            let _ = Err::<(), _>(failed("x")).inspect_err(capture_error);
        });
        let told = Told::one(pipeline);
        let file = told.value(semconv::CODE_FILE_PATH);
        assert!(file.is_none(), "{file:?}");
    }

    #[test]
    fn each_cause_is_told_with_its_type() {
        let chain = because(
            "order 7",
            because("payment\nof two lines", failed("timed out")),
        );
        let causes = "Failed: payment of two lines\nFailed: timed out";
        assert_eq!(captured(&chain).text(semconv::ERROR_CAUSES), causes);
        let none = captured(&failed("alone"));
        assert_eq!(none.value(semconv::ERROR_CAUSES), None);
        #[derive(Debug)]
        struct NoAmount(std::num::ParseIntError);
        impl fmt::Display for NoAmount {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no amount")
            }
        }
        impl Error for NoAmount {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let told = captured(&NoAmount("x".parse::<u8>().unwrap_err()));
        let causes = "std::num::ParseIntError: invalid digit found in string";
        assert_eq!(told.text(semconv::ERROR_CAUSES), causes);
    }

    #[test]
    fn a_cause_that_the_message_ends_with_is_not_said_twice() {
        let chain = because(
            "query: refused",
            because("refused", because("", failed("os"))),
        );
        assert_eq!(captured(&chain).text(""), "query: refused: os");
    }

    #[test]
    fn an_error_that_is_its_own_cause_comes_to_an_end() {
        #[derive(Debug)]
        struct Ring(std::cell::Cell<u8>);
        impl fmt::Display for Ring {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.set(self.0.get() + 1);
                write!(f, "{}", self.0.get())
            }
        }
        impl Error for Ring {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(Box::leak(Box::new(Ring(self.0.clone()))))
            }
        }
        let told = captured(&Ring(0.into()));
        let message = told.text("");
        assert!(message.starts_with("1: 2: 3: "), "{message}");
        assert!(message.ends_with("16: 17: …"), "{message}");
    }

    #[test]
    fn a_display_that_panics_is_noted_and_the_causes_are_told() {
        #[derive(Debug)]
        struct Clumsy(Failed);
        impl fmt::Display for Clumsy {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                panic!("planted")
            }
        }
        impl Error for Clumsy {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let told = captured(&Clumsy(failed("cause")));
        assert_eq!(told.text(""), "half(its Display panicked): cause");
        // What was composed meanwhile is whole.
        assert_eq!(told.text(semconv::HTTP_ROUTE), "/orders/{id}");
    }

    #[test]
    fn a_debug_or_a_source_that_panics_costs_a_type_or_the_causes_and_nothing_else() {
        struct Silent;
        impl fmt::Debug for Silent {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("planted")
            }
        }
        impl fmt::Display for Silent {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("said")
            }
        }
        impl Error for Silent {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                panic!("planted")
            }
        }
        let boxed: Box<dyn Error> = Box::new(Silent);
        let told = captured(&*boxed);
        assert_eq!(told.text(""), "said");
        assert_eq!(told.text(semconv::EXCEPTION_TYPE), "dyn Error");
        assert_eq!(told.value(semconv::ERROR_CAUSES), None);
        assert_eq!(told.text(semconv::HTTP_ROUTE), "/orders/{id}");
    }

    #[test]
    fn an_error_that_captures_itself_comes_to_an_end_and_each_is_told() {
        #[derive(Debug)]
        struct Talkative;
        impl fmt::Display for Talkative {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                capture_error(self);
                f.write_str("said")
            }
        }
        impl Error for Talkative {}
        let pipeline = pipeline();
        within(pipeline, || {
            capture_error(&Talkative);
            capture_error(&Talkative);
        });
        let told = Told::all(pipeline);
        let asked = told.iter().filter(|told| told.text("") == "said").count();
        assert_eq!((told.len(), asked), (6, 4));
        assert_eq!(counted(pipeline, Severity::Error, true), 6);
    }

    #[test]
    fn secrets_in_messages_and_causes_are_masked() {
        let chain = because(
            "redis://:hunter2@cache is away",
            failed("password=hunter3 card 4111 1111 1111 1111"),
        );
        let told = captured(&chain);
        let fields = String::from_utf8_lossy(&told.fields);
        for secret in ["hunter", "1111"] {
            assert!(!fields.contains(secret), "{fields}");
        }
        assert!(told.text("").contains("is away"), "{fields}");
    }

    #[test]
    fn a_message_without_end_is_cut_and_counted() {
        #[derive(Debug)]
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("naïve ")?;
                }
            }
        }
        impl Error for Endless {}
        let told = captured(&Endless);
        let limits = crate::records::Limits::default();
        assert!(told.text("").len() <= limits.message_bytes);
        assert!(told.text(semconv::EXCEPTION_MESSAGE).len() <= limits.value_bytes);
    }

    #[test]
    #[ignore = "prints what one error costs: run it alone, in release"]
    fn what_an_error_costs() {
        #[inline(never)]
        fn at_depth(depth: usize, code: &mut dyn FnMut()) {
            match depth {
                0 => code(),
                _ => at_depth(std::hint::black_box(depth - 1), code),
            }
            std::hint::black_box(());
        }
        const TIMES: u32 = 1_000;
        let pipeline = pipeline();
        let chain = because("order 7", because("payment", failed("timed out")));
        for depth in [0, 20, 60] {
            within(pipeline, || {
                context::identify("u-1", "s-2");
                at_depth(depth, &mut || {
                    let frames = stack::capture().frames().len();
                    for _ in 0..3 {
                        pipeline.handoff.drain();
                        let begun = pipeline.clock.now();
                        for _ in 0..TIMES {
                            capture_error(&chain);
                        }
                        let took = (pipeline.clock.now() - begun) / TIMES;
                        let begun = pipeline.clock.now();
                        for _ in 0..TIMES {
                            std::hint::black_box(stack::capture());
                        }
                        let walk = (pipeline.clock.now() - begun) / TIMES;
                        eprintln!("{frames} frames: {took:?}, of which the walk {walk:?}");
                    }
                });
            });
        }
    }
}
