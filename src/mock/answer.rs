//! Responses as the mock sends them: the recorded ones, with their latency where that is asked for, and its own.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::time::Sleep;

use crate::http::{self, Framing};

/// The status of a miss: no server of the field gives it, so that it cannot be taken for a provider's answer.
pub(super) const MISS: u16 = 599;

/// A body: its first part at once, its last part when its time has come, then trailers.
#[derive(Debug, Default)]
pub(super) struct Content {
    first: Option<Bytes>,
    last: Option<(Bytes, Pin<Box<Sleep>>)>,
    trailers: Option<HeaderMap>,
    chunked: bool,
}

impl Content {
    fn left(&self) -> u64 {
        let last = self.last.as_ref().map_or(0, |(bytes, _)| bytes.len());
        (self.first.as_ref().map_or(0, Bytes::len) + last) as u64
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(bytes) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if let Some((_, sleep)) = &mut self.last {
            std::task::ready!(sleep.as_mut().poll(cx));
            let bytes = self.last.take().map(|(bytes, _)| bytes).unwrap_or_default();
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.last.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.chunked { SizeHint::default() } else { SizeHint::with_exact(self.left()) }
    }
}

/// Header fields that belong to the recorded connection and not to the message (RFC 9110 §7.6.1), or that the server sets.
const OF_THE_CONNECTION: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "te",
    "upgrade",
    "content-length",
    "proxy-authenticate",
];

/// Why a recorded response cannot be given.
pub(super) const fn unusable(response: Option<&http::Response>) -> Option<&'static str> {
    match response {
        None => Some("the recording does not hold the whole answer of this call"),
        Some(response) if response.body.bytes.len() as u64 != response.body.length => {
            Some("the recorded answer was too large to be kept whole")
        }
        Some(response) if response.status < 200 || response.status > 999 => {
            Some("the recorded answer switched protocols and cannot be given again")
        }
        Some(_) => None,
    }
}

/// The recorded response; its last half waits for `last`. `head` is whether the request's method is HEAD.
pub(super) fn recorded(response: &http::Response, last: Option<Sleep>, head: bool) -> Response<Content> {
    let chunked = response.framing == Framing::Chunked;
    let bytes = response.body.bytes.clone();
    let mut content = Content { chunked, ..Content::default() };
    match last {
        Some(sleep) if bytes.len() > 1 => {
            let half = bytes.len() / 2;
            content.first = Some(bytes.slice(..half));
            content.last = Some((bytes.slice(half..), Box::pin(sleep)));
        }
        _ => content.first = Some(bytes).filter(|bytes| !bytes.is_empty()),
    }
    if chunked && !response.trailers.is_empty() {
        content.trailers = Some(fields(&response.trailers));
    }
    let mut answer = Response::new(content);
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK);
    *answer.headers_mut() = fields(&response.headers);
    if (head || response.status == 304)
        && let Some(length) = response.headers.get("content-length").and_then(|value| HeaderValue::from_bytes(value).ok())
    {
        answer.headers_mut().insert(CONTENT_LENGTH, length);
    }
    let usual = answer.status().canonical_reason().unwrap_or_default();
    if *response.reason != *usual.as_bytes()
        && let Ok(reason) = ReasonPhrase::try_from(&*response.reason)
    {
        answer.extensions_mut().insert(reason);
    }
    answer
}

fn fields(headers: &http::Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter() {
        if OF_THE_CONNECTION.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes())) {
            continue;
        }
        // What no header field may hold was damage in v1's answer; the rest of the answer is given.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// An answer of the mock itself.
pub(super) fn own(status: u16, body: &serde_json::Value) -> Response<Content> {
    let mut text = serde_json::to_vec_pretty(body).unwrap_or_default();
    text.push(b'\n');
    let mut answer = Response::new(Content { first: Some(text.into()), ..Content::default() });
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    if status == MISS {
        answer.extensions_mut().insert(ReasonPhrase::from_static(b"Not Recorded"));
    }
    answer
}

/// An answer without a body.
pub(super) fn empty(status: u16) -> Response<Content> {
    let mut answer = Response::new(Content::default());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}
