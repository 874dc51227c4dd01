//! One connection of a client, which can go away rudely.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::rt::Executor;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::served::PATIENCE;
use crate::loopback::Answer;

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Http1,
    /// With prior knowledge, without TLS.
    Http2,
}

impl Wire {
    pub(super) const BOTH: [Self; 2] = [Self::Http1, Self::Http2];

    /// The value of `network.protocol.version`.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Http1 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// Closes when it is dropped: with a FIN, unless it was told to reset.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Sender,
    /// Own the socket; ended with the connection.
    tasks: Tasks,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    pub(super) async fn open(address: SocketAddr, wire: Wire) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::over(stream, wire).await
    }

    /// One that goes away with a TCP reset in place of a FIN.
    pub(super) async fn resetting(address: SocketAddr, wire: Wire) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        reset_at_close(&stream);
        Self::over(stream, wire).await
    }

    async fn over(stream: TcpStream, wire: Wire) -> Self {
        stream.set_nodelay(true).unwrap();
        let stream = TokioIo::new(stream);
        let tasks = Tasks::default();
        let sender = match wire {
            Wire::Http1 => {
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                tasks.execute(connection.with_upgrades());
                Sender::Http1(sender)
            }
            Wire::Http2 => {
                let handshake = http2::handshake(tasks.clone(), stream).await;
                let (sender, connection) = handshake.unwrap();
                tasks.execute(connection);
                Sender::Http2(sender)
            }
        };
        Self { sender, tasks }
    }

    /// The response's head is there when this future is ready; its body may still come. Dropped
    /// before, it gives the request up: the stream over HTTP/2, the connection over HTTP/1.1.
    pub(super) fn send(
        &mut self,
        mut request: Request<Body>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<> {
        let sent = match &mut self.sender {
            Sender::Http1(sender) => {
                let host = request.uri().authority().unwrap().as_str();
                let host = HeaderValue::from_str(host).unwrap();
                request.headers_mut().insert(HOST, host);
                let target = request.uri().path_and_query().cloned();
                let target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
                if request.method() != hyper::Method::CONNECT {
                    *request.uri_mut() = Uri::from(target);
                }
                let sent = sender.send_request(request);
                futures_util::future::Either::Left(sent)
            }
            Sender::Http2(sender) => {
                futures_util::future::Either::Right(sender.send_request(request))
            }
        };
        async move { within_patience(sent).await }
    }

    /// Sends, and reads the whole response.
    pub(super) async fn ask(&mut self, request: Request<Body>) -> Answer {
        if let Sender::Http1(sender) = &mut self.sender {
            // One request at a time.
            within_patience(sender.ready()).await.unwrap();
        }
        let response = self.send(request).await.unwrap();
        read(response).await.unwrap()
    }

    /// Sends, and sees the response break off. Over both wires that may happen before its head
    /// was flushed.
    pub(super) async fn see_broken(&mut self, request: Request<Body>) {
        if let Ok(response) = self.send(request).await {
            read(response).await.unwrap_err();
        }
    }

    /// A GET without headers.
    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.ask(get(path)).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.0.lock().unwrap().abort_all();
    }
}

/// hyper's client spawns more of them over HTTP/2, one of which owns the socket.
#[derive(Clone, Debug, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, task: F) {
        // Its error is the request's as well.
        self.0.lock().unwrap().spawn(async { drop(task.await) });
    }
}

/// A test that waits for ever says nothing.
pub(super) async fn within_patience<F: Future>(future: F) -> F::Output {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.expect("something came before the patience ended")
}

/// The whole response, or why its body broke off.
pub(super) async fn read(response: Response<Incoming>) -> hyper::Result<Answer> {
    let (head, body) = response.into_parts();
    let body = within_patience(body.collect()).await?.to_bytes();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
    })
}

/// A GET of the path at a host that does not matter.
pub(super) fn get(path: &str) -> Request<Body> {
    request("GET", path, Body::empty())
}

pub(super) fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("http://kitchen.test{path}"))
        .body(body.into())
        .unwrap()
}

/// A body whose bytes the test sends one by one; it ends with its sender.
pub(super) fn piecemeal() -> (tokio::sync::mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let pieces = futures_util::stream::unfold(receiver, async |mut receiver| {
        let piece: Bytes = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), receiver))
    });
    (sender, Body::from_stream(pieces))
}

/// From here on, closing the socket sends a reset.
pub(super) fn reset_at_close(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}
