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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    HttpProtobuf,
    Grpc,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
}

/// How `https` endpoints are trusted, and how we show who we are. Certificates and keys are PEM.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Trusted in place of the host's roots.
    pub(crate) certificate: Option<Vec<u8>>,
    /// For mTLS: the chain and its key.
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}
