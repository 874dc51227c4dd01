//! What goes out and what comes back when nothing is amiss.

use super::{receiver::*, *};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use std::{
    io::Read as _,
    sync::{Mutex, mpsc},
};
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test]
async fn a_request_is_what_the_specification_asks_for() {
    let (asked, requests) = mpsc::channel();
    let partial = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too old".to_owned(),
        }),
    };
    let address = receiver(move |_, mut stream| {
        asked.send(read(&mut stream).unwrap()).unwrap();
        let headers = "content-type: application/x-protobuf\r\n";
        answer(&mut stream, "200 OK", headers, &partial.encode_to_vec());
    });
    let mut endpoint = endpoint(address);
    endpoint.headers = vec![
        (
            HeaderName::from_static("x-tenant"),
            HeaderValue::from_static("eu"),
        ),
        // Not to be believed.
        (
            ::http::header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain"),
        ),
        (
            ::http::header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        ),
        (
            ::http::header::CONTENT_LENGTH,
            HeaderValue::from_static("1"),
        ),
    ];
    let answered = send(endpoint, &b"spans"[..]).await;
    let message = Some("too old".to_owned());
    assert_eq!(
        answered,
        Answer::Accepted {
            rejected: 3,
            message
        }
    );
    let Asked { head, body } = requests.recv().unwrap();
    assert_eq!(body, b"spans");
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    for line in [
        "content-type: application/x-protobuf",
        "content-length: 5",
        "x-tenant: eu",
        concat!("user-agent: orderscope/", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(
            head.lines().filter(|said| *said == line).count(),
            1,
            "{line} in {head}"
        );
    }
    for name in ["content-encoding", "transfer-encoding", "accept-encoding"] {
        assert!(!head.contains(name), "{head}");
    }
    assert_eq!(head.matches("content-").count(), 2, "{head}");
}

#[tokio::test]
async fn a_compressed_body_is_what_was_given() {
    let given: Vec<u8> = (0..100_000_u32)
        .flat_map(|number| (number / 7).to_le_bytes())
        .collect();
    for (compression, name) in [
        (Compression::Gzip, "gzip"),
        #[cfg(feature = "zstd")]
        (Compression::Zstd, "zstd"),
    ] {
        let (asked, requests) = mpsc::channel();
        let address = receiver(move |_, mut stream| {
            asked.send(read(&mut stream).unwrap()).unwrap();
            answer(&mut stream, "200 OK", "", b"");
        });
        let mut endpoint = endpoint(address);
        endpoint.compression = compression;
        assert_eq!(send(endpoint, given.clone()).await, accepted());
        let Asked { head, body } = requests.recv().unwrap();
        assert!(
            head.contains(&format!("content-encoding: {name}\r\n")),
            "{head}"
        );
        assert!(body.len() < given.len() / 2);
        let mut plain = Vec::new();
        match compression {
            #[cfg(feature = "zstd")]
            Compression::Zstd => plain = ::zstd::decode_all(&*body).unwrap(),
            _ => {
                let mut decoder = flate2::read::GzDecoder::new(&*body);
                decoder.read_to_end(&mut plain).unwrap();
            }
        }
        assert!(plain == given, "{name}");
    }
}

#[tokio::test]
async fn all_signals_share_the_connection_that_is_kept() {
    let paths = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&paths);
    let address = receiver(move |number, mut stream| {
        while let Some(asked) = read(&mut stream) {
            let path = asked.head.split(' ').nth(1).unwrap().to_owned();
            noted.lock().unwrap().push((number, path));
            answer(&mut stream, "200 OK", "", b"");
        }
    });
    let of = |path: &str| {
        let mut endpoint = endpoint(address);
        endpoint.url = format!("http://{address}{path}").parse().unwrap();
        Some(endpoint)
    };
    let endpoints = [of("/v1/traces"), of("/v1/logs"), of("/v1/metrics?for=eu")];
    let transport = connect(endpoints, &Clock::system()).unwrap();
    for _ in 0..2 {
        for signal in Signal::ALL {
            let answered = transport.send(signal, Bytes::from_static(b"some")).await;
            assert_eq!(answered, accepted());
        }
    }
    let expected = ["/v1/traces", "/v1/logs", "/v1/metrics?for=eu"].repeat(2);
    let expected: Vec<_> = expected
        .iter()
        .map(|path| (0, (*path).to_owned()))
        .collect();
    assert_eq!(*paths.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_connection_that_the_receiver_closed_between_requests_is_made_anew() {
    let (closed, mut is_closed) = unbounded_channel();
    let address = receiver(move |_, mut stream| {
        read(&mut stream).unwrap();
        answer(&mut stream, "200 OK", "", b"");
        drop(stream);
        closed.send(()).unwrap();
    });
    let transport = transport(endpoint(address));
    for _ in 0..3 {
        let answered = transport
            .send(Signal::Traces, Bytes::from_static(b"some"))
            .await;
        assert_eq!(answered, accepted());
        is_closed.recv().await.unwrap();
        // In which the connection's task is told.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_signal_without_an_endpoint_is_refused() {
    let transport = transport(endpoint(([127, 0, 0, 1], 1).into()));
    for (signal, name) in [(Signal::Logs, "logs"), (Signal::Metrics, "metrics")] {
        let reason = format!("no endpoint takes {name}");
        let answered = transport.send(signal, Bytes::new()).await;
        assert_eq!(answered, Answer::Refused { reason });
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (asked, requests) = mpsc::channel();
    let address = receiver(move |_, mut stream| {
        while let Some(request) = read(&mut stream) {
            asked.send(request).unwrap();
            let elsewhere = "location: /elsewhere\r\n";
            answer(&mut stream, "307 Temporary Redirect", elsewhere, b"");
        }
    });
    let reason = "307 Temporary Redirect (redirects are not followed)".to_owned();
    assert_eq!(
        send(endpoint(address), "some").await,
        Answer::Denied { reason }
    );
    assert_eq!(requests.try_iter().count(), 1);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_was_read_counts() {
    let (heard, is_heard) = mpsc::channel::<()>();
    let is_heard = Mutex::new(is_heard);
    let address = receiver(move |_, mut stream| {
        head(&mut stream).unwrap();
        answer(&mut stream, "413 Content Too Large", "", b"at most 4 MiB");
        // Closed before, the connection would be reset.
        let _ = is_heard.lock().unwrap().recv();
    });
    let reason = "413 Payload Too Large: at most 4 MiB".to_owned();
    let answered = send(endpoint(address), vec![0; LARGE]).await;
    drop(heard);
    assert_eq!(answered, Answer::TooLarge { reason });
}

#[tokio::test]
async fn a_pause_until_a_date_is_measured_by_the_wall_clock_given() {
    let address = receiver(|_, mut stream| {
        read(&mut stream).unwrap();
        // The tests' clock stands at 1970.
        let until = "retry-after: Thu, 01 Jan 1970 00:00:40 GMT\r\n";
        answer(&mut stream, "503 Service Unavailable", until, b"draining");
    });
    let answered = send(endpoint(address), "some").await;
    let expected = Answer::Unavailable {
        after: Some(Duration::from_secs(40)),
        reason: "503 Service Unavailable: draining".to_owned(),
    };
    assert_eq!(answered, expected);
}
