//! Attribute sets in one canonical form: what Prometheus would take for one series is one series.

use super::{naming, shared::Shared};
use std::{borrow::Cow, sync::atomic::Ordering};

/// The longest value of an attribute on a metric, in bytes.
pub(super) const VALUE_LIMIT: usize = 1024;

/// The attributes of one series, as OTLP and as Prometheus know them.
#[derive(Debug)]
pub(crate) struct Labels {
    /// Names as given, sorted, each once; values cut to the limit, none empty.
    pub(crate) attributes: Box<[(Box<str>, Box<str>)]>,
    /// `http_route="/orders/{id}",url_scheme="http"`: escaped, without braces.
    pub(crate) text: Box<str>,
}

/// A label that Prometheus keeps for itself.
#[derive(Debug)]
pub(super) struct Reserved;

impl Labels {
    /// Sorts, cuts and renders. An empty value is no label, as Prometheus has it; of a name given
    /// twice the last value counts; names that become one label have their values joined by `;`,
    /// as the OpenTelemetry specification has it.
    ///
    /// # Errors
    /// A name that begins with `__` after sanitising, or `le` where `le_is_reserved`.
    pub(super) fn new<'a>(
        given: impl Iterator<Item = (&'a str, &'a str)>,
        le_is_reserved: bool,
        shared: &Shared,
    ) -> Result<Self, Reserved> {
        let cut_and_counted = |text: &'a str, limit| {
            let kept = cut(text, limit);
            if kept.len() < text.len() {
                shared.truncated.fetch_add(1, Ordering::Relaxed);
            }
            kept
        };
        let mut pairs: Vec<(&str, &str)> = given
            .map(|(name, value)| {
                let name = cut_and_counted(name, naming::NAME_LIMIT);
                (name, cut_and_counted(value, VALUE_LIMIT))
            })
            .collect();
        // Stable, and reversed, so that the last of a name comes first and survives.
        pairs.reverse();
        pairs.sort_by_key(|(name, _)| *name);
        pairs.dedup_by_key(|(name, _)| *name);
        pairs.retain(|(_, value)| !value.is_empty());

        let mut rendered: Vec<(String, Cow<'_, str>)> = Vec::with_capacity(pairs.len());
        for (name, value) in &pairs {
            let label = naming::label(name);
            if label.starts_with("__") || (le_is_reserved && label == "le") {
                return Err(Reserved);
            }
            match rendered.iter_mut().find(|(known, _)| *known == label) {
                Some((_, joined)) => *joined = format!("{joined};{value}").into(),
                None => rendered.push((label, Cow::Borrowed(*value))),
            }
        }
        rendered.sort();
        let mut text = String::new();
        for (label, value) in &rendered {
            push(&mut text, label, value);
        }
        Ok(Self {
            attributes: pairs
                .iter()
                .map(|(name, value)| (Box::from(*name), Box::from(*value)))
                .collect(),
            text: text.into(),
        })
    }
}

/// Appends `name="value"`, with a comma before it unless it is the first. Injective: the three
/// characters that the formats escape are, and nothing else is touched.
pub(crate) fn push(text: &mut String, label: &str, value: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(label);
    text.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// `target_info` and its like: attributes that are no series of an instrument.
pub(crate) fn render<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> Box<str> {
    Labels::new(
        attributes.filter(|(name, _)| !naming::label(name).starts_with("__")),
        false,
        &Shared::default(),
    )
    .map_or_else(|Reserved| Box::default(), |labels| labels.text)
}

/// As much of `text` as fits into `limit` bytes without cutting a character;
/// `str::floor_char_boundary` is younger than our `rust-version`.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    let mut ends = (0..=limit.min(text.len())).rev();
    let end = ends.find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(given: &[(&str, &str)]) -> String {
        Labels::new(given.iter().copied(), true, &Shared::default())
            .unwrap()
            .text
            .into()
    }

    #[test]
    fn order_and_empty_values_make_no_other_series() {
        let one = text(&[("b.c", "2"), ("a", "1"), ("d", "")]);
        assert_eq!(one, text(&[("a", "1"), ("b.c", "2")]));
        assert_eq!(one, r#"a="1",b_c="2""#);
    }

    #[test]
    fn colliding_names_are_joined_and_repeated_ones_replaced() {
        assert_eq!(text(&[("a.b", "1"), ("a_b", "2")]), r#"a_b="1;2""#);
        assert_eq!(text(&[("a", "1"), ("a", "2")]), r#"a="2""#);
    }

    #[test]
    fn only_three_characters_are_escaped() {
        assert_eq!(
            text(&[("a", "\\ \" \n \r \0 \u{2028} é")]),
            "a=\"\\\\ \\\" \\n \r \0 \u{2028} é\""
        );
    }

    #[test]
    fn ten_megabytes_are_cut_at_a_character_and_counted() {
        let (long, shared) = ("é".repeat(5_000_000), Shared::default());
        let labels = Labels::new([("k", long.as_str())].into_iter(), false, &shared).unwrap();
        assert_eq!(labels.attributes[0].1.len(), VALUE_LIMIT);
        assert_eq!(shared.truncated.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn reserved_labels_are_refused() {
        for name in ["__name__", "..x", "le"] {
            assert!(Labels::new([(name, "x")].into_iter(), true, &Shared::default()).is_err());
        }
        assert!(Labels::new([("le", "x")].into_iter(), false, &Shared::default()).is_ok());
    }
}
