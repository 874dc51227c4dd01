//! The same over HTTP and over gRPC: one table, two receivers.

use super::{
    grpc::{Said, grpc, nothing_rejected, request, server, with_retry_info_of},
    http_2::over_http_2,
    receiver::*,
    tls::{Authority, behind_tls, trusting},
    *,
};
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use tonic::{Code, Status};

/// An answer but for its words, which each protocol chooses for itself.
#[derive(Debug, PartialEq)]
enum Sense {
    Accepted(u64, Option<String>),
    Malformed,
    TooLarge,
    Refused,
    Denied,
    Unreachable,
    Unavailable(Option<Duration>),
    Unanswered,
}

fn sense(answer: Answer) -> Sense {
    match answer {
        Answer::Accepted { rejected, message } => Sense::Accepted(rejected, message),
        Answer::Malformed { .. } => Sense::Malformed,
        Answer::TooLarge { .. } => Sense::TooLarge,
        Answer::Refused { .. } => Sense::Refused,
        Answer::Denied { .. } => Sense::Denied,
        Answer::Unreachable { .. } => Sense::Unreachable,
        Answer::Unavailable { after, .. } => Sense::Unavailable(after),
        Answer::Unanswered { .. } => Sense::Unanswered,
    }
}

/// What a receiver of OTLP over HTTP says.
struct Spoken {
    status: &'static str,
    headers: &'static str,
    body: Vec<u8>,
}

fn says(status: &'static str, headers: &'static str) -> Spoken {
    Spoken {
        status,
        headers,
        body: Vec::new(),
    }
}

fn partial(rejected_spans: i64, why: &str) -> (Spoken, Said) {
    let response = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: why.to_owned(),
        }),
    };
    let spoken = Spoken {
        status: "200 OK",
        headers: "content-type: application/x-protobuf\r\n",
        body: response.encode_to_vec(),
    };
    (spoken, Ok(response))
}

fn accepted_but(rejected: u64, why: &str) -> Sense {
    Sense::Accepted(rejected, (!why.is_empty()).then(|| why.to_owned()))
}

/// A RetryInfo of so many seconds.
fn pause(seconds: i64) -> Status {
    let mut delay = vec![0x08];
    prost::encoding::encode_varint(seconds.cast_unsigned(), &mut delay);
    let value = [&[0x0a, delay.len() as u8][..], &delay].concat();
    with_retry_info_of(Code::Unavailable, &value)
}

fn cases() -> Vec<(Spoken, Said, Sense)> {
    let status = |code| Err(Status::new(code, "why"));
    let away = "503 Service Unavailable";
    let partials = [
        (2, "two are old", accepted_but(2, "two are old")),
        (0, "this goes away", accepted_but(0, "this goes away")),
        (-1, "", accepted_but(0, "")),
        (i64::MAX, "", accepted_but(i64::MAX.cast_unsigned(), "")),
    ];
    let mut cases: Vec<_> = partials
        .map(|(rejected, why, sense)| {
            let (spoken, said) = partial(rejected, why);
            (spoken, said, sense)
        })
        .into();
    for (http, code, sense) in [
        ("400 Bad Request", Code::InvalidArgument, Sense::Malformed),
        ("401 Unauthorized", Code::Unauthenticated, Sense::Denied),
        ("403 Forbidden", Code::PermissionDenied, Sense::Denied),
        ("404 Not Found", Code::Unimplemented, Sense::Denied),
        ("500 Internal Server Error", Code::Internal, Sense::Refused),
        (away, Code::Unavailable, Sense::Unavailable(None)),
    ] {
        cases.push((says(http, ""), status(code), sense));
    }
    let go = "grpc: received message larger than max (5 vs. 4)";
    let too_large = Status::new(Code::ResourceExhausted, go);
    let said = says("413 Content Too Large", "");
    cases.push((said, Err(too_large), Sense::TooLarge));
    let garbage = |value: &[u8]| with_retry_info_of(Code::Unavailable, value);
    for (header, retry_info, after) in [
        ("retry-after: 30\r\n", pause(30), Some(30)),
        (
            "retry-after: 1000000000\r\n",
            pause(1_000_000_000),
            Some(300),
        ),
        (
            "retry-after: 99999999999999999999\r\n",
            pause(i64::MAX),
            Some(300),
        ),
        ("retry-after: 0\r\n", pause(0), None),
        ("retry-after: -5\r\n", pause(-5), None),
        // Over by now, by the tests' clock.
        (
            "retry-after: Wed, 31 Dec 1969 23:59:00 GMT\r\n",
            pause(i64::MIN),
            None,
        ),
        ("retry-after: soon\r\n", garbage(b"\xff\xff\xff"), None),
        ("retry-after: \r\n", garbage(b""), None),
        (
            "",
            Status::with_details(Code::Unavailable, "", Bytes::from_static(b"\x1a\xff")),
            None,
        ),
    ] {
        let after = after.map(Duration::from_secs);
        cases.push((
            says(away, header),
            Err(retry_info),
            Sense::Unavailable(after),
        ));
    }
    cases
}

#[tokio::test]
async fn an_answer_means_the_same_over_both() {
    for (spoken, said, expected) in cases() {
        let shown = format!("{} {:?} or {said:?}", spoken.status, spoken.headers);
        let address = receiver(move |_, mut stream| {
            read(&mut stream).unwrap();
            answer(&mut stream, spoken.status, spoken.headers, &spoken.body);
        });
        let over_http = sense(send(endpoint(address), "some").await);
        assert_eq!(over_http, expected, "HTTP: {shown}");

        let (endpoint, _requests) = server(said, None);
        let over_grpc = sense(send(endpoint, request(1).encode_to_vec()).await);
        assert_eq!(over_grpc, expected, "gRPC: {shown}");
    }
}

/// The endpoint over HTTP, and over gRPC.
fn both(address: SocketAddr) -> [Endpoint; 2] {
    [endpoint(address), grpc(address)]
}

/// Accepts connections, and neither reads nor answers.
fn black_hole() -> SocketAddr {
    receiver(|_, stream| hold(&stream, &AtomicBool::new(false)))
}

/// Reads nothing, for as long as any test takes; notes that there would be something.
fn hold(stream: &TcpStream, is_reached: &AtomicBool) {
    if stream.peek(&mut [0]).is_ok_and(|come| come > 0) {
        is_reached.store(true, Ordering::SeqCst);
    }
    thread::sleep(Duration::from_secs(3_600));
}

#[tokio::test]
async fn without_a_connection_nobody_was_reached() {
    let (_held, nobody) = nobody();
    // Says nothing, so that a handshake of TLS comes to no end.
    let silent = black_hole();
    let without_tls = receiver(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
    });
    let other_host = |mut endpoint: Endpoint, host: &str| {
        let (scheme, port) = host.split_once('+').unwrap();
        endpoint.url = format!("{scheme}://{port}/v1/traces").parse().unwrap();
        endpoint
    };
    for (place, address) in [
        (format!("http+{nobody}"), nobody),
        ("http+nowhere.invalid:4318".to_owned(), nobody),
        (format!("https+localhost:{}", silent.port()), silent),
        (
            format!("https+localhost:{}", without_tls.port()),
            without_tls,
        ),
    ] {
        for endpoint in both(address) {
            let protocol = endpoint.protocol;
            let mut endpoint = other_host(endpoint, &place);
            endpoint.timeout = SHORT;
            let begun = tokio::time::Instant::now();
            let answered = send(endpoint, "some").await;
            assert!(
                is_unreachable(&answered),
                "{protocol:?} {place}: {answered:?}"
            );
            assert!(begun.elapsed() < AMPLE, "{protocol:?} {place}");
        }
    }
}

#[tokio::test]
async fn whoever_accepts_and_never_answers_holds_an_attempt_until_its_deadline() {
    for (length, expected) in [
        (1_000, Sense::Unanswered),
        (LARGE, Sense::Unavailable(None)),
    ] {
        let is_meant = |answer: &Answer| sense(answer.clone()) == expected;
        for endpoint in both(black_hole()) {
            with_a_deadline(async |within| {
                is_cut_off(endpoint.clone(), within, vec![0; length], is_meant).await
            })
            .await;
        }
    }
}

/// Tasks hold connections, and what is sent on them.
#[tokio::test]
async fn whoever_reads_no_more_keeps_no_connection_of_an_attempt_that_has_ended() {
    // A connection on which nothing was sent yet may be kept.
    let is_reached = Arc::new(AtomicBool::new(false));
    let [by_plain, by_secure] = [(); 2].map(|()| Arc::clone(&is_reached));
    let plain = receiver(move |_, stream| hold(&stream, &by_plain));
    let authority = Authority::new();
    let secure = behind_tls(&authority, None, move |mut stream| {
        // Whoever has left by then is held all the same.
        let _ = stream.conn.complete_io(&mut stream.sock);
        hold(&stream.sock, &by_secure);
    });
    let [by_http, by_grpc] = both(secure).map(|mut endpoint| {
        let url = format!("https://localhost:{}/v1/traces", secure.port());
        endpoint.url = url.parse().unwrap();
        endpoint.tls = trusting(&authority);
        endpoint
    });
    for endpoint in both(plain).into_iter().chain([by_http, by_grpc]) {
        let shown = format!("{:?} {}", endpoint.protocol, endpoint.url);
        let kept = with_a_deadline(async |within| {
            let mut endpoint = endpoint.clone();
            endpoint.timeout = within;
            let transport = transport(endpoint);
            is_reached.store(false, Ordering::SeqCst);
            let answered = send_over(&*transport, within, vec![0; LARGE]).await;
            match is_unavailable(&answered) && is_reached.load(Ordering::SeqCst) {
                true => Ok(transport),
                false => Err(answered),
            }
        });
        let _kept = kept.await;
        let begun = tokio::time::Instant::now();
        let tasks = tokio::runtime::Handle::current().metrics();
        while tasks.num_alive_tasks() > 0 {
            let left = tasks.num_alive_tasks();
            assert!(
                begun.elapsed() < 2 * AMPLE,
                "{shown}: {left} tasks are left"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Passes all bytes on between the client and `server` until it is told to die: then whatever the
/// client sends next is answered by a reset.
fn mortal(server: SocketAddr, dies: &Arc<AtomicBool>) -> SocketAddr {
    let dies = Arc::clone(dies);
    receiver(move |_, mut client| {
        let mut server = TcpStream::connect(server).unwrap();
        let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        let mut some = [0; 16 * 1024];
        while let Ok(length @ 1..) = client.read(&mut some) {
            if dies.load(Ordering::SeqCst) {
                // The other handle would keep the connection.
                let _ = server.shutdown(Shutdown::Both);
                return reset(client);
            }
            if server.write_all(&some[..length]).is_err() {
                return;
            }
        }
    })
}

#[tokio::test]
async fn a_kept_connection_that_dies_early_is_no_want_of_a_connection() {
    let over_http = receiver(|_, mut stream| {
        while read(&mut stream).is_some() {
            answer(&mut stream, "200 OK", "", b"");
        }
    });
    let (over_grpc, _requests) = server(nothing_rejected(), None);
    let over_grpc = over_grpc.url.authority().unwrap().as_str().parse().unwrap();
    for server in [over_http, over_grpc] {
        let dies = Arc::new(AtomicBool::new(false));
        let [by_http, by_grpc] = both(mortal(server, &dies));
        let endpoint = if server == over_http {
            by_http
        } else {
            by_grpc
        };
        let protocol = endpoint.protocol;
        let transport = transport(endpoint);
        let body = request(1).encode_to_vec();
        let answered = transport.send(Signal::Traces, body.into()).await;
        assert_eq!(answered, accepted(), "{protocol:?}");
        dies.store(true, Ordering::SeqCst);
        let answered = transport.send(Signal::Traces, vec![0; LARGE].into()).await;
        assert!(is_unavailable(&answered), "{protocol:?}: {answered:?}");
    }
}

#[tokio::test]
async fn the_port_of_another_protocol_denies() {
    // As servers of HTTP/1 answer the preface of HTTP/2.
    let http = receiver(|_, mut stream| {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).unwrap();
        answer(&mut stream, "400 Bad Request", "", b"");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let answered = send(grpc(http), request(1).encode_to_vec()).await;
    assert_eq!(sense(answered), Sense::Denied);

    // As servers of HTTP/2 do, once the request has come.
    let http_2 = receiver(|_, mut stream| {
        read(&mut stream).unwrap();
        let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let answered = send(endpoint(http_2), "some").await;
    assert_eq!(sense(answered), Sense::Denied);

    // A page about the weather, over HTTP/2.
    for (status, expected) in [
        (200, Sense::Denied),
        (204, Sense::Denied),
        (400, Sense::Denied),
        (404, Sense::Denied),
        (413, Sense::TooLarge),
        (503, Sense::Unavailable(None)),
        (500, Sense::Refused),
    ] {
        let address = page_over_http_2(status).await;
        let answered = send(grpc(address), request(1).encode_to_vec()).await;
        assert_eq!(sense(answered), expected, "{status}");
    }
}

#[tokio::test]
async fn who_speaks_before_it_is_asked_has_taken_nothing() {
    // It may be a gateway that is full, and says so at once.
    let (grpc, _requests) = server(nothing_rejected(), None);
    let address = grpc.url.authority().unwrap().as_str().parse().unwrap();
    let answered = send(endpoint(address), request(1).encode_to_vec()).await;
    let answered = sense(answered);
    let may_be = [Sense::Unavailable(None), Sense::Denied];
    assert!(may_be.contains(&answered), "{answered:?}");
}

async fn page_over_http_2(status: u16) -> SocketAddr {
    over_http_2(move || {
        let page = ::http::Response::builder().status(status);
        let page = page.header("content-type", "text/html");
        page.body(Full::new(Bytes::from_static(b"<p>sunny</p>")))
            .unwrap()
    })
    .await
}
