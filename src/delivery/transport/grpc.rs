//! OTLP over gRPC: unary calls over tonic's channel. The bodies are encoded already, so a call is
//! one message in its frame; framing it here tells how much of it has gone out, and whether a status
//! is the server's or was made up on this side.

mod failed;

use super::{
    Endpoint, USER_AGENT,
    answer::{End, Heard, MOST_BYTES, chain, partial_success, shown, taken, taken_unread},
    compress::compressed,
    connector::connector,
    lookup::Lookup,
    outgoing::{Framed, Silence},
    tls::Trust,
};
use crate::{clock::Clock, delivery::Answer, error::Error, records::Signal};
use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use bytes::{BufMut as _, Bytes, BytesMut};
use failed::failed;
use flate2::read::GzDecoder;
use std::{
    borrow::Cow,
    future::poll_fn,
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::OnceCell, time::timeout};
use tonic::{
    Code, ConnectError, Status,
    body::Body,
    transport::{self, Certificate, Channel, ClientTlsConfig, Identity},
};
use tower_service::Service as _;

/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// h2's words for what does not begin as HTTP/2 does: letters, read as the length of a frame.
const NOT_HTTP_2: &str = "frame with invalid size";

/// What a server may send ahead of who reads it, for one call; hyper's own bound is 2 MiB.
const WINDOW: u32 = MOST_BYTES as u32;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// One signal's way.
pub(super) struct Way {
    headers: HeaderMap,
    endpoint: Endpoint,
    server: Arc<Server>,
    clock: Clock,
}

impl Way {
    pub(super) fn new(endpoint: Endpoint, server: Arc<Server>, clock: Clock) -> Self {
        let mut headers = endpoint.given_headers();
        // What frames the call is ours to say.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove("grpc-encoding");
        headers.remove("grpc-timeout");
        headers.insert(header::CONTENT_TYPE, GRPC);
        headers.insert(header::TE, TRAILERS);
        Self {
            headers,
            endpoint,
            server,
            clock,
        }
    }

    pub(super) async fn send(&self, signal: Signal, body: Bytes) -> Answer {
        let (message, encoding) = compressed(body, self.endpoint.compression);
        let Some(call) = framed(&message, encoding.is_some()) else {
            return Answer::TooLarge {
                reason: "longer than a gRPC message can be".to_owned(),
            };
        };
        let (body, remaining) = Framed::of(call);
        let mut request = Request::new(Body::new(body));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_static(path(signal));
        *request.headers_mut() = self.headers.clone();
        if let Some(encoding) = encoding {
            let encoding = HeaderValue::from_static(encoding);
            request.headers_mut().insert("grpc-encoding", encoding);
        }
        let mut heard = None;
        let within = self.endpoint.deadline();
        let exchange = timeout(within, self.server.exchange(request, &mut heard)).await;
        if exchange.is_err() {
            // The connection may be dead, and would be used again until the system notices.
            self.server.hang_up();
        }
        let meaning = match (heard, exchange) {
            (Some(heard), _) => meaning(&heard, signal, &self.clock).map_err(Silence::Broken),
            (None, Ok(Err(silence))) => Err(silence),
            (None, _) => Err(remaining.timed_out(within)),
        };
        meaning.unwrap_or_else(|silence| remaining.unanswered(silence))
    }
}

fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

/// The message in its frame, unless its length is beyond what the frame can say.
fn framed(message: &[u8], is_compressed: bool) -> Option<Bytes> {
    let length = u32::try_from(message.len()).ok()?;
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(is_compressed.into());
    framed.put_u32(length);
    framed.put_slice(message);
    Some(framed.freeze())
}

/// The one connection to a server, for all signals that go there.
pub(super) struct Server {
    url: Uri,
    trust: Option<Trust>,
    connect_within: Duration,
    settings: OnceCell<transport::Endpoint>,
    /// One for all connections, however often they are made anew.
    lookup: Lookup,
    channel: Mutex<Option<Channel>>,
}

impl Server {
    pub(super) fn of(endpoint: &Endpoint) -> Result<Self, Error> {
        Ok(Self {
            url: endpoint.url.clone(),
            trust: Trust::of(endpoint)?,
            connect_within: endpoint.timeout,
            settings: OnceCell::new(),
            lookup: Lookup::default(),
            channel: Mutex::new(None),
        })
    }

    /// Whether it is this endpoint's too.
    pub(super) fn is_at(&self, endpoint: &Endpoint) -> bool {
        self.url == endpoint.url
            && Trust::is_of(self.trust.as_ref(), endpoint)
            && self.connect_within == endpoint.timeout
    }

    /// Leaves in `heard` what came of an answer; an error says why nothing did.
    async fn exchange(
        &self,
        request: Request<Body>,
        heard: &mut Option<Heard>,
    ) -> Result<(), Silence> {
        let channel = self.channel().await;
        let mut channel = channel.map_err(Silence::Unreachable)?;
        let ready = poll_fn(|context| channel.poll_ready(context)).await;
        ready.map_err(|error| silence(&error))?;
        let response = channel.call(request).await;
        let (head, body) = response.map_err(|error| silence(&error))?.into_parts();
        heard.insert(Heard::of(head)).listen(body).await;
        Ok(())
    }

    async fn channel(&self) -> Result<Channel, String> {
        let settings = self.settings.get_or_try_init(|| self.settings()).await?;
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(channel
            .get_or_insert_with(|| {
                let connector = connector(self.lookup.clone(), self.connect_within);
                settings.connect_with_connector_lazy(connector)
            })
            .clone())
    }

    /// The next call connects anew; those under way go on.
    fn hang_up(&self) {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        *channel = None;
    }

    async fn settings(&self) -> Result<transport::Endpoint, String> {
        let settings = transport::Endpoint::from(self.url.clone())
            .connect_timeout(self.connect_within)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(Signal::ALL.len() as u32 * WINDOW)
            .user_agent(USER_AGENT)
            .map_err(|error| chain(&error))?;
        let Some(trust) = &self.trust else {
            return Ok(settings);
        };
        let mut tls = ClientTlsConfig::new()
            .trust_anchors(trust.roots().await?.roots.iter().cloned())
            // Some servers speak HTTP/2 and do not say so.
            .assume_http2(true);
        if let Some((chain, key)) = trust.client_pem() {
            let identity = Identity::from_pem(Certificate::from_pem(chain), key);
            tls = tls.identity(identity);
        }
        settings.tls_config(tls).map_err(|error| chain(&error))
    }
}

/// What a call's answer means; an error says why it is none.
fn meaning(heard: &Heard, signal: Signal, clock: &Clock) -> Result<Answer, String> {
    // A call that fails at once has its status in the head.
    let trailers = heard.trailers.as_ref();
    let status = trailers.and_then(Status::from_header_map);
    match status.or_else(|| Status::from_header_map(&heard.headers)) {
        Some(status) if status.code() == Code::Ok => Ok(accepted(heard, signal)),
        Some(status) => Ok(failed(&status)),
        // From something on the way that speaks HTTP only.
        None if heard.status != StatusCode::OK => {
            Ok(match heard.answer(signal, clock.wall()) {
                // It has not looked into the call; nor would it take another.
                Answer::Accepted { .. } | Answer::Malformed { .. } => not_grpc(heard.status),
                answer => answer,
            })
        }
        None if !heard.is_grpc() => Ok(not_grpc(heard.status)),
        None => Err(match &heard.end {
            End::Whole => "answered without a gRPC status".to_owned(),
            End::TooLong => "an answer too long to read to its status".to_owned(),
            End::Broken(error) => format!("the answer broke off: {}", shown(error)),
            End::Pending => "the answer's status did not come in time".to_owned(),
        }),
    }
}

fn not_grpc(status: StatusCode) -> Answer {
    let reason =
        format!("{status}, but not an answer of gRPC's; OTLP over HTTP has a port of its own");
    Answer::Denied { reason }
}

/// What came in place of an answer.
fn silence(error: &transport::Error) -> Silence {
    let reason = chain(error);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return Silence::Unreachable(reason);
        }
        cause = error.source();
    }
    match reason.contains(NOT_HTTP_2) {
        true => Silence::Foreign(reason),
        false => Silence::Broken(reason),
    }
}

fn accepted(heard: &Heard, signal: Signal) -> Answer {
    match message(heard).map(|message| partial_success(signal, &message)) {
        Some(Ok(partial)) => {
            let (rejected, message) = partial.unwrap_or_default();
            taken(rejected, &message)
        }
        _ => taken_unread("not readable"),
    }
}

/// The message of the answer; `None`: there is none that can be read.
fn message(heard: &Heard) -> Option<Cow<'_, [u8]>> {
    match heard.body.split_at_checked(PREFIX) {
        Some(([0, ..], message)) => Some(message.into()),
        // We ask for no compression, but servers in Go answer in that of the request.
        Some((_, message)) if heard.headers.get("grpc-encoding")? == "gzip" => {
            let mut plain = Vec::new();
            let mut decoder = GzDecoder::new(message).take(MOST_BYTES as u64);
            decoder.read_to_end(&mut plain).ok()?;
            Some(plain.into())
        }
        None if heard.body.is_empty() => Some(Cow::default()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        failed::{Pause, RetryInfo},
        *,
    };
    use crate::delivery::Compression;
    use crate::delivery::transport::answer;
    use proptest::prelude::*;
    use prost::Message as _;

    /// A status of 200 with one message, its frame's flag as given.
    fn heard(flag: u8, encoding: &'static str, message: &[u8]) -> Heard {
        let mut response = ::http::Response::new(()).into_parts().0;
        let encoding = HeaderValue::from_static(encoding);
        response.headers.insert("grpc-encoding", encoding);
        let mut heard = Heard::of(response);
        heard.body = framed(message, false).unwrap().into();
        heard.body[0] = flag;
        heard.end = End::Whole;
        heard
    }

    #[test]
    fn what_was_rejected_is_read_in_an_answer_as_compressed_as_the_request() {
        // partial_success: { rejected_log_records: 3, error_message: "late" }
        let rejected = b"\x0a\x08\x08\x03\x12\x04late";
        let (smaller, encoding) = compressed(Bytes::from_static(rejected), Compression::Gzip);
        let answer = taken(3, "late");
        let plain = accepted(&heard(0, "identity", rejected), Signal::Logs);
        assert_eq!(plain, answer);
        let read = accepted(&heard(1, encoding.unwrap(), &smaller), Signal::Logs);
        assert_eq!(read, answer);
        for (encoding, message) in [("zstd", &*smaller), ("gzip", rejected)] {
            let unread = accepted(&heard(1, encoding, message), Signal::Logs);
            assert_eq!(unread, taken_unread("not readable"));
        }
    }

    /// As it is found in the trailers.
    fn with_details(code: i32, details: &[u8]) -> Status {
        Status::with_details(Code::from(code), "why", Bytes::copy_from_slice(details))
    }

    fn pause_of(seconds: i64, nanos: i32) -> Vec<u8> {
        let delay = Some(Pause { seconds, nanos });
        let status = answer::Status {
            message: String::new(),
            details: vec![answer::Any {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: RetryInfo { delay }.encode_to_vec(),
            }],
        };
        status.encode_to_vec()
    }

    proptest! {
        #[test]
        fn a_pause_is_never_longer_than_five_minutes_nor_nothing(
            code in 0..20_i32,
            details in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..100),
                (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| pause_of(seconds, nanos)),
                (-2..400_i64, any::<i32>()).prop_map(|(seconds, nanos)| pause_of(seconds, nanos)),
            ],
        ) {
            if let Answer::Unavailable { after: Some(after), .. } = failed(&with_details(code, &details)) {
                prop_assert!(!after.is_zero() && after <= answer::LONGEST_PAUSE, "{after:?}");
            }
        }

        #[test]
        fn whatever_is_answered_means_something_in_a_line(
            status in prop_oneof![Just(200_u16), 100..1_000_u16],
            code in prop::option::of("-?[0-9]{1,3}|\\PC{0,5}"),
            is_grpc in any::<bool>(),
            is_gzip in any::<bool>(),
            body in prop::collection::vec(any::<u8>(), 0..400),
            is_whole in any::<bool>(),
        ) {
            let mut heard = heard(body.len() as u8, if is_gzip { "gzip" } else { "" }, &body);
            heard.status = StatusCode::from_u16(status).unwrap();
            if is_grpc {
                heard.headers.insert(header::CONTENT_TYPE, GRPC);
            }
            if let Some(code) = code {
                let code = HeaderValue::from_bytes(code.as_bytes()).unwrap();
                heard.trailers = Some(HeaderMap::from_iter([(
                    ::http::HeaderName::from_static("grpc-status"),
                    code,
                )]));
            }
            if !is_whole {
                heard.end = End::TooLong;
            }
            let is_accepted = match meaning(&heard, Signal::Logs, &Clock::system()) {
                Ok(Answer::Accepted { message, .. }) => {
                    prop_assert!(message.is_none_or(|message| message.len() <= 300));
                    true
                }
                _ => false,
            };
            let trailers = heard.trailers.as_ref();
            let is_said = trailers.is_some_and(|trailers| trailers["grpc-status"] == "0");
            prop_assert_eq!(is_accepted, is_said, "by nothing but gRPC's own status");
        }
    }
}
