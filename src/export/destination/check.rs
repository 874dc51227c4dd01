//! From what was given to what the transport needs, or the error that says what is accepted.

use super::{Given, Options};
use crate::{
    delivery::{Compression, Endpoint, Protocol, Tls},
    error::Error,
    records::Signal,
};
use ::http::{HeaderName, HeaderValue, Uri};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::time::Duration;

/// The longest time that a setting may name; added to any moment it is still one.
const LONGEST: Duration = Duration::from_millis(u32::MAX as u64);
/// Not the specification's 10 seconds: one attempt at a time holds back all that comes after it, so
/// a receiver that takes connections and never answers is to hold up no more than that.
const TIMEOUT: Duration = Duration::from_secs(3);
/// What a request is made of already. Those of gRPC begin with `grpc-`.
const OURS: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
];

/// Where `signal` goes. What is its own has precedence over what is said of all.
pub(super) fn endpoint(
    signal: Signal,
    own: &Options,
    base: &Options,
) -> Result<Option<Endpoint>, Error> {
    let protocol = match either(&own.protocol, &base.protocol) {
        Some(given) => checked_protocol(given)?,
        None => Protocol::default(),
    };
    let url = match (&own.endpoint, &base.endpoint) {
        (Some(own), _) => url(own, protocol, None)?,
        (None, Some(base)) => url(base, protocol, Some(signal))?,
        (None, None) => return Ok(None),
    };
    let headers = match either(&own.headers, &base.headers) {
        Some(given) => headers(given)?,
        None => Vec::new(),
    };
    let timeout = match either(&own.timeout, &base.timeout) {
        Some(given) if given.value.is_zero() || given.value > LONGEST => {
            let longest = LONGEST.as_millis();
            return Err(given.refused(format!("more than 0, and at most {longest} ms")));
        }
        Some(given) => given.value,
        None => TIMEOUT,
    };
    let compression = match either(&own.compression, &base.compression) {
        Some(given) => checked_compression(given, protocol)?,
        None => Compression::default(),
    };
    let certificate = either(&own.certificate, &base.certificate);
    let tls = Tls {
        certificate: certificate.map(certificates).transpose()?,
        client: identity(
            either(&own.client_certificate, &base.client_certificate),
            either(&own.client_key, &base.client_key),
        )?,
    };
    Ok(Some(Endpoint {
        protocol,
        url,
        headers,
        timeout,
        compression,
        tls,
    }))
}

fn either<'a, T>(own: &'a Option<Given<T>>, base: &'a Option<Given<T>>) -> Option<&'a Given<T>> {
    own.as_ref().or(base.as_ref())
}

fn checked_protocol(given: &Given<Protocol>) -> Result<Protocol, Error> {
    if given.value == Protocol::Grpc && !cfg!(feature = "grpc") {
        return Err(given.refused(
            "`http/protobuf`: gRPC needs the cargo feature `grpc` of orderscope, which this program \
             was built without",
        ));
    }
    Ok(given.value)
}

fn checked_compression(
    given: &Given<Compression>,
    protocol: Protocol,
) -> Result<Compression, Error> {
    match (given.value, protocol) {
        (Compression::Zstd, _) if !cfg!(feature = "zstd") => Err(given.refused(
            "`gzip` or `none`: zstd needs the cargo feature `zstd` of orderscope, which this \
             program was built without",
        )),
        (Compression::Zstd, Protocol::Grpc) => {
            Err(given.refused("`gzip` or `none` over gRPC; zstd goes over `http/protobuf`"))
        }
        (compression, _) => Ok(compression),
    }
}

/// The address, with the path of `appended` where the given one is that of all signals.
fn url(given: &Given<String>, protocol: Protocol, appended: Option<Signal>) -> Result<Uri, Error> {
    let not_a_url = || {
        given.refused(match protocol {
            Protocol::HttpProtobuf => {
                "a URL of `http` or `https` with a host, such as `http://localhost:4318`"
            }
            Protocol::Grpc => {
                "a URL of `http` or `https` with a host, such as `http://localhost:4317`"
            }
        })
    };
    let url: Uri = given.value.trim().parse().map_err(|_| not_a_url())?;
    let is_http = url.scheme_str().is_some_and(|scheme| {
        ["http", "https"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
    });
    let Some(authority) = url.authority().filter(|_| is_http) else {
        return Err(not_a_url());
    };
    if authority.as_str().contains('@') {
        return Err(given.refused(
            "a URL without a user and a password: send them as a header, `authorization` with \
             `Basic` and their base64",
        ));
    }
    // A port that is none is no error of `Uri`: it has none then.
    let port = authority.as_str().strip_prefix(authority.host());
    let has_no_port = port == Some("");
    let has_port = authority.port_u16().is_some_and(|port| port != 0);
    if authority.host().is_empty() || !(has_no_port || has_port) {
        return Err(not_a_url());
    }
    match (protocol, appended) {
        (Protocol::Grpc, _) if !["", "/"].contains(&url.path()) || url.query().is_some() => {
            Err(given.refused(
                "a URL without a path over gRPC, such as `http://localhost:4317`; paths such as \
                 `/v1/traces` are those of `http/protobuf`",
            ))
        }
        (Protocol::HttpProtobuf, Some(signal)) => with_path(url, signal).ok_or_else(not_a_url),
        _ => Ok(url),
    }
}

fn with_path(url: Uri, signal: Signal) -> Option<Uri> {
    let path = url.path().trim_end_matches('/');
    let mut path = format!("{path}/v1/{}", signal.name());
    if let Some(query) = url.query() {
        path = format!("{path}?{query}");
    }
    let mut parts = url.into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn headers(given: &Given<Vec<(String, String)>>) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let header = |(at, (name, value)): (usize, &(String, String))| {
        let refused = |accepted: &str| {
            // By its place: even its name may be a key that was put there.
            given.refused(format!("{accepted}, which header {} is not", at + 1))
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            refused("headers whose names are letters, digits and `-`, such as `api-key`")
        })?;
        let mut value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| refused("headers whose values have no control characters"))?;
        if OURS.contains(&name.as_str()) || name.as_str().starts_with("grpc-") {
            let ours = OURS.map(|name| format!("`{name}`")).join(", ");
            return Err(refused(&format!(
                "headers that orderscope does not set itself (it sets {ours} and `grpc-…`)"
            )));
        }
        value.set_sensitive(true);
        Ok((name, value))
    };
    given.value.iter().enumerate().map(header).collect()
}

/// One certificate or more.
fn certificates(given: &Given<Vec<u8>>) -> Result<Vec<u8>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&given.value).collect();
    match all {
        Ok(certificates) if !certificates.is_empty() => Ok(given.value.clone()),
        _ => Err(given.refused("PEM with one certificate or more (`-----BEGIN CERTIFICATE-----`)")),
    }
}

/// The chain and its key.
type Identity = (Vec<u8>, Vec<u8>);

fn identity(
    certificate: Option<&Given<Vec<u8>>>,
    key: Option<&Given<Vec<u8>>>,
) -> Result<Option<Identity>, Error> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            PrivateKeyDer::from_pem_slice(&key.value).map_err(|_| {
                key.refused(
                    "PEM with a private key that has no passphrase (`-----BEGIN PRIVATE KEY-----`)",
                )
            })?;
            Ok(Some((chain, key.value.clone())))
        }
        (Some(certificate), None) => {
            Err(certificate.refused("given together with the client's key"))
        }
        (None, Some(key)) => Err(key.refused("given together with the client's certificate")),
    }
}
