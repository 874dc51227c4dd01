//! OTLP over HTTP/1.1.

use super::{
    Endpoint, USER_AGENT,
    answer::{Heard, MOST_BYTES, chain},
    compress::compressed,
    connector::connector,
    lookup::Lookup,
    outgoing::{Outgoing, Silence},
    tls::{Trust, trusting_nobody},
};
use crate::{clock::Clock, delivery::Answer, error::Error, records::Signal};
use ::http::{HeaderMap, HeaderValue, Method, Request, header};
use bytes::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::OnceCell, time::timeout};

/// A kept connection is closed before receivers close theirs, most often after a minute: a request
/// that meets the closing is lost or doubled, and a new connection costs little.
const KEPT: Duration = Duration::from_secs(20);
/// Each signal has one request in flight at a time.
const MOST_KEPT: usize = 3;

/// hyper's words for bytes that no answer of HTTP/1 begins with: TLS, SSH, gRPC, …
const NOT_HTTP: &str = "invalid HTTP version parsed";

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// One signal's way.
pub(super) struct Way {
    headers: HeaderMap,
    endpoint: Endpoint,
    client: Arc<Client>,
    clock: Clock,
}

impl Way {
    pub(super) fn new(endpoint: Endpoint, client: Arc<Client>, clock: Clock) -> Self {
        let mut headers = endpoint.given_headers();
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(USER_AGENT));
        // What frames the message is hyper's to say.
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::CONTENT_ENCODING);
        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        Self {
            headers,
            endpoint,
            client,
            clock,
        }
    }

    pub(super) async fn send(&self, signal: Signal, body: Bytes) -> Answer {
        let (body, encoding) = compressed(body, self.endpoint.compression);
        let (body, remaining) = Outgoing::of(body);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.url.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(encoding) = encoding {
            let encoding = HeaderValue::from_static(encoding);
            request
                .headers_mut()
                .insert(header::CONTENT_ENCODING, encoding);
        }
        let mut heard = None;
        let within = self.endpoint.deadline();
        let exchange = timeout(within, self.client.exchange(request, &mut heard)).await;
        match (heard, exchange) {
            (Some(heard), _) => heard.answer(signal, self.clock.wall()),
            (None, Ok(Err(silence))) => remaining.unanswered(silence),
            (None, _) => remaining.unanswered(remaining.timed_out(within)),
        }
    }
}

/// What came in place of an answer.
fn silence(error: &legacy::Error) -> Silence {
    let reason = chain(error);
    match error.is_connect() {
        true => Silence::Unreachable(reason),
        false if reason.contains(NOT_HTTP) => Silence::Foreign(reason),
        false => Silence::Broken(reason),
    }
}

/// Connections, for all endpoints that are reached alike.
pub(super) struct Client {
    trust: Option<Trust>,
    connect_within: Duration,
    made: OnceCell<Inner>,
}

type Inner = legacy::Client<HttpsConnector<HttpConnector<Lookup>>, Outgoing>;

impl Client {
    pub(super) fn of(endpoint: &Endpoint) -> Result<Self, Error> {
        Ok(Self {
            trust: Trust::of(endpoint)?,
            connect_within: endpoint.timeout,
            made: OnceCell::new(),
        })
    }

    /// Whether it is one for this endpoint too.
    pub(super) fn reaches(&self, endpoint: &Endpoint) -> bool {
        Trust::is_of(self.trust.as_ref(), endpoint) && self.connect_within == endpoint.timeout
    }

    /// Leaves in `heard` what came of an answer; an error says why nothing did.
    async fn exchange(
        &self,
        request: Request<Outgoing>,
        heard: &mut Option<Heard>,
    ) -> Result<(), Silence> {
        let client = self.made.get_or_try_init(|| self.make()).await;
        let response = client
            .map_err(Silence::Unreachable)?
            .request(request)
            .await
            .map_err(|error| silence(&error))?;
        let (head, body) = response.into_parts();
        heard.insert(Heard::of(head)).listen(body).await;
        Ok(())
    }

    async fn make(&self) -> Result<Inner, String> {
        let tls = match &self.trust {
            Some(trust) => trust.config().await?,
            None => trusting_nobody()?,
        };
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector(Lookup::default(), self.connect_within));
        Ok(legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .pool_max_idle_per_host(MOST_KEPT)
            // Of what is read ahead, and of a head; hyper's own bound is six times that.
            .http1_max_buf_size(MOST_BYTES)
            .build(https))
    }
}
