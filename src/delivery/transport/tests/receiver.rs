//! A receiver of requests, by hand, so that it can break off wherever a test says.

use socket2::{Domain, Socket, Type};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

/// A request that has come whole.
#[derive(Debug)]
pub(super) struct Asked {
    /// In lower case.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// Serves each connection, with its number from 0 on, on a thread of its own.
pub(super) fn receiver(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, serve) = (stream.unwrap(), Arc::clone(&serve));
            stream
                .set_read_timeout(Some(Duration::from_secs(60)))
                .unwrap();
            thread::spawn(move || serve(number, stream));
        }
    });
    address
}

/// An address at which nobody listens, nor will while it is held.
pub(super) fn nobody() -> (Socket, SocketAddr) {
    let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    held.bind(&any.into()).unwrap();
    let address = held.local_addr().unwrap().as_socket().unwrap();
    (held, address)
}

/// The next request; `None` when the client has closed.
pub(super) fn read(stream: &mut impl Read) -> Option<Asked> {
    let head = head(stream)?;
    let length = head.lines().find_map(|line| {
        let length = line.strip_prefix("content-length: ")?;
        length.parse().ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(Asked { head, body })
}

pub(super) fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend_from_slice(&byte);
    }
    Some(String::from_utf8(head).unwrap().to_lowercase())
}

/// Answers with a whole answer, and leaves the connection open.
pub(super) fn answer(stream: &mut impl Write, status: &str, headers: &str, body: &[u8]) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
    // The client may have left.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let _ = stream.flush();
}

/// Closes with RST.
pub(super) fn reset(stream: TcpStream) {
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}
