//! The tap's JSON: objects behind each other, indented or not, with bodies as text or in base64.

use std::io::{self, BufRead};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Assembler, TapItem, ToldMessage, Trace, TracePiece, proto};
use crate::flow::Endpoint;
use crate::record::har::read::{ReadEntry, Reason};
use crate::time::Timestamp;

/// Whether an object that begins so is one.
pub fn is_one(beginning: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(beginning, word).is_some();
    has(b"\"http_buffered_trace\"")
        || has(b"\"http_streamed_trace")
        || has(b"\"httpBufferedTrace\"")
        || has(b"\"httpStreamedTrace")
}

/// Reads the traces of a file, JSON or protobuf. `each` says by an error that it cannot go on; so
/// does what is damaged, but for an object that is cut at the end.
pub fn read<E: From<io::Error>>(
    mut input: impl BufRead,
    mut each: impl FnMut(Result<ReadEntry, Reason>) -> Result<(), E>,
) -> Result<Result<(), E>, serde_json::Error> {
    let mut assembler = Assembler::default();
    let mut take = |item| assembler.take(item).map_or(Ok(()), &mut each);
    let is_json = match input.fill_buf() {
        Ok(beginning) => beginning.trim_ascii_start().starts_with(b"{"),
        Err(error) => return Ok(Err(error.into())),
    };
    if is_json {
        for wrapper in serde_json::Deserializer::from_reader(input).into_iter::<Wrapper>() {
            let item = match wrapper {
                Ok(wrapper) => wrapper.item(),
                Err(error) if error.is_eof() => break,
                Err(error) => return Err(error),
            };
            if let Err(error) = item.map_or(Ok(()), &mut take) {
                return Ok(Err(error));
            }
        }
    } else if let Err(error) = proto::read(input, take) {
        return Ok(Err(error));
    }
    Ok(assembler.finish().into_iter().try_for_each(each))
}

#[derive(Deserialize)]
struct Wrapper {
    #[serde(alias = "httpBufferedTrace")]
    http_buffered_trace: Option<Buffered>,
    #[serde(alias = "httpStreamedTraceSegment", alias = "http_streamed_trace")]
    http_streamed_trace_segment: Option<EnvoySegment>,
    #[serde(alias = "socketBufferedTrace")]
    socket_buffered_trace: Option<IgnoredAny>,
    #[serde(alias = "socketStreamedTraceSegment")]
    socket_streamed_trace_segment: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Buffered {
    request: Option<EnvoyMessage>,
    response: Option<EnvoyMessage>,
    #[serde(alias = "downstreamConnection")]
    downstream_connection: Option<EnvoyConnection>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EnvoyMessage {
    headers: Vec<EnvoyField>,
    body: Option<EnvoyBody>,
    trailers: Vec<EnvoyField>,
    #[serde(alias = "headersReceivedTime")]
    headers_received_time: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EnvoyField {
    key: String,
    value: String,
    #[serde(alias = "rawValue")]
    raw_value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EnvoyBody {
    #[serde(alias = "asBytes")]
    as_bytes: Option<String>,
    #[serde(alias = "asString")]
    as_string: Option<String>,
    truncated: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EnvoyConnection {
    #[serde(alias = "localAddress")]
    local_address: Option<EnvoyAddress>,
    #[serde(alias = "remoteAddress")]
    remote_address: Option<EnvoyAddress>,
}

#[derive(Deserialize)]
struct EnvoyAddress {
    #[serde(alias = "socketAddress")]
    socket_address: Option<SocketAddress>,
}

#[derive(Deserialize)]
struct SocketAddress {
    address: String,
    #[serde(default, alias = "portValue")]
    port_value: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HeaderMap {
    headers: Vec<EnvoyField>,
}

#[derive(Deserialize)]
struct EnvoySegment {
    /// 64 bits, which JSON has as a text.
    #[serde(default, alias = "traceId")]
    trace_id: serde_json::Value,
    #[serde(alias = "requestHeaders")]
    request_headers: Option<HeaderMap>,
    #[serde(alias = "requestBodyChunk")]
    request_body_chunk: Option<EnvoyBody>,
    #[serde(alias = "requestTrailers")]
    request_trailers: Option<HeaderMap>,
    #[serde(alias = "responseHeaders")]
    response_headers: Option<HeaderMap>,
    #[serde(alias = "responseBodyChunk")]
    response_body_chunk: Option<EnvoyBody>,
    #[serde(alias = "responseTrailers")]
    response_trailers: Option<HeaderMap>,
}

impl Wrapper {
    /// None for an object that says nothing of a trace.
    fn item(self) -> Option<TapItem> {
        if let Some(trace) = self.http_buffered_trace {
            return Some(TapItem::Whole(trace.into()));
        }
        if let Some(segment) = self.http_streamed_trace_segment {
            return segment.item();
        }
        let is_socket = self.socket_buffered_trace.or(self.socket_streamed_trace_segment).is_some();
        is_socket.then_some(TapItem::Socket)
    }
}

impl From<Buffered> for Trace {
    fn from(trace: Buffered) -> Self {
        let connection = trace.downstream_connection.unwrap_or_default();
        Self {
            request: trace.request.map(ToldMessage::from),
            response: trace.response.map(ToldMessage::from),
            client: connection.remote_address.and_then(|address| address.endpoint()),
            server: connection.local_address.and_then(|address| address.endpoint()),
        }
    }
}

impl From<EnvoyMessage> for ToldMessage {
    fn from(message: EnvoyMessage) -> Self {
        let (body, cut) = message.body.map_or((Vec::new(), false), EnvoyBody::bytes);
        Self {
            headers: pairs(message.headers),
            body,
            cut,
            trailers: pairs(message.trailers),
            at: message.headers_received_time.and_then(|text| text.parse::<Timestamp>().ok()),
        }
    }
}

impl EnvoyBody {
    /// What there is of it, and whether it was cut. What is no base64 is lost, as if cut.
    fn bytes(self) -> (Vec<u8>, bool) {
        match (self.as_string, self.as_bytes) {
            (Some(text), _) => (text.into_bytes(), self.truncated),
            (None, Some(text)) => match STANDARD.decode(&text) {
                Ok(bytes) => (bytes, self.truncated),
                Err(_) => (Vec::new(), true),
            },
            (None, None) => (Vec::new(), self.truncated),
        }
    }
}

impl EnvoyAddress {
    fn endpoint(self) -> Option<Endpoint> {
        let SocketAddress { address, port_value } = self.socket_address?;
        Some(Endpoint::new(address.parse().ok()?, port_value))
    }
}

impl EnvoySegment {
    fn item(self) -> Option<TapItem> {
        let id = match &self.trace_id {
            serde_json::Value::String(text) => text.parse().ok()?,
            number => number.as_u64().unwrap_or(0),
        };
        let headers = |map: HeaderMap| TracePiece::Headers(pairs(map.headers));
        let trailers = |map: HeaderMap| TracePiece::Trailers(pairs(map.headers));
        let chunk = |content: EnvoyBody| {
            let (bytes, cut) = content.bytes();
            TracePiece::Body(bytes, cut)
        };
        let of_request = self
            .request_headers
            .map(headers)
            .or(self.request_body_chunk.map(chunk))
            .or(self.request_trailers.map(trailers));
        if let Some(piece) = of_request {
            return Some(TapItem::Segment(id, false, piece));
        }
        let of_response = self
            .response_headers
            .map(headers)
            .or(self.response_body_chunk.map(chunk))
            .or(self.response_trailers.map(trailers));
        of_response.map(|piece| TapItem::Segment(id, true, piece))
    }
}

fn pairs(fields: Vec<EnvoyField>) -> Vec<(Bytes, Bytes)> {
    let value = |field: &EnvoyField| {
        // Envoy writes both, and one of them is empty.
        let raw = field.raw_value.as_ref().filter(|raw| !raw.is_empty());
        match raw.map(|raw| STANDARD.decode(raw)) {
            Some(Ok(raw)) => Bytes::from(raw),
            _ => Bytes::copy_from_slice(field.value.as_bytes()),
        }
    };
    fields
        .iter()
        .map(|field| (Bytes::copy_from_slice(field.key.as_bytes()), value(field)))
        .collect()
}
