//! A request with its response, their times, and how complete they are.
//!
//! `wire` makes them, `record` writes and reads them as `exchanges.jsonl`.

pub mod mark;
pub mod socket;

pub use mark::Redacted;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::flow::{Direction, Endpoint};
use crate::message::{Body, Request, Response};
use crate::text_form::text_form;
use crate::time::Timestamp;

/// Names an exchange: the connection's rank by its first packet in the (merged) input, and the
/// request's place in it. Does not depend on the number of threads. Text form: `12-3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId {
    /// Rank of the connection, from 0.
    pub connection: u64,
    /// Place in the connection, from 0.
    pub ordinal: u32,
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connection, self.ordinal)
    }
}

impl FromStr for ExchangeId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (connection, ordinal) = text.split_once('-')?;
            Some(Self { connection: connection.parse().ok()?, ordinal: ordinal.parse().ok()? })
        };
        parse().ok_or_else(|| {
            format!("not an exchange id: {:?}", text.chars().take(64).collect::<String>())
        })
    }
}

text_form!(ExchangeId);

/// How much of an exchange the capture holds. Only complete ones are compared, only whole requests
/// are replayed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Completeness {
    /// Request and response, every byte.
    #[default]
    Complete,
    /// A whole request and no byte of an answer before the connection or the capture ended.
    NoResponse,
    /// Bytes of the request are missing.
    RequestDamaged,
    /// Bytes of the response are missing.
    ResponseDamaged,
    /// No request: the capture joined in the middle or saw one side only.
    OrphanResponse,
}

impl Completeness {
    /// The name in files, e.g. `no-response`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::NoResponse => "no-response",
            Self::RequestDamaged => "request-damaged",
            Self::ResponseDamaged => "response-damaged",
            Self::OrphanResponse => "orphan-response",
        }
    }

    /// Whether the request is there, whole: may be replayed.
    pub const fn request_is_whole(self) -> bool {
        matches!(self, Self::Complete | Self::NoResponse | Self::ResponseDamaged)
    }
}

/// A request and when it was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimedRequest {
    /// Capture time of its first byte.
    pub at: Timestamp,
    /// Nanoseconds from its first byte to its last.
    pub duration_ns: i64,
    /// The message.
    pub message: Request,
}

/// A response and when it was seen, counted from the request's first byte.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimedResponse {
    /// Capture time of its first byte; the only time an orphan has.
    pub at: Timestamp,
    /// Nanoseconds from the request's first byte to the response's first; none for an orphan.
    pub first_byte_ns: Option<i64>,
    /// Nanoseconds from the request's first byte to the response's last; none for an orphan or
    /// where the end is missing.
    pub last_byte_ns: Option<i64>,
    /// The message.
    pub message: Response,
}

/// Mark of an exchange whose recording tells nothing of its answer, not even that there was none: a
/// list of requests. Nothing can be compared with it.
pub const UNANSWERED: &str = "its answer was not recorded";
/// How a mark begins that says that the server did not look at a request.
pub const NOT_LOOKED_AT: &str = "not looked at: ";
/// Marks an exchange of an access log.
pub const OF_A_LOG: &str = "from an access log: bodies and most header fields are not in it";
/// Marks an answer of a HAR whose body nobody kept.
pub const BODY_NOT_KEPT: &str = "the HAR does not hold the response's body";

/// Whether a mark says that the recording tells of the answer its status and leaves the rest out:
/// then nothing is damaged, and the status is all that there is to compare.
pub fn tells_status_alone(mark: &str) -> bool {
    [OF_A_LOG, BODY_NOT_KEPT].contains(&mark)
}

/// Mark of a request whose recording does not name its host: a log.
pub const HOST_UNKNOWN: &str = "its host was not recorded";

/// The end of a connection, as the capture shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Closed(
    /// Rank of the connection.
    pub u64,
    /// Capture time of the later of its FINs, or of its reset; where the capture holds neither,
    /// when it was known to be over (its ports were used again, it was quiet for too long).
    pub Timestamp,
);

/// How an exchange was carried, where that is more than HTTP/1 in clear text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carriage {
    /// Its stream (RFC 9113 §5.1).
    pub stream: Option<u32>,
    /// The stream on which its request was promised by the server (RFC 9113 §8.4).
    pub pushed_by: Option<u32>,
    /// The TLS session around it.
    pub tls: Option<TlsSession>,
    /// What its client announced, of the first exchange of a connection.
    pub settings: Option<Box<ClientSettings>>,
    /// Messages of a WebSocket that it opened.
    pub messages: Vec<SocketMessage>,
}

/// What a client of HTTP/2 announced when it began its connection (RFC 9113 §3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientSettings {
    /// Its settings in their order: number and value (RFC 9113 §6.5.1).
    pub values: Vec<(u16, u32)>,
    /// By how much it enlarged the window of the connection before its first request (RFC 9113
    /// §6.9).
    pub window: u32,
}

/// What is told of a TLS session; never its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsSession {
    /// `1.0` to `1.3`.
    pub version: String,
    /// The cipher suite's name.
    pub suite: String,
    /// The name that the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The protocol that was agreed upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// An earlier session was resumed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// The request came as early data (RFC 8446 §2.3).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    /// The capture joined in the middle.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
}

/// A message of a WebSocket (RFC 6455 §5.4): fragments joined, compression undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketMessage {
    /// Where it went.
    pub direction: Direction,
    /// When its last byte came, in nanoseconds since the request's first.
    pub at_ns: i64,
    /// Its kind.
    pub kind: SocketKind,
    /// What it says.
    pub data: Body,
}

/// The kind of a WebSocket's message (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SocketKind {
    /// UTF-8.
    Text,
    /// Octets.
    Binary,
    /// The end, with a code and a reason.
    Close,
    /// A question whether the other end is there.
    Ping,
    /// The answer to one.
    Pong,
}

impl SocketKind {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }

    /// Whether it is what the two ends have to say, and no control frame.
    pub const fn is_data(self) -> bool {
        matches!(self, Self::Text | Self::Binary)
    }
}

/// One exchange of a capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Its name.
    pub id: ExchangeId,
    /// Who sent the request.
    pub client: Endpoint,
    /// Who answered.
    pub server: Endpoint,
    /// `http/1` or `http/2`.
    pub protocol: String,
    /// How much of it the capture holds.
    pub completeness: Completeness,
    /// The request; none for an orphan response.
    pub request: Option<TimedRequest>,
    /// The final response.
    pub response: Option<TimedResponse>,
    /// The 1xx responses before it, in order.
    pub interim: Vec<TimedResponse>,
    /// When the connection was opened (its SYN); none where the capture joined it later. On every
    /// exchange of it.
    pub opened_at: Option<Timestamp>,
    /// Round-trip time of the handshake as the tap saw it (SYN to the ACK of the SYN/ACK). On every
    /// exchange of it.
    pub handshake_ns: Option<i64>,
    /// What is damaged or odd, and where: kebab-case names with packet numbers, e.g. `gap of 1460
    /// bytes at packet 812`, `duplicate content-length`. Empty for a plain exchange.
    pub marks: Vec<String>,
    /// How it was carried, where that is more than HTTP/1 in clear text.
    pub carriage: Option<Box<Carriage>>,
    /// Connections that were seen to close since the exchange before this one in the order of the
    /// file, whichever they are: a connection closes when its last exchange has long been written.
    pub closed: Vec<Closed>,
}

impl Exchange {
    /// Whether it is marked so.
    pub fn is_marked(&self, mark: &str) -> bool {
        self.marks.iter().any(|own| own == mark)
    }

    /// Whether the server said that it did not look at the request (RFC 9113 §8.7): nothing of it was
    /// done, and its client may have asked again elsewhere.
    pub fn was_not_looked_at(&self) -> bool {
        self.marks.iter().any(|own| own.starts_with(NOT_LOOKED_AT))
    }

    /// Whether nothing but the end of its answer is missing: its client left, or the capture ended.
    pub fn is_begun(&self) -> bool {
        let mut marks = self.marks.iter().filter(|mark| mark.starts_with("response: ")).peekable();
        marks.peek().is_some()
            && marks.all(|mark| mark.contains("ended-inside") || mark.contains("reset with"))
    }

    /// An exchange of HTTP/1 between two ends of which nothing is known yet.
    pub fn between(client: Endpoint, server: Endpoint) -> Self {
        Self {
            id: ExchangeId::default(),
            client,
            server,
            protocol: "http/1".to_owned(),
            completeness: Completeness::default(),
            request: None,
            response: None,
            interim: Vec::new(),
            opened_at: None,
            handshake_ns: None,
            marks: Vec::new(),
            carriage: None,
            closed: Vec::new(),
        }
    }

    /// Gives connections other numbers, where those of several files would collide.
    pub fn renumber(&mut self, number: impl Fn(u64) -> u64) {
        self.id.connection = number(self.id.connection);
        self.closed.iter_mut().for_each(|closed| closed.0 = number(closed.0));
    }
}
