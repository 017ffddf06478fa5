//! Lines of `exchanges.jsonl` in the very form in which this program writes them; see [`crate::http::json::own`]. Any other
//! line is left to serde.

use super::Asked;
use crate::exchange::{Completeness, Exchange, ExchangeId, TimedRequest, TimedResponse};
use crate::flow::Endpoint;
use crate::http::json::own::Cursor;
use crate::time::Timestamp;

/// An exchange, where the line has the writer's own form.
pub(super) fn exchange(line: &[u8]) -> Option<Exchange> {
    let mut cursor = Cursor::new(line)?;
    let start = start(&mut cursor)?;
    let request = request(&mut cursor)?;
    let since = request.as_ref().map(|request| request.at);
    cursor.expect(b",\"response\":")?;
    let answer = if cursor.skip(b"null") { None } else { Some(response(&mut cursor, since)?) };
    cursor.expect(b",\"interim\":[")?;
    let mut interim = Vec::new();
    while !cursor.skip(b"]") {
        if !interim.is_empty() {
            cursor.expect(b",")?;
        }
        interim.push(response(&mut cursor, since)?);
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
    let Start { id, client, server, protocol, completeness, opened_at, handshake_ns } = start;
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
    })
}

/// The request of a line. What comes behind it is not looked at, but for its start and that the line was not cut.
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
    client: Endpoint,
    server: Endpoint,
    protocol: String,
    completeness: Completeness,
    opened_at: Option<Timestamp>,
    handshake_ns: Option<i64>,
}

fn start(cursor: &mut Cursor<'_>) -> Option<Start> {
    cursor.expect(b"{\"id\":\"")?;
    let id = cursor.plain()?.parse().ok()?;
    cursor.expect(b",\"connection\":")?;
    cursor.integer()?;
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
    let handshake_ns = if cursor.skip(b",\"handshake_ns\":") { Some(cursor.integer()?) } else { None };
    Some(Start { id, client, server, protocol, completeness, opened_at, handshake_ns })
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
fn response(cursor: &mut Cursor<'_>, since: Option<Timestamp>) -> Option<TimedResponse> {
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
        message: cursor.response()?,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{RawMessage, read_exchange, write};
    use super::*;
    use crate::exchange::log::Line;
    use crate::http::{Body, Framing, Headers, Request, Response};

    fn sample() -> Exchange {
        let headers = |fields: &[(&[u8], &[u8])]| fields.iter().copied().collect::<Headers>();
        let at = Timestamp::from_nanos(1_795_341_600_000_123_456);
        let interim = Response { status: 100, reason: Bytes::from_static(b"Go \xff on"), ..Response::default() };
        Exchange {
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
                    headers: headers(&[(b"Host", b"shop"), (b"x\xffy", b"\xfe"), (b"Esc\"aped", b"a\\b")]),
                    body: Body::whole(
                        &b"{\"item\": \"\\u00e9 \xc3\xa9 \x01\x7f\\\\ tab\\t\", \"long\": \"0123456789abcdef\"}"[..],
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
            interim: vec![TimedResponse { at: at.plus(1), first_byte_ns: Some(1), last_byte_ns: None, message: interim }],
            opened_at: Some(at.plus(-9)),
            handshake_ns: Some(42),
            marks: vec!["odd \"mark\"".to_owned(), "more".to_owned()],
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
        let bare = Exchange { response: None, interim: vec![], opened_at: None, marks: vec![], ..sample() };
        let orphan = Exchange { request: None, handshake_ns: None, ..sample() };
        for mut exchange in [whole, bare, orphan] {
            if exchange.request.is_none() {
                let seen = exchange.response.iter_mut().chain(&mut exchange.interim);
                seen.for_each(|response| (response.first_byte_ns, response.last_byte_ns) = (None, None));
            }
            let line = line(&exchange);
            let asked = asked(&line).unwrap();
            assert_eq!((asked.id, &asked.request, asked.answered), (exchange.id, &exchange.request, exchange.response.is_some()));
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
                assert_eq!(theirs, Line::Exchange(Box::new(read)), "{}", String::from_utf8_lossy(line));
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
}
