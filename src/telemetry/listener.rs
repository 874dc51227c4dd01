//! A scrape listener of our own, for services without a router, and for operators who keep
//! `/metrics` off the service's port.
//!
//! Whoever connects can hold up to 16 sockets for at most 5 seconds. Accepting never waits: for one
//! more, the oldest connection that has asked for nothing is closed, and if all have asked, the
//! oldest.

use super::{endpoints, health::Health};
use crate::export::prometheus::Pages;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    task::{AbortHandle, JoinSet, spawn_blocking, yield_now},
    time::{self, timeout},
};

const CONNECTIONS: usize = 16;
/// Readiness checks at the same time; further probes are told that nothing is known.
pub(super) const CHECKS: usize = 4;
/// Connections that wait to be accepted. Beyond, the kernel lets a scraper try again after a whole
/// second.
const BACKLOG: i32 = 1_024;
const HEADER_WITHIN: Duration = Duration::from_secs(2);
const ALL_WITHIN: Duration = Duration::from_secs(5);
/// After an error of `accept`, such as having run out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// More than any scraper sends.
const HEADER_BYTES: usize = 16 * 1024;

/// Binds, so that a port in use is told by `build()`.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // As the standard library does: a port whose last connections linger is free. On Windows the
    // option would share a port that is in use.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What the listener shows.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) pages: Arc<Pages>,
    pub(super) health: Arc<Health>,
    /// One for each readiness check that may run, or hang, at the same time.
    pub(super) checks: Arc<Semaphore>,
}

/// A connection that is held.
struct Held {
    has_asked: Arc<AtomicBool>,
    connection: AbortHandle,
}

/// Serves scrapes until `stop` says so.
pub(super) async fn serve(
    listener: Arc<TcpListener>,
    served: Served,
    mut stop: watch::Receiver<bool>,
) {
    let listener = loop {
        match listener
            .try_clone()
            .and_then(tokio::net::TcpListener::from_std)
        {
            Ok(listener) => break listener,
            // Out of descriptors, most likely: there may be some later.
            Err(_) if !*stop.borrow() => time::sleep(ACCEPT_PAUSE).await,
            Err(_) => return,
        }
    };
    let mut held = VecDeque::<Held>::with_capacity(CONNECTIONS);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Whatever it was, the next accept may go well; a busy loop would not help.
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        held.retain(|held| !held.connection.is_finished());
        make_room(&mut held);
        let has_asked = Arc::new(AtomicBool::new(false));
        let connection =
            connections.spawn(connection(stream, served.clone(), Arc::clone(&has_asked)));
        held.push_back(Held {
            has_asked,
            connection,
        });
        // A request that has come already is read before the next connection is admitted, so that
        // a flood of silent ones does not close it.
        yield_now().await;
    }
    drop(listener);
    // Who has asked is answered; who has not has nothing to wait for.
    held.iter()
        .filter(|held| !held.has_asked.load(Ordering::Relaxed))
        .for_each(|silent| silent.connection.abort());
    while connections.join_next().await.is_some() {}
}

/// Closes the oldest connection that has asked for nothing yet, else the oldest of all.
fn make_room(held: &mut VecDeque<Held>) {
    if held.len() < CONNECTIONS {
        return;
    }
    let idle = |held: &Held| !held.has_asked.load(Ordering::Relaxed);
    let oldest = held.iter().position(idle).unwrap_or(0);
    if let Some(closed) = held.remove(oldest) {
        closed.connection.abort();
    }
}

async fn connection(stream: TcpStream, served: Served, has_asked: Arc<AtomicBool>) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        has_asked.store(true, Ordering::Relaxed);
        let served = served.clone();
        async move { Ok::<_, Infallible>(served.answer(&request).await.map(Full::new)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(HEADER_BYTES)
        // One scrape a connection: an idle one would only hold a place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // An error is the other side's, or the deadline.
    let _ = timeout(ALL_WITHIN, connection).await;
}

impl Served {
    async fn answer<B>(&self, request: &Request<B>) -> Response<Bytes> {
        let may_look = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/metrics" if may_look => endpoints::scrape(&self.pages, request.headers()).await,
            "/health/live" if may_look => endpoints::live(),
            "/health/ready" if may_look => {
                let health = Arc::clone(&self.health);
                let Ok(permit) = Arc::clone(&self.checks).try_acquire_owned() else {
                    return endpoints::unknown();
                };
                // The checks are the host's: they may block a thread, but not this one.
                let check = move || {
                    let _permit = permit;
                    endpoints::ready(&health)
                };
                let ready = spawn_blocking(check).await;
                ready.unwrap_or_else(|_| endpoints::unknown())
            }
            "/metrics" | "/health/live" | "/health/ready" => {
                let mut refused = Response::new(Bytes::new());
                *refused.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                let allow = HeaderValue::from_static("GET, HEAD");
                refused.headers_mut().insert(header::ALLOW, allow);
                refused
            }
            _ => {
                let here = b"/metrics, /health/live, /health/ready\n";
                let mut unknown = Response::new(Bytes::from_static(here));
                *unknown.status_mut() = StatusCode::NOT_FOUND;
                unknown
            }
        }
    }
}
