//! What a parser of HTTP/1 is asked for and what it gives: sides, bounds, messages with their marks
//! and what is damaged or odd about them.

use crate::limits;
use crate::message::{Body, Framing, Headers, Request, Response, Version};
use crate::wire::pace::Pieces;

/// The mark of a message whose body was longer than the limit: its beginning is kept, and its
/// length and hash.
pub const BODY_KEPT_IN_PART: &str = "body-kept-in-part";

/// Which messages a parser reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageSide {
    /// Requests.
    Requests,
    /// Responses.
    Responses,
    /// Whichever the first start line is; fixed from then on.
    Either,
}

/// What a response answers; its framing depends on it (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// A `HEAD`: no body whatever the head says.
    Head,
    /// A `CONNECT`: a 2xx answer opens a tunnel.
    Connect,
    /// A request of HTTP/0.9: the answer may have no head (RFC 1945 §4.1).
    Simple,
    /// Any other.
    #[default]
    Other,
}

impl Expect {
    /// What an answer to `request` must be read as.
    pub fn answer_to(request: &Request) -> Self {
        match &request.method[..] {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ if request.version == Version::Http09 => Self::Simple,
            _ => Self::Other,
        }
    }
}

/// Bounds of a parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParserLimits {
    /// Longest head, in bytes; also of a trailer section.
    pub head_bytes: usize,
    /// Most header fields.
    pub header_fields: usize,
    /// Largest body that is kept; the rest is counted.
    pub body_bytes: usize,
    /// Whether a body that is not kept whole is hashed.
    pub hash_rest: bool,
    /// What is kept beside bodies.
    pub keep: Keep,
    /// A response whose length cannot be told, or cannot be meant, is damaged from its head on: for
    /// who reads live and would wait for its end in vain. So is one that no client takes.
    pub strict: bool,
}

/// What of a message is kept. How messages are read, and what is damaged or odd about them, does
/// not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Everything.
    #[default]
    Everything,
    /// Start lines and, of plain heads, the fields that decide something: framing, the connection's
    /// end and switch (with what a WebSocket agrees upon), and `Host`. Nothing of how it stood on
    /// the wire.
    Outline,
}

impl ParserLimits {
    /// For who counts messages: no bodies, no header fields but those of [`Keep::Outline`].
    pub fn outline() -> Self {
        Self { body_bytes: 0, hash_rest: false, keep: Keep::Outline, ..Self::default() }
    }
}

impl Default for ParserLimits {
    fn default() -> Self {
        Self {
            head_bytes: limits::HEAD_BYTES,
            header_fields: limits::HEADER_FIELDS,
            body_bytes: limits::BODY_BYTES,
            hash_rest: true,
            keep: Keep::Everything,
            strict: false,
        }
    }
}

/// A message of either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response, interim (1xx but 101) or final.
    Response(Response),
}

impl Message {
    /// Whether it is an interim response, which answers no request (RFC 9110 §15.2); 101 is final
    /// for HTTP/1.
    pub const fn is_interim(&self) -> bool {
        matches!(self, Self::Response(Response { status: 100 | 102..=199, .. }))
    }

    pub(super) fn set_body(&mut self, body: Body, framing: Framing) {
        match self {
            Self::Request(message) => (message.body, message.framing) = (body, framing),
            Self::Response(message) => (message.body, message.framing) = (body, framing),
        }
    }

    pub(super) fn set_trailers(&mut self, trailers: Headers) {
        match self {
            Self::Request(message) => message.trailers = trailers,
            Self::Response(message) => message.trailers = trailers,
        }
    }
}

/// Why a message is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Bytes in it are missing.
    Gap,
    /// The stream ended inside.
    Ended,
    /// Its chunks cannot be read.
    BadChunk,
    /// Its head or trailer section is longer than the limit.
    HeadLimit,
    /// Its head tells no length, two lengths, or one that no message has
    /// ([`ParserLimits::strict`]).
    BadLength,
    /// A NUL stands in its head, which no client takes (RFC 9110 §5.5; [`ParserLimits::strict`]).
    NulInHead,
}

impl Damage {
    /// The name in `Exchange.marks`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gap => "bytes-missing",
            Self::Ended => "ended-inside",
            Self::BadChunk => "bad-chunk",
            Self::HeadLimit => "head-limit",
            Self::BadLength => "bad-length",
            Self::NulInHead => "nul-in-head",
        }
    }
}

/// Bytes that are missing from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole<M> {
    /// How many.
    pub bytes: u64,
    /// Where the caller saw it.
    pub mark: M,
}

/// A message as it came, whole or damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<M> {
    /// The message; of a damaged one what was there.
    pub message: Message,
    /// The mark of the slice that held the first byte of its start line.
    pub first: M,
    /// The mark of the slice that completed it; of a damaged one, of the last slice that belonged
    /// to it.
    pub last: M,
    /// Offset of its first byte in the stream, bytes of gaps counted.
    pub start: u64,
    /// Offset behind its last byte.
    pub end: u64,
    /// Why it is not whole; none for a whole one.
    pub damage: Option<Damage>,
    /// Where bytes of it are missing.
    pub holes: Vec<Hole<M>>,
    /// When its body came, where its pace says something.
    pub(crate) pieces: Option<Pieces<M>>,
    /// What is odd about it, by kebab-case names.
    pub oddities: Vec<&'static str>,
    /// Whether the connection goes on after it, by what the message says (RFC 9112 §9.3).
    pub persists: bool,
    /// It was found by search after bytes were lost or not understood, or joined in the middle:
    /// messages may be missing before it.
    pub resumed: bool,
    /// A response: what follows it belongs to another protocol (101, 2xx to CONNECT). A request: it
    /// asks for that.
    pub tunnel: bool,
}
