//! State that replicas share, in Redis.

mod bounded;
mod link;
mod replica;
#[cfg(test)]
mod tests;
mod trust;

use super::{PATIENCE, SharedState};
use crate::{clock::Clock, error::Error};
use link::Server;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, cluster::ClusterClient};
use replica::{Replica, Within};
use ring::hmac::{HMAC_SHA256, Key};
use std::{fmt, sync::Arc, time::Duration};
use trust::Trust;

const SETTING: &str = "the address of the shared state";
const ACCEPTED: &str = "`redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS";
const SECURE: &str = "rediss://";
const SHARDS: u16 = 64;
const SHORTEST_SECRET: usize = 16;
/// How often a question may be sent on within a cluster, as while a slot moves.
const MOST_MOVES: u32 = 3;
/// How long a replica looks after a shard when it says nothing any more.
const LEASE: Duration = Duration::from_secs(5);
/// Nobody waits for a question but the worker; for a decision a request does.
const WITHIN: Within = Within {
    question: Duration::from_millis(500),
    decision: PATIENCE,
};

/// A Redis, 6.2 or later, that the replicas of a service share, so that funnels, sessions and active
/// users are counted once over all of them. Feature `redis`.
///
/// ```no_run
/// use orderscope::{Telemetry, shared_state::Redis};
///
/// let telemetry = Telemetry::builder("orders")
///     .shared_state(Redis::at("redis://localhost:6379"))
///     .build()?;
/// # drop(telemetry);
/// # Ok::<(), orderscope::Error>(())
/// ```
///
/// Services that declare a funnel of one name in the same way count it together, which is how a funnel
/// leads through several of them. Where that is not meant, such as in a test environment beside
/// production, they have a [`prefix`](Self::prefix) or a database of their own.
///
/// What is kept there: who made an attempt, used a feature or met an error as hashes, keyed by a
/// [`secret`](Self::secret), and of sessions, for a day, the ids of users and sessions as they leave in
/// records, so [`hashed`](crate::telemetry::Builder::hash_user_ids) where that is declared. Users of one time
/// zone, sessions declared in the same way and ids of events are common to all services of a prefix, too.
///
/// Nothing that records waits for it. While it does not answer, what waits is bounded, and
/// `orderscope.shared_state.degraded` says why; when it is back, counting goes on where it stopped.
/// What it loses is lost: a Redis that restarts without its data has forgotten which attempts were open,
/// and one whose `maxmemory-policy` evicts keys loses some at any time.
#[derive(Clone)]
#[must_use = "nothing is shared until a builder is given it"]
pub struct Redis {
    addresses: Vec<String>,
    is_cluster: bool,
    prefix: String,
    secret: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
}

/// Without addresses, which may hold a password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Redis");
        shown.field("is_cluster", &self.is_cluster);
        shown.field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Redis {
    /// One server, at `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS.
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            addresses: vec![address.into()],
            is_cluster: false,
            prefix: "orderscope".to_owned(),
            secret: None,
            certificate: None,
        }
    }

    /// A Redis Cluster, by some of its nodes; in plain text. All keys of one shard of a funnel are in one
    /// slot. Our scripts answer at most 4 MiB, and of one server no more is read; what else a cluster may
    /// answer is not bounded.
    pub fn cluster<S: Into<String>>(nodes: impl IntoIterator<Item = S>) -> Self {
        Self {
            addresses: nodes.into_iter().map(Into::into).collect(),
            is_cluster: true,
            ..Self::at("")
        }
    }

    /// What the names of all keys begin with. Default: `orderscope`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What the hashes are made with that stand in the place of users, sessions and ids of events; the same
    /// in every replica, and known to nobody who may read the Redis. At least 16 bytes. Default: none, and
    /// whoever can guess an id can look for it. What is counted begins anew where it changes.
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// The certificate authorities, in PEM, that a `rediss://` server is trusted by. Default: the host's.
    pub fn certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificate = Some(pem.into());
        self
    }

    /// # Errors
    /// An address or the certificate is not what it has to be. That nobody is there is no error: it may be
    /// later.
    pub(crate) fn open(&self, clock: &Clock) -> Result<Arc<dyn SharedState>, Error> {
        self.open_in((SHARDS, LEASE), WITHIN, clock)
    }

    fn open_in(
        &self,
        shards: (u16, Duration),
        within: Within,
        clock: &Clock,
    ) -> Result<Arc<dyn SharedState>, Error> {
        let refused = |accepted| Error::configuration(SETTING, self.shown(), accepted);
        let is_secure = |address: &String| address.starts_with(SECURE);
        let infos = self.addresses.iter().map(|address| info(address));
        let mut infos = infos.collect::<Result<Vec<_>, _>>()?;
        if self.certificate.is_some() && !self.addresses.iter().any(is_secure) {
            return Err(refused("`rediss://…` where a certificate is given"));
        }
        let server = if self.is_cluster {
            if infos.is_empty() || self.addresses.iter().any(is_secure) {
                return Err(refused(
                    "one node of the cluster or more, each as `redis://host:port`",
                ));
            }
            let client = ClusterClient::builder(infos)
                .retries(MOST_MOVES)
                .connection_timeout(within.question)
                .build();
            let client = client.map_err(|_| refused(ACCEPTED))?;
            Server::Cluster(Box::new(client))
        } else {
            let is_secure = self.addresses.iter().any(is_secure);
            let trust = is_secure.then(|| Trust::new(self.certificate.as_deref()));
            Server::One {
                info: Box::new(infos.remove(0)),
                trust: trust.transpose()?,
            }
        };
        let prefix = self.prefix.as_str().into();
        let secret = self.secret.as_deref().map(key).transpose()?;
        Ok(Arc::new(Replica::new(
            server,
            prefix,
            secret,
            shards,
            within,
            clock.clone(),
        )))
    }

    fn shown(&self) -> String {
        let shown: Vec<_> = self
            .addresses
            .iter()
            .map(|address| shown(address))
            .collect();
        shown.join(", ")
    }
}

fn key(secret: &[u8]) -> Result<Key, Error> {
    if secret.len() < SHORTEST_SECRET {
        let given = format!("{} bytes", secret.len());
        let setting = "the secret of the shared state";
        return Err(Error::configuration(setting, given, "at least 16 bytes"));
    }
    Ok(Key::new(HMAC_SHA256, secret))
}

fn info(address: &str) -> Result<ConnectionInfo, Error> {
    let refused = || Error::configuration(SETTING, shown(address), ACCEPTED);
    // TLS is ours: what its client reads is bounded too.
    let plain = match address.strip_prefix(SECURE) {
        Some(rest) => format!("redis://{rest}"),
        None => address.to_owned(),
    };
    let info = plain.into_connection_info().map_err(|_| refused())?;
    match info.addr() {
        ConnectionAddr::Tcp(..) => Ok(info),
        _ => Err(refused()),
    }
}

/// An address without its password, wherever it stands.
fn shown(address: &str) -> String {
    let address = address.split('?').next().unwrap_or_default();
    let scheme = address.split_once("://").map_or("", |(scheme, _)| scheme);
    match address.rsplit_once('@') {
        Some((_, host)) if scheme.is_empty() => format!("***@{host}"),
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => address.to_owned(),
    }
}
