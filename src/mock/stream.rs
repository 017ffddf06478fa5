//! Byte streams of clients: sockets, TLS over them, tunnels inside them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Anything that bytes go both ways on.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A stream of which some bytes have been read already: they come first.
pub(super) struct Prefixed {
    prefix: Vec<u8>,
    taken: usize,
    stream: Box<dyn Duplex>,
}

impl Prefixed {
    pub(super) fn new(prefix: Vec<u8>, stream: Box<dyn Duplex>) -> Self {
        Self { prefix, taken: 0, stream }
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken == self.prefix.len() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let part = (self.prefix.len() - self.taken).min(buffer.remaining());
        buffer.put_slice(&self.prefix[self.taken..self.taken + part]);
        self.taken += part;
        if self.taken == self.prefix.len() {
            (self.prefix, self.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
