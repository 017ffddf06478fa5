//! HTTP messages as they were on the wire, and the one parser that reads v1's bytes and v2's.
//!
//! This module knows nothing of TCP, captures or sockets. A message keeps what the sender chose
//! (names in their case, order, duplicates, framing); bodies are transfer-decoded (chunks joined,
//! RFC 9112 §7.1) and not content-decoded.

pub mod ages;
pub mod content;
pub mod dates;
pub mod document;
pub mod edit;
pub mod encoding;
pub mod fields;
pub mod grpc;
pub mod json;
pub mod kinds;
pub mod markup;
pub mod media;
pub mod method;
pub mod multipart;
pub(crate) mod packed;
pub mod place;
pub mod population;
pub mod protobuf;
pub(crate) mod signed;
pub mod target;
pub mod tokens;
pub mod trace;
pub mod wire;
pub mod zip;

use bytes::Bytes;

pub use wire::{Framing, Version};

/// Header fields in their order, names in their case, duplicates kept. One buffer, no allocation
/// per field.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// Where a field stands in the buffer: name at `start`, value right behind it. A part that is not
/// known has no octets, and [`UNKNOWN`] with its identity in place of its length.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    name: u32,
    value: u32,
}

/// Marks a part of a field that the capture cannot tell.
const UNKNOWN: u32 = 1 << 31;

impl Span {
    const fn name(self) -> usize {
        length(self.name)
    }

    const fn value(self) -> usize {
        length(self.value)
    }
}

const fn length(part: u32) -> usize {
    if part & UNKNOWN == 0 { part as usize } else { 0 }
}

/// A name or a value, or that the capture cannot tell it: an entry of a compression table that was
/// filled before the capture began (RFC 7541 §2.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderPart<'a> {
    /// Its octets.
    Known(&'a [u8]),
    /// Not known; parts of a connection with the same number are the same.
    Unknown(u32),
}

impl<'a> HeaderPart<'a> {
    /// An unknown part; of `identity` as many bits count as are kept.
    pub const fn unknown(identity: u64) -> Self {
        Self::Unknown(identity as u32 & !UNKNOWN)
    }

    /// Its octets, none where they are not known.
    pub const fn octets(self) -> &'a [u8] {
        match self {
            Self::Known(octets) => octets,
            Self::Unknown(_) => &[],
        }
    }

    /// Which of the unknown ones it is.
    pub const fn identity(self) -> Option<u32> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(identity) => Some(identity),
        }
    }

    const fn code(self) -> u32 {
        match self {
            Self::Known(octets) => octets.len() as u32,
            Self::Unknown(identity) => identity | UNKNOWN,
        }
    }

    const fn of(code: u32, octets: &'a [u8]) -> Self {
        if code & UNKNOWN == 0 { Self::Known(octets) } else { Self::Unknown(code & !UNKNOWN) }
    }
}

impl Headers {
    /// No fields.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), spans: Vec::new() }
    }

    /// With room for `fields` fields of `bytes` bytes in all.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(fields) }
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = u32::try_from(self.bytes.len())
            .expect("a head is bounded by limits::HEAD_BYTES, far below 4 GiB");
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.spans.push(Span { start, name: name.len() as u32, value: value.len() as u32 });
    }

    /// Adds a field at the end of which not everything may be known.
    pub fn push_parts(&mut self, name: HeaderPart<'_>, value: HeaderPart<'_>) {
        self.push(name.octets(), value.octets());
        if let Some(last) = self.spans.last_mut() {
            (last.name, last.value) = (name.code(), value.code());
        }
    }

    /// The fields in their order, with what is not known of them.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (HeaderPart<'_>, HeaderPart<'_>)> + Clone {
        self.spans.iter().zip(self.iter()).map(|(span, (name, value))| {
            (HeaderPart::of(span.name, name), HeaderPart::of(span.value, value))
        })
    }

    /// How many fields have a part that is not known.
    pub fn unknown(&self) -> usize {
        self.spans.iter().filter(|span| (span.name | span.value) & UNKNOWN != 0).count()
    }

    /// Adds bytes to the value of the last field (a folded line, RFC 9112 §5.2); nothing where
    /// there is no field.
    pub(crate) fn extend_last(&mut self, more: &[u8]) {
        if let Some(last) = self.spans.last_mut() {
            last.value += more.len() as u32;
            self.bytes.extend_from_slice(more);
        }
    }

    /// The fields in their order; what is not known is empty.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        self.spans.iter().map(|span| {
            let (start, name, value) = (span.start as usize, span.name(), span.value());
            (&self.bytes[start..start + name], &self.bytes[start + name..start + name + value])
        })
    }

    /// The values of the fields called `name` (case does not count, RFC 9110 §5.1), in their order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.called(name).map(|span| self.value(span))
    }

    /// The value of the first field called `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.called(name).next().map(|span| self.value(span))
    }

    /// The fields called `name`: most others have another length, and are not looked at.
    fn called<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Span> + 'a {
        self.spans.iter().filter(move |span| {
            let start = span.start as usize;
            span.name as usize == name.len()
                && self.bytes[start..start + name.len()].eq_ignore_ascii_case(name.as_bytes())
        })
    }

    fn value(&self, span: &Span) -> &[u8] {
        let start = span.start as usize + span.name();
        &self.bytes[start..start + span.value()]
    }

    /// How many fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// How much memory the fields take, in bytes.
    pub fn weight(&self) -> usize {
        self.bytes.len() + self.spans.len() * size_of::<Span>()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(
                self.iter().map(|(n, v)| (String::from_utf8_lossy(n), String::from_utf8_lossy(v))),
            )
            .finish()
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.push(name, value);
        }
        headers
    }
}

/// A body: transfer-decoded, not content-decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// What was kept of it (all of it, unless a limit cut it).
    pub bytes: Bytes,
    /// How many bytes there were, also those that were not kept.
    pub length: u64,
    /// SHA-256 of all bytes, where not all were kept.
    pub sha256: Option<[u8; 32]>,
}

impl Body {
    /// A body that was kept whole.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { length: bytes.len() as u64, bytes, sha256: None }
    }

    /// Whether a limit cut it.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() as u64 != self.length
    }
}

/// A request as it was on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method's bytes; empty where a request of HTTP/2 does not tell it.
    pub method: Bytes,
    /// The request-target exactly as sent, nothing decoded (RFC 9112 §3.2); empty where a request
    /// of HTTP/2 does not tell it.
    pub target: Bytes,
    /// `1.0`, `1.1`, `0.9`, `2`.
    pub version: Version,
    /// Header fields.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// How its end was told.
    pub framing: Framing,
    /// Trailer fields of a chunked body.
    pub trailers: Headers,
    /// How it stood on the wire, where the parts above do not tell.
    pub verbatim: Option<Box<wire::Verbatim>>,
    /// What few messages have.
    pub extras: Option<Box<Extras>>,
}

/// A response as it was on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code as three digits were read; servers may send any. 0 where an answer of HTTP/2
    /// does not tell it.
    pub status: u16,
    /// The reason phrase's bytes.
    pub reason: Bytes,
    /// The version of the status line.
    pub version: Version,
    /// Header fields.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// How its end was told.
    pub framing: Framing,
    /// Trailer fields of a chunked body.
    pub trailers: Headers,
    /// What few messages have.
    pub extras: Option<Box<Extras>>,
}

/// What few messages have: how a stream was reset, what must not be indexed, when the pieces of a
/// body came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The error code with which its sender reset the stream (RFC 9113 §7).
    pub reset: Option<u32>,
    /// Places of the header fields that must never be indexed (RFC 7541 §7.1.3).
    pub never_indexed: Vec<u32>,
    /// Of a body whose pace matters: how many bytes came, and when, in nanoseconds since the
    /// request's first byte (of an answer without a request, since its own).
    pub pieces: Vec<(u64, i64)>,
}

impl Extras {
    /// In a box, where there is anything to tell.
    pub fn of(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// With which code the sender of a message reset its stream.
pub fn reset_of(extras: Option<&Extras>) -> Option<u32> {
    extras.and_then(|extras| extras.reset)
}
