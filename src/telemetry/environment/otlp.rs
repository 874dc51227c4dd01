//! `OTEL_EXPORTER_OTLP_…` as a destination. A variable of one signal has precedence over that of
//! all, option by option.
//!
//! Where nothing is set, an attempt takes at most 3 seconds; `OTEL_EXPORTER_OTLP_TIMEOUT=10000` is
//! the specification's default.

use super::{
    Variables,
    exporters::{self, Choice, Exporters},
    values,
};
use crate::{
    error::Error,
    export::{Compression, Destination, Given, Options, Protocol, Signal, Temporality},
    redaction::MASK,
};
use percent_encoding::percent_decode_str;
use std::fs;

const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const AGGREGATION: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
const JSON: &str = " (which needs the cargo feature `grpc`); JSON is not offered";
const ZSTD: &str = " (`zstd` needs the cargo feature of that name)";
/// What the ledger calls the destination of the environment.
const NAME: &str = "otlp";

/// Where the environment sends telemetry; nowhere, and nothing else of OTLP is read, when no
/// wanted signal has an endpoint.
pub(super) fn destination(
    variables: &impl Variables,
    exporters: &Exporters,
    warnings: &mut Vec<String>,
) -> Result<Option<Destination>, Error> {
    let base_is_set = values::text(variables, &variable(None, "ENDPOINT"))?.is_some();
    let mut sent = Vec::new();
    for signal in Signal::ALL {
        let own = variable(Some(signal), "ENDPOINT");
        let is_set = base_is_set || values::text(variables, &own)?.is_some();
        match (exporters.otlp[signal as usize], is_set) {
            (Choice::Unsaid | Choice::Wanted, true) => sent.push(signal),
            (Choice::Wanted, false) => warnings.push(format!(
                "{} asks for `otlp`, but no endpoint is set, and nothing is sent: set \
                 OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318, or {own}",
                exporters::variable(signal)
            )),
            (Choice::Unsaid, false) | (Choice::Unwanted, _) => {}
        }
    }
    if sent.is_empty() {
        return Ok(None);
    }
    let base = options(variables, None)?;
    let mut own = [Options::default(), Options::default(), Options::default()];
    for signal in &sent {
        own[*signal as usize] = options(variables, Some(*signal))?;
    }
    let mut temporality = Temporality::default();
    if sent.contains(&Signal::Metrics) {
        temporality = read_temporality(variables)?;
        check_aggregation(variables, warnings)?;
    }
    let destination = Destination::new(NAME.to_owned(), temporality, base, own).only(sent);
    // Here rather than later, so that every variable is read by one call.
    destination.endpoints()?;
    Ok(Some(destination))
}

/// The variable of one signal, or of all.
fn variable(signal: Option<Signal>, option: &str) -> String {
    match signal {
        Some(signal) => {
            let signal = signal.name().to_uppercase();
            format!("OTEL_EXPORTER_OTLP_{signal}_{option}")
        }
        None => format!("OTEL_EXPORTER_OTLP_{option}"),
    }
}

fn options(variables: &impl Variables, signal: Option<Signal>) -> Result<Options, Error> {
    let name = |option| variable(signal, option);
    let protocols = [Protocol::HttpProtobuf, Protocol::Grpc].map(|known| (known.word(), known));
    let compressions = [Compression::Gzip, Compression::Zstd, Compression::None]
        .map(|known| (known.word(), known));
    let (endpoint, protocol, compression, timeout) = (
        name("ENDPOINT"),
        name("PROTOCOL"),
        name("COMPRESSION"),
        name("TIMEOUT"),
    );
    Ok(Options {
        endpoint: values::text(variables, &endpoint)?.map(|url| Given::url(endpoint, url)),
        protocol: values::word(variables, &protocol, &protocols, JSON)?
            .map(|given| Given::new(protocol, given.word(), given)),
        headers: headers(variables, name("HEADERS"))?,
        timeout: values::duration(variables, &timeout, 1)?
            .map(|given| Given::new(timeout, format!("{given:?}"), given)),
        compression: values::word(variables, &compression, &compressions, ZSTD)?
            .map(|given| Given::new(compression, given.word(), given)),
        certificate: file(variables, name("CERTIFICATE"))?,
        client_certificate: file(variables, name("CLIENT_CERTIFICATE"))?,
        client_key: file(variables, name("CLIENT_KEY"))?,
    })
}

type Headers = Vec<(String, String)>;

/// `name=value,name=value`, percent-encoded. A blank that must stay is `%20`.
fn headers(variables: &impl Variables, name: String) -> Result<Option<Given<Headers>>, Error> {
    let Some(list) = values::text(variables, &name)? else {
        return Ok(None);
    };
    let decoded = |text: &str| {
        let text = percent_decode_str(text.trim()).decode_utf8().ok()?;
        Some(text.into_owned())
    };
    let header = |(at, pair): (usize, &str)| {
        pair.split_once('=')
            .and_then(|(name, value)| Some((decoded(name)?, decoded(value)?)))
            .ok_or_else(|| {
                // By its place: what is no pair may be a key.
                let accepted = format!(
                    "a list `name=value,name=value` whose parts are percent-encoded UTF-8, which \
                     header {} is not",
                    at + 1
                );
                Error::configuration(&name, MASK, accepted)
            })
    };
    let headers = list
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .enumerate()
        .map(header)
        .collect::<Result<_, _>>()?;
    Ok(Some(Given::new(name, MASK, headers)))
}

/// What the file that the variable names holds.
fn file(variables: &impl Variables, name: String) -> Result<Option<Given<Vec<u8>>>, Error> {
    let Some(path) = values::text(variables, &name)? else {
        return Ok(None);
    };
    match fs::read(&path) {
        Ok(content) => Ok(Some(Given::new(name, path, content))),
        Err(error) => {
            let accepted = format!("the path of a PEM file that can be read ({error})");
            Err(Error::configuration(name, path, accepted))
        }
    }
}

fn read_temporality(variables: &impl Variables) -> Result<Temporality, Error> {
    let known = [
        ("cumulative", Temporality::Cumulative),
        ("delta", Temporality::Delta),
        ("lowmemory", Temporality::LowMemory),
    ];
    Ok(values::word(variables, TEMPORALITY, &known, "")?.unwrap_or_default())
}

fn check_aggregation(variables: &impl Variables, warnings: &mut Vec<String>) -> Result<(), Error> {
    const EXPONENTIAL: &str = "base2_exponential_bucket_histogram";
    let known = [("explicit_bucket_histogram", false), (EXPONENTIAL, true)];
    if values::word(variables, AGGREGATION, &known, "")? == Some(true) {
        warnings.push(format!(
            "{AGGREGATION} is `{EXPONENTIAL}`, but histograms are sent with the fixed edges that \
             the metrics page has"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::Given as Variables, *};
    use crate::delivery::Endpoint;
    use std::{env, path::PathBuf, process, time::Duration};

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");

    type Read = Result<(Option<Destination>, Vec<String>), Error>;

    fn read(given: &[(&str, &str)]) -> Read {
        let (given, mut warnings) = (Variables(given), Vec::new());
        let exporters = exporters::exporters(&given, &mut warnings)?;
        let destination = destination(&given, &exporters, &mut warnings)?;
        Ok((destination, warnings))
    }

    fn endpoints(given: &[(&str, &str)]) -> [Option<Endpoint>; 3] {
        let destination = read(given).unwrap().0.unwrap();
        destination.endpoints().unwrap()
    }

    fn urls(given: &[(&str, &str)]) -> [Option<String>; 3] {
        endpoints(given).map(|endpoint| Some(endpoint?.url.to_string()))
    }

    fn refused(given: &[(&str, &str)]) -> String {
        let error = read(given).unwrap_err();
        assert!(error.is_configuration());
        error.to_string()
    }

    fn some<const N: usize>(urls: [&str; N]) -> [Option<String>; N] {
        urls.map(|url| (!url.is_empty()).then(|| url.to_owned()))
    }

    /// A file that goes with it.
    struct File(PathBuf);

    impl File {
        fn new(name: &str, content: &str) -> Self {
            let name = format!("orderscope-{}-{name}", process::id());
            let path = env::temp_dir().join(name);
            fs::write(&path, content).unwrap();
            Self(path)
        }

        fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn without_an_endpoint_otlp_is_off_and_the_rest_of_it_is_not_read() {
        let (destination, warnings) = read(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "no protocol"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "no header"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
            (AGGREGATION, "none"),
        ])
        .unwrap();
        assert!(destination.is_none() && warnings.is_empty());
    }

    #[test]
    fn one_who_asks_for_otlp_without_an_endpoint_is_told_so() {
        let (destination, warnings) = read(&[("OTEL_TRACES_EXPORTER", "otlp")]).unwrap();
        assert!(destination.is_none());
        assert_eq!(
            warnings,
            [
                "OTEL_TRACES_EXPORTER asks for `otlp`, but no endpoint is set, and nothing is sent: set \
              OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318, or \
              OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
            ]
        );
    }

    #[test]
    fn paths_are_appended_to_the_endpoint_of_all_and_to_no_other() {
        assert_eq!(
            urls(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/")]),
            some([
                "http://c:4318/base/v1/traces",
                "http://c:4318/base/v1/logs",
                "http://c:4318/base/v1/metrics"
            ])
        );
        let logs = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs");
        assert_eq!(
            urls(&[ENDPOINT, logs]),
            some([
                "http://localhost:4318/v1/traces",
                "https://logs/",
                "http://localhost:4318/v1/metrics"
            ])
        );
        assert_eq!(urls(&[logs]), some(["", "https://logs/", ""]));
    }

    #[test]
    fn a_signal_that_is_not_wanted_goes_nowhere_and_its_variables_are_not_read() {
        let none = ("OTEL_METRICS_EXPORTER", "none");
        let protocol = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json");
        let urls = urls(&[ENDPOINT, none, protocol, (TEMPORALITY, "none")]);
        assert!(urls[0].is_some() && urls[1].is_some() && urls[2].is_none());
        let all = ["TRACES", "LOGS", "METRICS"].map(|signal| format!("OTEL_{signal}_EXPORTER"));
        let [traces, logs, metrics] = all.each_ref().map(|name| (name.as_str(), "none"));
        let (destination, _) = read(&[ENDPOINT, traces, logs, metrics]).unwrap();
        assert!(destination.is_none());
    }

    #[test]
    fn each_option_of_one_signal_has_precedence_over_that_of_all() {
        let given = [
            ENDPOINT,
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "api-key=of%20all, x-team = a=b ",
            ),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=of-traces,"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "3000"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ];
        let endpoints = endpoints(&given).map(Option::unwrap);
        let headers = endpoints.each_ref().map(|endpoint| {
            let text = endpoint.headers.iter();
            text.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect::<Vec<_>>()
        });
        assert_eq!(headers[0], ["api-key: of-traces"]);
        assert_eq!(headers[1], ["api-key: of all", "x-team: a=b"]);
        assert_eq!(headers[2], headers[1]);
        let seconds = endpoints.each_ref().map(|endpoint| endpoint.timeout);
        assert_eq!(seconds, [2, 3, 2].map(Duration::from_secs));
        assert_eq!(
            endpoints.each_ref().map(|endpoint| endpoint.compression),
            [Compression::Gzip, Compression::Gzip, Compression::None]
        );
        assert!(
            endpoints
                .iter()
                .all(|e| e.protocol == Protocol::HttpProtobuf)
        );
    }

    #[test]
    fn certificates_and_keys_are_files() {
        let pem = |what| format!("-----BEGIN {what}-----\nMAA=\n-----END {what}-----\n");
        let certificate = File::new("certificate.pem", &pem("CERTIFICATE"));
        let key = File::new("key.pem", &pem("PRIVATE KEY"));
        let neither = File::new("neither.pem", "s3cret");
        let given = [
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate.path()),
            (
                "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
                certificate.path(),
            ),
            ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", key.path()),
        ];
        let [traces, logs, _] = endpoints(&given).map(Option::unwrap);
        assert_eq!(
            traces.tls.certificate,
            Some(pem("CERTIFICATE").into_bytes())
        );
        assert!(traces.tls.client.is_none());
        assert_eq!(
            logs.tls.client,
            Some((
                pem("CERTIFICATE").into_bytes(),
                pem("PRIVATE KEY").into_bytes()
            ))
        );

        let message = refused(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_CERTIFICATE", neither.path())]);
        let path = neither.path();
        assert_eq!(
            message,
            format!(
                "OTEL_EXPORTER_OTLP_CERTIFICATE is {path:?}, but must be PEM with one certificate \
                 or more (`-----BEGIN CERTIFICATE-----`)"
            )
        );
        let absent = ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/no/such/key");
        assert_eq!(
            refused(&[ENDPOINT, absent]),
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY is \"/no/such/key\", but must be the path of a PEM \
             file that can be read (No such file or directory (os error 2))"
        );
        let message = refused(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.path())]);
        assert!(
            message.ends_with("but must be given together with the client's certificate"),
            "{message}"
        );
    }

    #[test]
    fn metrics_have_their_temporality_and_their_edges() {
        let given = |temporality| [ENDPOINT, (TEMPORALITY, temporality)];
        for (value, expected) in [
            ("", Temporality::Cumulative),
            ("Cumulative", Temporality::Cumulative),
            ("delta", Temporality::Delta),
            ("LowMemory", Temporality::LowMemory),
        ] {
            let destination = read(&given(value)).unwrap().0.unwrap();
            assert_eq!(destination.metrics_temporality(), expected);
        }
        let (_, none) = read(&[ENDPOINT, (AGGREGATION, "explicit_bucket_histogram")]).unwrap();
        assert!(none.is_empty());
        let exponential = (AGGREGATION, "base2_exponential_bucket_histogram");
        assert_eq!(
            read(&[ENDPOINT, exponential]).unwrap().1,
            [
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION is \
              `base2_exponential_bucket_histogram`, but histograms are sent with the fixed edges \
              that the metrics page has"
            ]
        );
    }

    #[test]
    fn every_value_that_is_not_accepted_is_named_with_what_is() {
        for (name, value, accepted) in [
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "localhost:4318",
                "a URL of `http` or `https`",
            ),
            (
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                "ftp://h",
                "a URL of `http` or `https`",
            ),
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "http/json",
                "`http/protobuf` or `grpc` (which needs the cargo feature `grpc`); JSON is not \
                 offered",
            ),
            (
                "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                "br",
                "`gzip`, `zstd` or `none`",
            ),
            (
                "OTEL_EXPORTER_OTLP_TIMEOUT",
                "10s",
                "whole milliseconds, 1 to 4294967295",
            ),
            (
                "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
                "0",
                "whole milliseconds, 1 to 4294967295",
            ),
            (
                TEMPORALITY,
                "sliding",
                "`cumulative`, `delta` or `lowmemory`",
            ),
            (
                AGGREGATION,
                "none",
                "`explicit_bucket_histogram` or `base2_exponential_bucket_histogram`",
            ),
        ] {
            let given = [(name, value), ENDPOINT];
            let message = refused(&given);
            let expected = format!("{name} is {value:?}, but must be {accepted}");
            assert!(message.starts_with(&expected), "{message}");
        }
    }

    #[test]
    fn a_feature_that_this_build_lacks_is_named() {
        for (variable, value, feature, is_there) in [
            (
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                "grpc",
                "grpc",
                cfg!(feature = "grpc"),
            ),
            (
                "OTEL_EXPORTER_OTLP_COMPRESSION",
                "zstd",
                "zstd",
                cfg!(feature = "zstd"),
            ),
        ] {
            let given = [
                (
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                    "http://localhost:4317",
                ),
                (variable, value),
            ];
            if is_there {
                assert!(endpoints(&given)[0].is_some());
                continue;
            }
            let message = refused(&given);
            assert!(
                message.starts_with(&format!("{variable} is {value:?}, but must be "))
                    && message.contains(&format!("the cargo feature `{feature}`")),
                "{message}"
            );
        }
    }

    #[test]
    fn nothing_secret_is_in_a_message_or_in_debug() {
        let headers = "OTEL_EXPORTER_OTLP_HEADERS";
        for (given, accepted) in [
            (
                (headers, "a=b,s3cret"),
                "percent-encoded UTF-8, which header 2 is not",
            ),
            (
                (headers, "a=s3cret%ff"),
                "percent-encoded UTF-8, which header 1 is not",
            ),
            (
                (headers, "=s3cret"),
                "such as `api-key`, which header 1 is not",
            ),
            (
                (headers, "s3cret s3cret=x"),
                "such as `api-key`, which header 1 is not",
            ),
            (
                (headers, "a=s3cret%0A"),
                "no control characters, which header 1 is not",
            ),
            ((headers, "host=s3cret"), "does not set itself"),
            (
                (
                    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                    "http://s3cret@h/?k=s3cret",
                ),
                "a URL without a user and a password",
            ),
        ] {
            let message = refused(&[ENDPOINT, given]);
            assert!(message.starts_with(given.0), "{message}");
            assert!(message.contains(accepted), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
            assert!(message.contains("***"), "{message}");
        }
        let header = (headers, "api-key=s3cret");
        let url = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://h/?k=s3cret");
        let destination = read(&[ENDPOINT, header, url]).unwrap().0;
        let printed = format!("{destination:?}");
        assert!(!printed.contains("s3cret"), "{printed}");
        assert!(printed.contains("http://h/?***"), "{printed}");
    }
}
