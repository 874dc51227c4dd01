//! Receivers that speak HTTP/2: one that keeps to its rules, and one by hand that need not.

use super::receiver::receiver;
use bytes::Bytes;
use http_body::Body;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    error::Error,
    io::{Read as _, Write},
    net::{SocketAddr, TcpStream},
};
use tokio::net::TcpListener;

/// How much a server may hold of a body that the client has no room for.
pub(super) const SEND_BUFFER: usize = 16 * 1024;

/// Answers every request so.
pub(super) async fn over_http_2<B>(
    response: impl Fn() -> ::http::Response<B> + Clone + Send + 'static,
) -> SocketAddr
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let response = response.clone();
            let served = service_fn(move |_: ::http::Request<Incoming>| {
                let response = response();
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(
                http2::Builder::new(TokioExecutor::new())
                    .max_send_buf_size(SEND_BUFFER)
                    .serve_connection(TokioIo::new(stream), served),
            );
        }
    });
    address
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
pub(super) const CONTINUATION: u8 = 9;

const ACKNOWLEDGED: u8 = 1;
const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// `:status: 200` and `content-type: application/grpc`, as HPACK has them.
pub(super) const HEAD: &[u8] = b"\x88\x0f\x10\x10application/grpc";

/// A connection on which a request has come whole.
pub(super) struct ByHand {
    pub(super) stream: TcpStream,
    /// What the client has announced: the number of each setting and its value.
    pub(super) settings: Vec<(u16, u32)>,
}

/// Serves each connection once a request has come, or its client has left.
pub(super) fn by_hand(serve: impl Fn(ByHand) + Send + Sync + 'static) -> SocketAddr {
    receiver(move |_, stream| {
        let mut by_hand = ByHand {
            stream,
            settings: Vec::new(),
        };
        // Who has left is met again in what `serve` does.
        let _ = by_hand.hear();
        serve(by_hand);
    })
}

impl ByHand {
    /// On the first stream, or on none.
    pub(super) fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u8,
        payload: &[u8],
    ) -> std::io::Result<()> {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[..], &[kind, flags, 0, 0, 0, stream]].concat();
        self.stream.write_all(&[&head, payload].concat())
    }

    fn hear(&mut self) -> std::io::Result<()> {
        self.stream.read_exact(&mut [0; 24])?;
        self.frame(SETTINGS, 0, 0, &[])?;
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head)?;
            let [a, b, c, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload)?;
            if kind == SETTINGS && flags & ACKNOWLEDGED == 0 {
                self.settings = payload
                    .chunks_exact(6)
                    .map(|it| {
                        let number = u16::from_be_bytes([it[0], it[1]]);
                        (number, u32::from_be_bytes([it[2], it[3], it[4], it[5]]))
                    })
                    .collect();
                self.frame(SETTINGS, ACKNOWLEDGED, 0, &[])?;
            }
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                return Ok(());
            }
        }
    }
}
