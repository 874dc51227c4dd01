//! Units as libraries write them, in UCUM, with the words that end a Prometheus name.

use super::descriptor::Unit;
use crate::fork::Lock;
use std::{borrow::Cow, collections::HashSet};

/// The longest unit that OpenTelemetry allows, in bytes.
const LONGEST: usize = 63;
/// Units beyond the table that a program may make at run time.
const MOST_KEPT: usize = 256;

const KNOWN: [Unit; 33] = [
    Unit::SECONDS,
    Unit::named("ms", "milliseconds"),
    Unit::named("us", "microseconds"),
    Unit::named("ns", "nanoseconds"),
    Unit::named("min", "minutes"),
    Unit::named("h", "hours"),
    Unit::named("d", "days"),
    Unit::BYTES,
    Unit::named("kBy", "kilobytes"),
    Unit::named("KBy", "kilobytes"),
    Unit::named("MBy", "megabytes"),
    Unit::named("GBy", "gigabytes"),
    Unit::named("TBy", "terabytes"),
    Unit::named("KiBy", "kibibytes"),
    Unit::named("MiBy", "mebibytes"),
    Unit::named("GiBy", "gibibytes"),
    Unit::named("TiBy", "tebibytes"),
    Unit::named("By/s", "bytes_per_second"),
    Unit::named("1/s", "per_second"),
    Unit::RATIO,
    Unit::named("%", "percent"),
    Unit::named("m", "meters"),
    Unit::named("km", "kilometers"),
    Unit::named("V", "volts"),
    Unit::named("A", "amperes"),
    Unit::named("J", "joules"),
    Unit::named("W", "watts"),
    Unit::named("g", "grams"),
    Unit::named("kg", "kilograms"),
    Unit::named("Cel", "celsius"),
    Unit::named("Hz", "hertz"),
    Unit::named("m/s", "meters_per_second"),
    Unit::NONE,
];

impl Unit {
    /// A unit by its UCUM code. One that is not in the table keeps its code and adds no word to
    /// the Prometheus name, as annotations such as `{order}` do not.
    pub(crate) fn from_ucum(ucum: Cow<'static, str>) -> Self {
        if let Some(known) = KNOWN.iter().find(|known| known.ucum() == ucum) {
            return *known;
        }
        match ucum {
            ucum if ucum.len() > LONGEST => Self::NONE,
            Cow::Borrowed(ucum) => Self::things(ucum),
            Cow::Owned(ucum) => kept(ucum).map_or(Self::NONE, Self::things),
        }
    }
}

/// The text for good, as long as there is room for one more; never in a forked child.
fn kept(text: String) -> Option<&'static str> {
    static KEPT: Lock<Option<HashSet<&'static str>>> = Lock::of_the_program(None);
    let mut kept = KEPT.hold()?;
    let kept = kept.get_or_insert_default();
    if let Some(known) = kept.get(text.as_str()) {
        return Some(known);
    }
    if kept.len() >= MOST_KEPT {
        return None;
    }
    let text: &'static str = text.leak();
    kept.insert(text);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_of_the_table_ends_a_prometheus_name_and_another_keeps_its_code() {
        assert_eq!(Unit::from_ucum("ms".into()).suffix(), "milliseconds");
        assert_eq!(Unit::from_ucum("1".into()), Unit::RATIO);
        for made in ["{order}", "furlong"] {
            let unit = Unit::from_ucum(made.to_owned().into());
            assert_eq!((unit.ucum(), unit.suffix()), (made, ""));
            assert_eq!(unit, Unit::from_ucum(Cow::Borrowed(made)));
        }
        assert_eq!(Unit::from_ucum("x".repeat(64).into()), Unit::NONE);
    }
}
