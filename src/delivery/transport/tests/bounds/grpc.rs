//! Over HTTP/2, which has bounds of its own for frames, windows and headers.

use super::{
    super::{
        grpc::{grpc, request},
        http_2::*,
    },
    *,
};
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use prost::Message as _;
use std::{
    convert::Infallible,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

const PING: u8 = 6;
const LONG: [u8; 16 * 1024] = [b'a'; 16 * 1024];

fn head() -> ::http::response::Builder {
    ::http::Response::builder().header("content-type", "application/grpc")
}

async fn call(address: SocketAddr, within: Duration) -> Answer {
    let mut endpoint = grpc(address);
    endpoint.timeout = within;
    send(endpoint, request(1).encode_to_vec()).await
}

#[tokio::test]
async fn of_an_answer_without_end_two_windows_are_sent() {
    let given = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&given);
    let address = over_http_2(move || {
        let given = Arc::clone(&counted);
        let frames = futures_util::stream::repeat_with(move || {
            given.fetch_add(LONG.len(), Ordering::SeqCst);
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(&LONG)))
        });
        let frames = frames.take(ENOUGH / LONG.len());
        let frames = frames.chain(futures_util::stream::pending());
        head().body(StreamBody::new(frames)).unwrap()
    })
    .await;
    let begun = Instant::now();
    let answered = call(address, AMPLE).await;
    assert!(begun.elapsed() < AMPLE, "before the deadline");
    let Answer::Unanswered { reason } = answered else {
        panic!("{answered:?}");
    };
    assert!(reason.contains("too long"), "{reason}");
    let given = given.load(Ordering::SeqCst);
    let most = 2 * MOST + SEND_BUFFER + 2 * LONG.len();
    assert!(given > MOST && given <= most, "{given} bytes");
}

#[tokio::test]
async fn a_large_or_a_compressed_message_is_not_unpacked_beyond_64_kib() {
    let framed = |flag: u8, message: Vec<u8>| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        Bytes::from([&[flag][..], &length, &message].concat())
    };
    for (encoding, body, is_read) in [
        ("gzip", framed(1, BOMB.clone()), true),
        ("identity", framed(1, BOMB.clone()), true),
        ("identity", framed(0, BOMB.clone()), true),
        ("identity", framed(0, vec![b'a'; 10_000_000]), false),
    ] {
        let address = over_http_2(move || {
            let status = [("grpc-status", "0")].map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            let trailers = ready(Some(Ok(HeaderMap::from_iter(status))));
            let body = Full::new(body.clone()).with_trailers(trailers);
            head().header("grpc-encoding", encoding).body(body).unwrap()
        })
        .await;
        let begun = Instant::now();
        let answered = call(address, AMPLE).await;
        assert!(begun.elapsed() < AMPLE, "before the deadline");
        match &answered {
            Answer::Accepted {
                rejected: 0,
                message: Some(message),
            } if is_read => assert!(message.contains("not readable"), "{message}"),
            // The status, which would have come after it, was not heard.
            Answer::Unanswered { reason } if !is_read => {
                assert!(reason.contains("too long"), "{reason}");
            }
            _ => panic!("{answered:?}"),
        }
    }
}

#[tokio::test]
async fn headers_and_trailers_without_end_are_no_answer() {
    for is_trailer in [false, true] {
        let (told, is_cut_off) = mpsc::channel();
        let address = by_hand(move |mut to| {
            if is_trailer {
                to.frame(HEADERS, END_HEADERS, 1, HEAD).unwrap();
                to.frame(DATA, 0, 1, b"\0\0\0\0\0").unwrap();
                to.frame(HEADERS, 1, 1, b"").unwrap();
            } else {
                to.frame(HEADERS, 0, 1, HEAD).unwrap();
            }
            // A header of 16,255 letters by the name of `a`, again and again.
            let header = [&b"\0\x01a\x7f\x80\x7e"[..], &LONG[..16_255]].concat();
            while to.frame(CONTINUATION, 0, 1, &header).is_ok() {}
            let _ = told.send(());
        });
        let begun = Instant::now();
        let answered = call(address, AMPLE).await;
        assert!(is_unanswered(&answered), "{is_trailer}: {answered:?}");
        assert!(begun.elapsed() < AMPLE, "before the deadline");
        cut_off(is_cut_off).await;
    }
}

#[tokio::test]
async fn frames_that_are_no_answer_end_at_the_deadline() {
    type Next = fn(&mut ByHand) -> std::io::Result<()>;
    let cases: [(&[u8], Next); 4] = [
        (HEAD, |to| {
            thread::sleep(Duration::from_millis(30));
            to.frame(DATA, 0, 1, b"a")
        }),
        (HEAD, |to| {
            thread::sleep(Duration::from_millis(1));
            to.frame(DATA, 0, 1, b"")
        }),
        (b"", |to| to.frame(PING, 0, 0, b"anything")),
        // `:status: 103`, again and again.
        (b"", |to| {
            thread::sleep(Duration::from_millis(1));
            to.frame(HEADERS, END_HEADERS, 1, b"\x08\x03103")
        }),
    ];
    for (head, next) in cases {
        let told = with_a_deadline(async |within| {
            let (told, is_cut_off) = mpsc::channel();
            let address = by_hand(move |mut to| {
                let mut going = match head.is_empty() {
                    false => to.frame(HEADERS, END_HEADERS, 1, head),
                    true => Ok(()),
                };
                while going.is_ok() {
                    going = next(&mut to);
                }
                let _ = told.send(());
            });
            // Some are cut off before.
            match call(address, within).await {
                Answer::Unanswered { .. } => Ok(is_cut_off),
                otherwise => Err(otherwise),
            }
        });
        cut_off(told.await).await;
    }
}

#[tokio::test]
async fn the_windows_that_are_announced_are_small() {
    let (told, settings) = mpsc::channel();
    let address = by_hand(move |mut to| {
        told.send(to.settings.clone()).unwrap();
        let status = b"\x88\x0f\x10\x10application/grpc\0\x0bgrpc-status\x010";
        let _ = to.frame(HEADERS, END_HEADERS | 1, 1, status);
        let _ = std::io::copy(&mut to.stream, &mut std::io::sink());
    });
    assert_eq!(call(address, AMPLE).await, accepted());
    let settings = settings.recv().unwrap();
    let value = |wanted: u16| {
        let mut found = settings.iter().filter(|(number, _)| *number == wanted);
        found.next().map(|(_, value)| *value as usize)
    };
    // No push, the stream's window, the frames, and the header list.
    assert_eq!(value(2), Some(0));
    assert_eq!(value(4), Some(MOST));
    assert_eq!(value(5).unwrap_or(16 * 1024), 16 * 1024);
    assert_eq!(value(6), Some(16 * 1024));
}
