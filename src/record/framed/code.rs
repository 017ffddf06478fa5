//! An exchange as bytes and back. What all exchanges have stands at fixed places; the rest of the
//! head follows as numbers of variable length and texts behind their lengths.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::hash::hash;
use crate::exchange::{
    Carriage, ClientSettings, Closed, Completeness, Exchange, ExchangeId, SocketKind,
    SocketMessage, TimedRequest, TimedResponse, TlsSession,
};
use crate::flow::{Direction, Endpoint};
use crate::message::wire::{Chunks, Verbatim};
use crate::message::{Body, Extras, Framing, HeaderPart, Headers, Request, Response, Version};
use crate::time::Timestamp;
use crate::varint;

/// Length of the fixed part of an exchange, in bytes.
pub(super) const FIXED: usize = 64;

/// Where the numbers of the fixed part stand, in bytes.
mod at {
    pub(super) const CONNECTION: usize = 0;
    pub(super) const TIME: usize = 8;
    pub(super) const HEAD: usize = 16;
    pub(super) const HEAD_LENGTH: usize = 20;
    pub(super) const BODY: usize = 24;
    pub(super) const REQUEST_BODY: usize = 28;
    pub(super) const RESPONSE_BODY: usize = 32;
    pub(super) const ORDINAL: usize = 36;
    pub(super) const STATUS: usize = 40;
    pub(super) const COMPLETENESS: usize = 42;
    pub(super) const REQUEST_HASH: usize = 48;
    pub(super) const RESPONSE_HASH: usize = 56;
}

/// What stands before how an exchange was carried.
const NO_CARRIAGE: u8 = 0;
const CARRIAGE: u8 = 1;
const CARRIAGE_WITH_SETTINGS: u8 = 2;

/// Appends an exchange but for its name and what closed before it: its fixed part, its head, the
/// bodies of its request and of its answer.
pub fn encode(exchange: &Exchange, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + FIXED, 0);
    let Exchange {
        id: _,
        client,
        server,
        protocol,
        completeness,
        request,
        response,
        interim,
        opened_at,
        handshake_ns,
        marks,
        carriage,
        closed: _,
    } = exchange;
    let mut head = HeadWriter(out);
    head.endpoint(client);
    head.endpoint(server);
    match protocol.as_str() {
        "http/1" => head.number(0),
        "http/2" => head.number(1),
        other => {
            head.number(2);
            head.text(other.as_bytes());
        }
    }
    head.some(opened_at.as_ref(), |head, at| head.signed(at.nanos()));
    head.some(handshake_ns.as_ref(), |head, nanos| head.signed(*nanos));
    head.carriage(carriage.as_deref());
    head.list(marks, |head, mark| head.text(mark.as_bytes()));
    head.some(request.as_ref(), |head, TimedRequest { at, duration_ns, message }| {
        head.signed(at.nanos());
        head.signed(*duration_ns);
        head.request(message);
    });
    head.some(response.as_ref(), HeadWriter::response);
    head.list(interim, |head, interim| {
        head.response(interim);
        head.text(&interim.message.body.bytes);
    });
    let head = out.len() - start - FIXED;
    let mut lengths = [0; 2];
    let mut hashes = [0; 2];
    let bodies = [
        request.as_ref().map(|request| &request.message.body.bytes),
        response.as_ref().map(|response| &response.message.body.bytes),
    ];
    for (place, body) in bodies.into_iter().enumerate() {
        let Some(body) = body else { continue };
        out.extend_from_slice(body);
        lengths[place] = body.len() as u32;
        hashes[place] = hash(body);
    }
    let at = request.as_ref().map(|request| request.at);
    let at = at.or_else(|| response.as_ref().map(|response| response.at)).unwrap_or_default();
    let status = response.as_ref().map_or(0, |response| response.message.status);
    let fixed = &mut out[start..start + FIXED];
    put(fixed, at::TIME, at.nanos().to_le_bytes());
    put(fixed, at::HEAD_LENGTH, (head as u32).to_le_bytes());
    put(fixed, at::REQUEST_BODY, lengths[0].to_le_bytes());
    put(fixed, at::RESPONSE_BODY, lengths[1].to_le_bytes());
    put(fixed, at::STATUS, status.to_le_bytes());
    put(fixed, at::COMPLETENESS, [*completeness as u8]);
    put(fixed, at::REQUEST_HASH, hashes[0].to_le_bytes());
    put(fixed, at::RESPONSE_HASH, hashes[1].to_le_bytes());
}

fn put<const N: usize>(fixed: &mut [u8], at: usize, bytes: [u8; N]) {
    fixed[at..at + N].copy_from_slice(&bytes);
}

fn get<const N: usize>(fixed: &[u8], at: usize) -> Option<[u8; N]> {
    fixed.get(at..at + N)?.try_into().ok()
}

/// What [`encode`] made, in its parts.
pub(super) struct EncodedParts<'p> {
    fixed: &'p [u8],
    pub(super) head: &'p [u8],
    pub(super) bodies: &'p [u8],
    /// Its time.
    pub(super) at: i64,
}

impl<'p> EncodedParts<'p> {
    pub(super) fn of(encoded: &'p [u8]) -> Self {
        let (fixed, rest) = encoded.split_at(FIXED);
        let head = get(fixed, at::HEAD_LENGTH).map_or(0, u32::from_le_bytes);
        let (head, bodies) = rest.split_at(head as usize);
        let at = get(fixed, at::TIME).map_or(0, i64::from_le_bytes);
        Self { fixed, head, bodies, at }
    }

    /// Appends the fixed part, with its name and where its head and its bodies stand among the
    /// others of its frame.
    pub(super) fn put_fixed(
        &self,
        id: ExchangeId,
        (head, length): (usize, usize),
        body: usize,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(self.fixed);
        let fixed = &mut out[start..];
        put(fixed, at::CONNECTION, id.connection.to_le_bytes());
        put(fixed, at::ORDINAL, id.ordinal.to_le_bytes());
        put(fixed, at::HEAD, (head as u32).to_le_bytes());
        put(fixed, at::HEAD_LENGTH, (length as u32).to_le_bytes());
        put(fixed, at::BODY, (body as u32).to_le_bytes());
    }
}

/// Says in all fixed parts of a frame where heads and bodies stand from its beginning on.
pub(super) fn place(fixed: &mut [u8], heads: usize, bodies: usize) {
    let (all, _) = fixed.as_chunks_mut::<FIXED>();
    for one in all {
        for (at, from) in [(at::HEAD, heads), (at::BODY, bodies)] {
            let there = get(one, at).map_or(0, u32::from_le_bytes);
            put(one, at, (there + from as u32).to_le_bytes());
        }
    }
}

/// Appends what closed before an exchange, behind its head.
pub(super) fn put_closed(closed: &[Closed], out: &mut Vec<u8>) {
    HeadWriter(out).list(closed, |head, Closed(connection, at)| {
        head.number(*connection);
        head.signed(at.nanos());
    });
}

/// Writes the parts of a head.
struct HeadWriter<'o>(&'o mut Vec<u8>);

impl HeadWriter<'_> {
    fn number(&mut self, number: u64) {
        varint::put(self.0, number);
    }

    /// Small numbers of either sign are short.
    fn signed(&mut self, number: i64) {
        self.number((number << 1 ^ number >> 63).cast_unsigned());
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text);
    }

    fn some<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list<T>(&mut self, list: &[T], write: impl Fn(&mut Self, &T)) {
        self.number(list.len() as u64);
        list.iter().for_each(|one| write(self, one));
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        let Endpoint { address, port } = endpoint;
        match address {
            IpAddr::V4(address) => {
                self.0.push(4);
                self.0.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                self.0.push(6);
                self.0.extend_from_slice(&address.octets());
            }
        }
        self.0.extend_from_slice(&port.to_le_bytes());
    }

    fn carriage(&mut self, carriage: Option<&Carriage>) {
        let Some(carriage) = carriage else { return self.0.push(NO_CARRIAGE) };
        let Carriage { stream, pushed_by, tls, settings, messages } = carriage;
        self.0.push(if settings.is_some() { CARRIAGE_WITH_SETTINGS } else { CARRIAGE });
        if let Some(settings) = settings {
            let ClientSettings { values, window } = &**settings;
            self.list(values, |head, (name, value)| {
                head.number(u64::from(*name));
                head.number(u64::from(*value));
            });
            self.number(u64::from(*window));
        }
        self.some(stream.as_ref(), |head, stream| head.number(u64::from(*stream)));
        self.some(pushed_by.as_ref(), |head, stream| head.number(u64::from(*stream)));
        self.some(tls.as_ref(), |head, tls| {
            let TlsSession { version, suite, sni, alpn, resumed, early, joined } = tls;
            head.text(version.as_bytes());
            head.text(suite.as_bytes());
            head.some(sni.as_ref(), |head, sni| head.text(sni.as_bytes()));
            head.some(alpn.as_ref(), |head, alpn| head.text(alpn.as_bytes()));
            [*resumed, *early, *joined].into_iter().for_each(|flag| head.0.push(u8::from(flag)));
        });
        self.list(messages, |head, message| {
            let SocketMessage { direction, at_ns, kind, data } = message;
            head.0.push(u8::from(*direction == Direction::ToClient));
            head.signed(*at_ns);
            head.0.push(*kind as u8);
            head.text(&data.bytes);
            head.body(data);
        });
    }

    /// What of a body does not stand in its bytes.
    fn body(&mut self, body: &Body) {
        let Body { bytes, length, sha256 } = body;
        self.number((*length).max(bytes.len() as u64));
        self.some(sha256.as_ref(), |head, sha256| head.0.extend_from_slice(sha256));
    }

    fn version(&mut self, version: Version) {
        let parts = match version {
            Version::Http09 => [0, 0, 0],
            Version::Http10 => [1, 0, 0],
            Version::Http11 => [2, 0, 0],
            Version::Http2 => [3, 0, 0],
            Version::Other(major, minor) => [4, major, minor],
        };
        self.0.extend_from_slice(&parts);
    }

    fn headers(&mut self, headers: &Headers) {
        self.number(headers.len() as u64);
        for (name, value) in headers.parts() {
            for part in [name, value] {
                match part {
                    HeaderPart::Known(octets) => {
                        self.number((octets.len() as u64) << 1);
                        self.0.extend_from_slice(octets);
                    }
                    HeaderPart::Unknown(identity) => self.number(u64::from(identity) << 1 | 1),
                }
            }
        }
    }

    fn extras(&mut self, extras: Option<&Extras>) {
        self.some(extras, |head, Extras { reset, never_indexed, pieces }| {
            head.some(reset.as_ref(), |head, code| head.number(u64::from(*code)));
            head.list(never_indexed, |head, place| head.number(u64::from(*place)));
            head.list(pieces, |head, (bytes, at)| {
                head.number(*bytes);
                head.signed(*at);
            });
        });
    }

    fn request(&mut self, request: &Request) {
        let Request { method, target, version, headers, body, framing, trailers, .. } = request;
        let Request { verbatim, extras, .. } = request;
        self.text(method);
        self.text(target);
        self.version(*version);
        self.0.push(*framing as u8);
        self.headers(headers);
        self.headers(trailers);
        self.body(body);
        self.some(verbatim.as_deref(), |head, Verbatim { head: kept, chunks }| {
            head.some(kept.as_ref(), |head, kept| head.text(kept));
            head.some(chunks.as_ref(), |head, chunks| match chunks {
                Chunks::Sizes(sizes) => {
                    head.0.push(0);
                    head.list(sizes, |head, size| head.number(*size));
                }
                Chunks::Framing(framing) => {
                    head.0.push(1);
                    head.text(framing);
                }
            });
        });
        self.extras(extras.as_deref());
    }

    fn response(&mut self, response: &TimedResponse) {
        let TimedResponse { at, first_byte_ns, last_byte_ns, message } = response;
        self.signed(at.nanos());
        self.some(first_byte_ns.as_ref(), |head, nanos| head.signed(*nanos));
        self.some(last_byte_ns.as_ref(), |head, nanos| head.signed(*nanos));
        let Response { status, reason, version, headers, body, framing, trailers, extras } =
            message;
        self.number(u64::from(*status));
        self.text(reason);
        self.version(*version);
        self.0.push(*framing as u8);
        self.headers(headers);
        self.headers(trailers);
        self.body(body);
        self.extras(extras.as_deref());
    }
}

/// The exchange `number` of a frame's content; none where the content is not in this form. Its
/// texts are slices of the frame.
pub(super) fn decode(plain: &Bytes, number: usize) -> Option<Exchange> {
    let fixed = plain.get(number * FIXED..(number + 1) * FIXED)?;
    let word = |at| get(fixed, at).map(u32::from_le_bytes).map(|word| word as usize);
    let (start, length) = (word(at::HEAD)?, word(at::HEAD_LENGTH)?);
    let end = start.checked_add(length).filter(|end| *end <= plain.len())?;
    let mut head = HeadReader { plain, at: start, end };
    let mut from = word(at::BODY)?;
    let mut body = |at| {
        let end = from.checked_add(word(at)?).filter(|end| *end <= plain.len())?;
        let body = (from <= end).then(|| plain.slice(from..end));
        from = end;
        body
    };
    let bodies = [body(at::REQUEST_BODY)?, body(at::RESPONSE_BODY)?];
    let [request_body, response_body] = bodies;
    let completeness = match get::<1>(fixed, at::COMPLETENESS)? {
        [0] => Completeness::Complete,
        [1] => Completeness::NoResponse,
        [2] => Completeness::RequestDamaged,
        [3] => Completeness::ResponseDamaged,
        [4] => Completeness::OrphanResponse,
        _ => return None,
    };
    let (client, server) = (head.endpoint()?, head.endpoint()?);
    let protocol = match head.number()? {
        0 => "http/1".to_owned(),
        1 => "http/2".to_owned(),
        2 => head.string()?,
        _ => return None,
    };
    let opened_at = head.some(HeadReader::time)?;
    let handshake_ns = head.some(HeadReader::signed)?;
    let carriage = head.carriage()?.map(Box::new);
    let marks = head.list(HeadReader::string)?;
    let request = head.some(|head| {
        let (at, duration_ns) = (head.time()?, head.signed()?);
        Some(TimedRequest { at, duration_ns, message: head.request(request_body)? })
    })?;
    let response = head.some(|head| head.response(|_| Some(response_body)))?;
    let interim = head.list(|head| head.response(HeadReader::bytes))?;
    let closed = head.list(|head| Some(Closed(head.number()?, head.time()?)))?;
    let id = ExchangeId {
        connection: get(fixed, at::CONNECTION).map(u64::from_le_bytes)?,
        ordinal: get(fixed, at::ORDINAL).map(u32::from_le_bytes)?,
    };
    (head.at == head.end && id.connection < crate::limits::CONNECTION_NUMBERS).then_some(Exchange {
        id,
        client,
        server,
        protocol,
        completeness,
        request,
        response,
        interim,
        opened_at,
        handshake_ns,
        marks,
        carriage,
        closed,
    })
}

/// Reads the parts of a head.
struct HeadReader<'i> {
    plain: &'i Bytes,
    at: usize,
    end: usize,
}

impl HeadReader<'_> {
    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.end)?;
        let taken = self.plain.get(self.at..end);
        self.at = end;
        taken
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn number(&mut self) -> Option<u64> {
        let mut rest = self.plain.get(self.at..self.end)?;
        let number = varint::take(&mut rest)?;
        self.at = self.end - rest.len();
        Some(number)
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.signed().map(Timestamp::from_nanos)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&[u8]> {
        let length = self.small()?;
        self.take(length)
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length: usize = self.small()?;
        let start = self.at;
        self.take(length)?;
        Some(self.plain.slice(start..start + length))
    }

    fn string(&mut self) -> Option<String> {
        Some(std::str::from_utf8(self.text()?).ok()?.to_owned())
    }

    fn some<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    fn list<T>(&mut self, read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut read = read;
        let length: usize = self.small()?;
        // Each takes a byte at least, so that what is claimed costs no more than what is there.
        if length > self.end - self.at {
            return None;
        }
        (0..length).map(|_| read(self)).collect()
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        let address = match self.byte()? {
            4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(self.take(4)?).ok()?)),
            6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(self.take(16)?).ok()?)),
            _ => return None,
        };
        let port = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        Some(Endpoint { address, port })
    }

    fn carriage(&mut self) -> Option<Option<Carriage>> {
        let settings = match self.byte()? {
            NO_CARRIAGE => return Some(None),
            CARRIAGE => None,
            CARRIAGE_WITH_SETTINGS => Some(Box::new(ClientSettings {
                values: self.list(|head| Some((head.small()?, head.small()?)))?,
                window: self.small()?,
            })),
            _ => return None,
        };
        Some(Some(Carriage {
            settings,
            stream: self.some(Self::small)?,
            pushed_by: self.some(Self::small)?,
            tls: self.some(|head| {
                Some(TlsSession {
                    version: head.string()?,
                    suite: head.string()?,
                    sni: head.some(Self::string)?,
                    alpn: head.some(Self::string)?,
                    resumed: head.flag()?,
                    early: head.flag()?,
                    joined: head.flag()?,
                })
            })?,
            messages: self.list(|head| {
                let direction =
                    if head.flag()? { Direction::ToClient } else { Direction::ToServer };
                let at_ns = head.signed()?;
                let kind = match head.byte()? {
                    0 => SocketKind::Text,
                    1 => SocketKind::Binary,
                    2 => SocketKind::Close,
                    3 => SocketKind::Ping,
                    4 => SocketKind::Pong,
                    _ => return None,
                };
                let bytes = head.bytes()?;
                Some(SocketMessage { direction, at_ns, kind, data: head.body(bytes)? })
            })?,
        }))
    }

    fn body(&mut self, bytes: Bytes) -> Option<Body> {
        let length = self.number()?;
        let sha256 = self.some(|head| head.take(32)?.try_into().ok())?;
        (length >= bytes.len() as u64).then_some(Body { bytes, length, sha256 })
    }

    fn version(&mut self) -> Option<Version> {
        Some(match *self.take(3)? {
            [0, 0, 0] => Version::Http09,
            [1, 0, 0] => Version::Http10,
            [2, 0, 0] => Version::Http11,
            [3, 0, 0] => Version::Http2,
            [4, major, minor] => Version::Other(major, minor),
            _ => return None,
        })
    }

    fn framing(&mut self) -> Option<Framing> {
        Some(match self.byte()? {
            0 => Framing::None,
            1 => Framing::ContentLength,
            2 => Framing::Chunked,
            3 => Framing::Close,
            4 => Framing::Frames,
            _ => return None,
        })
    }

    fn headers(&mut self) -> Option<Headers> {
        let fields: usize = self.small()?;
        // A name and a value take a byte each at least.
        if fields > (self.end - self.at) / 2 {
            return None;
        }
        let mut headers = Headers::with_capacity(fields, 32 * fields);
        for _ in 0..fields {
            let mut spans = [(0, 0); 2];
            let mut unknown = [None; 2];
            for place in 0..2 {
                let code = self.number()?;
                if code & 1 == 1 {
                    unknown[place] = Some(HeaderPart::unknown(code >> 1));
                    continue;
                }
                let (start, length) = (self.at, usize::try_from(code >> 1).ok()?);
                self.take(length)?;
                spans[place] = (start, start + length);
            }
            let part = |place: usize| {
                let (start, end) = spans[place];
                unknown[place].unwrap_or(HeaderPart::Known(&self.plain[start..end]))
            };
            headers.push_parts(part(0), part(1));
        }
        Some(headers)
    }

    fn extras(&mut self) -> Option<Option<Box<Extras>>> {
        let extras = self.some(|head| {
            Some(Extras {
                reset: head.some(Self::small)?,
                never_indexed: head.list(Self::small)?,
                pieces: head.list(|head| Some((head.number()?, head.signed()?)))?,
            })
        })?;
        Some(extras.map(Box::new))
    }

    fn request(&mut self, body: Bytes) -> Option<Request> {
        let (method, target) = (self.bytes()?, self.bytes()?);
        let (version, framing) = (self.version()?, self.framing()?);
        let (headers, trailers) = (self.headers()?, self.headers()?);
        let body = self.body(body)?;
        let verbatim = self.some(|head| {
            let kept = head.some(Self::bytes)?;
            let chunks = head.some(|head| {
                Some(match head.byte()? {
                    0 => Chunks::Sizes(head.list(Self::number)?),
                    1 => Chunks::Framing(head.bytes()?),
                    _ => return None,
                })
            })?;
            Some(Box::new(Verbatim { head: kept, chunks }))
        })?;
        let extras = self.extras()?;
        Some(Request {
            method,
            target,
            version,
            headers,
            body,
            framing,
            trailers,
            verbatim,
            extras,
        })
    }

    fn response(
        &mut self,
        content: impl FnOnce(&mut Self) -> Option<Bytes>,
    ) -> Option<TimedResponse> {
        let at = self.time()?;
        let (first_byte_ns, last_byte_ns) = (self.some(Self::signed)?, self.some(Self::signed)?);
        let (status, reason) = (self.small()?, self.bytes()?);
        let (version, framing) = (self.version()?, self.framing()?);
        let (headers, trailers) = (self.headers()?, self.headers()?);
        let length = self.number()?;
        let sha256 = self.some(|head| head.take(32)?.try_into().ok())?;
        let extras = self.extras()?;
        let bytes = content(self)?;
        let body = (length >= bytes.len() as u64).then_some(Body { bytes, length, sha256 })?;
        Some(TimedResponse {
            at,
            first_byte_ns,
            last_byte_ns,
            message: Response { status, reason, version, headers, body, framing, trailers, extras },
        })
    }
}
