//! The Prometheus page: text and OpenMetrics over one storage.

mod page;
mod render;

pub(crate) use page::Pages;

/// The two formats that a scraper can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.0: with exemplars and units.
    OpenMetrics,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What the `Accept` headers of a request prefer. Text unless OpenMetrics is named, at a
    /// version that we write, and weighs no less than plain text.
    pub(crate) fn negotiate<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
        for range in accept.flat_map(|header| header.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut version) = (1.0_f32, "");
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q" | "Q", q)) => weight = q.parse().unwrap_or(0.0),
                    Some(("version", given)) => version = given.trim_matches('"'),
                    _ => {}
                }
            }
            match media_type.as_str() {
                "application/openmetrics-text" if matches!(version, "" | "1.0.0" | "0.0.1") => {
                    open_metrics = weight.max(open_metrics);
                }
                "text/plain" if matches!(version, "" | "0.0.4") => text = weight.max(text),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_negotiated_by_weight() {
        let prometheus_2_42 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let cases = [
            (prometheus_2_42, Format::OpenMetrics),
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("text/plain;version=0.0.4", Format::Text),
            ("application/openmetrics-text; q=0", Format::Text),
            (
                "application/openmetrics-text;q=0.2, text/plain;q=0.9",
                Format::Text,
            ),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            (
                "APPLICATION/OpenMetrics-text; version=1.0.0",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text;q=nonsense", Format::Text),
        ];
        for (accept, expected) in cases {
            assert_eq!(
                Format::negotiate([accept].into_iter()),
                expected,
                "{accept}"
            );
        }
    }
}
