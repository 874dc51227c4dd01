//! The `OTEL_*` variables and `RUST_LOG`, as typed settings. A call has precedence over a
//! variable, a variable over the default.

mod batching;
mod exporters;
mod otlp;
mod sampling;
mod settings;
mod values;

pub(super) use batching::Batching;
pub(super) use settings::{Settings, settings};

use crate::{error::Error, redaction::MASK, resource::Resource, semconv};
use percent_encoding::percent_decode_str;
use std::{
    env,
    ffi::OsStr,
    net::{SocketAddr, ToSocketAddrs as _},
};

const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const PROMETHEUS_HOST: &str = "OTEL_EXPORTER_PROMETHEUS_HOST";
const PROMETHEUS_PORT: &str = "OTEL_EXPORTER_PROMETHEUS_PORT";
const LOG_LEVELS: &str = "RUST_LOG";
/// The specification's defaults for the Prometheus exporter.
const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 9464;

/// Where variables are read from: the process's, or a test's.
pub(super) trait Variables {
    /// The value, `None` when unset or empty, which the specification treats alike.
    fn value(&self, name: &str) -> Result<Option<String>, Error>;
}

/// The variables of this process.
#[derive(Debug)]
pub(super) struct Process;

impl Variables for Process {
    fn value(&self, name: &str) -> Result<Option<String>, Error> {
        match env::var(name) {
            Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(value)) => Err(not_unicode(name, &value)),
        }
    }
}

fn not_unicode(name: &str, value: &OsStr) -> Error {
    let may_be_secret = name.ends_with("_HEADERS") || name.ends_with("_ENDPOINT");
    let value = match may_be_secret {
        true => MASK.into(),
        false => value.to_string_lossy(),
    };
    Error::configuration(name, value, "valid UTF-8")
}

/// `OTEL_SERVICE_NAME`, else `service.name` of `OTEL_RESOURCE_ATTRIBUTES`.
pub(super) fn service_name(variables: &impl Variables) -> Result<Option<String>, Error> {
    if let Some(name) = variables.value(SERVICE_NAME)? {
        return Ok(Some(name));
    }
    let mut attributes = resource_attributes(variables)?.into_iter();
    Ok(attributes
        .find(|(name, _)| name == semconv::SERVICE_NAME)
        .map(|(_, value)| value))
}

/// Sets what `OTEL_RESOURCE_ATTRIBUTES` says.
pub(super) fn describe(resource: &mut Resource, variables: &impl Variables) -> Result<(), Error> {
    for (name, value) in resource_attributes(variables)? {
        resource.set(&name, value);
    }
    Ok(())
}

fn resource_attributes(variables: &impl Variables) -> Result<Vec<(String, String)>, Error> {
    let Some(list) = variables.value(RESOURCE_ATTRIBUTES)? else {
        return Ok(Vec::new());
    };
    let parse = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let decode = |text: &str| {
            let text = percent_decode_str(text.trim()).decode_utf8().ok()?;
            Some(text.into_owned())
        };
        Some((
            decode(name).filter(|name| !name.is_empty())?,
            decode(value)?,
        ))
    };
    list.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            parse(pair).ok_or_else(|| {
                Error::configuration(
                    RESOURCE_ATTRIBUTES,
                    &list,
                    format!(
                        "a list `name=value,name=value` whose parts are percent-encoded UTF-8, \
                         which {pair:?} is not"
                    ),
                )
            })
        })
        .collect()
}

/// The address of the scrape listener, when either variable asks for one, or another has.
pub(super) fn metrics_listener(
    variables: &impl Variables,
    is_asked_for: bool,
) -> Result<Option<SocketAddr>, Error> {
    let (host, port) = (
        variables.value(PROMETHEUS_HOST)?,
        variables.value(PROMETHEUS_PORT)?,
    );
    if host.is_none() && port.is_none() && !is_asked_for {
        return Ok(None);
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.trim().parse().map_err(|_| {
            Error::configuration(
                PROMETHEUS_PORT,
                port,
                "a port, 0 to 65535 (0: any free one)",
            )
        })?,
    };
    let host = host.unwrap_or_else(|| DEFAULT_HOST.to_owned());
    let addresses = (host.as_str(), port).to_socket_addrs();
    let address = addresses.ok().and_then(|mut addresses| {
        // `localhost` may name ::1 first, on machines where nothing else does.
        let all: Vec<_> = addresses.by_ref().collect();
        all.iter().find(|a| a.is_ipv4()).or(all.first()).copied()
    });
    let accepted = "an IP address or the name of a host that resolves here, without scheme, \
                    brackets and port (that is OTEL_EXPORTER_PROMETHEUS_PORT)";
    address
        .map(Some)
        .ok_or_else(|| Error::configuration(PROMETHEUS_HOST, host, accepted))
}

/// The directives of `RUST_LOG`.
pub(super) fn log_levels(variables: &impl Variables) -> Result<String, Error> {
    Ok(variables.value(LOG_LEVELS)?.unwrap_or_default())
}

/// What is wrong with the directives of `RUST_LOG`.
pub(super) fn log_levels_refused(directives: &str, reason: &str) -> Error {
    Error::configuration(
        LOG_LEVELS,
        directives,
        format!("levels such as `info` or `warn,orders=debug` ({reason})"),
    )
}

/// The variables of a test.
#[cfg(test)]
struct Given<'a>(&'a [(&'a str, &'a str)]);

#[cfg(test)]
impl Variables for Given<'_> {
    fn value(&self, name: &str) -> Result<Option<String>, Error> {
        let given = self.0.iter().find(|(known, _)| *known == name);
        let value = given.map(|(_, value)| (*value).to_owned());
        Ok(value.filter(|value| !value.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_read_percent_decoded() {
        let given = Given(&[(RESOURCE_ATTRIBUTES, "team=a%2Cb, region = eu%20west ,,x=")]);
        assert_eq!(
            resource_attributes(&given).unwrap(),
            [("team", "a,b"), ("region", "eu west"), ("x", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn the_name_of_its_own_variable_wins() {
        let attributes = (RESOURCE_ATTRIBUTES, "service.name=from-attributes");
        let name = |given: &[(&str, &str)]| service_name(&Given(given)).unwrap();
        assert_eq!(name(&[attributes]).as_deref(), Some("from-attributes"));
        assert_eq!(
            name(&[attributes, (SERVICE_NAME, "own")]).as_deref(),
            Some("own")
        );
        assert_eq!(name(&[]), None);
    }

    #[test]
    fn either_prometheus_variable_opens_a_listener_on_loopback() {
        let listener = |given: &[(&str, &str)]| metrics_listener(&Given(given), false);
        assert_eq!(listener(&[]).unwrap(), None);
        let by_port = listener(&[(PROMETHEUS_PORT, "9100")]).unwrap().unwrap();
        assert!(by_port.ip().is_loopback() && by_port.port() == 9100);
        let by_host = listener(&[(PROMETHEUS_HOST, "127.0.0.1")]).unwrap();
        assert_eq!(by_host, Some(SocketAddr::from(([127, 0, 0, 1], 9464))));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_unicode_is_shown_unless_it_may_be_secret() {
        use std::os::unix::ffi::OsStrExt as _;
        let message = |name| not_unicode(name, OsStr::from_bytes(b"s3cret\xff")).to_string();
        assert_eq!(
            message("OTEL_EXPORTER_OTLP_LOGS_HEADERS"),
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS is \"***\", but must be valid UTF-8"
        );
        assert!(message("OTEL_EXPORTER_OTLP_ENDPOINT").contains("\"***\""));
        assert!(message(SERVICE_NAME).contains("s3cret"));
    }

    #[test]
    fn what_cannot_be_parsed_is_named_with_what_is_accepted() {
        for (name, value) in [
            (PROMETHEUS_PORT, "70000"),
            (PROMETHEUS_PORT, "http"),
            (PROMETHEUS_HOST, "no such host"),
            (RESOURCE_ATTRIBUTES, "team"),
            (RESOURCE_ATTRIBUTES, "=x"),
            (RESOURCE_ATTRIBUTES, "x=%ff"),
        ] {
            let given = [(name, value)];
            let given = Given(&given);
            let error = metrics_listener(&given, false)
                .and_then(|_| resource_attributes(&given))
                .unwrap_err();
            let message = error.to_string();
            assert!(error.is_configuration(), "{message}");
            assert!(
                message.contains(name) && message.contains(value),
                "{message}"
            );
            assert!(message.contains("must be"), "{message}");
        }
    }
}
