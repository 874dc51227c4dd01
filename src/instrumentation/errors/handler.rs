//! Errors that a handler answers with.

use super::{
    exception::{Exception, describe_request, in_a_file_of_the_program, place},
    raise::{Raise, WAY},
    told::Told,
};
use crate::{
    clock::Clock,
    context,
    fork::Lock,
    pipeline::{self, Pipeline},
    records::{EXCEPTION, Fields, Limits, Log, Raised, Record, Severity, Signal},
    semconv,
};
use ::http::StatusCode;
use compact_str::CompactString;
use std::{any, error::Error, fmt, panic::Location, sync::Arc};

/// An error on its way to the HTTP layer, in the extensions of the response that it made. It is
/// recorded once: with the status, when the layer sees it in a response of 400 and beyond; else
/// when its last clone is dropped.
///
/// Its stack, its message and its causes are taken where it is made, so make it where the error is
/// still at hand:
///
/// ```
/// use axum::{Extension, http::StatusCode, response::{IntoResponse, Response}};
/// use orderscope::errors::HandlerError;
///
/// struct OrderError(std::io::Error);
///
/// impl IntoResponse for OrderError {
///     fn into_response(self) -> Response {
///         let error = Extension(HandlerError::new(&self.0));
///         (StatusCode::BAD_GATEWAY, error, "the kitchen does not answer").into_response()
///     }
/// }
/// # let response = OrderError(std::io::ErrorKind::TimedOut.into()).into_response();
/// # assert_eq!(response.status(), 502);
/// ```
#[derive(Clone)]
pub struct HandlerError(Arc<Carried>);

struct Carried {
    type_name: CompactString,
    /// `None`: recorded, or lost.
    pending: Lock<Option<Pending>>,
}

/// What is known where the error is made.
struct Pending {
    pipeline: Option<&'static Pipeline>,
    severity: Severity,
    /// Of its site.
    key: u64,
    /// `None`: its group has been told often enough; it is only counted.
    whole: Option<Whole>,
}

struct Whole {
    log: Log,
    raised: Box<Raised>,
    fields: Vec<u8>,
    /// Whether `fields` say which request it is of.
    is_of_request: bool,
}

impl HandlerError {
    /// Of severity `ERROR`. The error may be a trait object, as [`capture_error`] has it.
    ///
    /// [`capture_error`]: super::capture_error
    ///
    /// # Panics
    ///
    /// Never; an error's `Display` that does is noted in the message.
    #[track_caller]
    pub fn new<E: Error + ?Sized>(error: &E) -> Self {
        Self::carrying(
            &Told::new(&error, any::type_name::<E>()),
            Location::caller(),
        )
    }

    fn carrying(told: &Told<'_>, at: &Location<'_>) -> Self {
        let pipeline = context::pipeline();
        if pipeline.is_some_and(|pipeline| pipeline.handoff.is_lost_by_fork(Signal::Logs)) {
            return Self(Arc::new(Carried {
                type_name: CompactString::default(),
                pending: Lock::new(None),
            }));
        }
        told.with_type(|type_name| {
            let raise = raised_here(Severity::Error, type_name, Some(place(at)));
            let (key, raised) = raise.look(WAY, pipeline);
            let pending = Pending {
                pipeline,
                severity: Severity::Error,
                key,
                whole: raised.map(|raised| Whole::of(told, type_name, raised, at, pipeline)),
            };
            Self(Arc::new(Carried {
                type_name: type_name.into(),
                pending: Lock::new(Some(pending)),
            }))
        })
    }

    /// More or less grave than `ERROR`. No effect once it is recorded.
    #[must_use = "it is the same error, to be put into the response"]
    pub fn severity(self, severity: Severity) -> Self {
        if let Some(mut pending) = self.0.pending.hold()
            && let Some(pending) = &mut *pending
        {
            pending.severity = severity;
        }
        self
    }

    /// Called while the request is the current one.
    pub(super) fn reached_the_layer(&self, pipeline: &'static Pipeline, status: StatusCode) {
        self.0.record(Some((pipeline, status)));
    }
}

fn raised_here<'a>(
    severity: Severity,
    type_name: &'a str,
    place: Option<(&'a str, u32)>,
) -> Raise<'a> {
    Raise {
        severity,
        is_handled: true,
        type_name,
        place,
        fingerprint: None,
    }
}

impl Whole {
    fn of(
        told: &Told<'_>,
        type_name: &str,
        raised: Box<Raised>,
        at: &Location<'_>,
        pipeline: Option<&Pipeline>,
    ) -> Self {
        let limits =
            pipeline.map_or_else(Limits::default, |pipeline| pipeline.settings.record_limits);
        let when = match pipeline {
            Some(pipeline) => pipeline.clock.now(),
            None => Clock::system().now(),
        };
        let fields = told.with_text(limits, |text| {
            let exception = Exception {
                type_name,
                message: text.message,
                causes: text.causes,
                is_handled: true,
                when,
                at: in_a_file_of_the_program(at),
            };
            Fields::compose(limits, |fields| {
                exception.compose(fields);
                if let Some(pipeline) = pipeline {
                    pipeline.count_truncated(fields);
                }
                fields.as_bytes().to_vec()
            })
        });
        Self {
            log: Log {
                context: context::active(),
                at: when,
                severity: Severity::Error,
                event_name: CompactString::const_new(EXCEPTION),
            },
            raised,
            fields,
            is_of_request: context::with_request(|_| ()).is_some(),
        }
    }
}

impl Carried {
    fn record(&self, answered: Option<(&'static Pipeline, StatusCode)>) {
        // A statement of its own, so that the lock is given back.
        let pending = self.pending.hold().and_then(|mut pending| pending.take());
        let Some(pending) = pending else {
            return;
        };
        let of_layer = answered.map(|(pipeline, _)| pipeline);
        let Some(pipeline) = of_layer.or(pending.pipeline).or_else(context::pipeline) else {
            return pipeline::count_unclaimed();
        };
        let raise = raised_here(pending.severity, &self.type_name, None);
        raise.count(pipeline, pending.key);
        let Some(whole) = pending.whole else {
            return;
        };
        let mut log = Log {
            severity: pending.severity,
            ..whole.log
        };
        let mut fields = Fields::new(pipeline.settings.record_limits, whole.fields);
        if let Some((_, status)) = answered {
            fields.integer(semconv::HTTP_RESPONSE_STATUS_CODE, status.as_u16().into());
            if !whole.is_of_request {
                describe_request(&mut fields);
                log.context = log.context.or_else(context::active);
            }
        }
        pipeline.count_truncated(&fields);
        let record = Record::Error(log, whole.raised);
        pipeline.handoff.offer(record, fields.as_bytes());
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.record(None);
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError")
            .field("type", &self.0.type_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::planted::{Told, counted, counted_type, pipeline, within},
        *,
    };
    use crate::{context::current_trace, errors::watch, records::Value};
    use ::http::Extensions;

    const STATUS: &str = semconv::HTTP_RESPONSE_STATUS_CODE;

    fn response(pipeline: &Pipeline, error: &HandlerError) {
        let mut extensions = Extensions::new();
        extensions.insert(error.clone());
        let tap = pipeline.response_tap.get().unwrap();
        tap.response(StatusCode::BAD_GATEWAY, &extensions);
    }

    #[test]
    fn an_error_that_reaches_the_layer_is_recorded_once_with_the_status() {
        let pipeline = pipeline();
        watch(pipeline);
        let trace = within(pipeline, || {
            let error = HandlerError::new(&fmt::Error).severity(Severity::Critical);
            assert!(Told::all(pipeline).is_empty());
            response(pipeline, &error);
            response(pipeline, &error);
            drop(error);
            current_trace().unwrap()
        });
        let told = Told::one(pipeline);
        assert_eq!(told.value(STATUS), Some(Value::Integer(502)));
        assert_eq!(told.text(semconv::EXCEPTION_TYPE), "core::fmt::Error");
        assert_eq!(told.text(semconv::HTTP_ROUTE), "/orders/{id}");
        assert_eq!(told.text(semconv::CODE_FILE_PATH), file!());
        let log = told.log();
        assert_eq!(log.context.map(|span| span.span_id), Some(trace.span_id()));
        assert_eq!(counted(pipeline, Severity::Critical, true), 1);
        assert_eq!(counted_type(pipeline, "core::fmt::Error"), 1);
    }

    #[test]
    fn one_that_reaches_none_is_recorded_when_its_last_clone_goes() {
        let pipeline = pipeline();
        let (error, clone) = within(pipeline, || {
            let error = HandlerError::new(&fmt::Error);
            (error.clone(), error)
        });
        drop(error);
        assert!(Told::all(pipeline).is_empty());
        drop(clone);
        let told = Told::one(pipeline);
        assert_eq!(told.value(STATUS), None);
        assert_eq!(told.text(semconv::HTTP_ROUTE), "/orders/{id}");
        assert_eq!(counted(pipeline, Severity::Error, true), 1);
    }

    #[test]
    fn one_made_outside_the_request_learns_of_it_at_the_layer() {
        let pipeline = pipeline();
        watch(pipeline);
        let error = HandlerError::new(&fmt::Error);
        within(pipeline, || response(pipeline, &error));
        let told = Told::one(pipeline);
        assert_eq!(told.text(semconv::HTTP_ROUTE), "/orders/{id}");
        assert!(told.log().context.is_some());
    }

    #[test]
    fn it_shows_its_type_and_no_message() {
        let shown = format!("{:?}", HandlerError::new(&fmt::Error));
        assert_eq!(shown, "HandlerError { type: \"core::fmt::Error\", .. }");
    }
}
