//! Against a server of tonic's own, and against none.

use super::{
    receiver::{nobody, receiver},
    tls::Authority,
    *,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use std::{
    net::TcpListener,
    sync::{Mutex, mpsc},
};
use tonic::{
    Code, Request, Response, Status,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

type Meant = fn(&Answer) -> bool;
pub(super) type Said = Result<ExportTraceServiceResponse, Status>;

/// Notes what was asked, and says to all the same.
struct Told {
    asked: Mutex<mpsc::Sender<(MetadataMap, ExportTraceServiceRequest)>>,
    says: Said,
}

#[tonic::async_trait]
impl TraceService for Told {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        // Nobody may be listening.
        let _ = self.asked.lock().unwrap().send((metadata, message));
        self.says.clone().map(Response::new)
    }
}

pub(super) type Requests = mpsc::Receiver<(MetadataMap, ExportTraceServiceRequest)>;

pub(super) fn server(says: Said, tls: Option<ServerTlsConfig>) -> (Endpoint, Requests) {
    let (asked, requests) = mpsc::channel();
    let asked = Mutex::new(asked);
    let service = TraceServiceServer::new(Told { asked, says })
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(1024 * 1024);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut endpoint = grpc(address);
    let mut server = Server::builder();
    if let Some(tls) = tls {
        let port = address.port();
        endpoint.url = format!("https://localhost:{port}").parse().unwrap();
        server = server.tls_config(tls).unwrap();
    }
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let served = server.add_service(service);
    tokio::spawn(served.serve_with_incoming(TcpIncoming::from(listener)));
    (endpoint, requests)
}

pub(super) fn grpc(address: SocketAddr) -> Endpoint {
    let mut endpoint = endpoint(address);
    endpoint.protocol = Protocol::Grpc;
    endpoint.url = format!("http://{address}").parse().unwrap();
    endpoint
}

/// A request with one span, whose name is as long as that.
pub(super) fn request(name: usize) -> ExportTraceServiceRequest {
    let span = Span {
        name: "n".repeat(name),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

pub(super) fn nothing_rejected() -> Said {
    Ok(ExportTraceServiceResponse::default())
}

#[tokio::test]
async fn a_call_is_one_that_a_server_of_tonics_understands() {
    for compression in [Compression::None, Compression::Gzip] {
        let (mut endpoint, requests) = server(nothing_rejected(), None);
        endpoint.compression = compression;
        let tenant = HeaderName::from_static("x-tenant");
        endpoint.headers = vec![(tenant, HeaderValue::from_static("eu"))];
        // Beyond the window of HTTP/2, in many frames.
        let asked = request(300_000);
        let answered = send(endpoint, asked.encode_to_vec()).await;
        assert_eq!(answered, accepted());
        let (metadata, message) = requests.recv().unwrap();
        assert!(message == asked, "{compression:?}");
        assert_eq!(metadata.get("x-tenant").unwrap(), "eu");
        let agent = metadata.get("user-agent").unwrap().to_str().unwrap();
        assert!(agent.starts_with(USER_AGENT), "{agent}");
    }
}

#[tokio::test]
async fn a_partial_success_is_told() {
    let says = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "too old".to_owned(),
        }),
    };
    let (endpoint, _requests) = server(Ok(says), None);
    let message = Some("too old".to_owned());
    let answered = send(endpoint, request(1).encode_to_vec()).await;
    assert_eq!(
        answered,
        Answer::Accepted {
            rejected: 2,
            message
        }
    );
}

/// `google.rpc.Status` with a RetryInfo of 7.5 seconds.
fn with_retry_info(code: Code) -> Status {
    let delay = [0x08, 7, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
    with_retry_info_of(code, &[&[0x0a, delay.len() as u8][..], &delay].concat())
}

/// `google.rpc.Status` with what stands for a RetryInfo.
pub(super) fn with_retry_info_of(code: Code, value: &[u8]) -> Status {
    let details = answer::Status {
        message: String::new(),
        details: vec![answer::Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: value.to_vec(),
        }],
    };
    Status::with_details(code, "why", details.encode_to_vec().into())
}

#[tokio::test]
async fn statuses_mean_what_the_specification_says() {
    let again = is_unavailable;
    let again_after = |answer: &Answer| match answer {
        Answer::Unavailable { after, .. } => *after == Some(Duration::from_millis(7_500)),
        _ => false,
    };
    let never = |answer: &Answer| matches!(answer, Answer::Refused { .. });
    let malformed = |answer: &Answer| matches!(answer, Answer::Malformed { .. });
    let denied = |answer: &Answer| matches!(answer, Answer::Denied { .. });
    let too_large = |answer: &Answer| matches!(answer, Answer::TooLarge { .. });
    let plain = |code| Status::new(code, "why");
    let go = "grpc: received message larger than max (5 vs. 4)";
    let cases: [(Status, Meant); 17] = [
        (plain(Code::Unavailable), again),
        (plain(Code::Cancelled), again),
        (plain(Code::DeadlineExceeded), again),
        (plain(Code::Aborted), again),
        (plain(Code::OutOfRange), again),
        (plain(Code::DataLoss), again),
        (with_retry_info(Code::Unavailable), again_after),
        (with_retry_info(Code::ResourceExhausted), again_after),
        (plain(Code::ResourceExhausted), never),
        (Status::new(Code::ResourceExhausted, go), too_large),
        (plain(Code::InvalidArgument), malformed),
        (plain(Code::Unauthenticated), denied),
        (plain(Code::PermissionDenied), denied),
        (plain(Code::Unimplemented), denied),
        (plain(Code::Internal), never),
        (plain(Code::Unknown), never),
        (with_retry_info(Code::Internal), never),
    ];
    for (status, is_as_meant) in cases {
        let (endpoint, _requests) = server(Err(status.clone()), None);
        let answered = send(endpoint, request(1).encode_to_vec()).await;
        assert!(is_as_meant(&answered), "{status}: {answered:?}");
    }
}

#[tokio::test]
async fn a_message_beyond_the_servers_limit_is_too_large() {
    let (endpoint, _requests) = server(nothing_rejected(), None);
    let answered = send(endpoint, request(2_000_000).encode_to_vec()).await;
    assert!(matches!(answered, Answer::TooLarge { .. }), "{answered:?}");
}

#[tokio::test]
async fn a_service_that_the_server_lacks_is_denied() {
    let (endpoint, _requests) = server(nothing_rejected(), None);
    let transport = connect([None, None, Some(endpoint)], &Clock::system()).unwrap();
    let answered = transport.send(Signal::Metrics, "".into()).await;
    assert!(matches!(answered, Answer::Denied { .. }), "{answered:?}");
}

#[tokio::test]
async fn who_is_not_there_has_taken_nothing_and_is_found_when_there() {
    let (held, address) = nobody();
    let transport = transport(grpc(address));
    let answered = transport.send(Signal::Traces, "some".into()).await;
    assert!(is_unreachable(&answered), "{answered:?}");

    let (asked, _requests) = mpsc::channel();
    let told = Told {
        asked: Mutex::new(asked),
        says: nothing_rejected(),
    };
    let served = Server::builder().add_service(TraceServiceServer::new(told));
    held.listen(128).unwrap();
    held.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(held.into()).unwrap();
    tokio::spawn(served.serve_with_incoming(TcpIncoming::from(listener)));
    let body = request(1).encode_to_vec();
    let answered = transport.send(Signal::Traces, body.into()).await;
    assert_eq!(answered, accepted());
}

#[tokio::test]
async fn a_black_hole_may_have_taken_what_was_sent_whole_and_is_connected_anew() {
    let connections = with_a_deadline(async |within| {
        let (connected, connections) = mpsc::channel();
        let address = receiver(move |_, stream| {
            // Nobody may be listening any more.
            let _ = connected.send(());
            std::thread::sleep(10 * AMPLE);
            drop(stream);
        });
        let mut endpoint = grpc(address);
        endpoint.timeout = within;
        let transport = transport(endpoint);
        for (size, is_meant) in [(1_000, is_unanswered as Meant), (1_000_000, is_unavailable)] {
            let answered = send_over(&*transport, within, vec![0; size]).await;
            if !is_meant(&answered) {
                return Err(answered);
            }
        }
        Ok(connections)
    });
    let connections = connections.await;
    // Each is told of by a thread of its own.
    let told = tokio::task::spawn_blocking(move || {
        let two = [(); 2].map(|()| connections.recv_timeout(AMPLE));
        (two, connections.try_recv())
    });
    let nothing_more = Err(mpsc::TryRecvError::Empty);
    assert_eq!(told.await.unwrap(), ([Ok(()); 2], nothing_more));
}

#[tokio::test]
async fn over_tls_the_same_certificates_hold() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let (certificate, key) = servers.signed();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(clients.pem()));
    let (mut endpoint, _requests) = server(nothing_rejected(), Some(tls));
    endpoint.tls = Tls {
        certificate: Some(servers.pem()),
        client: Some(clients.signed()),
    };
    let body = request(1).encode_to_vec();
    assert_eq!(send(endpoint.clone(), body.clone()).await, accepted());

    let mut unknown = endpoint.clone();
    unknown.tls.client = None;
    let answered = send(unknown, body.clone()).await;
    assert!(is_unavailable(&answered), "{answered:?}");

    endpoint.tls.certificate = Some(clients.pem());
    let answered = send(endpoint, body).await;
    assert!(is_unreachable(&answered), "{answered:?}");
}
