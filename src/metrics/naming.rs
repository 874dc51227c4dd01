//! The one place where an OpenTelemetry name becomes a Prometheus name.

use super::descriptor::{Kind, Unit};

/// The longest name that is accepted, in bytes; the OpenTelemetry limit for instruments.
pub(super) const NAME_LIMIT: usize = 255;

/// The name of the metric family: dots to underscores, the unit appended unless the name ends in
/// it, without the `_total` that the samples of a counter carry.
pub(super) fn family(name: &str, kind: Kind, unit: Unit) -> String {
    let mut family = sanitise(name, |c| c == ':');
    if kind == Kind::Counter
        && let Some(without) = family.strip_suffix("_total")
        && !without.is_empty()
    {
        family.truncate(without.len());
    }
    let suffix = match unit {
        Unit::RATIO if kind != Kind::Gauge => "",
        unit => unit.suffix(),
    };
    if !suffix.is_empty() && !ends_in_unit(&family, suffix) {
        family.push('_');
        family.push_str(suffix);
    }
    family
}

/// Whether the last word of `family` is `unit`, which is a word.
pub(crate) fn ends_in_unit(family: &str, unit: &str) -> bool {
    let rest = family.strip_suffix(unit).filter(|_| !unit.is_empty());
    rest.is_some_and(|rest| rest.ends_with('_'))
}

/// Every name that a family's samples stand under, or that OpenMetrics keeps for them, in either
/// text format: `_created` would be a start time, and a reader of OpenMetrics refuses the whole
/// page when another family has that name.
pub(super) fn sample_names(family: &str, kind: Kind) -> Vec<String> {
    let suffixes: &[&str] = match kind {
        Kind::Counter => &["", "_total", "_created"],
        Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
        Kind::UpDownCounter | Kind::Gauge => &[""],
    };
    suffixes
        .iter()
        .map(|suffix| format!("{family}{suffix}"))
        .collect()
}

/// The Prometheus name of an attribute.
pub(super) fn label(name: &str) -> String {
    sanitise(name, |_| false)
}

fn sanitise(name: &str, also: impl Fn(char) -> bool) -> String {
    let mut clean: String = name
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || also(c) => c,
            _ => '_',
        })
        .collect();
    if clean.is_empty() || clean.starts_with(|c: char| c.is_ascii_digit()) {
        clean.insert(0, '_');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_derived_from_kind_and_unit() {
        let cases = [
            (
                "http.server.request.duration",
                Kind::Histogram,
                Unit::SECONDS,
                "http_server_request_duration_seconds",
            ),
            (
                "http.server.request.body.size",
                Kind::Histogram,
                Unit::BYTES,
                "http_server_request_body_size_bytes",
            ),
            (
                "orderscope.events",
                Kind::Counter,
                Unit::things("{event}"),
                "orderscope_events",
            ),
            (
                "process.cpu.time",
                Kind::Counter,
                Unit::SECONDS,
                "process_cpu_time_seconds",
            ),
            (
                "process.cpu.utilization",
                Kind::Gauge,
                Unit::RATIO,
                "process_cpu_utilization_ratio",
            ),
            ("share", Kind::Counter, Unit::RATIO, "share"),
            (
                "jobs_seconds_total",
                Kind::Counter,
                Unit::SECONDS,
                "jobs_seconds",
            ),
            (
                "microseconds",
                Kind::Gauge,
                Unit::SECONDS,
                "microseconds_seconds",
            ),
            ("_total", Kind::Counter, Unit::NONE, "_total"),
            ("9.lives", Kind::Gauge, Unit::NONE, "_9_lives"),
            ("café", Kind::Gauge, Unit::NONE, "caf_"),
        ];
        for (name, kind, unit, expected) in cases {
            assert_eq!(family(name, kind, unit), expected, "{name}");
        }
    }

    #[test]
    fn a_unit_is_a_word_of_its_own() {
        assert!(ends_in_unit("wait_seconds", "seconds"));
        assert!(!ends_in_unit("waitseconds", "seconds"));
        assert!(!ends_in_unit("wait_", ""));
    }
}
