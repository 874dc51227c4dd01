//! `OTEL_TRACES_EXPORTER`, `OTEL_LOGS_EXPORTER`, `OTEL_METRICS_EXPORTER`: which way each signal
//! leaves.

use super::{Variables, values::Words};
use crate::{error::Error, export::Signal};

/// What each signal leaves by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exporters {
    /// By `Signal as usize`.
    pub(super) otlp: [Choice; 3],
    /// Whether the metrics page is asked for, or not wanted; `None`: not said.
    pub(super) prometheus: Option<bool>,
}

/// Whether a signal goes out over OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Choice {
    /// Where an endpoint is set.
    #[default]
    Unsaid,
    Wanted,
    Unwanted,
}

pub(super) fn variable(signal: Signal) -> String {
    format!("OTEL_{}_EXPORTER", signal.name().to_uppercase())
}

pub(super) fn exporters(
    variables: &impl Variables,
    warnings: &mut Vec<String>,
) -> Result<Exporters, Error> {
    let mut exporters = Exporters::default();
    for signal in Signal::ALL {
        let name = variable(signal);
        let Some(words) = Words::read(variables, &name)? else {
            continue;
        };
        let known: &[&str] = match signal {
            Signal::Metrics => &["otlp", "prometheus", "none"],
            Signal::Traces | Signal::Logs => &["otlp", "none"],
        };
        words.check(known, &["console"])?;
        if words.has("console") {
            warnings.push(format!(
                "{name}: `console` is not offered and prints nothing; lines of log go to stderr \
                 by `install()`"
            ));
        }
        exporters.otlp[signal as usize] = match words.has("otlp") {
            true => Choice::Wanted,
            false => Choice::Unwanted,
        };
        if signal == Signal::Metrics {
            exporters.prometheus = Some(words.has("prometheus"));
        }
    }
    Ok(exporters)
}

#[cfg(test)]
mod tests {
    use super::{super::Given, *};
    use Choice::{Unsaid, Unwanted, Wanted};

    fn read(given: &[(&str, &str)]) -> (Exporters, Vec<String>) {
        let mut warnings = Vec::new();
        let exporters = exporters(&Given(given), &mut warnings).unwrap();
        (exporters, warnings)
    }

    #[test]
    fn each_signal_is_chosen_by_its_own_variable() {
        assert_eq!(read(&[]), (Exporters::default(), Vec::new()));
        let (read, warnings) = read(&[
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "Prometheus, otlp,otlp"),
        ]);
        assert_eq!(read.otlp, [Unwanted, Unsaid, Wanted]);
        assert_eq!(read.prometheus, Some(true));
        assert!(warnings.is_empty());
    }

    #[test]
    fn metrics_for_otlp_alone_ask_for_no_page() {
        let prometheus = |value| read(&[("OTEL_METRICS_EXPORTER", value)]).0.prometheus;
        assert_eq!(prometheus("otlp"), Some(false));
        assert_eq!(prometheus("none"), Some(false));
        assert_eq!(prometheus(""), None);
    }

    #[test]
    fn the_console_is_warned_of() {
        let (read, warnings) = read(&[("OTEL_LOGS_EXPORTER", "console")]);
        assert_eq!(read.otlp, [Unsaid, Unwanted, Unsaid]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("OTEL_LOGS_EXPORTER: `console` "));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (name, value, accepted) in [
            (
                "OTEL_TRACES_EXPORTER",
                "OTLP, zipkin",
                "`otlp` or `none`, or a list of them, which \"zipkin\" is not",
            ),
            (
                "OTEL_LOGS_EXPORTER",
                "prometheus",
                "`otlp` or `none`, or a list of them, which \"prometheus\" is not",
            ),
            (
                "OTEL_METRICS_EXPORTER",
                "statsd",
                "`otlp`, `prometheus` or `none`, or a list of them, which \"statsd\" is not",
            ),
            (
                "OTEL_METRICS_EXPORTER",
                "none,otlp",
                "`none` alone, or a list without it",
            ),
        ] {
            let error = exporters(&Given(&[(name, value)]), &mut Vec::new()).unwrap_err();
            let expected = format!("{name} is {value:?}, but must be {accepted}");
            assert_eq!(error.to_string(), expected);
        }
    }
}
