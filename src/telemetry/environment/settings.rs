//! All that the environment says of traces, logs and metrics, read at once.

use super::{
    Variables,
    batching::{self, Batching, PushTimes},
    exporters, otlp, sampling, values,
};
use crate::{
    error::Error,
    export::Destination,
    pipeline::{Exemplars, Sampling},
    records::Limits,
};

const DISABLED: &str = "OTEL_SDK_DISABLED";

/// What the environment says; the defaults, where it says nothing.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Nothing is recorded and nothing sent. The rest, but for `propagates_trace`, was not read.
    pub(crate) is_disabled: bool,
    /// `None`: OTLP is off. It has been checked.
    pub(crate) destination: Option<Destination>,
    /// Whether `OTEL_METRICS_EXPORTER` asks for the metrics page; `None`: it is not set.
    pub(crate) prometheus: Option<bool>,
    pub(crate) sampling: Sampling,
    /// Whether `traceparent` is read and passed on.
    pub(crate) propagates_trace: bool,
    pub(crate) exemplars: Exemplars,
    pub(crate) spans: Batching,
    pub(crate) logs: Batching,
    pub(crate) pushes: PushTimes,
    pub(crate) limits: Limits,
    /// What is accepted without the effect that it asks for. No secret is in them.
    pub(crate) warnings: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_disabled: false,
            destination: None,
            prometheus: None,
            sampling: Sampling::default(),
            propagates_trace: true,
            exemplars: Exemplars::default(),
            spans: Batching::spans(),
            logs: Batching::logs(),
            pushes: PushTimes::default(),
            limits: Limits::default(),
            warnings: Vec::new(),
        }
    }
}

/// Reads every variable that has an effect.
pub(crate) fn settings(variables: &impl Variables) -> Result<Settings, Error> {
    let mut warnings = Vec::new();
    let is_disabled = values::word(variables, DISABLED, &[("true", true), ("false", false)], "")?;
    // The specification has it read though the rest is disabled.
    let propagates_trace = sampling::propagates_trace(variables, &mut warnings)?;
    if is_disabled == Some(true) {
        return Ok(Settings {
            is_disabled: true,
            propagates_trace,
            warnings,
            ..Settings::default()
        });
    }
    let exporters = exporters::exporters(variables, &mut warnings)?;
    Ok(Settings {
        is_disabled: false,
        destination: otlp::destination(variables, &exporters, &mut warnings)?,
        prometheus: exporters.prometheus,
        sampling: sampling::sampler(variables, &mut warnings)?,
        propagates_trace,
        exemplars: sampling::exemplars(variables)?,
        spans: batching::spans(variables, &mut warnings)?,
        logs: batching::logs(variables, &mut warnings)?,
        pushes: batching::pushes(variables)?,
        limits: batching::limits(variables)?,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::Given, *};

    #[test]
    fn with_nothing_set_otlp_is_off_and_nothing_is_warned_of() {
        let settings = settings(&Given(&[])).unwrap();
        assert!(!settings.is_disabled && settings.destination.is_none());
        assert!(settings.prometheus.is_none() && settings.propagates_trace);
        assert_eq!(settings.sampling, Sampling::default());
        assert!(settings.warnings.is_empty());
    }

    #[test]
    fn what_is_disabled_is_not_read() {
        let settings = settings(&Given(&[
            (DISABLED, "TRUE"),
            ("OTEL_PROPAGATORS", "none"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "no address"),
            ("OTEL_TRACES_SAMPLER", "no sampler"),
        ]))
        .unwrap();
        assert!(settings.is_disabled && settings.destination.is_none());
        assert!(!settings.propagates_trace);
    }

    #[test]
    fn all_warnings_are_in_one_list() {
        let settings = settings(&Given(&[
            (DISABLED, "false"),
            ("OTEL_PROPAGATORS", "tracecontext,baggage"),
            ("OTEL_TRACES_EXPORTER", "console"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER_ARG", "1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
        ]))
        .unwrap();
        assert!(!settings.is_disabled);
        let named: Vec<_> = settings
            .warnings
            .iter()
            .filter_map(|warning| warning.split([' ', ':']).next())
            .collect();
        assert_eq!(
            named,
            [
                "OTEL_PROPAGATORS",
                "OTEL_TRACES_EXPORTER",
                "OTEL_LOGS_EXPORTER",
                "OTEL_TRACES_SAMPLER_ARG",
                "OTEL_BSP_MAX_QUEUE_SIZE",
            ]
        );
    }

    #[test]
    fn every_value_that_is_not_accepted_is_named_with_what_is() {
        for (name, value, accepted) in [
            (DISABLED, "1", "`true` or `false`"),
            (
                "OTEL_PROPAGATORS",
                "b3",
                "`tracecontext`, `baggage` or `none`, or a list of them",
            ),
            (
                "OTEL_PROPAGATORS",
                "none,baggage",
                "`none` alone, or a list without it",
            ),
            ("OTEL_TRACES_EXPORTER", "zipkin", "`otlp` or `none`"),
            ("OTEL_LOGS_EXPORTER", "file", "`otlp` or `none`"),
            (
                "OTEL_METRICS_EXPORTER",
                "statsd",
                "`otlp`, `prometheus` or `none`",
            ),
            (
                "OTEL_TRACES_SAMPLER",
                "jaeger_remote",
                "`always_on`, `always_off`, `traceidratio`, `parentbased_always_on`, \
                 `parentbased_always_off` or `parentbased_traceidratio`",
            ),
            (
                "OTEL_METRICS_EXEMPLAR_FILTER",
                "all",
                "`always_on`, `always_off` or `trace_based`",
            ),
            (
                "OTEL_METRIC_EXPORT_INTERVAL",
                "0",
                "whole milliseconds, 1 to 4294967295",
            ),
            (
                "OTEL_METRIC_EXPORT_TIMEOUT",
                "30s",
                "whole milliseconds, 1 to 4294967295",
            ),
            (
                "OTEL_BSP_SCHEDULE_DELAY",
                "-1",
                "whole milliseconds, 0 to 4294967295",
            ),
            (
                "OTEL_BSP_EXPORT_TIMEOUT",
                "0",
                "whole milliseconds, 1 to 4294967295",
            ),
            (
                "OTEL_BSP_MAX_QUEUE_SIZE",
                "0",
                "a whole number, 1 to 4294967295",
            ),
            (
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
                "0",
                "a whole number, 1 to 4294967295",
            ),
            (
                "OTEL_BLRP_SCHEDULE_DELAY",
                "1.5",
                "whole milliseconds, 0 to 4294967295",
            ),
            (
                "OTEL_BLRP_EXPORT_TIMEOUT",
                "x",
                "whole milliseconds, 1 to 4294967295",
            ),
            (
                "OTEL_BLRP_MAX_QUEUE_SIZE",
                "x",
                "a whole number, 1 to 4294967295",
            ),
            (
                "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
                "x",
                "a whole number, 1 to 4294967295",
            ),
            (
                "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                "-1",
                "a whole number, 0 to 4294967295",
            ),
            (
                "OTEL_ATTRIBUTE_COUNT_LIMIT",
                "many",
                "a whole number, 0 to 4294967295",
            ),
        ] {
            let error = settings(&Given(&[(name, value)])).unwrap_err();
            assert!(error.is_configuration());
            let message = error.to_string();
            let expected = format!("{name} is {value:?}, but must be {accepted}");
            assert!(message.starts_with(&expected), "{message}");
        }
        for ratio in ["1.1", "-0.1", "NaN", "half"] {
            let error = settings(&Given(&[
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", ratio),
            ]))
            .unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "OTEL_TRACES_SAMPLER_ARG is {ratio:?}, but must be the share of traces to \
                     record, 0 to 1, such as 0.25"
                )
            );
        }
    }
}
