//! Whom a service calls, and how a call finds its series without a string of its own.

use crate::{
    catalog::http::CLIENT_REQUEST_DURATION,
    metrics::{Family, Histogram, InsertOnlyMap},
    pipeline::Pipeline,
    semconv,
};
use ::http::Uri;
use rustc_hash::FxBuildHasher;
use std::{
    hash::BuildHasher as _,
    sync::{Arc, OnceLock},
};

/// Distinct servers; the registry caps their series lower.
const PEERS: usize = 1_000;
/// Distinct combinations of method, status, error and template of one server.
const COMBINATIONS: usize = 512;

/// Made once for each telemetry, and leaked with it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) pipeline: &'static Pipeline,
    durations: Family<Histogram>,
    /// By how the server is spelled, and the port where that names none.
    peers: InsertOnlyMap<(Box<str>, u16), Peer>,
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
    series: InsertOnlyMap<Alike, Arc<Histogram>>,
}

/// What the calls to one server are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Alike {
    pub(super) method: &'static str,
    /// 0: there was no head.
    pub(super) status: u16,
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
            overflow: OnceLock::new(),
        }))
    }

    /// `None`: there are too many.
    #[inline]
    pub(super) fn peer(&self, uri: &Uri) -> Option<&Peer> {
        let (spelled, port) = (server(uri), port_of_scheme(uri));
        let hash = FxBuildHasher.hash_one((spelled, port));
        let is_it = |known: &(Box<str>, u16)| *known.0 == *spelled && known.1 == port;
        self.peers.get(hash, is_it).or_else(|| {
            let make = || {
                (
                    (spelled.into(), port),
                    Peer::new(address(uri), self::port(uri)),
                )
            };
            self.peers.insert(hash, is_it, make)
        })
    }

    #[inline]
    pub(super) fn duration<'a>(&'a self, peer: Option<&'a Peer>, alike: &Alike) -> &'a Histogram {
        let hash = FxBuildHasher.hash_one(alike);
        let is_it = |known: &Alike| known == alike;
        let known = peer.and_then(|peer| {
            let make = || (*alike, self.make(peer, alike));
            let known = peer.series.get(hash, is_it);
            known.or_else(|| peer.series.insert(hash, is_it, make))
        });
        match known {
            Some(known) => known,
            None if self.durations.is_forked() => &self.nowhere,
            None => {
                self.durations.count_overflow();
                self.overflow.get_or_init(|| self.durations.overflow())
            }
        }
    }

    #[cold]
    fn make(&self, peer: &Peer, alike: &Alike) -> Arc<Histogram> {
        // An attribute without a value is absent.
        let text = |number: u16| match number {
            0 => String::new(),
            number => number.to_string(),
        };
        let (port, status) = (text(peer.port), text(alike.status));
        let error = match alike.error {
            "" if alike.status >= 400 => status.as_str(),
            error => error,
        };
        self.durations.with(&[
            (semconv::HTTP_REQUEST_METHOD, alike.method),
            (semconv::SERVER_ADDRESS, &peer.address),
            (semconv::SERVER_PORT, &port),
            (semconv::HTTP_RESPONSE_STATUS_CODE, &status),
            (semconv::ERROR_TYPE, error),
            (semconv::URL_TEMPLATE, alike.template),
        ])
    }
}

impl Peer {
    fn new(address: &str, port: u16) -> Self {
        Self {
            address: address.into(),
            port,
            series: InsertOnlyMap::new(8, COMBINATIONS),
        }
    }
}

/// Host and port as they stand in a URL, without its user.
fn server(uri: &Uri) -> &str {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match authority.bytes().rposition(|byte| byte == b'@') {
        Some(at) => &authority[at + 1..],
        None => authority,
    }
}

/// Without the brackets of an IPv6 address.
pub(super) fn address(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host)
}

pub(super) fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or_else(|| port_of_scheme(uri))
}

fn port_of_scheme(uri: &Uri) -> u16 {
    match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => 0,
    }
}
