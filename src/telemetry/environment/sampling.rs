//! Which traces are recorded, taken over and linked to from metrics: `OTEL_TRACES_SAMPLER`,
//! `OTEL_PROPAGATORS`, `OTEL_METRICS_EXEMPLAR_FILTER`.

use super::{
    Variables,
    values::{self, Words},
};
use crate::{
    error::Error,
    pipeline::{Exemplars, Sampling},
};

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const PROPAGATORS: &str = "OTEL_PROPAGATORS";
const EXEMPLARS: &str = "OTEL_METRICS_EXEMPLAR_FILTER";

/// The samplers that are shares of all traces.
const BY_RATIO: [&str; 2] = ["traceidratio", "parentbased_traceidratio"];

pub(super) fn sampler(
    variables: &impl Variables,
    warnings: &mut Vec<String>,
) -> Result<Sampling, Error> {
    let known = [
        ("always_on", Sampling::ALL.regardless_of_parent()),
        ("always_off", Sampling::NONE.regardless_of_parent()),
        (BY_RATIO[0], Sampling::ratio(1.0).regardless_of_parent()),
        ("parentbased_always_on", Sampling::ALL),
        ("parentbased_always_off", Sampling::NONE),
        (BY_RATIO[1], Sampling::ratio(1.0)),
    ];
    let sampling = values::word(variables, SAMPLER, &known, "")?.unwrap_or_default();
    let Some(argument) = values::text(variables, ARGUMENT)? else {
        return Ok(sampling);
    };
    let name = values::text(variables, SAMPLER)?.unwrap_or_default();
    if !BY_RATIO
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
    {
        warnings.push(format!(
            "{ARGUMENT} is not read: it is the share of `traceidratio` and \
             `parentbased_traceidratio`, and {SAMPLER} is neither"
        ));
        return Ok(sampling);
    }
    match argument.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(sampling.with_ratio(ratio)),
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

pub(super) fn exemplars(variables: &impl Variables) -> Result<Exemplars, Error> {
    let known = [
        ("always_on", Exemplars::All),
        ("always_off", Exemplars::None),
        ("trace_based", Exemplars::OfRecordedTraces),
    ];
    Ok(values::word(variables, EXEMPLARS, &known, "")?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{super::Given, *};

    fn sampler_of(given: &[(&str, &str)]) -> (Sampling, usize) {
        let mut warnings = Vec::new();
        let sampling = sampler(&Given(given), &mut warnings).unwrap();
        (sampling, warnings.len())
    }

    #[test]
    fn the_six_samplers_are_known() {
        for (name, sampling) in [
            ("", Sampling::ALL),
            ("always_on", Sampling::ALL.regardless_of_parent()),
            ("always_off", Sampling::NONE.regardless_of_parent()),
            ("traceidratio", Sampling::ALL.regardless_of_parent()),
            ("parentbased_always_on", Sampling::ALL),
            ("parentbased_always_off", Sampling::NONE),
            ("ParentBased_TraceIdRatio", Sampling::ALL),
        ] {
            assert_eq!(sampler_of(&[(SAMPLER, name)]), (sampling, 0));
        }
        for (argument, ratio) in [("0", 0.0), ("0.25", 0.25), ("1", 1.0), (" 1e-3 ", 0.001)] {
            let given = [(SAMPLER, "traceidratio"), (ARGUMENT, argument)];
            let expected = Sampling::ratio(ratio).regardless_of_parent();
            assert_eq!(sampler_of(&given), (expected, 0));
        }
    }

    #[test]
    fn an_argument_that_nobody_reads_is_warned_of() {
        let unset = [(ARGUMENT, "0.5")];
        assert_eq!(sampler_of(&unset), (Sampling::ALL, 1));
        let other = [(SAMPLER, "always_off"), (ARGUMENT, "anything")];
        let expected = Sampling::NONE.regardless_of_parent();
        assert_eq!(sampler_of(&other), (expected, 1));
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
        assert_eq!(filter(""), Exemplars::OfRecordedTraces);
        assert_eq!(filter("always_on"), Exemplars::All);
        assert_eq!(filter("always_off"), Exemplars::None);
    }
}
