//! GoReplay's recordings (`.gor`), read and written: payloads as they were on the wire, each behind
//! a line of its own, with a separator between them.
//!
//! `TYPE ID TIME [LATENCY]`: 1 is a request, 2 the answer that was recorded, 3 the answer that a
//! replay had; a request and its answers share an id; times are nanoseconds.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, Read as _};

use crate::exchange::{
    Completeness, Exchange, HOST_UNKNOWN, TimedRequest, TimedResponse, UNANSWERED,
};
use crate::flow::Endpoint;
use crate::limits;
use crate::message::Version;
use crate::message::target::{host, host_and_port};
use crate::record::har::read::{ReadEntry, Reason, UNKNOWN};
use crate::time::Timestamp;
use crate::wire::h1::encode::{self, EncodeError};
use crate::wire::h1::parser::{Ending, Expect, Message, MessageSide, Parsed, Parser, ParserLimits};

/// What stands behind each payload.
pub const SEPARATOR: &[u8] = "\n🐵🙈🙉\n".as_bytes();

/// Longest payload that is read: a head and a body that are kept.
const PAYLOAD_BYTES: usize = limits::BODY_BYTES + limits::HEAD_BYTES;
/// Most requests that wait for their answers; the oldest goes without.
const WAITING: usize = 4_096;
/// Times from here on are of a recording (2001 and later); smaller ones are latencies.
const FIRST_TIME_NS: i64 = 1_000_000_000_000_000_000;
/// Stands where the latency of an answer is not known.
const LATENCY_UNKNOWN: i64 = -1;

/// Whether a file that begins so is one: a type, an id, a time in nanoseconds; any time where a
/// message follows, as lists of requests have no times of the clock.
pub fn is_one(beginning: &[u8]) -> bool {
    let mut lines = beginning.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let Some(line) = lines.next().and_then(PayloadLine::parse) else { return false };
    let is_of_http = |line: &[u8]| {
        line.starts_with(b"HTTP/") || line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0")
    };
    line.at.nanos() > FIRST_TIME_NS || lines.next().is_some_and(is_of_http)
}

/// The line before a payload.
struct PayloadLine {
    kind: u8,
    id: String,
    at: Timestamp,
    latency_ns: i64,
}

impl PayloadLine {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
        let kind = words
            .next()
            .and_then(|word| word.parse().ok())
            .filter(|kind| (1..=3).contains(kind))?;
        let id = words.next().filter(|id| id.len() <= 128)?.to_owned();
        let at: i64 = words.next()?.parse().ok()?;
        let latency_ns = match words.next() {
            Some(word) => word.parse().unwrap_or(0),
            // Versions before 0.15 write of an answer how long it took, and no time.
            None if at < FIRST_TIME_NS => at,
            None => 0,
        };
        Some(Self { kind, id, at: Timestamp::from_nanos(at), latency_ns })
    }
}

/// Requests whose answers have not come.
#[derive(Default)]
struct WaitingRequests {
    by_id: HashMap<String, TimedRequest>,
    order: VecDeque<String>,
}

impl WaitingRequests {
    fn push(&mut self, id: String, request: TimedRequest) -> Option<TimedRequest> {
        self.order.push_back(id.clone());
        let twice = self.by_id.insert(id, request);
        let full = self.order.len() > WAITING;
        let oldest = if full { self.order.pop_front() } else { None };
        twice.or_else(|| oldest.and_then(|id| self.by_id.remove(&id)))
    }
}

/// Reads a recording; `each` says by an error that it cannot go on.
pub fn read<E: From<io::Error>>(
    mut input: impl BufRead,
    mut each: impl FnMut(Result<ReadEntry, Reason>) -> Result<(), E>,
) -> Result<(), E> {
    let mut waiting = WaitingRequests::default();
    let mut payload = Vec::new();
    while let Some(whole) = next_payload(&mut input, &mut payload)? {
        let end = payload.iter().position(|&byte| byte == b'\n').unwrap_or(payload.len());
        let (line, rest) = payload.split_at(end);
        let bytes = rest.get(1..).unwrap_or_default();
        let Some(line) = PayloadLine::parse(line) else {
            each(Err("gor-payload-without-its-line"))?;
            continue;
        };
        match line.kind {
            _ if !whole => each(Err("gor-payload-too-long"))?,
            1 => {
                let text = with_its_end(bytes);
                let mut rest = &text[..];
                match request(&line, &mut rest) {
                    Ok(request) => {
                        if let Some(unanswered) = waiting.push(line.id.clone(), request) {
                            each(Ok(paired(unanswered, None)))?;
                        }
                    }
                    Err(reason) => each(Err(reason))?,
                }
                // Versions up to 1.3 now and then leave the separator out.
                while let Some(behind) = request_behind(&line, &mut rest) {
                    each(behind.map(|request| paired(request, None)))?;
                }
            }
            2 => match waiting.by_id.remove(&line.id) {
                Some(request) => each(Ok(paired(request, Some((&line, bytes)))))?,
                None => each(Err("gor-answer-without-request"))?,
            },
            _ => each(Err("gor-answer-of-a-replay"))?,
        }
    }
    for id in waiting.order {
        if let Some(request) = waiting.by_id.remove(&id) {
            each(Ok(paired(request, None)))?;
        }
    }
    Ok(())
}

/// The next payload with its line; whether it was kept whole. None at the end.
fn next_payload(input: &mut impl BufRead, payload: &mut Vec<u8>) -> io::Result<Option<bool>> {
    payload.clear();
    let mut whole = true;
    loop {
        let read = input.by_ref().take(PAYLOAD_BYTES as u64).read_until(b'\n', payload)?;
        if payload.ends_with(SEPARATOR) {
            payload.truncate(payload.len() - SEPARATOR.len());
            return Ok(Some(whole));
        }
        if read == 0 {
            let blank = payload.trim_ascii().is_empty();
            return Ok((!blank).then_some(whole));
        }
        if payload.len() > PAYLOAD_BYTES {
            // Its line and what may be the start of the separator.
            whole = false;
            let tail = payload.split_off(payload.len() - SEPARATOR.len());
            payload.truncate(256);
            payload.extend_from_slice(&tail);
        }
    }
}

/// A payload that other programs and people wrote may end with its last header field: the
/// separator's own newline looks like the blank line behind it. One with CRLF came off the wire,
/// and was cut there.
fn with_its_end(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_written = !bytes.contains(&b'\r') && memchr::memmem::find(bytes, b"\n\n").is_none();
    if !is_written {
        return Cow::Borrowed(bytes);
    }
    let end: &[u8] = if bytes.ends_with(b"\n") { b"\n" } else { b"\n\n" };
    Cow::Owned([bytes, end].concat())
}

/// The first message; what stands behind it is left.
fn parse(side: MessageSide, expect: Expect, input: &mut &[u8]) -> Option<Parsed<()>> {
    let mut parser = Parser::new(side, ParserLimits::default());
    parser.expect(expect);
    loop {
        match parser.step(input, ()) {
            Some(Parsed { message: Message::Response(interim), .. })
                if interim.status < 200 && interim.status != 101 && !input.is_empty() => {}
            Some(parsed) => return Some(parsed),
            None => return parser.finish(Ending::Closed),
        }
    }
}

fn request(line: &PayloadLine, input: &mut &[u8]) -> Result<TimedRequest, Reason> {
    match parse(MessageSide::Requests, Expect::Other, input) {
        Some(Parsed { message: Message::Request(message), damage: None, .. }) => {
            Ok(TimedRequest { at: line.at, duration_ns: 0, message })
        }
        _ => Err("gor-request-damaged"),
    }
}

/// What stands behind a request in its payload, if anything does: another one, or bytes that are
/// counted.
fn request_behind(line: &PayloadLine, input: &mut &[u8]) -> Option<Result<TimedRequest, Reason>> {
    if input.trim_ascii().is_empty() {
        return None;
    }
    let behind = request(line, input).map_err(|_| "gor-bytes-behind-a-request");
    if behind.is_err() {
        *input = &[];
    }
    Some(behind)
}

fn paired(request: TimedRequest, answer: Option<(&PayloadLine, &[u8])>) -> ReadEntry {
    let key = host(&request.message).map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    let port = host_and_port(&key).1.unwrap_or(80);
    let response = answer.and_then(|(line, bytes)| response(&request, line, bytes));
    let mut marks = Vec::new();
    // GoReplay tells of no server that did not answer; by default it records no answers at all.
    if response.is_none() {
        marks.push(UNANSWERED.to_owned());
    }
    if key.is_empty() {
        marks.push(HOST_UNKNOWN.to_owned());
    }
    let completeness = match &response {
        None => Completeness::NoResponse,
        Some((_, true)) => Completeness::Complete,
        Some((_, false)) => Completeness::ResponseDamaged,
    };
    let exchange = Exchange {
        completeness,
        request: Some(request),
        response: response.map(|(response, _)| response),
        marks,
        ..Exchange::between(Endpoint::new(UNKNOWN, 0), Endpoint::new(UNKNOWN, port))
    };
    ReadEntry { exchange, key }
}

/// The answer and whether it is whole.
fn response(
    request: &TimedRequest,
    line: &PayloadLine,
    bytes: &[u8],
) -> Option<(TimedResponse, bool)> {
    let expect = Expect::answer_to(&request.message);
    let parsed = parse(MessageSide::Responses, expect, &mut &with_its_end(bytes)[..])?;
    let Message::Response(message) = parsed.message else { return None };
    let whole = parsed.damage.is_none();
    // The line's time is that of the answer; some versions write that of the request.
    let took = line.at.since(request.at).max(line.latency_ns).max(0);
    let known = (line.latency_ns != LATENCY_UNKNOWN).then_some(took);
    let response = TimedResponse {
        at: request.at.plus(took),
        first_byte_ns: known,
        last_byte_ns: known.filter(|_| whole),
        message,
    };
    Some((response, whole))
}

/// How much of an exchange stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All that was recorded.
    Whole,
    /// Its request: of its answer not all is known.
    WithoutAnswer,
    /// Nothing: the form cannot hold it.
    Nothing,
}

/// Appends an exchange. The format has no word for what is damaged, so only what is whole is
/// written: a request whose body is not known would be another request.
pub fn write(out: &mut Vec<u8>, exchange: &Exchange) -> Written {
    let Some(request) = &exchange.request else { return Written::Nothing };
    let has_head = request.message.headers.unknown() == 0;
    if !exchange.completeness.request_is_whole() || !has_head {
        return Written::Nothing;
    }
    let start = out.len();
    let id = format!("{:016x}{:08x}", exchange.id.connection, exchange.id.ordinal);
    out.extend_from_slice(format!("1 {id} {} 0\n", request.at.nanos()).as_bytes());
    let of_h1 = match request.message.version {
        Version::Http2 => Cow::Owned(encode::in_http1(&request.message)),
        _ => Cow::Borrowed(&request.message),
    };
    if let Err(EncodeError::BodyCut) = encode::request(out, &of_h1) {
        out.truncate(start);
        return Written::Nothing;
    }
    out.extend_from_slice(SEPARATOR);
    let Some(answer) = &exchange.response else { return Written::Whole };
    let is_cut = answer.message.body.is_cut() || answer.message.headers.unknown() > 0;
    if exchange.completeness != Completeness::Complete || is_cut {
        return Written::WithoutAnswer;
    }
    let took = answer.last_byte_ns.or(answer.first_byte_ns);
    let at = request.at.plus(took.unwrap_or_default()).nanos();
    let line = format!("2 {id} {at} {}\n", took.unwrap_or(LATENCY_UNKNOWN));
    out.extend_from_slice(line.as_bytes());
    encode::response(out, &encode::answer_in_http1(&answer.message));
    out.extend_from_slice(SEPARATOR);
    Written::Whole
}
