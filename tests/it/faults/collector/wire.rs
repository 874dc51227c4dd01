//! A connection that can be made slow, cut within an answer, and reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

/// What is to become of a connection, told by whoever answers on it.
#[derive(Debug)]
pub(super) struct Control {
    is_slow: AtomicBool,
    /// Bytes that may still be answered.
    left: AtomicUsize,
    is_reset: AtomicBool,
    resets: Notify,
}

impl Control {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            is_slow: AtomicBool::new(false),
            left: AtomicUsize::new(usize::MAX),
            is_reset: AtomicBool::new(false),
            resets: Notify::new(),
        })
    }

    /// From here on a byte a second.
    pub(super) fn slow_down(&self) {
        self.is_slow.store(true, Ordering::SeqCst);
    }

    /// So many bytes more, and then the end.
    pub(super) fn cut_after(&self, bytes: usize) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// The connection ends with a RST.
    pub(super) fn reset(&self) {
        self.is_reset.store(true, Ordering::SeqCst);
        self.resets.notify_one();
    }

    pub(super) async fn is_reset(&self) {
        self.resets.notified().await;
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    control: Arc<Control>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, control: Arc<Control>) -> Self {
        Self {
            stream,
            control,
            pause: None,
        }
    }
}

/// Closing without lingering is what sends the RST.
impl Drop for Wire {
    fn drop(&mut self) {
        if self.control.is_reset.load(Ordering::SeqCst) {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let left = self.control.left.load(Ordering::SeqCst);
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let is_slow = self.control.is_slow.load(Ordering::SeqCst);
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let most = if is_slow { 1 } else { left };
        let bytes = &bytes[..bytes.len().min(most)];
        let wrote = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        if left != usize::MAX {
            self.control.left.fetch_sub(wrote, Ordering::SeqCst);
        }
        if is_slow {
            self.pause = Some(Box::pin(sleep(Duration::from_secs(1))));
        }
        Poll::Ready(Ok(wrote))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
