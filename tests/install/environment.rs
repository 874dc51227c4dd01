//! What the environment says, and over what a call has precedence.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::process::Output;

use orderscope::Telemetry;
use orderscope::export::{Destination, InMemory};

use super::{alone, loopback, printed, refused, scrape};

#[test]
fn lines_go_to_stderr_at_the_levels_of_rust_log() {
    let case = || {
        let _telemetry = Telemetry::builder("orders").install().unwrap();
        tracing::debug!("a debug line");
        tracing::info!(order = 7, "an info line");
        tracing::warn!("a warning");
        tracing::debug!(target: "kitchen", "a debug line of the kitchen");
    };
    let seen = |variables: &[(&str, &str)], output: Output| {
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains(" line"),
            "{variables:?}"
        );
        let lines = printed(&output);
        [
            " DEBUG install::environment: a debug line\n",
            " INFO install::environment: an info line order=7\n",
            " WARN install::environment: a warning\n",
            " DEBUG kitchen: a debug line of the kitchen\n",
        ]
        .map(|line| lines.contains(line))
    };
    for (level, expected) in [
        ("", [false, true, true, false]),
        ("warn", [false, false, true, false]),
        ("warn,kitchen=debug", [false, false, true, true]),
        ("debug", [true, true, true, true]),
        ("off", [false, false, false, false]),
    ] {
        let variables = [("RUST_LOG", level)];
        assert_eq!(
            seen(&variables, alone(&variables, case)),
            expected,
            "{level:?}"
        );
    }
}

#[test]
fn the_environment_reaches_target_info() {
    let variables = [
        ("OTEL_SERVICE_NAME", "orders"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=not-this,team=a%2Cb,service.version=1,cloud.region=eu%20west",
        ),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "0"),
    ];
    alone(&variables, || {
        let telemetry = Telemetry::builder_from_environment()
            .version("2")
            .install()
            .unwrap();
        let address = telemetry.metrics_address().unwrap();
        assert!(
            address.ip().is_loopback() && address.port() != 0,
            "{address}"
        );
        let page = scrape(address);
        let info = page
            .lines()
            .find(|line| line.starts_with("target_info{"))
            .unwrap();
        for label in [
            "service_name=\"orders\"",
            // A call over the environment.
            "service_version=\"2\"",
            "team=\"a,b\"",
            "cloud_region=\"eu west\"",
            "telemetry_sdk_name=\"orderscope\"",
        ] {
            assert!(info.contains(label), "{label} is not in {info}");
        }
        let pid = format!("process_pid=\"{}\"", std::process::id());
        assert!(
            info.contains(&pid) && info.contains("service_instance_id=\""),
            "{info}"
        );
    });
}

#[test]
fn a_call_has_precedence_over_a_variable_and_that_over_the_default() {
    let taken = TcpListener::bind(loopback()).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let variables = [
        ("OTEL_SERVICE_NAME", "of-the-variable"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=of-the-list,service.instance.id=of-the-list",
        ),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", &port),
    ];
    alone(&variables, || {
        // The variable's port is taken.
        assert!(refused(Telemetry::builder("of-the-call").install()).is_io());
        let telemetry = Telemetry::builder("of-the-call")
            .metrics_listener(loopback())
            .install()
            .unwrap();
        let resource = telemetry.resource();
        assert_eq!(resource.get("service.name"), Some("of-the-call"));
        assert_eq!(resource.get("service.instance.id"), Some("of-the-list"));
        let named = Telemetry::builder_from_environment()
            .metrics_listener(loopback())
            .build();
        assert_eq!(
            named.unwrap().resource().get("service.name"),
            Some("of-the-variable")
        );
    });
}

#[test]
fn the_defaults_are_no_listener_and_a_random_instance() {
    alone(&[], || {
        let telemetry = Telemetry::builder("of-the-call").install().unwrap();
        assert_eq!(telemetry.metrics_address(), None);
        assert_eq!(
            telemetry
                .resource()
                .get("service.instance.id")
                .unwrap()
                .len(),
            36
        );
        assert!(telemetry.resource().get("service.version").is_none());
    });
}

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
    write!(io::stderr(), "{error}").unwrap();
}

#[test]
fn every_variable_of_otlp_that_is_not_accepted_is_named_with_what_is() {
    for (name, value, accepted) in REFUSED {
        let endpoint = (ENDPOINT, "http://127.0.0.1:4318");
        let variables = match *name {
            ENDPOINT => vec![(*name, *value)],
            _ => vec![endpoint, (*name, *value)],
        };
        let output = alone(&variables, || print_the_refusal());
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
        let message = printed(&alone(&variables, || print_the_refusal()));
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
