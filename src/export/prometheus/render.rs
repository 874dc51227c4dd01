//! Writes the page over label text that was rendered when each series was made.

use super::Format;
use crate::metrics::{
    Exemplar, Histogram, HistogramReading, Instrument, Kind, Registry, Series, Storage,
    ends_in_unit,
};
use std::{fmt::Write as _, sync::Arc, time::UNIX_EPOCH};

/// Renders all instruments of `registry`, after `target`, the labels of `target_info`.
pub(super) fn render(registry: &Registry, target: &str, format: Format, page: &mut String) {
    let mut writer = Writer {
        page,
        format,
        reading: HistogramReading::default(),
        integers: itoa::Buffer::new(),
    };
    writer.target_info(target);
    let mut series = Vec::new();
    for instrument in registry.collect() {
        instrument.all_series(&mut series);
        if !series.is_empty() {
            writer.instrument(&instrument, &series);
        }
    }
    if format == Format::OpenMetrics {
        writer.page.push_str("# EOF\n");
        registry.renew_exemplars();
    }
}

struct Writer<'a> {
    page: &'a mut String,
    format: Format,
    reading: HistogramReading,
    integers: itoa::Buffer,
}

impl Writer<'_> {
    fn target_info(&mut self, labels: &str) {
        let (family, kind) = match self.format {
            Format::Text => ("target_info", "gauge"),
            Format::OpenMetrics => ("target", "info"),
        };
        self.comment("HELP", [family, ""], "The resource: who is speaking.");
        self.comment("TYPE", [family, ""], kind);
        self.sample("target_info", "", labels, "");
        self.page.push_str("1\n");
    }

    fn instrument(&mut self, instrument: &Instrument, series: &[Arc<Series>]) {
        let family = &*instrument.family;
        let suffix = match instrument.kind {
            Kind::Counter => "_total",
            _ => "",
        };
        // What a family is declared as.
        let declared = match self.format {
            Format::Text => [family, suffix],
            Format::OpenMetrics => [family, ""],
        };
        let description = instrument.description();
        let help = match &*description {
            "" => &*instrument.name,
            description => description,
        };
        self.comment("HELP", declared, help);
        let kind = match instrument.kind {
            Kind::Counter => "counter",
            Kind::UpDownCounter | Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.comment("TYPE", declared, kind);
        let unit = instrument.unit.suffix();
        if self.format == Format::OpenMetrics && ends_in_unit(family, unit) {
            self.comment("UNIT", declared, unit);
        }
        for series in series {
            let labels = &*series.labels.text;
            if let Storage::Histogram(histogram) = &series.storage {
                self.histogram(family, labels, histogram);
                continue;
            }
            self.sample(family, suffix, labels, "");
            match &series.storage {
                Storage::Counter(counter) => {
                    self.integer(counter.read());
                    let exemplar = counter.exemplar();
                    if let Some(exemplar) = exemplar.filter(|_| self.format == Format::OpenMetrics)
                    {
                        self.exemplar(&exemplar);
                    }
                }
                Storage::UpDownCounter(level) => self.integer(level.read()),
                Storage::ObservedCounter(counter) => self.float(counter.read()),
                Storage::Gauge(gauge) => self.float(gauge.read()),
                Storage::Histogram(_) => {}
            }
            self.page.push('\n');
        }
    }

    fn histogram(&mut self, family: &str, labels: &str, histogram: &Histogram) {
        histogram.read_into(&mut self.reading);
        let exemplar = match self.format {
            Format::Text => None,
            Format::OpenMetrics => histogram.exemplar(),
        };
        let edges = histogram.edges();
        let mut count = 0;
        for (bucket, le) in edges.labels().iter().enumerate() {
            count += self.reading.buckets[bucket];
            self.sample(family, "_bucket", labels, le);
            self.integer(count);
            if let Some(exemplar) = exemplar.filter(|exemplar| exemplar.bucket == bucket) {
                self.exemplar(&exemplar);
            }
            self.page.push('\n');
        }
        // OpenMetrics: a sum never shrinks, so there is none beside negative values, and where
        // there is no sum there is no count; the infinite bucket has it.
        let has_negative_edges = edges.values().first().is_some_and(|edge| *edge < 0.0);
        let is_monotonic = !has_negative_edges && self.reading.sum >= 0.0;
        if self.format == Format::OpenMetrics && !is_monotonic {
            return;
        }
        self.sample(family, "_sum", labels, "");
        self.float(self.reading.sum);
        self.page.push('\n');
        self.sample(family, "_count", labels, "");
        self.integer(count);
        self.page.push('\n');
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        let Exemplar {
            trace, value, at, ..
        } = exemplar;
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        // A `String` takes everything.
        let _ = write!(
            self.page,
            " # {{trace_id=\"{}\",span_id=\"{}\"}} {value} {}.{:03}",
            trace.trace_id,
            trace.span_id,
            at.as_secs(),
            at.subsec_millis()
        );
    }

    /// `name{labels,extra} `
    fn sample(&mut self, family: &str, suffix: &str, labels: &str, extra: &str) {
        let page = &mut *self.page;
        page.push_str(family);
        page.push_str(suffix);
        match (labels, extra) {
            ("", "") => {}
            ("", one) | (one, "") => {
                page.push('{');
                page.push_str(one);
                page.push('}');
            }
            (labels, extra) => {
                page.push('{');
                page.push_str(labels);
                page.push(',');
                page.push_str(extra);
                page.push('}');
            }
        }
        page.push(' ');
    }

    fn comment(&mut self, what: &str, [family, suffix]: [&str; 2], text: &str) {
        let page = &mut *self.page;
        for part in ["# ", what, " ", family, suffix, " "] {
            page.push_str(part);
        }
        for c in text.chars() {
            match c {
                '\\' => page.push_str("\\\\"),
                '\n' => page.push_str("\\n"),
                '"' if self.format == Format::OpenMetrics => page.push_str("\\\""),
                c => page.push(c),
            }
        }
        page.push('\n');
    }

    fn integer(&mut self, value: impl itoa::Integer) {
        let text = self.integers.format(value);
        self.page.push_str(text);
    }

    fn float(&mut self, value: f64) {
        // The sum of finite values can leave the finite numbers.
        let _ = match value {
            f64::INFINITY => write!(self.page, "+Inf"),
            f64::NEG_INFINITY => write!(self.page, "-Inf"),
            value if value.is_nan() => write!(self.page, "NaN"),
            value => write!(self.page, "{value}"),
        };
    }
}
