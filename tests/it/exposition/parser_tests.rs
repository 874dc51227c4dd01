//! The parser itself, on documents written by hand.

use super::{Format, Parser};

const BOTH: [Format; 2] = [Format::Text, Format::OpenMetrics];

/// A gauge with one sample whose label `v` is escaped as both formats want it.
fn gauge_with_label(value: &str, format: Format) -> String {
    let escaped = value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n");
    let end = if format == Format::OpenMetrics {
        "# EOF\n"
    } else {
        ""
    };
    format!("# HELP g Help.\n# TYPE g gauge\ng{{v=\"{escaped}\",w=\"x\"}} 1.5\n{end}")
}

#[test]
fn odd_characters_of_a_label_value_come_back_as_they_were() {
    let mut parser = Parser::start();
    let values = [
        "",
        " a blank on each side ",
        "a quote \" and \"two\"",
        r"a backslash \ and \\ and \n as two characters",
        "ends in a backslash \\",
        "\\\"",
        "a\nnew line",
        "carriage\rreturn and\r\nboth",
        "NUL \0 inside",
        "vertical \u{b} form \u{c} file \u{1c} group \u{1d} record \u{1e} next \u{85}",
        "line \u{2028} and paragraph \u{2029}",
        "bidi \u{202e}override\u{202c} \u{2066}isolate\u{2069}",
        "escape \u{1b}[31mred\u{1b}[0m",
        "Crème brûlée 🍮 \u{10ffff}",
        "} 7 # {a=\"b\"} 3",
        "a,b=\"c\"",
    ];
    for format in BOTH {
        for value in values {
            let families = parser
                .parse(format, &gauge_with_label(value, format))
                .unwrap();
            assert_eq!(families.len(), 1, "{format:?} {value:?}");
            let sample = &families[0].samples[0];
            assert_eq!(sample.labels["v"], value, "{format:?}");
            assert_eq!(sample.labels["w"], "x", "{format:?}");
            assert_eq!(sample.value, 1.5);
        }
    }
}

#[test]
fn a_text_document_is_read_into_families() {
    let document = r#"# HELP orders_placed_total Orders, with a \\ and a\nsecond line.
# TYPE orders_placed_total counter
orders_placed_total{city="Köln"} 3
# TYPE latency_seconds histogram
latency_seconds_bucket{le="1.0"} 2
latency_seconds_bucket{le="+Inf"} 3
latency_seconds_sum 4.25
latency_seconds_count 3
# TYPE odd gauge
odd{kind="nan"} NaN
odd{kind="inf"} -Inf 1500
"#;
    let families = Parser::start().parse(Format::Text, document).unwrap();
    let named: Vec<_> = families
        .iter()
        .map(|f| (f.name.as_str(), f.kind.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            ("orders_placed", "counter"),
            ("latency_seconds", "histogram"),
            ("odd", "gauge")
        ]
    );
    assert_eq!(families[0].help, "Orders, with a \\ and a\nsecond line.");
    assert_eq!(families[0].samples[0].name, "orders_placed_total");
    let edges: Vec<_> = families[1]
        .named("latency_seconds_bucket")
        .map(|bucket| (bucket.labels["le"].as_str(), bucket.value))
        .collect();
    assert_eq!(edges, [("1.0", 2.0), ("+Inf", 3.0)]);
    assert!(families[2].samples[0].value.is_nan());
    assert_eq!(families[2].samples[1].value, f64::NEG_INFINITY);
    assert_eq!(families[2].samples[1].timestamp, Some(1.5));
}

#[test]
fn an_openmetrics_document_is_read_with_units_and_exemplars() {
    let document = r#"# HELP latency_seconds Time.
# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
latency_seconds_bucket{le="1.0"} 2 # {trace_id="0af7651916cd43dd8448eb211c80319c",note="a \"b\" \\"} 0.25 1700000000.125
latency_seconds_bucket{le="+Inf"} 3 # {} 7
latency_seconds_sum 4.25
latency_seconds_count 3
# TYPE orders counter
orders_total 5 # {order="1"} 1
# TYPE target info
target_info{service_name="orders"} 1
# EOF
"#;
    let families = Parser::start()
        .parse(Format::OpenMetrics, document)
        .unwrap();
    assert_eq!(families[0].unit, "seconds");
    assert_eq!(families[0].help, "Time.");
    let exemplar = families[0].samples[0].exemplar.as_ref().unwrap();
    assert_eq!(
        exemplar.labels["trace_id"],
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_eq!(exemplar.labels["note"], "a \"b\" \\");
    assert_eq!(
        (exemplar.value, exemplar.timestamp),
        (0.25, Some(1_700_000_000.125))
    );
    let bare = families[0].samples[1].exemplar.as_ref().unwrap();
    assert!(bare.labels.is_empty());
    assert_eq!((bare.value, bare.timestamp), (7.0, None));
    assert_eq!(families[0].samples[2].exemplar, None);
    assert_eq!(families[1].samples[0].exemplar.as_ref().unwrap().value, 1.0);
    assert_eq!(
        (families[2].name.as_str(), families[2].kind.as_str()),
        ("target", "info")
    );
}

#[test]
fn a_refused_document_gives_the_reason_and_the_next_one_is_read() {
    let mut parser = Parser::start();
    let refused = [
        (Format::OpenMetrics, "# TYPE a gauge\na 1\n", "# EOF"),
        (Format::OpenMetrics, "a 1\n\n# EOF\n", "blank line"),
        (
            Format::OpenMetrics,
            "# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF\n",
            "More than one TYPE",
        ),
        (Format::Text, "a{v=\"unclosed} 1\n", "Error"),
        (Format::Text, "a{v=\"1\",v=\"2\"} 1\n", "Invalid labels"),
        (Format::Text, "a b c\n", "Error"),
    ];
    for (format, document, reason) in refused {
        let error = parser.parse(format, document).unwrap_err();
        assert!(error.contains(reason), "{document:?}: {error}");
    }
    assert_eq!(parser.parse(Format::Text, "a 1\n").unwrap().len(), 1);
    assert_eq!(parser.parse(Format::Text, "").unwrap(), []);
}

#[test]
fn a_document_larger_than_a_pipe_is_read_whole() {
    let mut document = String::from("# TYPE g gauge\n");
    for index in 0..20_000 {
        document.push_str(&format!(
            "g{{index=\"{index}\",padding=\"{:64}\"}} {index}\n",
            ""
        ));
    }
    let families = Parser::start().parse(Format::Text, &document).unwrap();
    assert_eq!(families[0].samples.len(), 20_000);
}
