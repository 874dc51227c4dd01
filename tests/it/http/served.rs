//! A router on a free port of the loopback, and its telemetry.

use std::convert::Infallible;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use orderscope::Telemetry;
use orderscope::snapshot::Snapshot;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower::Service;

use super::connection::{Connection, Wire, within_patience};
use super::numbers::Numbers;

/// On a machine that also compiles.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Serves until it is dropped.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) telemetry: Telemetry,
    pub(super) address: SocketAddr,
    server: JoinHandle<()>,
}

impl Served {
    /// These routes behind the layer, as the README has it.
    pub(super) async fn behind_the_layer(routes: Router) -> Self {
        let telemetry = telemetry();
        let router = routes.layer(telemetry.http_layer());
        Self::start(telemetry, router).await
    }

    /// A router that has its layer already.
    pub(super) async fn start(telemetry: Telemetry, router: Router) -> Self {
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            telemetry,
            address,
            server,
        }
    }

    /// Any tower service that has its layer already, served by plain hyper.
    pub(super) async fn by_hyper<S, B>(telemetry: Telemetry, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    // A client that goes away amid an answer is no failure of the server.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            telemetry,
            address,
            server,
        }
    }

    pub(super) async fn connect(&self, wire: Wire) -> Connection {
        Connection::open(self.address, wire).await
    }

    /// The numbers once `requests` requests were accepted and all of them, and all streams, have
    /// ended; each then has exactly one outcome.
    pub(super) async fn after(&self, requests: u64) -> Snapshot {
        let numbers = self
            .wait_until(|numbers| {
                numbers.started() >= requests
                    && numbers.active() == 0.0
                    && numbers.open_streams() == 0.0
            })
            .await;
        assert_eq!(numbers.started(), requests, "{:?}", numbers.outcomes());
        assert_eq!(numbers.finished(), requests, "{:?}", numbers.outcomes());
        numbers
    }

    /// The first numbers that please; panics with the last ones that did not.
    pub(super) async fn wait_until(&self, pleases: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let numbers = self.telemetry.snapshot();
            if pleases(&numbers) {
                return numbers;
            }
            assert!(
                Instant::now() < deadline,
                "after {PATIENCE:?}: {} started, {} active, {} streams, finished {:?}",
                numbers.started(),
                numbers.active(),
                numbers.open_streams(),
                numbers.outcomes(),
            );
            sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Telemetry of the test's own, which touches nothing global.
pub(super) fn telemetry() -> Telemetry {
    Telemetry::builder("kitchen").build().unwrap()
}

/// Tells a client that a handler was reached.
#[derive(Clone, Debug)]
pub(super) struct Bell(Arc<Semaphore>);

impl Bell {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(super) fn ring(&self) {
        self.0.add_permits(1);
    }

    /// Waits for one ring.
    pub(super) async fn rung(&self) {
        within_patience(self.0.acquire()).await.unwrap().forget();
    }
}

/// Gives the body to the first request that asks for it; there is no second.
pub(super) fn once(body: axum::body::Body) -> impl Fn() -> axum::body::Body + Clone {
    let body = Arc::new(Mutex::new(Some(body)));
    move || body.lock().unwrap().take().unwrap()
}
