//! Lines of `exchanges.jsonl` in the very form in which this program writes them; see
//! [`crate::record::json::quick`]. Any other line is left to serde.

use crate::exchange::{
    Carriage, Closed, Completeness, Exchange, ExchangeId, TimedRequest, TimedResponse,
};
use crate::flow::Endpoint;
use crate::limits::CONNECTION_NUMBERS;
use crate::message::Response;
use crate::record::json::quick::Cursor;
use crate::time::Timestamp;

/// An exchange of which only the request was read, and that there is an answer: what a first walk
/// through a file needs.
#[derive(Debug)]
pub struct Asked {
    /// Its name.
    pub id: ExchangeId,
    /// How much of it the capture holds.
    pub completeness: Completeness,
    /// The request.
    pub request: Option<TimedRequest>,
    /// Whether there is a response.
    pub answered: bool,
}

/// An exchange, where the line has the writer's own form.
pub(super) fn exchange(line: &[u8]) -> Option<Exchange> {
    read(line, |cursor| cursor.response())
}

/// An exchange with the times and the status of its answers alone. All of the line is looked at.
pub(super) fn outline(line: &[u8]) -> Option<Exchange> {
    read(line, |cursor| Some(Response { status: cursor.status()?, ..Response::default() }))
}

fn read(line: &[u8], message: fn(&mut Cursor<'_>) -> Option<Response>) -> Option<Exchange> {
    let mut cursor = Cursor::new(line)?;
    let start = start(&mut cursor)?;
    let request = request(&mut cursor)?;
    let since = request.as_ref().map(|request| request.at);
    cursor.expect(b",\"response\":")?;
    let answer =
        if cursor.skip(b"null") { None } else { Some(response(&mut cursor, since, message)?) };
    cursor.expect(b",\"interim\":[")?;
    let mut interim = Vec::new();
    while !cursor.skip(b"]") {
        if !interim.is_empty() {
            cursor.expect(b",")?;
        }
        interim.push(response(&mut cursor, since, message)?);
    }
    let mut marks = Vec::new();
    if cursor.skip(b",\"marks\":[") {
        while !cursor.skip(b"]") {
            if !marks.is_empty() {
                cursor.expect(b",")?;
            }
            marks.push(String::from_utf8(cursor.string()?.to_vec()).ok()?);
        }
    }
    cursor.expect(b"}")?;
    cursor.end()?;
    let Start {
        id,
        closed,
        client,
        server,
        protocol,
        completeness,
        opened_at,
        handshake_ns,
        carriage,
    } = start;
    Some(Exchange {
        id,
        client,
        server,
        protocol,
        completeness,
        request,
        response: answer,
        interim,
        opened_at,
        handshake_ns,
        marks,
        carriage,
        closed,
    })
}

/// The request of a line. What comes behind it is not looked at, but for its start and that the
/// line was not cut.
pub(super) fn asked(line: &[u8]) -> Option<Asked> {
    let mut cursor = Cursor::new(line)?;
    let Start { id, completeness, .. } = start(&mut cursor)?;
    let request = request(&mut cursor)?;
    cursor.expect(b",\"response\":")?;
    let answered = !cursor.skip(b"null,\"interim\":[");
    if answered && !cursor.skip(b"{\"") || !line.ends_with(b"}") {
        return None;
    }
    Some(Asked { id, completeness, request, answered })
}

/// What stands before the request.
struct Start {
    id: ExchangeId,
    closed: Vec<Closed>,
    client: Endpoint,
    server: Endpoint,
    protocol: String,
    completeness: Completeness,
    opened_at: Option<Timestamp>,
    handshake_ns: Option<i64>,
    carriage: Option<Box<Carriage>>,
}

fn start(cursor: &mut Cursor<'_>) -> Option<Start> {
    cursor.expect(b"{\"id\":\"")?;
    let id: ExchangeId = cursor.plain()?.parse().ok()?;
    // What is wrong with it is said where serde reads.
    if id.connection >= CONNECTION_NUMBERS {
        return None;
    }
    cursor.expect(b",\"connection\":")?;
    cursor.integer()?;
    let closed = closed(cursor)?;
    cursor.expect(b",\"client\":\"")?;
    let client = cursor.plain()?.parse().ok()?;
    cursor.expect(b",\"server\":\"")?;
    let server = cursor.plain()?.parse().ok()?;
    cursor.expect(b",\"protocol\":\"")?;
    let protocol = cursor.plain()?.to_owned();
    cursor.expect(b",\"completeness\":\"")?;
    let completeness = match cursor.plain()? {
        "complete" => Completeness::Complete,
        "no-response" => Completeness::NoResponse,
        "request-damaged" => Completeness::RequestDamaged,
        "response-damaged" => Completeness::ResponseDamaged,
        "orphan-response" => Completeness::OrphanResponse,
        _ => return None,
    };
    let opened_at = match cursor.skip(b",\"opened_at\":\"") {
        true => Some(cursor.plain()?.parse().ok()?),
        false => None,
    };
    let handshake_ns =
        if cursor.skip(b",\"handshake_ns\":") { Some(cursor.integer()?) } else { None };
    // What is rarer than the number of a stream is left to serde.
    let carriage = match cursor.skip(b",\"stream\":") {
        true => {
            let stream = Some(u32::try_from(cursor.integer()?).ok()?);
            Some(Box::new(Carriage { stream, ..Carriage::default() }))
        }
        false => None,
    };
    Some(Start {
        id,
        closed,
        client,
        server,
        protocol,
        completeness,
        opened_at,
        handshake_ns,
        carriage,
    })
}

fn closed(cursor: &mut Cursor<'_>) -> Option<Vec<Closed>> {
    let mut closed = Vec::new();
    if !cursor.skip(b",\"closed\":[") {
        return Some(closed);
    }
    loop {
        cursor.expect(b"[")?;
        let connection =
            u64::try_from(cursor.integer()?).ok().filter(|number| *number < CONNECTION_NUMBERS)?;
        cursor.expect(b",\"")?;
        closed.push(Closed(connection, cursor.plain()?.parse().ok()?));
        cursor.expect(b"]")?;
        if !cursor.skip(b",") {
            cursor.expect(b"]")?;
            return Some(closed);
        }
    }
}

fn request(cursor: &mut Cursor<'_>) -> Option<Option<TimedRequest>> {
    cursor.expect(b",\"request\":")?;
    if cursor.skip(b"null") {
        return Some(None);
    }
    cursor.expect(b"{\"at\":\"")?;
    let at = cursor.plain()?.parse().ok()?;
    cursor.expect(b",\"duration_ns\":")?;
    let duration_ns = cursor.integer()?;
    cursor.expect(b",")?;
    Some(Some(TimedRequest { at, duration_ns, message: cursor.request()? }))
}

/// A response with its times, which count from the request's where there is one.
fn response(
    cursor: &mut Cursor<'_>,
    since: Option<Timestamp>,
    message: fn(&mut Cursor<'_>) -> Option<Response>,
) -> Option<TimedResponse> {
    cursor.expect(b"{")?;
    let at: Option<Timestamp> = match cursor.skip(b"\"at\":\"") {
        true => {
            let at = cursor.plain()?.parse().ok()?;
            cursor.expect(b",")?;
            Some(at)
        }
        false => None,
    };
    let mut time = |name: &[u8]| {
        if !cursor.skip(name) {
            return Some(None);
        }
        let nanos = cursor.integer()?;
        cursor.expect(b",")?;
        Some(Some(nanos))
    };
    let (first_byte_ns, last_byte_ns) = (time(b"\"first_byte_ns\":")?, time(b"\"last_byte_ns\":")?);
    Some(TimedResponse {
        at: at.or_else(|| Some(since?.plus(first_byte_ns?))).or(since).unwrap_or_default(),
        first_byte_ns,
        last_byte_ns,
        message: message(cursor)?,
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::{RawMessage, RawOutline, read_as, read_exchange, write};
    use super::*;
    use crate::message::{Body, Framing, Headers, Request, Version};
    use crate::record::exchanges::Line;

    fn sample() -> Exchange {
        let headers = |fields: &[(&[u8], &[u8])]| fields.iter().copied().collect::<Headers>();
        let at = Timestamp::from_nanos(1_795_341_600_000_123_456);
        let interim = Response {
            status: 100,
            reason: Bytes::from_static(b"Go \xff on"),
            ..Response::default()
        };
        Exchange {
            carriage: None,
            id: ExchangeId { connection: 12, ordinal: 3 },
            client: "10.0.0.9:40112".parse().unwrap(),
            server: "[2001:db8::1]:8080".parse().unwrap(),
            protocol: "http/1".to_owned(),
            completeness: Completeness::Complete,
            request: Some(TimedRequest {
                at,
                duration_ns: 7,
                message: Request {
                    method: Bytes::from_static(b"POST"),
                    target: Bytes::from_static(b"/cart?x=\"y\""),
                    headers: headers(&[
                        (b"Host", b"shop"),
                        (b"x\xffy", b"\xfe"),
                        (b"Esc\"aped", b"a\\b"),
                    ]),
                    body: Body::whole(
                        &b"{\"item\": \"\\u00e9 \xc3\xa9 \x01\x7f\\\\ tab\\t\", \"long\": \
                            \"0123456789abcdef\"}"[..],
                    ),
                    framing: Framing::ContentLength,
                    ..Request::default()
                },
            }),
            response: Some(TimedResponse {
                at: at.plus(-5),
                first_byte_ns: Some(-5),
                last_byte_ns: Some(1_300_345),
                message: Response {
                    status: 200,
                    reason: Bytes::from_static(b"OK"),
                    body: Body::whole(&b"\x00\x01\xff"[..]),
                    framing: Framing::Chunked,
                    trailers: headers(&[(b"T", b"v")]),
                    ..Response::default()
                },
            }),
            interim: vec![TimedResponse {
                at: at.plus(1),
                first_byte_ns: Some(1),
                last_byte_ns: None,
                message: interim,
            }],
            opened_at: Some(at.plus(-9)),
            handshake_ns: Some(42),
            marks: vec!["odd \"mark\"".to_owned(), "more".to_owned()],
            closed: vec![Closed(9, at), Closed(12, at.plus(1))],
        }
    }

    fn line(exchange: &Exchange) -> Vec<u8> {
        let mut line = Vec::new();
        write(&mut line, exchange);
        line.pop();
        line
    }

    #[test]
    fn the_writers_form_is_read_without_serde() {
        let whole = sample();
        let bare = Exchange {
            response: None,
            interim: vec![],
            opened_at: None,
            marks: vec![],
            closed: vec![],
            ..sample()
        };
        let orphan = Exchange { request: None, handshake_ns: None, ..sample() };
        for mut exchange in [whole, bare, orphan] {
            if exchange.request.is_none() {
                let seen = exchange.response.iter_mut().chain(&mut exchange.interim);
                seen.for_each(|response| {
                    (response.first_byte_ns, response.last_byte_ns) = (None, None)
                });
            }
            let line = line(&exchange);
            let asked = asked(&line).unwrap();
            assert_eq!(
                (asked.id, &asked.request, asked.answered),
                (exchange.id, &exchange.request, exchange.response.is_some())
            );
            assert_eq!(super::exchange(&line), Some(exchange));
        }
    }

    /// Cut anywhere, and with any byte of it another one: what is read at all is what serde reads.
    #[test]
    fn a_damaged_line_is_never_read_as_something_else() {
        let whole = line(&sample());
        let check = |line: &[u8]| {
            if let Some(read) = exchange(line) {
                let theirs = read_exchange::<RawMessage<'_>>(line).unwrap();
                assert_eq!(
                    theirs,
                    Line::Exchange(Box::new(read)),
                    "{}",
                    String::from_utf8_lossy(line)
                );
            }
        };
        for at in 0..whole.len() {
            assert!(exchange(&whole[..at]).is_none());
            check(&[&whole[..at], &whole[at + 1..]].concat());
            for byte in b"\"\\{}[],:0-9nu \x01\x7f\xff" {
                let mut line = whole.clone();
                line[at] = *byte;
                check(&line);
                line.insert(at, *byte);
                check(&line);
            }
        }
    }

    /// Octets of every kind: plain, with quotes and escapes, beyond ASCII, and no text at all.
    fn octets() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[ -~]{0,40}".prop_map(String::into_bytes),
            "[\"\\\\/\t\r\n\u{1}\u{7f}aé€😀]{0,40}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..20),
        ]
    }

    prop_compose! {
        fn exchanges()(
            connection in 0u64..1 << 41, ordinal: u32, parts in prop::collection::vec(octets(), 6),
            fields in prop::collection::vec((octets(), octets()), 0..6),
            trailers in prop::collection::vec((octets(), octets()), 0..2),
            times in prop::collection::vec(prop::option::of(0i64..1 << 40), 5),
            ends in (any::<[u8; 4]>(), any::<u16>(), any::<[u8; 16]>()),
            kinds in (0usize..5, 0usize..4, 0usize..4), status: u16, cut: bool,
        ) -> Exchange {
            let bytes = |place: usize| Bytes::from(parts[place].clone());
            let list = |fields: &[(Vec<u8>, Vec<u8>)]| {
                fields.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Headers>()
            };
            let completeness = completeness_of(kinds.0);
            let framing =
                [Framing::None, Framing::ContentLength, Framing::Chunked, Framing::Close][kinds.1];
            let version =
                [Version::Http11, Version::Http10, Version::Http2, Version::Other(3, 7)][kinds.2];
            let at = Timestamp::from_nanos(1_795_341_600_000_000_000);
            let answer = |first: Option<i64>, body: Body| TimedResponse {
                at: first.map_or(at, |nanos| at.plus(nanos)),
                first_byte_ns: first,
                last_byte_ns: times[1],
                message: Response {
                    extras: None,
                    status,
                    reason: bytes(0),
                    version,
                    headers: list(&fields),
                    body,
                    framing,
                    trailers: list(&trailers),
                },
            };
            Exchange {
                carriage: None,
                id: ExchangeId { connection, ordinal },
                client: Endpoint::new(IpAddr::from(ends.0), ends.1),
                server: Endpoint::new(IpAddr::from(ends.2), ends.1),
                protocol: "http/1".to_owned(),
                completeness,
                request: Some(TimedRequest {
                    at,
                    duration_ns: times[2].unwrap_or(-3),
                    message: Request {
                        extras: None,
                        method: bytes(1),
                        target: bytes(2),
                        version,
                        headers: list(&fields),
                        body: Body::whole(bytes(3)),
                        framing,
                        trailers: list(&trailers),
                        verbatim: None,
                    },
                }),
                response: Some(answer(
                    times[0],
                    Body { bytes: bytes(4), length: 1 << 30, sha256: cut.then_some([0xab; 32]) },
                )),
                interim: if cut { vec![answer(Some(5), Body::default())] } else { vec![] },
                opened_at: times[3].map(|nanos| at.plus(-nanos)),
                handshake_ns: times[4],
                marks: vec![],
                closed: times
                    .iter()
                    .flatten()
                    .map(|&nanos| Closed(connection, at.plus(nanos)))
                    .collect(),
            }
        }
    }

    fn completeness_of(place: usize) -> Completeness {
        use Completeness::{Complete, NoResponse, OrphanResponse, RequestDamaged, ResponseDamaged};
        [Complete, NoResponse, RequestDamaged, ResponseDamaged, OrphanResponse][place]
    }

    /// What serde makes of a line.
    fn by_serde(line: &[u8]) -> Option<Exchange> {
        match read_as::<RawOutline>(line) {
            Ok(Line::Exchange(exchange)) => Some(*exchange),
            _ => None,
        }
    }

    #[test]
    fn the_usual_line_is_outlined_here() {
        let line = b"{\"id\":\"12-3\",\"connection\":12,\"client\":\"10.0.0.9:40112\",\
                     \"server\":\"[2001:db8::1]:8080\",\"protocol\":\"http/1\",\
                     \"completeness\":\"complete\",\"opened_at\":\"2026-11-22T10:00:00.000000000Z\"\
                     ,\"handshake_ns\":-42,\"request\":{\"at\":\"2026-11-22T10:00:00.000123456Z\",\
                     \"duration_ns\":7,\"method\":\"POST\",\"target\":\"/c?x=1\",\
                     \"version\":\"1.1\",\"headers\":[[\"Host\",\"shop.local\"],[\"X\",\
                     \"a\\\"b\"]],\"body\":{\"utf8\":\"{\\\"item\\\":\\u00011}\"},\
                     \"body_bytes\":11,\"framing\":\"content-length\",\"trailers\":[]},\
                     \"response\":{\"first_byte_ns\":5,\"last_byte_ns\":9,\"status\":200,\
                     \"reason\":\"OK\",\"version\":\"1.1\",\"headers\":[[\"A\",\
                     {\"base64\":\"//4=\"}]],\"body\":{\"base64\":\"AAH/\"},\"body_bytes\":9,\
                     \"body_sha256\":\"ab\",\"framing\":\"chunked\",\"trailers\":[]},\
                     \"interim\":[]}";
        let read = outline(line).expect("the form that is written");
        assert_eq!(
            read.request.as_ref().map(|request| &request.message.body.bytes[..]),
            Some(&b"{\"item\":\x011}"[..])
        );
        assert_eq!(by_serde(line), Some(read));
    }

    proptest! {
        #[test]
        fn an_outline_is_what_serde_makes_of_the_line(
            exchange in exchanges(),
            at: prop::sample::Index,
            byte: u8,
            cut: prop::sample::Index
        ) {
            let mut line = Vec::new();
            write(&mut line, &exchange);
            line.pop();
            if let Some(read) = outline(&line) {
                prop_assert_eq!(Some(read), by_serde(&line));
            }
            // One byte another, one byte gone, the rest gone.
            let mut other = line.clone();
            other[at.index(line.len())] = byte;
            let mut shorter = line.clone();
            shorter.remove(at.index(line.len()));
            for damaged in [&other[..], &shorter, &line[..cut.index(line.len())]] {
                if let Some(read) = outline(damaged) {
                    prop_assert_eq!(
                        Some(read),
                        by_serde(damaged),
                        "{}",
                        String::from_utf8_lossy(damaged)
                    );
                }
            }
        }
    }
}
