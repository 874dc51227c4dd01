//! Whom a service calls, and how a call finds its series without a string of its own.

use crate::{
    catalog::http::CLIENT_REQUEST_DURATION,
    metrics::{Family, Histogram, InsertOnlyMap},
    pipeline::Pipeline,
    records::{Composed, Fields},
    semconv,
};
use ::http::{Request, StatusCode, Uri, header, uri::Authority};
use rustc_hash::FxBuildHasher;
use std::{
    hash::BuildHasher as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Distinct servers; the registry caps their series lower.
const PEERS: usize = 1_000;
/// Distinct ones that only a `Host` names.
const HOSTS: usize = 100;
/// Bytes of one; longer ones name nobody.
const LONGEST_HOST: usize = 255;
/// Distinct combinations of method, status, error and template: of one server, and of all.
const COMBINATIONS: usize = 512;
const ALL_COMBINATIONS: usize = 4_096;

/// Made once for each telemetry, and leaked with it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) pipeline: &'static Pipeline,
    durations: Family<Histogram>,
    /// By how the server is spelled, and the port where that names none.
    peers: InsertOnlyMap<(Box<str>, u16), Peer>,
    /// By the `Host` of calls whose URL names no server. Where they are passed on, a client may choose it.
    hosts: InsertOnlyMap<(Box<str>, u16), Peer>,
    /// What all of them were seen with.
    combinations: AtomicUsize,
    overflow: OnceLock<Arc<Histogram>>,
    /// Where a forked child records what nobody recorded before.
    nowhere: Arc<Histogram>,
}

/// A server, and the series that its calls were seen with.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: Box<str>,
    /// 0: unknown.
    pub(super) port: u16,
    series: InsertOnlyMap<Alike, Series>,
}

/// What calls that are alike are told by.
#[derive(Debug)]
pub(super) struct Series {
    duration: Arc<Histogram>,
    /// Of their spans.
    pub(super) fields: Option<Composed>,
}

/// What the calls to one server are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Alike {
    pub(super) method: &'static str,
    /// `None`: there was no head.
    pub(super) status: Option<StatusCode>,
    /// Empty: none, or the status.
    pub(super) error: &'static str,
    pub(super) template: &'static str,
}

impl Client {
    pub(crate) fn leaked(pipeline: &'static Pipeline) -> &'static Self {
        let durations = pipeline.registry.histogram(&CLIENT_REQUEST_DURATION);
        Box::leak(Box::new(Self {
            pipeline,
            nowhere: durations.detached(),
            durations,
            peers: InsertOnlyMap::new(PEERS / 4, PEERS),
            hosts: InsertOnlyMap::new(HOSTS / 4, HOSTS),
            combinations: AtomicUsize::new(0),
            overflow: OnceLock::new(),
        }))
    }

    /// Whom a request goes to, by its URL or its `Host`. `None`: there are too many.
    #[inline]
    pub(super) fn peer<B>(&self, request: &Request<B>) -> Option<&Peer> {
        let uri = request.uri();
        let (known, spelled) = match server(uri) {
            Some(server) if server.len() <= LONGEST_HOST => (&self.peers, server),
            Some(_) => (&self.peers, ""),
            None => (&self.hosts, host(request)),
        };
        let port = port_of_scheme(uri);
        let hash = FxBuildHasher.hash_one((spelled, port));
        let is_it = |known: &(Box<str>, u16)| *known.0 == *spelled && known.1 == port;
        known.get(hash, is_it).or_else(|| {
            let make = || ((spelled.into(), port), Peer::new(spelled, port));
            known.insert(hash, is_it, make)
        })
    }

    /// The address and the port of one of too many.
    #[cold]
    pub(super) fn beyond<B>(request: &Request<B>) -> (Box<str>, u16) {
        let uri = request.uri();
        let spelled = server(uri).unwrap_or_else(|| host(request));
        address_and_port(spelled, port_of_scheme(uri))
    }

    /// `None`: there are too many.
    #[inline]
    pub(super) fn series<'a>(&self, peer: &'a Peer, alike: &Alike) -> Option<&'a Series> {
        let hash = FxBuildHasher.hash_one(alike);
        let is_it = |known: &Alike| known == alike;
        peer.series.get(hash, is_it).or_else(|| {
            if self.combinations.load(Ordering::Relaxed) >= ALL_COMBINATIONS {
                return None;
            }
            let make = || {
                self.combinations.fetch_add(1, Ordering::Relaxed);
                (*alike, self.make(peer, alike))
            };
            peer.series.insert(hash, is_it, make)
        })
    }

    #[inline]
    pub(super) fn duration<'a>(&'a self, series: Option<&'a Series>) -> &'a Histogram {
        match series {
            Some(series) => &series.duration,
            None if self.durations.is_forked() => &self.nowhere,
            None => {
                self.durations.count_overflow();
                self.overflow.get_or_init(|| self.durations.overflow())
            }
        }
    }

    #[cold]
    fn make(&self, peer: &Peer, alike: &Alike) -> Series {
        // An attribute without a value is absent.
        let port = match peer.port {
            0 => String::new(),
            port => port.to_string(),
        };
        let duration = self.durations.with(&[
            (semconv::HTTP_REQUEST_METHOD, alike.method),
            (semconv::SERVER_ADDRESS, &peer.address),
            (semconv::SERVER_PORT, &port),
            (semconv::HTTP_RESPONSE_STATUS_CODE, alike.status_word()),
            (semconv::ERROR_TYPE, alike.error_type()),
            (semconv::URL_TEMPLATE, alike.template),
        ]);
        let limits = self.pipeline.settings.record_limits;
        Series {
            duration,
            fields: Composed::new(limits, |fields| {
                alike.describe(&peer.address, peer.port, fields);
            }),
        }
    }
}

impl Alike {
    /// A client's call fails with the request that was at fault, unlike a server's.
    pub(super) fn is_error(&self) -> bool {
        !self.error_type().is_empty()
    }

    /// Empty where there was no head.
    pub(super) fn status_word(&self) -> &str {
        self.status.as_ref().map_or("", StatusCode::as_str)
    }

    fn error_type(&self) -> &str {
        match self.status {
            Some(status) if self.error.is_empty() && status.as_u16() >= 400 => self.status_word(),
            _ => self.error,
        }
    }

    pub(super) fn describe(&self, address: &str, port: u16, fields: &mut Fields) {
        fields.word(semconv::HTTP_REQUEST_METHOD, self.method);
        if !address.is_empty() {
            fields.word(semconv::SERVER_ADDRESS, address);
            if port > 0 {
                fields.number(semconv::SERVER_PORT, port.into());
            }
        }
        if !self.template.is_empty() {
            fields.word(semconv::URL_TEMPLATE, self.template);
        }
        if let Some(status) = self.status {
            let status = status.as_u16();
            fields.number(semconv::HTTP_RESPONSE_STATUS_CODE, status.into());
        }
        if self.is_error() {
            fields.word(semconv::ERROR_TYPE, self.error_type());
        }
    }
}

impl Peer {
    fn new(spelled: &str, port_of_scheme: u16) -> Self {
        let (address, port) = address_and_port(spelled, port_of_scheme);
        Self {
            address,
            port,
            series: InsertOnlyMap::new(8, COMBINATIONS),
        }
    }
}

/// Host and port as a header has them; empty: none that can be read.
fn host<B>(request: &Request<B>) -> &str {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let is_one = |host: &&str| host.len() <= LONGEST_HOST && host.parse::<Authority>().is_ok();
    host.filter(is_one).unwrap_or_default()
}

/// Host and port as they stand in a URL, without its user.
fn server(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?.as_str();
    match authority.bytes().rposition(|byte| byte == b'@') {
        Some(at) => authority.get(at + 1..),
        None => Some(authority),
    }
}

/// The address without the brackets of an IPv6 one; 0: no port is known.
fn address_and_port(spelled: &str, port_of_scheme: u16) -> (Box<str>, u16) {
    let Ok(authority) = spelled.parse::<Authority>() else {
        return ("".into(), port_of_scheme);
    };
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let port = authority.port_u16().unwrap_or(port_of_scheme);
    // However it is spelled, it is one server.
    let address = bare.unwrap_or(host).to_ascii_lowercase();
    (address.into(), port)
}

fn port_of_scheme(uri: &Uri) -> u16 {
    match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => 0,
    }
}
