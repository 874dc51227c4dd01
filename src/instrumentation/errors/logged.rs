//! Errors that lines of log carry: `tracing::error!(error = &error as &dyn Error, …)`.

use super::{
    exception::{Exception, describe_method},
    raise::{Raise, WAY_OF_A_LINE},
    told::Told,
};
use crate::{
    pipeline::{ErrorTap, LoggedError, Pipeline},
    records::{EXCEPTION, Fields, Log, Record},
};
use compact_str::CompactString;

#[derive(Debug)]
pub(super) struct Tap {
    pub(super) pipeline: &'static Pipeline,
}

impl ErrorTap for Tap {
    fn logged(&self, logged: LoggedError<'_>, compose: &mut dyn FnMut(&mut Fields)) -> Option<Log> {
        let pipeline = self.pipeline;
        let LoggedError { error, log, .. } = logged;
        let told = Told::of_any(error);
        told.with_type(|type_name| {
            let raise = Raise {
                severity: log.severity,
                is_handled: true,
                type_name,
                place: logged.file.zip(logged.line),
                fingerprint: None,
            };
            let (key, raised) = raise.look(WAY_OF_A_LINE, Some(pipeline));
            raise.count(pipeline, key);
            let Some(raised) = raised else {
                return Some(log);
            };
            let log = Log {
                event_name: CompactString::const_new(EXCEPTION),
                ..log
            };
            let when = log.at;
            let record = Record::Error(log, raised);
            told.with_text(pipeline.settings.record_limits, |text| {
                let exception = Exception {
                    type_name,
                    message: text.message,
                    causes: text.causes,
                    is_handled: true,
                    when,
                    at: None,
                };
                pipeline.record(record, |fields| {
                    if !logged.has_message {
                        fields.message(text.message);
                    }
                    exception.describe(fields);
                    compose(fields);
                    describe_method(fields);
                });
            });
            None
        })
    }
}
