//! A receiver that keeps what it is sent as it is, and accepts all of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use crate::loopback::Server;

/// One request's path, headers and body.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) path: String,
    /// Empty when it is sent as it is.
    pub(crate) encoding: String,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

impl Kept {
    /// `traces`, `logs` or `metrics`.
    pub(crate) fn signal(&self) -> &str {
        self.path
            .strip_prefix("/v1/")
            .unwrap_or_else(|| panic!("a path of no signal: {}", self.path))
    }
}

#[derive(Debug)]
pub(crate) struct Sink {
    server: Server,
    kept: Arc<Mutex<Vec<Kept>>>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let kept = Arc::<Mutex<Vec<Kept>>>::default();
        let keeping = Arc::clone(&kept);
        let server = Server::start(move |request| {
            let keeping = Arc::clone(&keeping);
            async move {
                match read(request).await {
                    Some(request) => {
                        keeping.lock().unwrap().push(request);
                        Response::default()
                    }
                    // Cut off on its way: whoever sent it tries again.
                    None => {
                        let mut refusal = Response::default();
                        *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                        refusal
                    }
                }
            }
        })
        .await;
        Self { server, kept }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn kept(&self) -> Vec<Kept> {
        self.kept.lock().unwrap().clone()
    }
}

async fn read(request: Request<Incoming>) -> Option<Kept> {
    let (head, body) = request.into_parts();
    let header = |name: &str| {
        let value = head.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    Some(Kept {
        path: head.uri.path().to_owned(),
        encoding: header("content-encoding"),
        content_type: header("content-type"),
        body: body.collect().await.ok()?.to_bytes(),
    })
}
