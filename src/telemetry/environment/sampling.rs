//! Which traces are recorded, taken over and linked to from metrics: `OTEL_TRACES_SAMPLER`,
//! `OTEL_PROPAGATORS`, `OTEL_METRICS_EXEMPLAR_FILTER`.

use super::{
    Variables,
    values::{self, Words},
};
use crate::error::Error;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const PROPAGATORS: &str = "OTEL_PROPAGATORS";
const EXEMPLARS: &str = "OTEL_METRICS_EXEMPLAR_FILTER";

/// Which traces are recorded. Default: all, but for those that the caller does not record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SamplerSetting {
    /// What decides where there is no parent, and everywhere unless `parent_based`.
    pub(crate) sampling: Sampling,
    /// Whether a parent's decision is ours.
    pub(crate) parent_based: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sampling {
    AlwaysOn,
    AlwaysOff,
    /// This share of the traces, 0 to 1, chosen by their ids.
    Ratio(f64),
}

/// Which measurements may become exemplars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ExemplarFilter {
    AlwaysOn,
    AlwaysOff,
    /// Those within a trace that is recorded.
    #[default]
    TraceBased,
}

impl Default for SamplerSetting {
    fn default() -> Self {
        Self {
            sampling: Sampling::AlwaysOn,
            parent_based: true,
        }
    }
}

pub(super) fn sampler(
    variables: &impl Variables,
    warnings: &mut Vec<String>,
) -> Result<SamplerSetting, Error> {
    let of = |sampling, parent_based| SamplerSetting {
        sampling,
        parent_based,
    };
    let known = [
        ("always_on", of(Sampling::AlwaysOn, false)),
        ("always_off", of(Sampling::AlwaysOff, false)),
        ("traceidratio", of(Sampling::Ratio(1.0), false)),
        ("parentbased_always_on", of(Sampling::AlwaysOn, true)),
        ("parentbased_always_off", of(Sampling::AlwaysOff, true)),
        ("parentbased_traceidratio", of(Sampling::Ratio(1.0), true)),
    ];
    let setting = values::word(variables, SAMPLER, &known, "")?.unwrap_or_default();
    let Some(argument) = values::text(variables, ARGUMENT)? else {
        return Ok(setting);
    };
    if !matches!(setting.sampling, Sampling::Ratio(_)) {
        warnings.push(format!(
            "{ARGUMENT} is not read: it is the share of `traceidratio` and \
             `parentbased_traceidratio`, and {SAMPLER} is neither"
        ));
        return Ok(setting);
    }
    match argument.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(SamplerSetting {
            sampling: Sampling::Ratio(ratio),
            ..setting
        }),
        _ => Err(Error::configuration(
            ARGUMENT,
            argument,
            "the share of traces to record, 0 to 1, such as 0.25",
        )),
    }
}

/// Whether the trace of a caller is taken over, and ours is given to those we call. Default: yes.
pub(super) fn propagates_trace(
    variables: &impl Variables,
    warnings: &mut Vec<String>,
) -> Result<bool, Error> {
    let Some(words) = Words::read(variables, PROPAGATORS)? else {
        return Ok(true);
    };
    words.check(&["tracecontext", "baggage", "none"], &[])?;
    if words.has("baggage") {
        warnings.push(format!(
            "{PROPAGATORS}: `baggage` is off by default and is not switched on by a variable; it \
             is neither read nor passed on"
        ));
    }
    Ok(words.has("tracecontext"))
}

pub(super) fn exemplars(variables: &impl Variables) -> Result<ExemplarFilter, Error> {
    let known = [
        ("always_on", ExemplarFilter::AlwaysOn),
        ("always_off", ExemplarFilter::AlwaysOff),
        ("trace_based", ExemplarFilter::TraceBased),
    ];
    Ok(values::word(variables, EXEMPLARS, &known, "")?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{super::Given, *};

    fn sampler_of(given: &[(&str, &str)]) -> (Sampling, bool, usize) {
        let mut warnings = Vec::new();
        let setting = sampler(&Given(given), &mut warnings).unwrap();
        (setting.sampling, setting.parent_based, warnings.len())
    }

    #[test]
    fn the_six_samplers_are_known() {
        use Sampling::{AlwaysOff, AlwaysOn, Ratio};
        for (name, sampling, parent_based) in [
            ("", AlwaysOn, true),
            ("always_on", AlwaysOn, false),
            ("always_off", AlwaysOff, false),
            ("traceidratio", Ratio(1.0), false),
            ("parentbased_always_on", AlwaysOn, true),
            ("parentbased_always_off", AlwaysOff, true),
            ("ParentBased_TraceIdRatio", Ratio(1.0), true),
        ] {
            assert_eq!(sampler_of(&[(SAMPLER, name)]), (sampling, parent_based, 0));
        }
        for (argument, ratio) in [("0", 0.0), ("0.25", 0.25), ("1", 1.0), (" 1e-3 ", 0.001)] {
            let given = [(SAMPLER, "traceidratio"), (ARGUMENT, argument)];
            assert_eq!(sampler_of(&given), (Ratio(ratio), false, 0));
        }
    }

    #[test]
    fn an_argument_that_nobody_reads_is_warned_of() {
        let unset = [(ARGUMENT, "0.5")];
        assert_eq!(sampler_of(&unset), (Sampling::AlwaysOn, true, 1));
        let other = [(SAMPLER, "always_off"), (ARGUMENT, "anything")];
        assert_eq!(sampler_of(&other), (Sampling::AlwaysOff, false, 1));
    }

    #[test]
    fn the_trace_is_propagated_unless_another_is_asked_for() {
        let propagates = |value| {
            let mut warnings = Vec::new();
            let given = [(PROPAGATORS, value)];
            let propagates = propagates_trace(&Given(&given), &mut warnings).unwrap();
            (propagates, warnings.len())
        };
        assert_eq!(propagates(""), (true, 0));
        assert_eq!(propagates("tracecontext"), (true, 0));
        assert_eq!(propagates("tracecontext,baggage"), (true, 1));
        assert_eq!(propagates("baggage, baggage"), (false, 1));
        assert_eq!(propagates("none"), (false, 0));
    }

    #[test]
    fn exemplars_are_those_of_recorded_traces_by_default() {
        let filter = |value| exemplars(&Given(&[(EXEMPLARS, value)])).unwrap();
        assert_eq!(filter(""), ExemplarFilter::TraceBased);
        assert_eq!(filter("always_on"), ExemplarFilter::AlwaysOn);
        assert_eq!(filter("always_off"), ExemplarFilter::AlwaysOff);
    }
}
