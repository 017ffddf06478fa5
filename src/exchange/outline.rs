//! Reads an exchange's line in the very form that [`log`](super::log) writes, several times as fast as serde: what a replay
//! plans by. Of the answers only their times and status are kept, but all of the line is looked at.
//!
//! Any other form of the same JSON (another order of keys, blanks, numbers with a fraction) is none of this reader's: it
//! gives `None`, and the line is left to serde, which also finds the words for what is wrong with it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;

use super::{Completeness, Exchange, ExchangeId, TimedRequest, TimedResponse};
use crate::flow::Endpoint;
use crate::http::{Body, Framing, Headers, Request, Response, Version};
use crate::time::Timestamp;

/// Reads a line without its end.
pub(super) fn read(line: &[u8]) -> Option<Exchange> {
    // What stands between quotes is text without control characters; checked for all strings at once.
    if line.iter().fold(false, |any, &byte| any | (byte < 0x20)) || simdutf8::basic::from_utf8(line).is_err() {
        return None;
    }
    let mut cursor = Cursor { rest: line };
    let exchange = cursor.exchange()?;
    cursor.rest.is_empty().then_some(exchange)
}

/// What of the line is still to be read. Every method takes its piece, or gives none and the reading is over.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn exchange(&mut self) -> Option<Exchange> {
        self.eat(b"{\"id\":\"")?;
        let connection = self.natural()?;
        self.eat(b"-")?;
        let ordinal = u32::try_from(self.natural()?).ok()?;
        self.eat(b"\",\"connection\":")?;
        self.natural()?;
        self.eat(b",\"client\":")?;
        let client = self.endpoint()?;
        self.eat(b",\"server\":")?;
        let server = self.endpoint()?;
        self.eat(b",\"protocol\":")?;
        let protocol = self.text()?;
        self.eat(b",\"completeness\":")?;
        let completeness = completeness(self.text()?)?;
        let opened_at = if self.meets(b",\"opened_at\":") { Some(self.timestamp()?) } else { None };
        let handshake_ns = if self.meets(b",\"handshake_ns\":") { Some(self.integer()?) } else { None };
        self.eat(b",\"request\":")?;
        let request = if self.meets(b"null") { None } else { Some(self.request()?) };
        let start = request.as_ref().map(|request| request.at);
        self.eat(b",\"response\":")?;
        let response = if self.meets(b"null") { None } else { Some(self.response(start)?) };
        self.eat(b",\"interim\":[")?;
        let mut interim = Vec::new();
        self.list(|cursor| {
            interim.push(cursor.response(start)?);
            Some(())
        })?;
        // Marks come last, and few exchanges have any: those are serde's.
        self.eat(b"}")?;
        Some(Exchange {
            id: ExchangeId { connection, ordinal },
            client,
            server,
            protocol: std::str::from_utf8(protocol).ok()?.to_owned(),
            completeness,
            request,
            response,
            interim,
            opened_at,
            handshake_ns,
            marks: Vec::new(),
        })
    }

    fn request(&mut self) -> Option<TimedRequest> {
        self.eat(b"{\"at\":")?;
        let at = self.timestamp()?;
        self.eat(b",\"duration_ns\":")?;
        let duration_ns = self.integer()?;
        self.eat(b",\"method\":")?;
        let method = match &*self.octets()? {
            b"GET" => Bytes::from_static(b"GET"),
            b"POST" => Bytes::from_static(b"POST"),
            other => Bytes::copy_from_slice(other),
        };
        self.eat(b",\"target\":")?;
        let target = owned(self.octets()?);
        self.eat(b",\"version\":")?;
        let version = version(self.text()?)?;
        self.eat(b",\"headers\":[")?;
        let headers = self.headers()?;
        self.eat(b",\"body\":")?;
        let bytes = if self.meets(b"null") { Bytes::new() } else { owned(self.content()?) };
        self.eat(b",\"body_bytes\":")?;
        let length = self.natural()?;
        self.eat(b",\"framing\":")?;
        let framing = framing(self.text()?)?;
        self.eat(b",\"trailers\":[")?;
        let trailers = self.headers()?;
        // A hash of a cut body, an odd head and chunks are serde's.
        self.eat(b"}")?;
        let body = Body { bytes, length, sha256: None };
        let message = Request { method, target, version, headers, body, framing, trailers, verbatim: None };
        Some(TimedRequest { at, duration_ns, message })
    }

    /// An answer of which only times and status are kept; `start` is its request's time.
    fn response(&mut self, start: Option<Timestamp>) -> Option<TimedResponse> {
        self.eat(b"{\"first_byte_ns\":")?;
        let first_byte_ns = Some(self.integer()?);
        self.eat(b",")?;
        let last_byte_ns = if self.meets(b"\"last_byte_ns\":") {
            let nanos = self.integer()?;
            self.eat(b",")?;
            Some(nanos)
        } else {
            None
        };
        self.eat(b"\"status\":")?;
        let status = u16::try_from(self.natural()?).ok()?;
        self.eat(b",\"reason\":")?;
        self.skip_octets()?;
        self.eat(b",\"version\":")?;
        version(self.text()?)?;
        self.eat(b",\"headers\":[")?;
        self.skip_headers()?;
        self.eat(b",\"body\":")?;
        if !self.meets(b"null") {
            self.skip_object()?;
        }
        self.eat(b",\"body_bytes\":")?;
        self.natural()?;
        if self.meets(b",\"body_sha256\":") {
            self.text()?;
        }
        self.eat(b",\"framing\":")?;
        framing(self.text()?)?;
        self.eat(b",\"trailers\":[")?;
        self.skip_headers()?;
        self.eat(b"}")?;
        let at = start?.plus(first_byte_ns?);
        let message = Response { status, ..Response::default() };
        Some(TimedResponse { at, first_byte_ns, last_byte_ns, message })
    }

    fn headers(&mut self) -> Option<Headers> {
        if self.meets(b"]") {
            return Some(Headers::new());
        }
        let mut headers = Headers::with_capacity(12, 384);
        self.list(|cursor| {
            cursor.eat(b"[")?;
            let name = cursor.octets()?;
            cursor.eat(b",")?;
            let value = cursor.octets()?;
            headers.push(&name, &value);
            cursor.eat(b"]")
        })?;
        Some(headers)
    }

    fn skip_headers(&mut self) -> Option<()> {
        self.list(|cursor| {
            cursor.eat(b"[")?;
            cursor.skip_octets()?;
            cursor.eat(b",")?;
            cursor.skip_octets()?;
            cursor.eat(b"]")
        })
    }

    /// The items of an array whose bracket was taken, and the bracket that closes it.
    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.meets(b"]") {
            return Some(());
        }
        loop {
            item(self)?;
            if self.meets(b"]") {
                return Some(());
            }
            self.eat(b",")?;
        }
    }

    /// What must come; of a known length, so that it is compared in place.
    #[inline]
    fn eat<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        let (start, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        (start == text).then_some(())
    }

    /// Takes what may come, where it does.
    #[inline]
    fn meets<const N: usize>(&mut self, text: &[u8; N]) -> bool {
        let before = self.rest;
        let met = self.eat(text).is_some();
        if !met {
            self.rest = before;
        }
        met
    }

    /// A number without sign and without needless zeros.
    fn natural(&mut self) -> Option<u64> {
        let (mut number, mut digits) = (0, 0);
        while let Some(digit) = self.rest.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            // Longer ones may not fit, and are no numbers of ours.
            if digits == 18 || (digits == 1 && number == 0) {
                return None;
            }
            number = number * 10 + u64::from(digit);
            digits += 1;
        }
        self.rest = &self.rest[digits..];
        (digits > 0).then_some(number)
    }

    fn integer(&mut self) -> Option<i64> {
        let sign = if self.meets(b"-") { -1 } else { 1 };
        Some(sign * self.natural()? as i64)
    }

    /// A string without escapes.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.eat(b"\"")?;
        let end = memchr::memchr2(b'"', b'\\', self.rest)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.eat(b"\"")?;
        Some(text)
    }

    /// A string; the ones with escapes are decoded by serde.
    fn octets(&mut self) -> Option<Cow<'a, [u8]>> {
        let string = self.rest;
        if let Some(text) = self.text() {
            return Some(Cow::Borrowed(text));
        }
        self.rest = string;
        self.skip_string()?;
        let string = &string[..string.len() - self.rest.len()];
        Some(Cow::Owned(serde_json::from_slice::<String>(string).ok()?.into_bytes()))
    }

    /// A body's text.
    fn content(&mut self) -> Option<Cow<'a, [u8]>> {
        self.eat(b"{\"utf8\":")?;
        let octets = self.octets()?;
        self.eat(b"}")?;
        Some(octets)
    }

    fn skip_octets(&mut self) -> Option<()> {
        if self.rest.first() == Some(&b'"') { self.skip_string() } else { self.skip_object() }
    }

    /// Octets in either form.
    fn skip_object(&mut self) -> Option<()> {
        if self.meets(b"{\"base64\":") {
            self.text()?;
        } else {
            self.eat(b"{\"utf8\":")?;
            self.skip_string()?;
        }
        self.eat(b"}")
    }

    fn skip_string(&mut self) -> Option<()> {
        self.eat(b"\"")?;
        loop {
            let at = memchr::memchr2(b'"', b'\\', self.rest)?;
            let found = self.rest[at];
            self.rest = &self.rest[at + 1..];
            if found == b'"' {
                return Some(());
            }
            let (kind, rest) = self.rest.split_first()?;
            self.rest = match kind {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => rest,
                // The writer escapes control characters so, and no surrogates.
                b'u' if rest.starts_with(b"00") && rest.len() > 4 && rest[2..4].iter().all(u8::is_ascii_hexdigit) => &rest[4..],
                _ => return None,
            };
        }
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        std::str::from_utf8(self.text()?).ok()?.parse().ok()
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        let text = self.text()?;
        v4(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
    }
}

/// The usual endpoint, without the machinery of the general one.
fn v4(text: &[u8]) -> Option<Endpoint> {
    let mut cursor = Cursor { rest: text };
    let mut octets = [0; 4];
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            cursor.eat(b".")?;
        }
        *octet = u8::try_from(cursor.natural()?).ok()?;
    }
    cursor.eat(b":")?;
    let port = u16::try_from(cursor.natural()?).ok()?;
    cursor.rest.is_empty().then(|| Endpoint::new(IpAddr::V4(Ipv4Addr::from(octets)), port))
}

fn owned(octets: Cow<'_, [u8]>) -> Bytes {
    match octets {
        Cow::Borrowed(octets) => Bytes::copy_from_slice(octets),
        Cow::Owned(octets) => Bytes::from(octets),
    }
}

fn completeness(name: &[u8]) -> Option<Completeness> {
    use Completeness::{Complete, NoResponse, OrphanResponse, RequestDamaged, ResponseDamaged};
    [Complete, NoResponse, RequestDamaged, ResponseDamaged, OrphanResponse]
        .into_iter()
        .find(|completeness| completeness.name().as_bytes() == name)
}

fn framing(name: &[u8]) -> Option<Framing> {
    Some(match name {
        b"none" => Framing::None,
        b"content-length" => Framing::ContentLength,
        b"chunked" => Framing::Chunked,
        b"close" => Framing::Close,
        _ => return None,
    })
}

fn version(name: &[u8]) -> Option<Version> {
    if name == b"1.1" { Some(Version::Http11) } else { std::str::from_utf8(name).ok()?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::log::{self, Line};
    use super::*;

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
            connection in 0u64..1 << 50, ordinal: u32, parts in prop::collection::vec(octets(), 6),
            fields in prop::collection::vec((octets(), octets()), 0..6), trailers in prop::collection::vec((octets(), octets()), 0..2),
            times in prop::collection::vec(prop::option::of(0i64..1 << 40), 5), ends in (any::<[u8; 4]>(), any::<u16>(), any::<[u8; 16]>()),
            kinds in (0usize..5, 0usize..4, 0usize..4), status: u16, cut: bool,
        ) -> Exchange {
            let bytes = |place: usize| Bytes::from(parts[place].clone());
            let list = |fields: &[(Vec<u8>, Vec<u8>)]| fields.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Headers>();
            let completeness = completeness_of(kinds.0);
            let framing = [Framing::None, Framing::ContentLength, Framing::Chunked, Framing::Close][kinds.1];
            let version = [Version::Http11, Version::Http10, Version::Http2, Version::Other(3, 7)][kinds.2];
            let at = Timestamp::from_nanos(1_795_341_600_000_000_000);
            let answer = |first: Option<i64>, body: Body| TimedResponse {
                at: first.map_or(at, |nanos| at.plus(nanos)), first_byte_ns: first, last_byte_ns: times[1],
                message: Response { status, reason: bytes(0), version, headers: list(&fields), body, framing, trailers: list(&trailers) },
            };
            Exchange {
                id: ExchangeId { connection, ordinal },
                client: Endpoint::new(IpAddr::from(ends.0), ends.1), server: Endpoint::new(IpAddr::from(ends.2), ends.1),
                protocol: "http/1".to_owned(), completeness,
                request: Some(TimedRequest { at, duration_ns: times[2].unwrap_or(-3), message: Request {
                    method: bytes(1), target: bytes(2), version, headers: list(&fields), body: Body::whole(bytes(3)), framing,
                    trailers: list(&trailers), verbatim: None,
                } }),
                response: Some(answer(times[0], Body { bytes: bytes(4), length: 1 << 30, sha256: cut.then_some([0xab; 32]) })),
                interim: if cut { vec![answer(Some(5), Body::default())] } else { vec![] },
                opened_at: times[3].map(|nanos| at.plus(-nanos)), handshake_ns: times[4], marks: vec![],
            }
        }
    }

    fn completeness_of(place: usize) -> Completeness {
        use Completeness::{Complete, NoResponse, OrphanResponse, RequestDamaged, ResponseDamaged};
        [Complete, NoResponse, RequestDamaged, ResponseDamaged, OrphanResponse][place]
    }

    /// What serde makes of a line.
    fn by_serde(line: &[u8]) -> Option<Exchange> {
        match log::read_outline_by_serde(line) {
            Ok(Line::Exchange(exchange)) => Some(*exchange),
            _ => None,
        }
    }

    #[test]
    fn the_usual_line_is_read_here() {
        let line = br#"{"id":"12-3","connection":12,"client":"10.0.0.9:40112","server":"[2001:db8::1]:8080","protocol":"http/1","completeness":"complete","opened_at":"2026-11-22T10:00:00.000000000Z","handshake_ns":-42,"request":{"at":"2026-11-22T10:00:00.000123456Z","duration_ns":7,"method":"POST","target":"/c?x=1","version":"1.1","headers":[["Host","shop.local"],["X","a\"b"]],"body":{"utf8":"{\"item\":\u00011}"},"body_bytes":11,"framing":"content-length","trailers":[]},"response":{"first_byte_ns":5,"last_byte_ns":9,"status":200,"reason":"OK","version":"1.1","headers":[["A",{"base64":"//4="}]],"body":{"base64":"AAH/"},"body_bytes":9,"body_sha256":"ab","framing":"chunked","trailers":[]},"interim":[]}"#;
        let read = read(line).expect("the form that is written");
        assert_eq!(read.request.as_ref().map(|request| &request.message.body.bytes[..]), Some(&b"{\"item\":\x011}"[..]));
        assert_eq!(by_serde(line), Some(read));
    }

    proptest! {
        #[test]
        fn what_is_read_here_is_what_serde_reads(exchange in exchanges(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut line = Vec::new();
            log::write(&mut line, &exchange);
            line.pop();
            if let Some(read) = read(&line) {
                prop_assert_eq!(Some(read), by_serde(&line));
            }
            // One byte another, one byte gone, the rest gone.
            let mut other = line.clone();
            other[at.index(line.len())] = byte;
            let mut shorter = line.clone();
            shorter.remove(at.index(line.len()));
            for damaged in [&other[..], &shorter, &line[..cut.index(line.len())]] {
                if let Some(read) = read(damaged) {
                    prop_assert_eq!(Some(read), by_serde(damaged), "{}", String::from_utf8_lossy(damaged));
                }
            }
        }
    }
}
