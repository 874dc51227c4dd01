//! What a receiver that means harm can make us wait for, read and keep.

use super::{receiver::*, *};
use flate2::write::GzEncoder;
use std::{
    io::Write,
    net::TcpStream,
    sync::{LazyLock, mpsc},
    thread,
    time::Duration,
};
use tokio::time::Instant;

#[cfg(feature = "grpc")]
mod grpc;

const MOST: usize = super::answer::MOST_BYTES;

/// More than is ever read, so that nothing has to be endless.
const ENOUGH: usize = 64 * 1024 * 1024;

/// A thousand times as much of nothing, in less than is read of an answer.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    const PLAIN: usize = 16 * 1024 * 1024;
    let mut bomb = GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![0; PLAIN]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < MOST && bomb.len() < PLAIN / 900);
    bomb
});

/// What is written once, and what is written again and again after it.
fn pours(once: &[u8], ever: &[u8]) -> (SocketAddr, mpsc::Receiver<()>) {
    let (told, is_cut_off) = mpsc::channel();
    let (once, ever) = (once.to_vec(), ever.to_vec());
    let address = receiver(move |_, mut stream| {
        // Who has left already is met in pouring.
        let _ = read(&mut stream);
        pour(&mut stream, &once, &ever);
        // Nobody may be listening.
        let _ = told.send(());
    });
    (address, is_cut_off)
}

fn pour(stream: &mut TcpStream, once: &[u8], ever: &[u8]) {
    let mut going = stream.write_all(once);
    let mut left = ENOUGH;
    while going.is_ok() && left > 0 {
        going = stream.write_all(ever);
        left = left.saturating_sub(ever.len());
    }
    // Whoever has read all that goes on waiting.
    let _ = std::io::copy(stream, &mut std::io::sink());
}

/// Ends when the receiver has met the end of the connection.
async fn cut_off(told: mpsc::Receiver<()>) {
    // The connection is closed by a task.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let told = tokio::task::spawn_blocking(move || told.recv_timeout(2 * AMPLE));
    told.await.unwrap().expect("it is cut off");
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn of_an_answer_without_end_64_kib_are_read() {
    let letters = [b'a'; 16 * 1024];
    let chunk = [&b"4000\r\n"[..], &letters, b"\r\n"].concat();
    let with_length = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000000\r\n\r\n";
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\n\r\n", &letters[..]),
        (with_length, &letters),
        (CHUNKED, &chunk),
    ] {
        let (address, told) = pours(head.as_bytes(), piece);
        let begun = Instant::now();
        let answered = send(endpoint(address), "some").await;
        assert!(begun.elapsed() < AMPLE, "before the deadline");
        let Answer::Accepted {
            rejected: 0,
            message: Some(message),
        } = answered
        else {
            panic!("{head}: {answered:?}");
        };
        assert!(message.contains("more than 65536 bytes"), "{message}");
        cut_off(told).await;
    }
}

#[tokio::test]
async fn a_large_or_a_compressed_answer_is_not_unpacked() {
    for (headers, body, why) in [
        ("", vec![b'a'; 10_000_000], "more than 65536 bytes"),
        ("content-encoding: gzip\r\n", BOMB.clone(), "not readable"),
        (
            "content-type: application/x-protobuf\r\n",
            BOMB.clone(),
            "not readable",
        ),
        (
            "content-type: application/json\r\n",
            BOMB.clone(),
            "not readable",
        ),
        (
            "content-type: application/json\r\n",
            // As deep as it is long.
            b"[".repeat(MOST),
            "not readable",
        ),
    ] {
        let address = receiver(move |_, mut stream| {
            read(&mut stream).unwrap();
            answer(&mut stream, "200 OK", headers, &body);
        });
        let begun = Instant::now();
        let answered = send(endpoint(address), "some").await;
        assert!(begun.elapsed() < AMPLE, "before the deadline");
        let expected = format!("taken, but what was rejected is not known: the answer is {why}");
        let message = Some(expected);
        assert_eq!(
            answered,
            Answer::Accepted {
                rejected: 0,
                message
            },
            "{headers}"
        );
    }
}

#[tokio::test]
async fn a_head_without_end_is_no_answer() {
    let long = format!("a: {}\r\n", "a".repeat(4 * 1024));
    for (once, ever) in [
        ("HTTP/1.1 200 OK\r\n", &*long),
        ("HTTP/1.1 200 OK\r\n", "a: b\r\n"),
        ("HTTP/1.1 200 OK\r\na: ", "a"),
        ("HTTP/1.1 200 ", "OK"),
    ] {
        let (address, told) = pours(once.as_bytes(), ever.repeat(100).as_bytes());
        let begun = Instant::now();
        let answered = send(endpoint(address), "some").await;
        assert!(is_unanswered(&answered), "{once:?} {answered:?}");
        assert!(begun.elapsed() < AMPLE, "before the deadline");
        cut_off(told).await;
    }
}

#[tokio::test]
async fn a_head_may_be_some_64_kib_long() {
    for (length, is_read) in [(MOST / 2, true), (3 * MOST, false)] {
        let address = receiver(move |_, mut stream| {
            read(&mut stream).unwrap();
            let headers = format!("a: {}\r\n", "a".repeat(length));
            answer(&mut stream, "200 OK", &headers, b"");
        });
        let answered = send(endpoint(address), "some").await;
        let is_accepted = matches!(answered, Answer::Accepted { .. });
        assert_eq!(is_accepted, is_read, "{length}: {answered:?}");
        assert_eq!(is_unanswered(&answered), !is_read, "{length}: {answered:?}");
    }
}

#[tokio::test]
async fn what_stands_around_a_body_has_its_bounds_too() {
    let trailers = format!("{CHUNKED}1\r\na\r\n0\r\n");
    let extension = format!("{CHUNKED}1;");
    for (once, ever) in [
        (&*trailers, "a: b\r\n"),
        (&trailers, "a"),
        (&extension, "a"),
    ] {
        let (address, told) = pours(once.as_bytes(), ever.repeat(1_000).as_bytes());
        let begun = Instant::now();
        let answered = send(endpoint(address), "some").await;
        assert!(begun.elapsed() < AMPLE, "before the deadline");
        let Answer::Accepted {
            rejected: 0,
            message: Some(message),
        } = answered
        else {
            panic!("{answered:?}");
        };
        assert!(message.contains("broken off"), "{message}");
        cut_off(told).await;
    }
}

#[tokio::test]
async fn promises_of_an_answer_end_at_the_deadline() {
    let promise = b"HTTP/1.1 102 Processing\r\n\r\n";
    let told = with_a_deadline(async |within| {
        let (address, told) = pours(b"", &promise.repeat(100));
        is_cut_off(endpoint(address), within, "some", is_unanswered).await?;
        Ok(told)
    });
    cut_off(told.await).await;
}

/// A byte at a time, for longer than anybody waits.
fn trickle(mut write: impl FnMut() -> bool) {
    while write() {
        thread::sleep(Duration::from_millis(30));
    }
}

#[tokio::test]
async fn a_body_that_trickles_ends_at_the_deadline() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", CHUNKED] {
        let address = receiver(move |_, mut stream| {
            if read(&mut stream).is_none() || stream.write_all(head.as_bytes()).is_err() {
                return;
            }
            let byte = if head == CHUNKED {
                &b"1\r\na\r\n"[..]
            } else {
                b"a"
            };
            trickle(|| stream.write_all(byte).is_ok());
        });
        let is_accepted = |answer: &Answer| matches!(answer, Answer::Accepted { rejected: 0, .. });
        with_a_deadline(async |within| {
            is_cut_off(endpoint(address), within, "some", is_accepted).await
        })
        .await;
    }
}
