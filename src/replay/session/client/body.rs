//! The content of a request as the client library wants it: all of it at once, then its trailers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

/// What a request holds.
#[derive(Debug, Default)]
pub(super) struct SentBody {
    content: Bytes,
    trailers: Option<HeaderMap>,
}

impl SentBody {
    pub(super) fn new(content: Bytes, trailers: HeaderMap) -> Self {
        Self { content, trailers: Some(trailers).filter(|trailers| !trailers.is_empty()) }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let content = std::mem::take(&mut self.content);
        let data = Some(content).filter(|content| !content.is_empty()).map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.len() as u64)
    }
}
