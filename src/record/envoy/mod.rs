//! What Envoy's tap filter writes (`envoy.data.tap.v3`): buffered traces, each an exchange, and
//! segments of streamed ones, put together by their trace; as JSON (`read`) and as protobuf
//! (`proto`), one to a file or many.
//!
//! Header fields are told as HTTP/2 has them, whatever travelled: what becomes of them is HTTP/1.1
//! (RFC 9113 §8.3.1 backwards). A body that the tap cut marks its exchange as damaged. Only the
//! times of heads are told, and those of segments not at all.

mod proto;
mod read;

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::exchange::{Completeness, Exchange, TimedRequest, TimedResponse};
use crate::flow::Endpoint;
use crate::message::target::host_and_port;
use crate::message::{Body, Framing, Headers, Request, Response, Version};
use crate::record::har::read::{ReadEntry, Reason, UNKNOWN};
use crate::time::Timestamp;

pub use proto::is_one as is_proto;
pub use read::{is_one, read};

/// Most traces whose segments are still coming; the oldest goes as it is.
const UNDER_WAY: usize = 4_096;
/// How far apart exchanges are put whose times are not told, in nanoseconds.
const STEP_NS: i64 = 1_000_000;
/// The mark of a body that the tap cut.
const CUT: &str = "body cut by the tap";

/// One message as the tap tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ToldMessage {
    headers: Vec<(Bytes, Bytes)>,
    body: Vec<u8>,
    cut: bool,
    trailers: Vec<(Bytes, Bytes)>,
    at: Option<Timestamp>,
}

/// A trace: both messages, and between whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Trace {
    request: Option<ToldMessage>,
    response: Option<ToldMessage>,
    client: Option<Endpoint>,
    server: Option<Endpoint>,
}

/// A part of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TracePiece {
    Headers(Vec<(Bytes, Bytes)>),
    Body(Vec<u8>, bool),
    Trailers(Vec<(Bytes, Bytes)>),
}

/// What a file of the tap holds, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TapItem {
    Whole(Trace),
    /// Of which trace, whether it is of the answer, what.
    Segment(u64, bool, TracePiece),
    /// Bytes of sockets: no messages.
    Socket,
}

/// Puts items together to exchanges.
#[derive(Default)]
struct Assembler {
    open: HashMap<u64, Trace>,
    order: VecDeque<u64>,
    /// Exchanges whose times are not told.
    untimed: i64,
}

impl Assembler {
    fn take(&mut self, item: TapItem) -> Option<Result<ReadEntry, Reason>> {
        match item {
            TapItem::Whole(trace) => Some(self.exchange(trace)),
            TapItem::Socket => Some(Err("envoy-socket-trace")),
            TapItem::Segment(id, is_answer, piece) => {
                let oldest = self.room_for(id);
                let trace = self.open.entry(id).or_default();
                let side = if is_answer { &mut trace.response } else { &mut trace.request };
                let told = side.get_or_insert_default();
                match piece {
                    TracePiece::Headers(headers) => told.headers = headers,
                    TracePiece::Body(bytes, cut) => {
                        told.body.extend_from_slice(&bytes);
                        told.cut |= cut;
                    }
                    TracePiece::Trailers(trailers) => told.trailers = trailers,
                }
                oldest.map(|trace| self.exchange(trace))
            }
        }
    }

    /// Lets go of the oldest trace where a new one needs its room.
    fn room_for(&mut self, id: u64) -> Option<Trace> {
        if self.open.contains_key(&id) {
            return None;
        }
        self.order.push_back(id);
        let is_full = self.order.len() > UNDER_WAY;
        let oldest = if is_full { self.order.pop_front() } else { None };
        oldest.and_then(|id| self.open.remove(&id))
    }

    /// Those that are left, in their order.
    fn finish(mut self) -> Vec<Result<ReadEntry, Reason>> {
        let left: Vec<Trace> =
            std::mem::take(&mut self.order).iter().filter_map(|id| self.open.remove(id)).collect();
        left.into_iter().map(|trace| self.exchange(trace)).collect()
    }

    fn exchange(&mut self, trace: Trace) -> Result<ReadEntry, Reason> {
        let Trace { request, response, client, server } = trace;
        let asked = request.ok_or("envoy-answer-without-request")?;
        let mut marks = Vec::new();
        let at = asked.at.unwrap_or_else(|| {
            self.untimed += 1;
            marks.push("request without a time in the tap".to_owned());
            Timestamp::from_nanos(self.untimed * STEP_NS)
        });
        let (asked_cut, method) = (asked.cut, asked.pseudo(b":method"));
        let (message, authority) = asked.request()?;
        let answer = response.and_then(|told| {
            let cut = told.cut;
            let took = told.at.map(|answered| answered.since(at).max(0));
            told.response(method.as_deref() == Some(b"HEAD")).map(|message| (message, took, cut))
        });
        let completeness = match &answer {
            _ if asked_cut => Completeness::RequestDamaged,
            None => Completeness::NoResponse,
            Some((.., true)) => Completeness::ResponseDamaged,
            Some(_) => Completeness::Complete,
        };
        marks.extend(asked_cut.then(|| format!("request {CUT}")));
        marks.extend(
            matches!(completeness, Completeness::ResponseDamaged)
                .then(|| format!("response {CUT}")),
        );
        let response = answer.map(|(message, took, cut)| TimedResponse {
            at: at.plus(took.unwrap_or(0)),
            first_byte_ns: took,
            // Nothing is told of its end.
            last_byte_ns: took.filter(|_| !cut),
            message,
        });
        let port = host_and_port(&authority).1.unwrap_or(80);
        let client = client.unwrap_or(Endpoint::new(UNKNOWN, 0));
        let server = server.unwrap_or(Endpoint::new(UNKNOWN, port));
        let key = match client.port {
            0 => authority,
            _ => client.to_string(),
        };
        let exchange = Exchange {
            completeness,
            request: Some(TimedRequest { at, duration_ns: 0, message }),
            response,
            marks,
            ..Exchange::between(client, server)
        };
        Ok(ReadEntry { exchange, key })
    }
}

impl ToldMessage {
    fn pseudo(&self, name: &[u8]) -> Option<Bytes> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    }

    /// The request and its authority.
    fn request(self) -> Result<(Request, String), Reason> {
        let method = self.pseudo(b":method").ok_or("envoy-request-without-method")?;
        let target = self.pseudo(b":path").ok_or("envoy-request-without-path")?;
        let authority = self.pseudo(b":authority");
        let mut headers = Headers::default();
        if let Some(authority) = &authority
            && !self.headers.iter().any(|(name, _)| name == b"host".as_slice())
        {
            headers.push(b"host", authority);
        }
        self.plain().for_each(|(name, value)| headers.push(name, value));
        let framing = framing(&headers, !self.body.is_empty());
        let request = Request {
            method,
            target,
            version: Version::Http11,
            headers,
            framing,
            trailers: fields(&self.trailers),
            body: Body::whole(self.body),
            ..Request::default()
        };
        let authority = authority.map(|name| String::from_utf8_lossy(&name).into_owned());
        Ok((request, authority.unwrap_or_default()))
    }

    /// The answer; none where it has no status.
    fn response(self, is_to_head: bool) -> Option<Response> {
        let status = self.pseudo(b":status")?;
        let status = std::str::from_utf8(&status).ok()?.parse().ok()?;
        let mut headers = Headers::default();
        self.plain().for_each(|(name, value)| headers.push(name, value));
        let framing =
            if is_to_head { Framing::None } else { framing(&headers, !self.body.is_empty()) };
        Some(Response {
            status,
            version: Version::Http11,
            headers,
            framing,
            trailers: fields(&self.trailers),
            body: Body::whole(self.body),
            ..Response::default()
        })
    }

    fn plain(&self) -> impl Iterator<Item = &(Bytes, Bytes)> {
        self.headers.iter().filter(|(name, _)| !name.starts_with(b":"))
    }
}

fn fields(pairs: &[(Bytes, Bytes)]) -> Headers {
    let mut headers = Headers::default();
    pairs.iter().for_each(|(name, value)| headers.push(name, value));
    headers
}

fn framing(headers: &Headers, has_body: bool) -> Framing {
    if headers.get("content-length").is_some() {
        Framing::ContentLength
    } else if headers.get("transfer-encoding").is_some() || has_body {
        Framing::Chunked
    } else {
        Framing::None
    }
}

#[cfg(test)]
mod tests;
