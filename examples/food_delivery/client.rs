//! The customers' HTTP client: keep-alive connections to the platform's own addresses.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::{
    client::legacy::{Client as Connections, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::Value;
use tokio::time::timeout;

/// What a visit may fail with: a connection that broke, an answer that makes no sense.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// A client of the platform; clones share its connections, and take turns at its replicas.
#[derive(Clone)]
pub(crate) struct Client {
    replicas: Arc<[SocketAddr]>,
    turn: Arc<AtomicUsize>,
    connections: Connections<HttpConnector, Full<Bytes>>,
}

/// What the platform said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Null if the body is no JSON.
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new(replicas: Arc<[SocketAddr]>) -> Self {
        let connections = Connections::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build_http();
        Self {
            replicas,
            turn: Arc::default(),
            connections,
        }
    }

    /// Of the replica whose turn it is: each request goes to the next, as through a load balancer that
    /// knows nobody again.
    pub(crate) fn next_address(&self) -> SocketAddr {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.replicas[turn % self.replicas.len()]
    }

    pub(crate) async fn get(&self, path: &str, session: Option<&str>) -> Result<Answer, Failure> {
        read(self.open(path, session).await?).await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        session: Option<&str>,
        body: &Value,
    ) -> Result<Answer, Failure> {
        let request = self
            .request(Method::POST, path, session)
            .header(CONTENT_TYPE, "application/json");
        let body = Full::from(body.to_string());
        read(self.send(request.body(body)?).await?).await
    }

    /// Asks for a path and leaves the body to the caller.
    pub(crate) async fn open(
        &self,
        path: &str,
        session: Option<&str>,
    ) -> Result<Response<Incoming>, Failure> {
        let request = self.request(Method::GET, path, session);
        self.send(request.body(Full::default())?).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        session: Option<&str>,
    ) -> hyper::http::request::Builder {
        let address = self.next_address();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{path}"))
            .header(HOST, address.to_string());
        match session {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        Ok(timeout(PATIENCE, self.connections.request(request)).await??)
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, Failure> {
    let status = response.status();
    let body = timeout(PATIENCE, response.into_body().collect())
        .await??
        .to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Answer { status, body })
}

/// How long a customer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
