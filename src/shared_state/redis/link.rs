//! The kept connection: one question at a time, each in its time, and a pause after failures.

use super::{
    bounded::{Bounded, Stream},
    trust::Trust,
};
use crate::{clock::Clock, shared_state::Unavailable};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, sync::Mutex, task::JoinHandle, time};

/// Failures in a row before a pause.
const MOST_FAILURES: u32 = 3;
/// So that what came back is noticed within five seconds.
const PAUSE: Duration = Duration::from_secs(1);

/// Where to.
pub(super) enum Server {
    One {
        info: Box<ConnectionInfo>,
        /// Whom it trusts; `None`: in plain text.
        trust: Option<Trust>,
    },
    Cluster(Box<ClusterClient>),
}

/// Without credentials.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One { info, .. } => write!(f, "One({})", info.addr()),
            Self::Cluster(_) => f.write_str("Cluster"),
        }
    }
}

#[derive(Debug)]
pub(super) struct Link {
    server: Arc<Server>,
    /// What one question may take, its way there and back included.
    within: Duration,
    clock: Clock,
    linked: Mutex<Linked>,
}

#[derive(Debug, Default)]
struct Linked {
    connection: Option<Connection>,
    failures: u32,
    /// Nothing is tried before; and why.
    paused: Option<(Instant, Unavailable)>,
}

enum Connection {
    One(MultiplexedConnection, Driver),
    Cluster(ClusterConnection),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// Moves bytes for as long as it is kept.
struct Driver {
    task: JoinHandle<()>,
    is_over: Arc<AtomicBool>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A question, over whichever connection there is.
pub(super) trait Question: Send + Sync {
    type Answer: Send;

    fn ask(
        &self,
        of: &mut (impl ConnectionLike + Send),
    ) -> impl Future<Output = Result<Self::Answer, RedisError>> + Send;
}

impl Link {
    pub(super) fn new(server: Arc<Server>, within: Duration, clock: Clock) -> Self {
        Self {
            server,
            within,
            clock,
            linked: Mutex::default(),
        }
    }

    pub(super) async fn ask<Q: Question>(&self, question: &Q) -> Result<Q::Answer, Unavailable> {
        let mut linked = self.linked.lock().await;
        if let Some((until, why)) = linked.paused
            && self.clock.now() < until
        {
            return Err(why);
        }
        // While it is asked it is not kept: whoever gives up asking breaks it.
        let kept = linked.connection.take();
        let answer = self.ask_over(kept, question).await;
        match answer {
            Ok((answer, connection)) => {
                *linked = Linked::default();
                linked.connection = Some(connection);
                Ok(answer)
            }
            // It is there, and answers others.
            Err((why @ Unavailable::WrongType, connection)) => {
                linked.connection = connection;
                Err(why)
            }
            Err((why, _)) => {
                linked.failures += 1;
                let is_paused = linked.failures >= MOST_FAILURES;
                linked.paused = is_paused.then(|| (self.clock.now() + PAUSE, why));
                Err(why)
            }
        }
    }

    async fn ask_over<Q: Question>(
        &self,
        kept: Option<Connection>,
        question: &Q,
    ) -> Result<(Q::Answer, Connection), (Unavailable, Option<Connection>)> {
        let asking = async {
            let mut connection = match kept {
                Some(kept) => kept,
                None => self.connect().await.map_err(|why| (why, None))?,
            };
            let answer = match &mut connection {
                Connection::One(one, _) => question.ask(one).await,
                Connection::Cluster(cluster) => question.ask(cluster).await,
            };
            match answer {
                Ok(answer) => Ok((answer, connection)),
                Err(_) if connection.is_over() => Err((Unavailable::TooLarge, None)),
                Err(error) => Err((why(&error), Some(connection))),
            }
        };
        let in_time = time::timeout(self.within, asking).await;
        in_time.unwrap_or(Err((Unavailable::Timeout, None)))
    }

    async fn connect(&self) -> Result<Connection, Unavailable> {
        let unreachable = |_| Unavailable::Unreachable;
        let (info, trust) = match &*self.server {
            Server::One { info, trust } => (info, trust),
            Server::Cluster(client) => {
                let connection = client.get_async_connection().await;
                return connection.map(Connection::Cluster).map_err(|e| why(&e));
            }
        };
        let (host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.as_str(), *port),
            // Not taken by the settings.
            _ => return Err(Unavailable::Unreachable),
        };
        let socket = TcpStream::connect((host, port))
            .await
            .map_err(unreachable)?;
        socket.set_nodelay(true).map_err(unreachable)?;
        let stream: Box<dyn Stream> = match trust {
            None => Box::new(socket),
            Some(trust) => Box::new(trust.secure(host, socket).await?),
        };
        let bounded = Bounded::new(stream);
        let is_over = bounded.is_over();
        // Both are timed here, together.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let opened =
            MultiplexedConnection::new_with_config(info.redis_settings(), bounded, config).await;
        let (connection, driver) = opened.map_err(|error| why(&error))?;
        let task = tokio::spawn(driver);
        Ok(Connection::One(connection, Driver { task, is_over }))
    }
}

impl Connection {
    fn is_over(&self) -> bool {
        match self {
            Self::One(_, driver) => driver.is_over.load(Ordering::Relaxed),
            Self::Cluster(_) => false,
        }
    }
}

fn why(error: &RedisError) -> Unavailable {
    let is_of_type = error.code() == Some("WRONGTYPE")
        // As Redis before 7 says it of a script.
        || error.detail().is_some_and(|detail| detail.contains("WRONGTYPE"));
    match error.kind() {
        _ if is_of_type => Unavailable::WrongType,
        _ if error.is_timeout() => Unavailable::Timeout,
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Unavailable::Unreachable,
        _ => Unavailable::Refused,
    }
}
