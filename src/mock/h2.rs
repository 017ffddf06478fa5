//! HTTP/2 towards v2, with or without TLS, by the server of a library.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HOST, HeaderMap};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::time::Sleep;

use super::answer::{Reply, ReplyBody};
use super::desk::Handled;
use super::h1::wait;
use super::shared::{CallerConnection, HELD_BYTES, SharedMock, count};
use super::stream::Prefixed;
use crate::limits::WALKED_BODY_BYTES;
use crate::message::{self, Headers, Request, Version};
use crate::time::Monotonic;

/// Most requests at once on one connection: each may hold a body of the size that is compared.
const STREAMS: u32 = 128;

/// Serves a connection until it ends.
pub(super) async fn serve(stream: Prefixed, connection: CallerConnection, shared: Arc<SharedMock>) {
    let connection = Arc::new(connection);
    let seat = Arc::clone(&connection.seat);
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(shared.patience)
        .max_concurrent_streams(STREAMS);
    let service =
        service_fn(move |request| answer(request, Arc::clone(&connection), Arc::clone(&shared)));
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = &mut serving => served,
        () = seat.leave() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!("a connection ended: {error}");
    }
}

/// Ends a request without an answer: its stream is reset.
#[derive(Debug, thiserror::Error)]
#[error("ended on purpose")]
struct CutStream;

async fn answer(
    request: hyper::Request<Incoming>,
    connection: Arc<CallerConnection>,
    shared: Arc<SharedMock>,
) -> Result<Response<PacedContent>, CutStream> {
    let arrived = Monotonic::now();
    let _busy = connection.seat.request();
    if request.headers().get_all(HOST).iter().count() > 1 {
        count(&shared.trouble.not_understood);
        return Ok(respond(&Reply::empty(400), false, arrived, &shared));
    }
    if request.method() == Method::CONNECT {
        return Ok(respond(&Reply::empty(501), false, arrived, &shared));
    }
    let Some(request) = translate(request, &shared).await else {
        count(&shared.trouble.unfinished);
        return Ok(respond(&Reply::empty(408), false, arrived, &shared));
    };
    let head = &request.method[..] == b"HEAD";
    match shared.handle(&request, &connection).await {
        Handled::Reply(reply) => {
            if let Some((first, _)) = reply.due {
                wait(arrived, first).await;
            }
            Ok(respond(&reply, head, arrived, &shared))
        }
        Handled::Reset => Err(CutStream),
        Handled::Hang => std::future::pending().await,
    }
}

/// The request as one of HTTP/1 would be; none where the client broke off or took too long.
async fn translate(request: hyper::Request<Incoming>, shared: &SharedMock) -> Option<Request> {
    let (head, body) = request.into_parts();
    let mut headers = Headers::new();
    if let Some(authority) = head.uri.authority().filter(|_| !head.headers.contains_key(HOST)) {
        headers.push(b"host", authority.as_str().as_bytes());
    }
    for (name, value) in &head.headers {
        headers.push(name.as_str().as_bytes(), value.as_bytes());
    }
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    Some(Request {
        method: Bytes::copy_from_slice(head.method.as_str().as_bytes()),
        target: Bytes::copy_from_slice(target.as_bytes()),
        version: Version::Http2,
        headers,
        body: receive(body, shared).await?,
        ..Request::default()
    })
}

/// Reads a body; what is larger than what is compared is hashed and not kept.
async fn receive(mut body: Incoming, shared: &SharedMock) -> Option<message::Body> {
    let mut held = HeldBody { bytes: 0, shared };
    let mut kept: Vec<u8> = Vec::new();
    let mut hasher: Option<Sha256> = None;
    let mut length = 0_u64;
    while let Some(frame) = tokio::time::timeout(shared.patience, body.frame()).await.ok()? {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        length += data.len() as u64;
        let too_much =
            length > WALKED_BODY_BYTES as u64 || shared.held.load(Ordering::Relaxed) > HELD_BYTES;
        if hasher.is_none() && too_much {
            hasher = Some(Sha256::new_with_prefix(&kept));
            kept = Vec::new();
            held.give_back();
        }
        match &mut hasher {
            Some(hasher) => hasher.update(&data),
            None => {
                held.take(data.len());
                kept.extend_from_slice(&data);
            }
        }
    }
    Some(message::Body {
        bytes: kept.into(),
        length,
        sha256: hasher.map(|hasher| hasher.finalize().into()),
    })
}

/// What is counted as held for a body under way.
struct HeldBody<'s> {
    bytes: usize,
    shared: &'s SharedMock,
}

impl HeldBody<'_> {
    fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.shared.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&mut self) {
        self.shared.held.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for HeldBody<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn respond(
    reply: &Reply<'_>,
    head: bool,
    arrived: Monotonic,
    shared: &Arc<SharedMock>,
) -> Response<PacedContent> {
    let has_body = !head && reply.status != 204 && reply.status != 304;
    let body = reply.body.clone().filter(|_| has_body).unwrap_or(ReplyBody::Own(Bytes::new()));
    let mut steps: VecDeque<_> = reply.steps().into();
    // What is due with the head is due at once.
    let first = reply.due.map_or(0, |(first, _)| first);
    steps.retain(|(_, at)| *at > first || body.len() > 0);
    let trailers = if has_body { reply.trailer_map() } else { None };
    let mut response = Response::new(PacedContent {
        shared: Arc::clone(shared),
        body,
        from: 0,
        steps,
        arrived,
        sleep: None,
        trailers,
    });
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = reply.header_map(head);
    response
}

/// A body: each part when its time has come, then trailers.
struct PacedContent {
    shared: Arc<SharedMock>,
    body: ReplyBody,
    from: u64,
    /// The parts that are left: up to which byte, and when.
    steps: VecDeque<(u64, i64)>,
    arrived: Monotonic,
    /// Until the first of them is due.
    sleep: Option<Pin<Box<Sleep>>>,
    trailers: Option<HeaderMap>,
}

impl Body for PacedContent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        while let Some(&(until, at)) = self.steps.front() {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            } else if let Ok(left @ 1..) = u64::try_from(at - self.arrived.elapsed()) {
                self.sleep = Some(Box::pin(tokio::time::sleep(Duration::from_nanos(left))));
                continue;
            }
            if self.from >= until.min(self.body.len()) {
                self.steps.pop_front();
                continue;
            }
            let part = self.body.part(&self.shared.recording.shelf, self.from, until)?;
            let part = Bytes::from(part.into_owned());
            self.from += part.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.from >= self.body.len() && self.steps.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.len() - self.from)
    }
}
