//! The variables of OTLP: which values are refused, and with what words; which destination they make.

use std::io::{self, Write as _};

use orderscope::Telemetry;
use orderscope::export::{Destination, InMemory};

use super::{alone, printed, refused};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const MILLIS: &str = "whole milliseconds, 1 to 4294967295";
const NUMBER: &str = "a whole number, 1 to 4294967295";
const EXPORTERS: &str = "`otlp` or `none`, or a list of them, which \"zipkin\" is not";

/// Variable, a value that it cannot have, and what is accepted in its place.
const REFUSED: &[(&str, &str, &str)] = &[
    ("OTEL_SDK_DISABLED", "1", "`true` or `false`"),
    (ENDPOINT, "localhost:4318", "a URL of `http` or `https`"),
    (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "ftp://collector",
        "a URL of `http` or `https`",
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "http://",
        "a URL of `http` or `https`",
    ),
    (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/json",
        "`http/protobuf` or `grpc`",
    ),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", MILLIS),
    ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "0", MILLIS),
    (
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        "br",
        "`gzip`, `zstd` or `none`",
    ),
    (
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "/no/such/file",
        "the path of a PEM file that can be read",
    ),
    (
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "/no/such/file",
        "the path of a PEM file that can be read",
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
        "/no/such/file",
        "the path of a PEM file that can be read",
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "sliding",
        "`cumulative`, `delta` or `lowmemory`",
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "none",
        "`explicit_bucket_histogram` or `base2_exponential_bucket_histogram`",
    ),
    ("OTEL_TRACES_EXPORTER", "zipkin", EXPORTERS),
    ("OTEL_LOGS_EXPORTER", "zipkin", EXPORTERS),
    (
        "OTEL_METRICS_EXPORTER",
        "statsd",
        "`otlp`, `prometheus` or `none`",
    ),
    ("OTEL_TRACES_SAMPLER", "jaeger_remote", "`always_on`, "),
    (
        "OTEL_PROPAGATORS",
        "b3",
        "`tracecontext`, `baggage` or `none`",
    ),
    ("OTEL_METRIC_EXPORT_INTERVAL", "0", MILLIS),
    ("OTEL_METRIC_EXPORT_TIMEOUT", "30s", MILLIS),
    (
        "OTEL_BSP_SCHEDULE_DELAY",
        "-1",
        "whole milliseconds, 0 to 4294967295",
    ),
    ("OTEL_BSP_EXPORT_TIMEOUT", "x", MILLIS),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "0", NUMBER),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", NUMBER),
    (
        "OTEL_BLRP_SCHEDULE_DELAY",
        "1.5",
        "whole milliseconds, 0 to 4294967295",
    ),
    ("OTEL_BLRP_EXPORT_TIMEOUT", "x", MILLIS),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", "x", NUMBER),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "x", NUMBER),
    (
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "-1",
        "a whole number, 0 to 4294967295",
    ),
    (
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "many",
        "a whole number, 0 to 4294967295",
    ),
    (
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "all",
        "`always_on`, `always_off` or `trace_based`",
    ),
];

/// An installation that is refused changes nothing; prints what with.
fn print_the_refusal() {
    let error = refused(Telemetry::builder("orders").install());
    assert!(error.is_configuration());
    assert!(!tracing::dispatcher::has_been_set());
    let error = error.to_string();
    io::stderr().write_all(error.as_bytes()).unwrap();
}

#[test]
fn every_variable_of_otlp_that_is_not_accepted_is_named_with_what_is() {
    for (name, value, accepted) in REFUSED {
        let endpoint = (ENDPOINT, "http://127.0.0.1:4318");
        let variables = match *name {
            ENDPOINT => vec![(*name, *value)],
            _ => vec![endpoint, (*name, *value)],
        };
        let output = alone(&variables, || {
            print_the_refusal();
        });
        let message = printed(&output);
        let expected = format!("{name} is {value:?}, but must be {accepted}");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn secrets_among_the_variables_are_in_no_message() {
    for (name, value, expected) in [
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=b,s3cret",
            "OTEL_EXPORTER_OTLP_HEADERS is \"***\", but must be a list `name=value,name=value` \
             whose parts are percent-encoded UTF-8, which header 2 is not",
        ),
        (
            "OTEL_TRACES_SAMPLER_ARG",
            "half",
            "OTEL_TRACES_SAMPLER_ARG is \"half\", but must be the share of traces to record, 0 to \
             1, such as 0.25",
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            "http://s3cret@h/?k=s3cret",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is \"http://***@h/?***\", but must be a URL without \
             a user and a password",
        ),
    ] {
        let variables = [
            (ENDPOINT, "http://127.0.0.1:4318"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            (name, value),
        ];
        let message = printed(&alone(&variables, || {
            print_the_refusal();
        }));
        assert!(message.starts_with(expected), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn the_endpoint_of_the_environment_is_a_destination_unless_a_call_names_one() {
    let variables = [
        (ENDPOINT, "http://127.0.0.1:9"),
        ("OTEL_METRICS_EXPORTER", "none"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "not read, since no metrics are sent",
        ),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4096"),
    ];
    let output = alone(&variables, || {
        let named = |telemetry: &Telemetry| {
            let rows = telemetry.ledger();
            let names = rows
                .iter()
                .map(|row| format!("{} {}", row.destination(), row.signal()));
            names.collect::<Vec<_>>()
        };
        let telemetry = Telemetry::builder("orders").install().unwrap();
        assert_eq!(named(&telemetry), ["otlp traces", "otlp logs"]);
        let backend = InMemory::new();
        let called = Telemetry::builder("orders")
            .destination(Destination::in_memory("mine", &backend))
            .build()
            .unwrap();
        assert_eq!(named(&called), ["mine traces", "mine logs", "mine metrics"]);
    });
    let lines = printed(&output);
    let warning = "OTEL_BSP_MAX_QUEUE_SIZE has no effect: ";
    assert!(lines.contains(warning), "{lines}");
}
