//! What the application adds to an error.

use crate::{
    records::{Fields, Severity},
    semconv,
};

/// The most tags of one error.
const MOST_TAGS: usize = 16;
/// Names that an error event has anyway.
const OURS: [&str; 6] = [
    "",
    semconv::HTTP_ROUTE,
    semconv::HTTP_REQUEST_METHOD,
    semconv::SESSION_ID,
    semconv::THREAD_NAME,
    semconv::USER_ID,
];
const OUR_PREFIXES: [&str; 3] = ["exception.", "orderscope.", "code."];

/// What [`capture_error_with`](super::capture_error_with) is told beside the error. By default:
/// nothing, and severity `ERROR`.
#[derive(Clone, Copy, Debug)]
#[must_use = "it says nothing until an error is captured with it"]
pub struct Details<'a> {
    severity: Severity,
    fingerprint: Option<&'a str>,
    tags: [Option<(&'a str, Tag<'a>)>; MOST_TAGS],
    count: usize,
}

/// The value of a tag, which arrives with its type.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Tag<'a> {
    /// A whole number.
    Integer(i64),
    /// A whole number that is never negative; beyond `i64::MAX` it arrives as text.
    Unsigned(u64),
    /// A number with a fraction.
    Float(f64),
    /// Yes or no.
    Boolean(bool),
    /// A text; what looks like a secret in it is masked.
    Text(&'a str),
}

impl Default for Details<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Details<'a> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            severity: Severity::Error,
            fingerprint: None,
            tags: [None; MOST_TAGS],
            count: 0,
        }
    }

    /// More or less grave than `ERROR`.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// An attribute of the error event. A name that says that it is a secret has its value masked;
    /// texts are cut at 4,096 bytes. Beyond 16, and under a name that the event has itself
    /// (`user.id`, `exception.…`), a tag is left out and counted in
    /// `orderscope.values.truncated`.
    pub fn tag(mut self, name: &'a str, value: impl Into<Tag<'a>>) -> Self {
        if let Some(place) = self.tags.get_mut(self.count) {
            *place = Some((name, value.into()));
        }
        self.count += 1;
        self
    }

    /// Which group the error is of, in place of what its stack says: errors of the same text are
    /// one group, whatever their type. It must not vary with what happens to vary: no ids, no
    /// times.
    pub fn fingerprint(mut self, fingerprint: &'a str) -> Self {
        self.fingerprint = Some(fingerprint);
        self
    }

    pub(super) fn given_severity(&self) -> Severity {
        self.severity
    }

    pub(super) fn given_fingerprint(&self) -> Option<&'a str> {
        self.fingerprint
    }

    pub(super) fn describe(&self, fields: &mut Fields) {
        for (name, value) in self.tags.iter().flatten() {
            if OURS.contains(name) || OUR_PREFIXES.iter().any(|ours| name.starts_with(ours)) {
                fields.leave_out();
                continue;
            }
            match *value {
                Tag::Integer(value) => fields.integer(name, value),
                Tag::Unsigned(value) => fields.unsigned(name, value),
                Tag::Float(value) => fields.float(name, value),
                Tag::Boolean(value) => fields.boolean(name, value),
                Tag::Text(value) => fields.text(name, value),
            }
        }
        (MOST_TAGS..self.count).for_each(|_| fields.leave_out());
    }
}

macro_rules! from {
    ($($type:ty),+ => $variant:ident($wide:ty)) => {$(
        impl From<$type> for Tag<'_> {
            fn from(value: $type) -> Self {
                // Lossless: to the same type, or to a wider one.
                Self::$variant(value as $wide)
            }
        }
    )+};
}

from!(i8, i16, i32, i64, isize => Integer(i64));
from!(u8, u16, u32, u64, usize => Unsigned(u64));
from!(f32, f64 => Float(f64));
from!(bool => Boolean(bool));

impl<'a> From<&'a str> for Tag<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Tag<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Limits, Value, read};

    fn described(details: Details<'_>) -> Fields {
        let mut fields = Fields::new(Limits::default(), Vec::new());
        details.describe(&mut fields);
        fields
    }

    #[test]
    fn tags_keep_their_type_and_secrets_are_masked() {
        let city = "Graz".to_owned();
        let fields = described(
            Details::new()
                .tag("order_id", 17)
                .tag("attempts", 3_u8)
                .tag("share", 0.5)
                .tag("is_late", true)
                .tag("city", &city)
                .tag("password", "hunter2"),
        );
        let tags: Vec<_> = read(fields.as_bytes()).collect();
        let expected = [
            ("order_id", Value::Integer(17)),
            ("attempts", Value::Integer(3)),
            ("share", Value::Float(0.5)),
            ("is_late", Value::Boolean(true)),
            ("city", Value::Text("Graz")),
            ("password", Value::Text("***")),
        ];
        assert_eq!(tags, expected);
        assert_eq!(fields.truncated(), 0);
    }

    #[test]
    fn a_tag_too_many_or_under_a_name_of_ours_is_left_out_and_counted() {
        let names: Vec<String> = (0..18).map(|n| format!("tag_{n}")).collect();
        let all = names
            .iter()
            .fold(Details::new(), |all, name| all.tag(name, 1));
        let fields = described(all);
        assert_eq!(read(fields.as_bytes()).count(), 16);
        assert_eq!(fields.truncated(), 2);
        let fields = described(
            Details::new()
                .tag("user.id", "u-2")
                .tag("exception.type", "Mine")
                .tag("", "body")
                .tag("orderscope.error.fingerprint", 1),
        );
        assert!(fields.as_bytes().is_empty());
        assert_eq!(fields.truncated(), 4);
    }
}
