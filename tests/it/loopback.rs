//! HTTP on the loopback: one GET, a small server, and a proxy that asks for plain text.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What a server answered, its body read whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// A header's value, empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Asks for `target` (a path and query) on a connection of its own.
pub(crate) async fn get(
    address: SocketAddr,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let mut request = Request::get(format!("http://{address}{target}"));
    for &(name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::<Bytes>::default())?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (head, body) = client.request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
    })
}

/// A server of HTTP/1.1 on a free port. Ends with its value, connections included.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    _acceptor: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut acceptor = JoinSet::new();
        acceptor.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let handler = handler.clone();
                let service = service_fn(move |request| {
                    let answer = handler(request);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                connections.spawn(async move {
                    // A client that goes away amid an answer is no failure of the server.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            _acceptor: acceptor,
        }
    }

    /// Answers every request with that text, as `content_type`.
    pub(crate) async fn of_text(content_type: &'static str, text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self::start(move |_| {
            let answer = Response::builder()
                .header("content-type", content_type)
                .body(Full::new(text.clone()))
                .unwrap();
            async { answer }
        })
        .await
    }

    /// Forwards each GET to `upstream` with `Accept: text/plain;version=0.0.4`, whatever the
    /// client would accept: what a scraper without OpenMetrics sees.
    pub(crate) async fn asking_for_plain_text(upstream: SocketAddr) -> Self {
        Self::start(move |request| async move {
            let target = request
                .uri()
                .path_and_query()
                .map_or("/", |target| target.as_str());
            let accept = (ACCEPT.as_str(), "text/plain;version=0.0.4");
            let forwarded = request.headers().iter().filter(|(name, _)| passes(name));
            let headers: Vec<_> = forwarded
                .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
                .chain([accept])
                .collect();
            match get(upstream, target, &headers).await {
                Ok(answer) => answered(answer),
                Err(error) => Response::builder()
                    .status(StatusCode::BAD_GATEWAY)
                    .body(Full::from(error.to_string()))
                    .unwrap(),
            }
        })
        .await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Whether the proxy forwards a request's header; `accept-encoding` does pass.
fn passes(name: &HeaderName) -> bool {
    ![
        "accept",
        "connection",
        "host",
        "content-length",
        "transfer-encoding",
    ]
    .contains(&name.as_str())
}

fn answered(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    for name in ["content-type", "content-encoding"] {
        if let Some(value) = answer.headers.get(name) {
            let value: HeaderValue = value.clone();
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_get_brings_status_headers_and_body() {
        let server = Server::of_text("text/plain; version=0.0.4", "up 1\n").await;
        let answer = get(server.address(), "/metrics?name=up", &[])
            .await
            .unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
        assert_eq!(answer.header("x-absent"), "");
        assert_eq!(answer.text(), "up 1\n");
    }

    #[tokio::test]
    async fn the_proxy_asks_for_plain_text_whatever_the_client_accepts() {
        let echo = Server::start(|request: Request<Incoming>| async move {
            let seen = format!("{} {:?}", request.uri(), request.headers());
            Response::builder()
                .status(StatusCode::IM_A_TEAPOT)
                .header("content-type", "text/plain")
                .body(Full::from(seen))
                .unwrap()
        })
        .await;
        let proxy = Server::asking_for_plain_text(echo.address()).await;
        let headers = [
            ("accept", "application/openmetrics-text"),
            ("x-other", "kept"),
        ];
        let answer = get(proxy.address(), "/metrics?name=up", &headers)
            .await
            .unwrap();
        assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
        assert_eq!(answer.header("content-type"), "text/plain");
        let seen = answer.text();
        assert!(seen.starts_with("/metrics?name=up "), "{seen}");
        assert!(
            seen.contains(r#""accept": "text/plain;version=0.0.4""#),
            "{seen}"
        );
        assert!(seen.contains(r#""x-other": "kept""#), "{seen}");
        assert!(!seen.contains("openmetrics"), "{seen}");
    }

    #[tokio::test]
    async fn the_proxy_answers_502_for_an_upstream_that_is_gone() {
        let gone = Server::of_text("text/plain", "").await.address();
        let proxy = Server::asking_for_plain_text(gone).await;
        let answer = get(proxy.address(), "/", &[]).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    }
}
