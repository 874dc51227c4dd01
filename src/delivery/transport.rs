//! OTLP's ways over the network. Each attempt ends by its own deadline, reads a bounded answer, and
//! tells what became of the request.

use super::Transport;
use crate::{error::Error, records::Signal};
use ::http::{HeaderName, HeaderValue, Uri};
use std::{sync::Arc, time::Duration};

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
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Trusted in place of the host's roots.
    pub(crate) certificate: Option<Vec<u8>>,
    /// For mTLS: the chain and its key.
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}
