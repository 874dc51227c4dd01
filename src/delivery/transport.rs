//! OTLP's ways over the network. Each attempt ends by its own deadline, reads a bounded answer, and
//! tells what became of the request.

mod answer;
mod compress;
mod connector;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
mod lookup;
mod outgoing;
#[cfg(test)]
mod tests;
mod tls;

use super::{Answer, Sending, Transport};
use crate::{
    clock::Clock,
    error::Error,
    mutation::{self, Mutation},
    records::Signal,
};
use ::http::{HeaderMap, HeaderName, HeaderValue, Uri, uri::Scheme};
use bytes::Bytes;
use std::{fmt, sync::Arc, time::Duration};

const USER_AGENT: &str = concat!("orderscope/", env!("CARGO_PKG_VERSION"));

/// Where one signal goes, and how.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) protocol: Protocol,
    /// Over HTTP the whole address, `/v1/traces` included; over gRPC the server's.
    pub(crate) url: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Of one attempt, connecting included.
    pub(crate) timeout: Duration,
    pub(crate) compression: Compression,
    pub(crate) tls: Tls,
}

/// The way OTLP is spoken. Default: protobuf over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Protobuf over HTTP/1.1, usually on port 4318: `http/protobuf`.
    #[default]
    HttpProtobuf,
    /// gRPC over HTTP/2, usually on port 4317: `grpc`. Needs the cargo feature `grpc`.
    Grpc,
}

impl Protocol {
    /// As `OTEL_EXPORTER_OTLP_PROTOCOL` spells it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }
}

/// What the body of a request is compressed by. Default: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Sent as it is: `none`.
    #[default]
    None,
    /// Understood by every receiver of OTLP: `gzip`.
    Gzip,
    /// Cheaper than gzip: `zstd`. Over HTTP only; needs the cargo feature `zstd`.
    Zstd,
}

impl Compression {
    /// As `OTEL_EXPORTER_OTLP_COMPRESSION` spells it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// How `https` endpoints are trusted, and how we show who we are. Certificates and keys are PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Trusted in place of the host's roots.
    pub(crate) certificate: Option<Vec<u8>>,
    /// For mTLS: the chain and its key.
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

/// The most lookups of names that one destination's endpoints may have hanging.
pub(crate) const HANGING_LOOKUPS: usize = Signal::ALL.len() * lookup::AT_ONCE;

/// The ways to these endpoints, each at its signal's place. Nothing is connected, and no root
/// certificate read, before the first request; all requests are sent within one runtime.
///
/// # Errors
/// An endpoint has no host or a foreign scheme, a certificate or a key is no PEM, or the protocol or
/// the compression belongs to a cargo feature that is off.
pub(crate) fn connect(
    endpoints: [Option<Endpoint>; 3],
    clock: &Clock,
) -> Result<Arc<dyn Transport>, Error> {
    let mut clients = Clients::default();
    let mut ways = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        ways.push(match endpoint {
            Some(endpoint) => Some(clients.way(endpoint, clock)?),
            None => None,
        });
    }
    Ok(Arc::new(Network(ways)))
}

impl Endpoint {
    /// Of one attempt.
    fn deadline(&self) -> Duration {
        match mutation::is_on(Mutation::NoAttemptDeadline) {
            true => Duration::MAX,
            false => self.timeout,
        }
    }

    fn is_secure(&self) -> bool {
        self.url.scheme() == Some(&Scheme::HTTPS)
    }

    /// Never shown, by whoever prints a request.
    fn given_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.append(name, value);
        }
        headers
    }

    fn checked(self) -> Result<Self, Error> {
        let has_scheme = matches!(self.url.scheme_str(), Some("http" | "https"));
        if !has_scheme || self.url.host().is_none_or(str::is_empty) {
            // Without what may be a password before the host.
            let shown = self.url.host().unwrap_or("an address without a host");
            return Err(Error::configuration(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                shown,
                "an address with a host, such as http://localhost:4318",
            ));
        }
        if cfg!(not(feature = "grpc")) && self.protocol == Protocol::Grpc {
            return Err(Error::configuration(
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "grpc",
                "http/protobuf; grpc needs the cargo feature `grpc` of orderscope",
            ));
        }
        if cfg!(not(feature = "zstd")) && self.compression == Compression::Zstd {
            return Err(Error::configuration(
                "OTEL_EXPORTER_OTLP_COMPRESSION",
                "zstd",
                "none or gzip; zstd needs the cargo feature `zstd` of orderscope",
            ));
        }
        Ok(self)
    }
}

/// What endpoints share that are reached alike.
#[derive(Default)]
struct Clients {
    http: Vec<Arc<http::Client>>,
    #[cfg(feature = "grpc")]
    grpc: Vec<Arc<grpc::Server>>,
}

impl Clients {
    fn way(&mut self, endpoint: Endpoint, clock: &Clock) -> Result<Way, Error> {
        let endpoint = endpoint.checked()?;
        #[cfg(feature = "grpc")]
        if endpoint.protocol == Protocol::Grpc {
            let server = match self.grpc.iter().find(|server| server.is_at(&endpoint)) {
                Some(server) => Arc::clone(server),
                None => {
                    let server = Arc::new(grpc::Server::of(&endpoint)?);
                    self.grpc.push(Arc::clone(&server));
                    server
                }
            };
            return Ok(Way::Grpc(grpc::Way::new(endpoint, server, clock.clone())));
        }
        let client = match self.http.iter().find(|client| client.reaches(&endpoint)) {
            Some(client) => Arc::clone(client),
            None => {
                let client = Arc::new(http::Client::of(&endpoint)?);
                self.http.push(Arc::clone(&client));
                client
            }
        };
        Ok(Way::Http(http::Way::new(endpoint, client, clock.clone())))
    }
}

/// Each signal's way, by its number.
struct Network(Vec<Option<Way>>);

enum Way {
    Http(http::Way),
    #[cfg(feature = "grpc")]
    Grpc(grpc::Way),
}

impl Transport for Network {
    fn send(&self, signal: Signal, body: Bytes) -> Sending<'_> {
        let way = self.0.get(signal as usize).and_then(Option::as_ref);
        Box::pin(async move {
            match way {
                Some(Way::Http(way)) => way.send(signal, body).await,
                #[cfg(feature = "grpc")]
                Some(Way::Grpc(way)) => way.send(signal, body).await,
                None => Answer::Refused {
                    reason: format!("no endpoint takes {}", signal.name()),
                },
            }
        })
    }
}

/// Without addresses and headers, which may hold secrets.
impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways = Signal::ALL.iter().zip(&self.0);
        f.debug_map()
            .entries(ways.map(|(signal, way)| {
                let way = match way {
                    Some(Way::Http(_)) => "http/protobuf",
                    #[cfg(feature = "grpc")]
                    Some(Way::Grpc(_)) => "grpc",
                    None => "none",
                };
                (signal.name(), way)
            }))
            .finish()
    }
}
