//! When records and metrics leave, and how many at once: `OTEL_BSP_…` for spans, `OTEL_BLRP_…` for
//! log records, `OTEL_METRIC_EXPORT_…`; and how much a record may hold: `OTEL_ATTRIBUTE_…`.

use super::{Variables, values};
use crate::{error::Error, records::Limits};
use std::time::Duration;

const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const TIMEOUT: &str = "OTEL_METRIC_EXPORT_TIMEOUT";
const VALUE_LENGTH: &str = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT";
const COUNT: &str = "OTEL_ATTRIBUTE_COUNT_LIMIT";

/// How records of one signal are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batching {
    /// Between two requests, 1 ms or more.
    pub(crate) delay: Duration,
    /// Of one batch, all its attempts included.
    pub(crate) timeout: Duration,
    /// Records of one request.
    pub(crate) records: usize,
}

/// When metrics are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PushTimes {
    /// Between the starts of two pushes. Default: 60 seconds.
    pub(crate) interval: Duration,
    /// Of one push, all its attempts included. Default: 30 seconds.
    pub(crate) timeout: Duration,
}

impl Batching {
    /// The specification's defaults, but for the time.
    pub(crate) fn spans() -> Self {
        Self {
            delay: Duration::from_secs(5),
            // The specification has 30 seconds, in which a collector is hardly restarted.
            timeout: Duration::from_secs(300),
            records: 512,
        }
    }

    /// The specification's default.
    pub(crate) fn logs() -> Self {
        Self {
            delay: Duration::from_secs(1),
            ..Self::spans()
        }
    }
}

impl Default for PushTimes {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
        }
    }
}

pub(super) fn spans(
    variables: &impl Variables,
    warnings: &mut Vec<String>,
) -> Result<Batching, Error> {
    batching(variables, "OTEL_BSP", Batching::spans(), warnings)
}

pub(super) fn logs(
    variables: &impl Variables,
    warnings: &mut Vec<String>,
) -> Result<Batching, Error> {
    batching(variables, "OTEL_BLRP", Batching::logs(), warnings)
}

fn batching(
    variables: &impl Variables,
    prefix: &str,
    default: Batching,
    warnings: &mut Vec<String>,
) -> Result<Batching, Error> {
    let name = |option| format!("{prefix}_{option}");
    // Zero is no delay to the specification; a timer needs one.
    let delay = values::duration(variables, &name("SCHEDULE_DELAY"), 0)?
        .map(|delay| delay.max(Duration::from_millis(1)));
    let timeout = values::duration(variables, &name("EXPORT_TIMEOUT"), 1)?;
    let records = values::number(variables, &name("MAX_EXPORT_BATCH_SIZE"), 1)?;
    let queue = name("MAX_QUEUE_SIZE");
    if values::number(variables, &queue, 1)?.is_some() {
        warnings.push(format!(
            "{queue} has no effect: the queue is bounded in bytes, not in records"
        ));
    }
    Ok(Batching {
        delay: delay.unwrap_or(default.delay),
        timeout: timeout.unwrap_or(default.timeout),
        records: records.unwrap_or(default.records),
    })
}

pub(super) fn pushes(variables: &impl Variables) -> Result<PushTimes, Error> {
    let default = PushTimes::default();
    let interval = values::duration(variables, INTERVAL, 1)?;
    let timeout = values::duration(variables, TIMEOUT, 1)?;
    Ok(PushTimes {
        interval: interval.unwrap_or(default.interval),
        timeout: timeout.unwrap_or(default.timeout),
    })
}

/// The specification counts characters; these are bytes, cut at a character.
pub(super) fn limits(variables: &impl Variables) -> Result<Limits, Error> {
    let default = Limits::default();
    Ok(Limits {
        value_bytes: values::number(variables, VALUE_LENGTH, 0)?.unwrap_or(default.value_bytes),
        fields: values::number(variables, COUNT, 0)?.unwrap_or(default.fields),
        ..default
    })
}

#[cfg(test)]
mod tests {
    use super::{super::Given, *};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_defaults_are_those_of_the_specification_but_for_the_time() {
        let (none, mut warnings) = (Given(&[]), Vec::new());
        let spans = spans(&none, &mut warnings).unwrap();
        let logs = logs(&none, &mut warnings).unwrap();
        assert_eq!((spans.delay, logs.delay), (5 * SECOND, SECOND));
        assert_eq!((spans.timeout, logs.timeout), (300 * SECOND, 300 * SECOND));
        assert_eq!((spans.records, logs.records), (512, 512));
        let pushes = pushes(&none).unwrap();
        assert_eq!(
            (pushes.interval, pushes.timeout),
            (60 * SECOND, 30 * SECOND)
        );
        let limits = limits(&none).unwrap();
        assert_eq!((limits.value_bytes, limits.fields), (4_096, 128));
        assert!(warnings.is_empty());
    }

    #[test]
    fn spans_and_log_records_are_batched_by_variables_of_their_own() {
        let given = Given(&[
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "2000"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "64"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "4096"),
        ]);
        let mut warnings = Vec::new();
        let spans = spans(&given, &mut warnings).unwrap();
        assert_eq!(spans.delay, Duration::from_millis(1));
        assert_eq!((spans.timeout, spans.records), (2 * SECOND, 512));
        assert!(warnings.is_empty());
        let logs = logs(&given, &mut warnings).unwrap();
        assert_eq!((logs.delay, logs.records), (SECOND, 64));
        assert_eq!(
            warnings,
            [
                "OTEL_BLRP_MAX_QUEUE_SIZE has no effect: the queue is bounded in bytes, not in records"
            ]
        );
    }

    #[test]
    fn pushes_and_limits_are_read() {
        let given = Given(&[
            (INTERVAL, "1000"),
            (TIMEOUT, "2000"),
            (VALUE_LENGTH, "256"),
            (COUNT, "0"),
        ]);
        let pushes = pushes(&given).unwrap();
        assert_eq!((pushes.interval, pushes.timeout), (SECOND, 2 * SECOND));
        let limits = limits(&given).unwrap();
        assert_eq!((limits.value_bytes, limits.fields), (256, 0));
        assert_eq!(limits.message_bytes, Limits::default().message_bytes);
    }
}
