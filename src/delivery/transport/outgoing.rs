//! Bodies of requests, which tell how much of them has gone out: what was not sent whole was not
//! taken, and may be sent again.

use crate::delivery::Answer;
use ::http_body::{Body, Frame, SizeHint};
use bytes::{Buf, Bytes};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Silence {
    /// No connection was made.
    Unreachable(String),
    /// The connection failed the request, or was let go of.
    Broken(String),
    /// Whoever is there does not speak the protocol: another service's port, most often.
    Foreign(String),
}

/// What a connection's error says of requests that the receiver has not looked at, though they were
/// sent: HTTP/2 refuses streams beyond its limit, and TLS 1.3 refuses a client after the client's
/// first data. hyper and h2 keep these errors to themselves, but for their words.
const NOT_LOOKED_AT: [&str; 9] = [
    "refused stream before processing",
    "fatal alert: AccessDenied",
    "fatal alert: BadCertificate",
    "fatal alert: CertificateExpired",
    "fatal alert: CertificateRequired",
    "fatal alert: CertificateRevoked",
    "fatal alert: CertificateUnknown",
    "fatal alert: DecryptError",
    "fatal alert: UnknownCA",
];

/// What of one body has not gone out yet.
#[derive(Clone, Debug)]
pub(super) struct Remaining(Arc<State>);

#[derive(Debug)]
struct State {
    bytes: AtomicUsize,
    /// A connection has asked for the body.
    has_connection: AtomicBool,
}

impl Remaining {
    fn of(body: &Bytes) -> Self {
        Self(Arc::new(State {
            // An empty body carries nothing that could be taken twice: it never counts as sent.
            bytes: AtomicUsize::new(body.len().max(1)),
            // Nor is it ever asked for.
            has_connection: AtomicBool::new(body.is_empty()),
        }))
    }

    fn is_asked_for(&self) {
        self.0.has_connection.store(true, Ordering::Relaxed);
    }

    fn has_left(&self, bytes: usize) {
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What it is that nothing came in time.
    pub(super) fn timed_out(&self, within: Duration) -> Silence {
        match self.0.has_connection.load(Ordering::Relaxed) {
            true => Silence::Broken(format!("no answer within {within:?}")),
            false => Silence::Unreachable(format!("no connection within {within:?}")),
        }
    }

    /// What it means that nothing, or no complete head, was answered.
    pub(super) fn unanswered(&self, silence: Silence) -> Answer {
        let reason = match silence {
            Silence::Unreachable(reason) => return Answer::Unreachable { reason },
            Silence::Foreign(reason) => return Answer::Denied { reason },
            Silence::Broken(reason) => reason,
        };
        // From the last byte on, the receiver may have taken it, whatever became of the connection.
        let may_be_taken = self.0.bytes.load(Ordering::Relaxed) == 0
            && !NOT_LOOKED_AT.iter().any(|words| reason.contains(words));
        if may_be_taken {
            Answer::Unanswered { reason }
        } else {
            Answer::Unavailable {
                after: None,
                reason,
            }
        }
    }
}

/// A body over HTTP/1.1. hyper passes the bytes to the socket from where they lie, and advances by
/// as many as the socket has taken; TLS holds back no more than it encrypts at a time.
#[derive(Debug)]
pub(super) struct Outgoing(Option<Piece>);

impl Outgoing {
    pub(super) fn of(bytes: Bytes) -> (Self, Remaining) {
        let remaining = Remaining::of(&bytes);
        let piece = (!bytes.is_empty()).then(|| Piece {
            bytes,
            remaining: remaining.clone(),
        });
        (Self(piece), remaining)
    }
}

impl Body for Outgoing {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let piece = self.0.take();
        if let Some(piece) = &piece {
            piece.remaining.is_asked_for();
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.0.as_ref().map_or(0, |piece| piece.bytes.len());
        SizeHint::with_exact(bytes as u64)
    }
}

/// Bytes that note when they have gone.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    remaining: Remaining,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, bytes: usize) {
        self.bytes.advance(bytes);
        self.remaining.has_left(bytes);
    }
}

/// A body over HTTP/2, which is handed over in small frames: a frame counts as gone when the
/// connection takes it, and it takes the next one when the receiver's window has room again.
#[cfg(feature = "grpc")]
#[derive(Debug)]
pub(super) struct Framed {
    bytes: Bytes,
    remaining: Remaining,
}

#[cfg(feature = "grpc")]
impl Framed {
    const FRAME: usize = 16 * 1024;

    pub(super) fn of(bytes: Bytes) -> (Self, Remaining) {
        let remaining = Remaining::of(&bytes);
        let framed = Self {
            bytes,
            remaining: remaining.clone(),
        };
        (framed, remaining)
    }
}

#[cfg(feature = "grpc")]
impl Body for Framed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        self.remaining.is_asked_for();
        let frame = self.bytes.len().min(Self::FRAME);
        let frame = self.bytes.split_to(frame);
        self.remaining.has_left(frame.len());
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
