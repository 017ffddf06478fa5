//! `exchanges.jsonl`: one JSON object a line, a first line that names the format, a last one that
//! closes it.
//!
//! Files can be concatenated, so readers take both kinds of line anywhere; a file without its last
//! line is read, and the reader says so ([`Line::End`] never came). Written into a buffer by hand,
//! read through serde.

mod quick;

pub use quick::Asked;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::exchange::{
    Carriage, ClientSettings, Closed, Completeness, Exchange, ExchangeId, Redacted, SocketKind,
    SocketMessage, TimedRequest, TimedResponse, TlsSession,
};
use crate::flow::{Direction, Endpoint};
use crate::ledger::Ledger;
use crate::limits::CONNECTION_NUMBERS;
use crate::message::{Body, Response};
use crate::record::json::{
    Octets, RawMessage, body, integer, request_fields, response_fields, string,
};
use crate::time::Timestamp;

/// The format's name in the first line.
pub const FORMAT: &str = "shadowtap/exchanges";
/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;
/// The format's name in the last line, of every JSONL file of the program.
pub const END_FORMAT: &str = "shadowtap/end";
/// Names the program and its version in files.
pub const TOOL: &str = concat!("shadowtap ", env!("CARGO_PKG_VERSION"));

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// When the file was written.
    pub created: Timestamp,
    /// [`TOOL`] of the writer.
    #[serde(default)]
    pub tool: String,
    /// The captures it was made from.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Names the live capture that this file is a part of: files of one capture number their
    /// connections together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<String>,
    /// How secrets were taken out, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted: Option<Redacted>,
}

impl Header {
    /// The first line of a file that is made now from `inputs`.
    pub fn new(created: Timestamp, inputs: Vec<String>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            created,
            tool: TOOL.to_owned(),
            inputs,
            capture: None,
            redacted: None,
        }
    }

    /// Of a file whose secrets were taken out so.
    #[must_use]
    pub fn redacted(self, redacted: Option<Redacted>) -> Self {
        Self { redacted, ..self }
    }
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// [`END_FORMAT`].
    pub format: String,
    /// How many exchanges the file holds.
    #[serde(default)]
    pub exchanges: u64,
    /// The account of packets.
    #[serde(default)]
    pub ledger: Ledger,
    /// Which connections closed behind the last exchange.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What is known of closing behind the last exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Connections that closed there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<Closed>,
    /// How many connections with exchanges were still open when the capture ended: all that are
    /// told nowhere. None where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<u64>,
}

impl Rest {
    /// The same under other numbers of connections.
    #[must_use]
    pub fn renumbered(mut self, number: impl Fn(u64) -> u64) -> Self {
        self.closed.iter_mut().for_each(|closed| closed.0 = number(closed.0));
        self
    }

    /// Both together: a connection that one of them does not tell may be told nowhere, so no more
    /// is known of how many were open.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.closed.extend(other.closed);
        Self { closed: self.closed, open: None }
    }
}

impl End {
    /// The last line for `exchanges` exchanges.
    pub fn new(exchanges: u64, ledger: Ledger, rest: Rest) -> Self {
        Self { format: END_FORMAT.to_owned(), exchanges, ledger, rest }
    }
}

/// A line as read.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A first line.
    Header(Header),
    /// An exchange.
    Exchange(Box<Exchange>),
    /// A last line.
    End(Box<End>),
}

/// Why a line cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or not of this form.
    #[error("not an exchange: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another format of file.
    #[error("a file of format {0:?}, not {FORMAT:?}")]
    OtherFormat(String),
    /// Written by a newer program.
    #[error("version {0} of the format is newer than {VERSION}, which this program reads")]
    TooNew(u32),
}

/// Appends an exchange as one line, with its line end.
pub fn write(out: &mut Vec<u8>, exchange: &Exchange) {
    write_name(out, exchange.id, &exchange.closed);
    write_rest(out, exchange);
}

/// Appends the start of an exchange's line: its name, which is known last, and the connections that
/// had closed when it was.
pub fn write_name(out: &mut Vec<u8>, id: ExchangeId, closed: &[Closed]) {
    out.extend_from_slice(b"{\"id\":\"");
    integer(out, i64::try_from(id.connection).unwrap_or(i64::MAX));
    out.push(b'-');
    integer(out, i64::from(id.ordinal));
    out.extend_from_slice(b"\",\"connection\":");
    integer(out, i64::try_from(id.connection).unwrap_or(i64::MAX));
    for (index, Closed(connection, at)) in closed.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"closed\":[[" } else { b",[" });
        integer(out, i64::try_from(*connection).unwrap_or(i64::MAX));
        out.extend_from_slice(b",\"");
        out.extend_from_slice(&at.rfc3339());
        out.extend_from_slice(b"\"]");
    }
    if !closed.is_empty() {
        out.push(b']');
    }
}

/// Appends the rest of an exchange's line, with its line end.
pub fn write_rest(out: &mut Vec<u8>, exchange: &Exchange) {
    out.extend_from_slice(b",\"client\":\"");
    endpoint(out, &exchange.client);
    out.extend_from_slice(b"\",\"server\":\"");
    endpoint(out, &exchange.server);
    out.extend_from_slice(b"\",\"protocol\":");
    string(out, &exchange.protocol);
    out.extend_from_slice(b",\"completeness\":\"");
    out.extend_from_slice(exchange.completeness.name().as_bytes());
    out.push(b'"');
    if let Some(at) = exchange.opened_at {
        out.extend_from_slice(b",\"opened_at\":\"");
        out.extend_from_slice(&at.rfc3339());
        out.push(b'"');
    }
    if let Some(nanos) = exchange.handshake_ns {
        out.extend_from_slice(b",\"handshake_ns\":");
        integer(out, nanos);
    }
    if let Some(carriage) = &exchange.carriage {
        carriage_fields(out, carriage);
    }
    out.extend_from_slice(b",\"request\":");
    match &exchange.request {
        None => out.extend_from_slice(b"null"),
        Some(request) => {
            out.extend_from_slice(b"{\"at\":\"");
            out.extend_from_slice(&request.at.rfc3339());
            out.extend_from_slice(b"\",\"duration_ns\":");
            integer(out, request.duration_ns);
            out.push(b',');
            request_fields(out, &request.message);
            out.push(b'}');
        }
    }
    out.extend_from_slice(b",\"response\":");
    match &exchange.response {
        None => out.extend_from_slice(b"null"),
        Some(response) => timed_response(out, response),
    }
    out.extend_from_slice(b",\"interim\":[");
    for (index, interim) in exchange.interim.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        timed_response(out, interim);
    }
    out.push(b']');
    if let Some(carriage) = &exchange.carriage {
        messages(out, &carriage.messages);
    }
    if !exchange.marks.is_empty() {
        out.extend_from_slice(b",\"marks\":[");
        for (index, mark) in exchange.marks.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            string(out, mark);
        }
        out.push(b']');
    }
    out.extend_from_slice(b"}\n");
}

/// What HTTP/1 in clear text does not have.
#[cold]
fn carriage_fields(out: &mut Vec<u8>, carriage: &Carriage) {
    for (name, stream) in [("stream", carriage.stream), ("pushed_by", carriage.pushed_by)] {
        let Some(stream) = stream else { continue };
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        integer(out, i64::from(stream));
    }
    if let Some(tls) = &carriage.tls {
        out.extend_from_slice(b",\"tls\":");
        serde_json::to_writer(&mut *out, tls).expect("texts and flags serialise");
    }
    if let Some(settings) = &carriage.settings {
        out.extend_from_slice(b",\"settings\":");
        serde_json::to_writer(out, settings).expect("numbers serialise");
    }
}

/// Messages of a WebSocket.
pub(super) fn messages(out: &mut Vec<u8>, messages: &[SocketMessage]) {
    for (index, message) in messages.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"messages\":[{" } else { b",{" });
        out.extend_from_slice(match message.direction {
            Direction::ToServer => b"\"from\":\"client\",\"at_ns\":",
            Direction::ToClient => b"\"from\":\"server\",\"at_ns\":",
        });
        integer(out, message.at_ns);
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(message.kind.name().as_bytes());
        out.extend_from_slice(b"\",\"data\":");
        body(out, &message.data.bytes);
        if message.data.is_cut() {
            out.extend_from_slice(b",\"data_bytes\":");
            integer(out, i64::try_from(message.data.length).unwrap_or(i64::MAX));
        }
        out.push(b'}');
    }
    if !messages.is_empty() {
        out.push(b']');
    }
}

/// An endpoint's text form, without the machinery of formatting where it is IPv4.
fn endpoint(out: &mut Vec<u8>, endpoint: &Endpoint) {
    use std::io::Write as _;
    let IpAddr::V4(address) = endpoint.address else {
        write!(out, "{endpoint}").expect("writing into a vector cannot fail");
        return;
    };
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        integer(out, i64::from(octet));
    }
    out.push(b':');
    integer(out, i64::from(endpoint.port));
}

fn timed_response(out: &mut Vec<u8>, response: &TimedResponse) {
    out.push(b'{');
    match (response.first_byte_ns, response.last_byte_ns) {
        (None, None) => {
            out.extend_from_slice(b"\"at\":\"");
            out.extend_from_slice(&response.at.rfc3339());
            out.extend_from_slice(b"\",");
        }
        (first, last) => {
            if let Some(nanos) = first {
                out.extend_from_slice(b"\"first_byte_ns\":");
                integer(out, nanos);
                out.push(b',');
            }
            if let Some(nanos) = last {
                out.extend_from_slice(b"\"last_byte_ns\":");
                integer(out, nanos);
                out.push(b',');
            }
        }
    }
    response_fields(out, &response.message);
    out.push(b'}');
}

/// Appends any serde value as one line.
pub fn write_line(out: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *out, line)
        .expect("a record of strings, integers and maps with string keys serialises");
    out.push(b'\n');
}

/// A line: `A` is what is read of answers. Its fields are told to users from here.
#[derive(Deserialize)]
struct RawExchange<'a, A> {
    /// The connection's rank by its first packet, and the request's place in it: `12-3`.
    id: ExchangeId,
    /// The client's address and port.
    client: Endpoint,
    /// The server's address and port.
    server: Endpoint,
    /// `http/1`, `http/2`.
    #[serde(default)]
    protocol: Option<String>,
    /// `complete`, `no-response`, `request-damaged`, `response-damaged` or `orphan-response`.
    completeness: Completeness,
    /// The request; null of an answer without one.
    #[serde(borrow)]
    request: Option<RawMessage<'a>>,
    /// The answer; null where none came.
    response: Option<A>,
    /// Answers with a status of 1xx before it.
    #[serde(default = "Vec::new")]
    interim: Vec<A>,
    /// When the client opened the connection, of its first exchange.
    opened_at: Option<Timestamp>,
    /// How long the handshake of TCP took, of the connection's first exchange.
    handshake_ns: Option<i64>,
    /// The stream of HTTP/2 (RFC 9113 §5.1).
    stream: Option<u32>,
    /// The stream on which the server promised this request (RFC 9113 §8.4).
    pushed_by: Option<u32>,
    /// The TLS session around it.
    tls: Option<TlsSession>,
    /// What its client announced, of the first exchange of a connection.
    settings: Option<ClientSettings>,
    /// Messages of a WebSocket that it opened.
    #[serde(default)]
    messages: Vec<RawSocketMessage>,
    /// What is odd about it, in words.
    #[serde(default)]
    marks: Vec<String>,
    /// Connections that had closed by then: rank and capture time.
    #[serde(default)]
    closed: Vec<Closed>,
}

/// A message of a WebSocket as a line has it.
#[derive(Deserialize)]
pub(super) struct RawSocketMessage {
    /// `client` or `server`.
    from: RawFrom,
    /// When its last byte came, since the request's first.
    at_ns: i64,
    /// `text`, `binary`, `close`, `ping` or `pong`.
    #[serde(rename = "type")]
    kind: SocketKind,
    /// What it says: fragments joined, compression undone.
    data: Option<Octets>,
    /// Its length, where `data` holds only its beginning.
    data_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawFrom {
    Client,
    Server,
}

impl RawSocketMessage {
    pub(super) fn into_message(self) -> SocketMessage {
        let bytes = self.data.unwrap_or_default().0;
        SocketMessage {
            direction: match self.from {
                RawFrom::Client => Direction::ToServer,
                RawFrom::Server => Direction::ToClient,
            },
            at_ns: self.at_ns,
            kind: self.kind,
            data: Body {
                length: self.data_bytes.unwrap_or(bytes.len() as u64),
                bytes,
                sha256: None,
            },
        }
    }
}

/// An answer as a line has it, or a part of it.
trait RawAnswer {
    /// When it was seen, and its first and last byte since the request's.
    fn times(&self) -> (Option<Timestamp>, Option<i64>, Option<i64>);

    fn into_response(self) -> Result<Response, String>;
}

impl RawAnswer for RawMessage<'_> {
    fn times(&self) -> (Option<Timestamp>, Option<i64>, Option<i64>) {
        (self.at, self.first_byte_ns, self.last_byte_ns)
    }

    fn into_response(self) -> Result<Response, String> {
        Self::into_response(self)
    }
}

/// Of an answer its times and status alone.
#[derive(Deserialize)]
struct RawOutline {
    at: Option<Timestamp>,
    first_byte_ns: Option<i64>,
    last_byte_ns: Option<i64>,
    status: Option<u16>,
}

impl RawAnswer for RawOutline {
    fn times(&self) -> (Option<Timestamp>, Option<i64>, Option<i64>) {
        (self.at, self.first_byte_ns, self.last_byte_ns)
    }

    fn into_response(self) -> Result<Response, String> {
        Ok(Response { status: self.status.unwrap_or_default(), ..Response::default() })
    }
}

#[derive(Deserialize)]
struct Probe {
    format: Option<String>,
    version: Option<u32>,
}

/// Reads one line.
pub fn read(line: &[u8]) -> Result<Line, LineError> {
    if let Some(exchange) = quick::exchange(line) {
        return Ok(Line::Exchange(Box::new(exchange)));
    }
    read_as::<RawMessage<'_>>(line)
}

/// Reads one line, but of the answers in it only their times and status: what a replay plans by.
/// The rest of them is JSON and no more is known of it. What a stream of HTTP/2 waits for are the
/// messages of its answer, so that one whose pace is told is read whole.
pub fn read_outline(line: &[u8]) -> Result<Line, LineError> {
    if is_paced(line) {
        return read(line);
    }
    if let Some(exchange) = quick::outline(line) {
        return Ok(Line::Exchange(Box::new(exchange)));
    }
    read_as::<RawOutline>(line)
}

/// Whether an exchange of HTTP/2 may tell when the pieces of its messages came, or how its stream
/// was reset.
fn is_paced(line: &[u8]) -> bool {
    let start = &line[..line.len().min(512)];
    let holds = |text: &[u8], part: &[u8]| memchr::memmem::find(text, part).is_some();
    holds(start, b"\"http/2\"") && (holds(line, b"\"pieces\":[[") || holds(line, b"\"reset\":"))
}

fn read_as<'a, A: RawAnswer + Deserialize<'a>>(line: &'a [u8]) -> Result<Line, LineError> {
    // Only a first or last line starts so; an exchange starts with its id. A file of another writer
    // may have another order of keys, hence the second look.
    if line.starts_with(b"{\"id\"") {
        return read_exchange::<A>(line);
    }
    let probe: Probe = serde_json::from_slice(line)?;
    match (probe.format.as_deref(), probe.version) {
        (None, _) => read_exchange::<A>(line),
        (Some(FORMAT), Some(version)) if version > VERSION => Err(LineError::TooNew(version)),
        (Some(FORMAT), _) => Ok(Line::Header(serde_json::from_slice(line)?)),
        (Some(END_FORMAT), _) => Ok(Line::End(Box::new(serde_json::from_slice(line)?))),
        (Some(other), _) => Err(LineError::OtherFormat(other.to_owned())),
    }
}

fn read_exchange<'a, A: RawAnswer + Deserialize<'a>>(line: &'a [u8]) -> Result<Line, LineError> {
    let raw: RawExchange<'a, A> = serde_json::from_slice(line)?;
    let start = raw.request.as_ref().and_then(|request| request.at);
    let mut numbers = raw.closed.iter().map(|closed| closed.0).chain([raw.id.connection]);
    if let Some(number) = numbers.find(|number| *number >= CONNECTION_NUMBERS) {
        return Err(wrong(format!("connection {number} is beyond {CONNECTION_NUMBERS}")));
    }
    let timed = |response: A| {
        let (at, first_byte_ns, last_byte_ns) = response.times();
        Ok(TimedResponse {
            at: at.or_else(|| Some(start?.plus(first_byte_ns?))).or(start).unwrap_or_default(),
            first_byte_ns,
            last_byte_ns,
            message: response.into_response().map_err(wrong)?,
        })
    };
    let carriage = Carriage {
        stream: raw.stream,
        pushed_by: raw.pushed_by,
        tls: raw.tls,
        settings: raw.settings.map(Box::new),
        messages: raw.messages.into_iter().map(RawSocketMessage::into_message).collect(),
    };
    Ok(Line::Exchange(Box::new(Exchange {
        id: raw.id,
        client: raw.client,
        server: raw.server,
        protocol: raw.protocol.unwrap_or_else(|| "http/1".to_owned()),
        completeness: raw.completeness,
        response: raw.response.map(timed).transpose()?,
        interim: raw.interim.into_iter().map(timed).collect::<Result<_, LineError>>()?,
        request: raw.request.map(timed_request).transpose()?,
        opened_at: raw.opened_at,
        handshake_ns: raw.handshake_ns,
        marks: raw.marks,
        carriage: (carriage != Carriage::default()).then(|| Box::new(carriage)),
        closed: raw.closed,
    })))
}

fn timed_request(request: RawMessage<'_>) -> Result<TimedRequest, LineError> {
    Ok(TimedRequest {
        at: request.at.ok_or_else(|| wrong("missing field `at`".to_owned()))?,
        duration_ns: request.duration_ns,
        message: request.into_request().map_err(wrong)?,
    })
}

fn wrong(why: String) -> LineError {
    LineError::Malformed(serde::de::Error::custom(why))
}

#[derive(Deserialize)]
struct RawAsked<'a> {
    id: ExchangeId,
    completeness: Completeness,
    #[serde(borrow)]
    request: Option<RawMessage<'a>>,
    response: Option<serde::de::IgnoredAny>,
}

/// Reads the request of a line, and skips its response, of which damage may not be told; none for a
/// first or last line.
pub fn read_asked(line: &[u8]) -> Result<Option<Asked>, LineError> {
    if let Some(asked) = quick::asked(line) {
        return Ok(Some(asked));
    }
    if !line.starts_with(b"{\"id\"") && !matches!(read(line)?, Line::Exchange(_)) {
        return Ok(None);
    }
    let raw: RawAsked<'_> = serde_json::from_slice(line)?;
    let request = raw.request.map(timed_request).transpose()?;
    Ok(Some(Asked {
        id: raw.id,
        completeness: raw.completeness,
        request,
        answered: raw.response.is_some(),
    }))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::wire::{Chunks, Verbatim};
    use crate::message::{Body, Framing, Headers, Request, Response, Version};

    fn sample() -> Exchange {
        let mut headers = Headers::new();
        headers.push(b"Host", b"shop.local");
        headers.push(b"x-Odd", b"\xff\xfe");
        Exchange {
            carriage: None,
            id: ExchangeId { connection: 12, ordinal: 3 },
            client: "10.0.0.9:40112".parse().unwrap(),
            server: "[2001:db8::1]:8080".parse().unwrap(),
            protocol: "http/1".to_owned(),
            completeness: Completeness::Complete,
            request: Some(TimedRequest {
                at: Timestamp::from_nanos(1_795_341_600_000_123_456),
                duration_ns: 7,
                message: Request {
                    extras: None,
                    method: Bytes::from_static(b"POST"),
                    target: Bytes::from_static(b"/cart?x=\xff"),
                    version: Version::Http10,
                    headers,
                    body: Body::whole(&b"{\"item\": 1 \x01\x7f\\}"[..]),
                    framing: Framing::ContentLength,
                    trailers: Headers::new(),
                    verbatim: Some(Box::new(Verbatim {
                        head: Some(Bytes::from_static(b"POST  /cart\n\n")),
                        chunks: Some(Chunks::Sizes(vec![7, 9])),
                    })),
                },
            }),
            response: Some(TimedResponse {
                at: Timestamp::from_nanos(1_795_341_600_001_323_801),
                first_byte_ns: Some(1_200_345),
                last_byte_ns: Some(1_300_345),
                message: Response {
                    status: 200,
                    reason: Bytes::from_static(b"OK"),
                    body: Body {
                        bytes: Bytes::from_static(b"\x00\x01\xff"),
                        length: 9,
                        sha256: Some([0xab; 32]),
                    },
                    framing: Framing::Chunked,
                    ..Response::default()
                },
            }),
            interim: vec![],
            opened_at: Some(Timestamp::from_nanos(1_795_341_600_000_000_000)),
            handshake_ns: Some(42),
            marks: vec!["duplicate content-length".to_owned()],
            closed: vec![
                Closed(7, Timestamp::from_nanos(1_795_341_600_000_000_001)),
                Closed(12, Timestamp::from_nanos(5)),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut line = Vec::new();
        write(&mut line, &sample());
        assert_eq!(line.pop(), Some(b'\n'));
        assert_eq!(
            read(&line).unwrap(),
            Line::Exchange(Box::new(sample())),
            "{}",
            String::from_utf8_lossy(&line)
        );
        let mut odd = sample();
        let verbatim = odd.request.as_mut().unwrap().message.verbatim.as_mut().unwrap();
        verbatim.chunks = Some(Chunks::Framing(Bytes::from_static(b"0a;x\r\n\xff\r\n0\r\n\r\n")));
        let mut second = Vec::new();
        write(&mut second, &odd);
        assert_eq!(read(&second).unwrap(), Line::Exchange(Box::new(odd)));
        assert!(
            !line.contains(&0x7f) && !line.contains(&1),
            "control characters stay off the terminal"
        );
    }

    #[test]
    fn an_orphan_keeps_its_only_time() {
        let mut orphan = sample();
        orphan.completeness = Completeness::OrphanResponse;
        orphan.request = None;
        let response = orphan.response.as_mut().unwrap();
        (response.first_byte_ns, response.last_byte_ns) = (None, None);
        let mut line = Vec::new();
        write(&mut line, &orphan);
        assert_eq!(read(&line).unwrap(), Line::Exchange(Box::new(orphan)));
    }

    #[test]
    fn a_first_walk_reads_the_request_alone() {
        let mut line = Vec::new();
        write(&mut line, &sample());
        let asked = read_asked(&line).unwrap().unwrap();
        assert_eq!(
            (asked.id, asked.request, asked.answered),
            (sample().id, sample().request, true)
        );
        line.clear();
        write_line(&mut line, &Header::new(Timestamp::default(), vec![]));
        assert!(read_asked(&line).unwrap().is_none());
    }

    #[test]
    fn an_outline_is_the_exchange_without_what_its_answers_hold() {
        let mut line = Vec::new();
        write(&mut line, &sample());
        let mut expected = sample();
        for answer in expected.response.iter_mut().chain(&mut expected.interim) {
            answer.message = Response { status: answer.message.status, ..Response::default() };
        }
        assert_eq!(read_outline(&line).unwrap(), Line::Exchange(Box::new(expected)));
        line.clear();
        write_line(&mut line, &End::new(1, Ledger::default(), Rest::default()));
        assert!(matches!(read_outline(&line), Ok(Line::End(end)) if end.exchanges == 1));
    }

    #[test]
    fn first_and_last_line_are_told_apart_and_a_newer_version_is_refused() {
        let mut line = Vec::new();
        write_line(&mut line, &Header::new(Timestamp::default(), vec!["v1.pcap".to_owned()]));
        assert!(matches!(read(&line), Ok(Line::Header(header)) if header.inputs == ["v1.pcap"]));
        line.clear();
        write_line(&mut line, &End::new(1, Ledger::default(), Rest::default()));
        assert!(matches!(read(&line), Ok(Line::End(end)) if end.exchanges == 1));
        assert!(matches!(
            read(br#"{"format":"shadowtap/exchanges","version":2}"#),
            Err(LineError::TooNew(2))
        ));
        assert!(matches!(
            read(br#"{"format":"shadowtap/outcomes","version":1}"#),
            Err(LineError::OtherFormat(_))
        ));
        assert!(read(b"hello").is_err());
    }
}
