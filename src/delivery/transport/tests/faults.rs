//! What became of a request when the connection fails it: sent again only where it cannot have been
//! taken.

use super::{receiver::*, *};
use std::{
    io::{Read as _, Write as _},
    sync::{Mutex, mpsc},
    thread,
};

#[tokio::test]
async fn who_is_not_there_has_taken_nothing() {
    let (_held, nobody) = nobody();
    let answered = send(endpoint(nobody), "some").await;
    let Answer::Unreachable { reason } = answered else {
        panic!("{answered:?}");
    };
    assert!(reason.contains("refused"), "{reason}");

    let mut unknown = endpoint(nobody);
    unknown.timeout = SHORT;
    unknown.url = "http://nowhere.invalid:4318/v1/traces".parse().unwrap();
    let answered = send(unknown, "some").await;
    assert!(is_unreachable(&answered), "{answered:?}");
}

#[tokio::test]
async fn a_black_hole_holds_an_attempt_until_its_deadline() {
    for (body, is_meant) in [
        (1_000, is_unanswered as fn(&Answer) -> bool),
        (LARGE, is_unavailable),
    ] {
        let has_left = with_a_deadline(async |within| {
            let (attempt, attempt_ends) = mpsc::channel::<()>();
            let attempt_ends = Mutex::new(attempt_ends);
            let (left, has_left) = mpsc::channel();
            let address = receiver(move |_, mut stream| {
                let _ = attempt_ends.lock().unwrap().recv();
                // All that came before, and then the end: the connection is not kept.
                let _ = stream.read_to_end(&mut Vec::new());
                // Nobody may be listening.
                let _ = left.send(());
            });
            is_cut_off(endpoint(address), within, vec![0; body], is_meant).await?;
            drop(attempt);
            Ok(has_left)
        });
        let has_left = has_left.await;
        tokio::task::yield_now().await;
        let has_left = tokio::task::spawn_blocking(move || has_left.recv_timeout(AMPLE));
        has_left.await.unwrap().expect("the connection is closed");
    }
}

#[tokio::test]
async fn a_reset_before_or_amid_the_body_leaves_nothing_taken() {
    for reads in [0, 1_000_000] {
        let address = receiver(move |_, mut stream| {
            stream.read_exact(&mut vec![0; reads]).unwrap();
            reset(stream);
        });
        let answered = send(endpoint(address), vec![0; LARGE]).await;
        // At once, it may come before the connection is whole.
        let is_early = reads == 0 && is_unreachable(&answered);
        assert!(is_early || is_unavailable(&answered), "{answered:?}");
    }
}

#[tokio::test]
async fn a_request_without_an_answer_may_have_been_taken() {
    for begins in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\ncontent-len"] {
        for resets in [false, true] {
            let address = receiver(move |_, mut stream| {
                read(&mut stream).unwrap();
                stream.write_all(begins.as_bytes()).unwrap();
                if resets {
                    thread::sleep(Duration::from_millis(20));
                    reset(stream);
                }
            });
            let answered = send(endpoint(address), "some").await;
            assert!(is_unanswered(&answered), "{begins:?}: {answered:?}");
        }
    }
}

#[tokio::test]
async fn a_request_on_a_kept_connection_is_not_sent_twice() {
    let (asked, requests) = mpsc::channel();
    let address = receiver(move |_, mut stream| {
        for number in 0..2 {
            asked.send(read(&mut stream).unwrap().body).unwrap();
            if number == 0 {
                answer(&mut stream, "200 OK", "", b"");
            }
        }
        reset(stream);
    });
    let transport = transport(endpoint(address));
    let answered = transport.send(Signal::Traces, "first".into()).await;
    assert_eq!(answered, accepted());
    let answered = transport.send(Signal::Traces, "second".into()).await;
    assert!(is_unanswered(&answered), "{answered:?}");
    let bodies: Vec<_> = requests.try_iter().collect();
    assert_eq!(bodies, [b"first".to_vec(), b"second".to_vec()]);
}

#[tokio::test]
async fn an_answer_that_trickles_ends_at_the_deadline() {
    for (at_once, means) in [
        ("", "unanswered"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n",
            "accepted",
        ),
        (
            "HTTP/1.1 503 Away\r\ncontent-length: 60000\r\n\r\n",
            "unavailable",
        ),
    ] {
        let address = receiver(move |_, mut stream| {
            if read(&mut stream).is_none() {
                return;
            }
            let mut going = stream.write_all(at_once.as_bytes());
            for byte in b"HTTP/1.1 200 OK\r\n".iter().cycle() {
                going = going.and_then(|()| stream.write_all(&[*byte]));
                if going.is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(30));
            }
        });
        let is_as_meant = |answer: &Answer| match answer {
            Answer::Unanswered { .. } => means == "unanswered",
            Answer::Accepted {
                rejected: 0,
                message: Some(message),
            } => means == "accepted" && message.contains("by the deadline"),
            Answer::Unavailable { .. } => means == "unavailable",
            _ => false,
        };
        with_a_deadline(async |within| {
            is_cut_off(endpoint(address), within, "some", is_as_meant).await
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_without_measure_is_not_read_to_its_end() {
    let (wrote, written) = mpsc::channel();
    let address = receiver(move |_, mut stream| {
        read(&mut stream).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
        let all = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&vec![b'a'; LARGE]));
        wrote.send(all.is_ok()).unwrap();
    });
    let answered = send(endpoint(address), "some").await;
    let Answer::Accepted {
        rejected: 0,
        message: Some(message),
    } = answered
    else {
        panic!("{answered:?}");
    };
    assert!(message.contains("more than 65536 bytes"), "{message}");
    tokio::task::yield_now().await;
    let written = tokio::task::spawn_blocking(move || written.recv_timeout(AMPLE));
    assert_eq!(written.await.unwrap(), Ok(false), "it is cut off");
}

#[tokio::test]
async fn an_accepting_answer_that_breaks_off_still_accepts() {
    let address = receiver(|_, mut stream| {
        read(&mut stream).unwrap();
        let begins = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbut";
        stream.write_all(begins).unwrap();
    });
    let answered = send(endpoint(address), "some").await;
    let Answer::Accepted {
        rejected: 0,
        message: Some(message),
    } = answered
    else {
        panic!("{answered:?}");
    };
    assert!(message.contains("is not known"), "{message}");
}

#[tokio::test]
async fn whoever_speaks_no_http_has_taken_nothing_and_never_will() {
    let address = receiver(|_, mut stream| {
        read(&mut stream).unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").unwrap();
    });
    let answered = send(endpoint(address), "some").await;
    assert!(matches!(answered, Answer::Denied { .. }), "{answered:?}");
}
