//! The JSON form of messages in `exchanges.jsonl` and `outcomes.jsonl`: written by hand into a
//! buffer (the writer is on the hot path of `parse`), read through serde.
//!
//! Octets are a JSON string where they are UTF-8 and `{"base64": …}` where not; bodies name both
//! forms (`{"utf8": …}`).

pub(crate) mod quick;

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use crate::limits;
use crate::message::json::escape::{escape, escape_utf8, is_plain};
use crate::message::wire::{Chunks, Verbatim};
use crate::message::{Body, Extras, Framing, HeaderPart, Headers, Request, Response, Version};
use crate::time::Timestamp;

/// Appends `text` as a JSON string with its quotes (RFC 8259 §7).
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text.as_bytes());
    out.push(b'"');
}

/// Appends octets: a JSON string where they are UTF-8, else `{"base64": …}`.
pub fn octets(out: &mut Vec<u8>, octets: &[u8]) {
    if octets.len() <= 64 && is_plain(octets) {
        out.push(b'"');
        out.extend_from_slice(octets);
        out.push(b'"');
        return;
    }
    let start = out.len();
    out.push(b'"');
    if escape_utf8(out, octets) {
        out.push(b'"');
    } else {
        out.truncate(start);
        base64_object(out, octets);
    }
}

fn base64_object(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend_from_slice(b"{\"base64\":\"");
    let start = out.len();
    out.resize(start + octets.len().div_ceil(3) * 4, 0);
    let written =
        BASE64.encode_slice(octets, &mut out[start..]).expect("the buffer has the encoded length");
    out.truncate(start + written);
    out.extend_from_slice(b"\"}");
}

/// Appends a body's bytes: `null` where there are none, `{"utf8": …}` or `{"base64": …}`.
pub(super) fn body(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    let start = out.len();
    out.extend_from_slice(b"{\"utf8\":\"");
    if is_short_escaped(bytes) && escape_utf8(out, bytes) {
        out.extend_from_slice(b"\"}");
    } else {
        out.truncate(start);
        base64_object(out, bytes);
    }
}

/// Whether a body's text is no longer escaped than in base64; not looked at where it is small.
/// Control characters take six bytes, and a line of them would be longer than readers take.
fn is_short_escaped(text: &[u8]) -> bool {
    let escape = |&byte: &u8| match byte {
        0..0x20 => 5,
        b'"' | b'\\' => 1,
        _ => 0,
    };
    text.len() <= limits::ESCAPED_BODY_BYTES
        || text.iter().map(escape).sum::<usize>() <= text.len() / 3
}

/// Appends an integer.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends fields as pairs.
fn headers(out: &mut Vec<u8>, headers: &Headers) {
    out.push(b'[');
    for (index, (name, value)) in headers.parts().enumerate() {
        out.extend_from_slice(if index == 0 { b"[" } else { b",[" });
        part(out, name);
        out.push(b',');
        part(out, value);
        out.push(b']');
    }
    out.push(b']');
}

/// Appends a name or a value; `null` where the capture cannot tell it.
fn part(out: &mut Vec<u8>, part: HeaderPart<'_>) {
    match part {
        HeaderPart::Known(known) => octets(out, known),
        HeaderPart::Unknown(_) => out.extend_from_slice(b"null"),
    }
}

/// Appends octets of which HTTP/2 may not tell any: `null` then.
fn told(out: &mut Vec<u8>, text: &[u8], version: Version) {
    if text.is_empty() && version == Version::Http2 {
        out.extend_from_slice(b"null");
    } else {
        octets(out, text);
    }
}

/// Appends what few messages have.
#[cold]
fn extra_fields(out: &mut Vec<u8>, extras: &Extras) {
    if let Some(code) = extras.reset {
        out.extend_from_slice(b",\"reset\":");
        integer(out, i64::from(code));
    }
    if !extras.never_indexed.is_empty() {
        out.extend_from_slice(b",\"never_indexed\":[");
        for (index, &place) in extras.never_indexed.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            integer(out, i64::from(place));
        }
        out.push(b']');
    }
    for (index, &(bytes, nanos)) in extras.pieces.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"pieces\":[[" } else { b",[" });
        integer(out, i64::try_from(bytes).unwrap_or(i64::MAX));
        out.push(b',');
        integer(out, nanos);
        out.push(b']');
    }
    if !extras.pieces.is_empty() {
        out.push(b']');
    }
}

/// What requests and responses share, from `"version"` to `"trailers"`.
fn tail(
    out: &mut Vec<u8>,
    version: Version,
    fields: &Headers,
    content: &Body,
    framing: Framing,
    trailers: &Headers,
) {
    out.extend_from_slice(b"\"version\":\"");
    match version {
        Version::Http11 => out.extend_from_slice(b"1.1"),
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
    out.extend_from_slice(b"\",\"headers\":");
    headers(out, fields);
    out.extend_from_slice(b",\"body\":");
    body(out, &content.bytes);
    out.extend_from_slice(b",\"body_bytes\":");
    integer(out, i64::try_from(content.length).unwrap_or(i64::MAX));
    if let Some(digest) = &content.sha256 {
        out.extend_from_slice(b",\"body_sha256\":\"");
        for byte in digest {
            out.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
        out.push(b'"');
    }
    out.extend_from_slice(b",\"framing\":\"");
    out.extend_from_slice(match framing {
        Framing::None => b"none",
        Framing::ContentLength => b"content-length",
        Framing::Chunked => b"chunked",
        Framing::Close => b"close",
        Framing::Frames => b"frames",
    });
    out.extend_from_slice(b"\",\"trailers\":");
    headers(out, trailers);
}

/// Appends the fields of a request, without braces, so that the caller can put times before them.
pub fn request_fields(out: &mut Vec<u8>, request: &Request) {
    out.extend_from_slice(b"\"method\":");
    told(out, &request.method, request.version);
    out.extend_from_slice(b",\"target\":");
    told(out, &request.target, request.version);
    out.push(b',');
    tail(out, request.version, &request.headers, &request.body, request.framing, &request.trailers);
    if let Some(verbatim) = &request.verbatim {
        verbatim_fields(out, verbatim);
    }
    if let Some(extras) = &request.extras {
        extra_fields(out, extras);
    }
}

/// Appends what few requests have.
#[cold]
fn verbatim_fields(out: &mut Vec<u8>, verbatim: &Verbatim) {
    if let Some(head) = &verbatim.head {
        out.extend_from_slice(b",\"head\":");
        octets(out, head);
    }
    match &verbatim.chunks {
        None => {}
        Some(Chunks::Framing(framing)) => {
            out.extend_from_slice(b",\"chunks\":");
            octets(out, framing);
        }
        Some(Chunks::Sizes(sizes)) => {
            out.extend_from_slice(b",\"chunks\":[");
            for (place, &size) in sizes.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                integer(out, i64::try_from(size).unwrap_or(i64::MAX));
            }
            out.push(b']');
        }
    }
}

/// Appends the fields of a response, without braces.
pub fn response_fields(out: &mut Vec<u8>, response: &Response) {
    out.extend_from_slice(b"\"status\":");
    match (response.status, response.version) {
        (0, Version::Http2) => out.extend_from_slice(b"null"),
        (status, _) => integer(out, i64::from(status)),
    }
    out.extend_from_slice(b",\"reason\":");
    octets(out, &response.reason);
    out.push(b',');
    tail(
        out,
        response.version,
        &response.headers,
        &response.body,
        response.framing,
        &response.trailers,
    );
    if let Some(extras) = &response.extras {
        extra_fields(out, extras);
    }
}

/// Octets as read: from a JSON string, `{"utf8": …}` or `{"base64": …}`; `null` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Octets(pub Bytes);

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        OctetsPiece::deserialize(deserializer).map(|piece| {
            Self(match piece.0 {
                Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
                Cow::Owned(bytes) => Bytes::from(bytes),
            })
        })
    }
}

/// A string as it stands in the input, where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Octets that need not be kept: most stand in the input as they are.
#[derive(Default)]
struct OctetsPiece<'a>(Cow<'a, [u8]>);

impl<'de> Deserialize<'de> for OctetsPiece<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PieceVisitor;
        impl<'de> Visitor<'de> for PieceVisitor {
            type Value = OctetsPiece<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, {\"utf8\": …}, {\"base64\": …} or null")
            }

            fn visit_unit<E: de::Error>(self) -> Result<OctetsPiece<'de>, E> {
                Ok(OctetsPiece::default())
            }

            fn visit_borrowed_str<E: de::Error>(
                self,
                text: &'de str,
            ) -> Result<OctetsPiece<'de>, E> {
                Ok(OctetsPiece(Cow::Borrowed(text.as_bytes())))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OctetsPiece<'de>, E> {
                Ok(OctetsPiece(Cow::Owned(text.as_bytes().to_vec())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<OctetsPiece<'de>, E> {
                Ok(OctetsPiece(Cow::Owned(text.into_bytes())))
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<OctetsPiece<'de>, A::Error> {
                let Some(Text(key)) = map.next_key()? else {
                    return Err(de::Error::custom("an empty object where octets are expected"));
                };
                let Text(value) = map.next_value()?;
                let octets = match (&*key, value) {
                    ("utf8", Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
                    ("utf8", Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
                    ("base64", text) => {
                        Cow::Owned(BASE64.decode(text.as_bytes()).map_err(de::Error::custom)?)
                    }
                    (other, _) => return Err(de::Error::unknown_field(other, &["utf8", "base64"])),
                };
                match map.next_key::<de::IgnoredAny>()? {
                    None => Ok(OctetsPiece(octets)),
                    Some(_) => Err(de::Error::custom("more than one form of the same octets")),
                }
            }
        }
        deserializer.deserialize_any(PieceVisitor)
    }
}

fn known<'a>(piece: Option<&'a OctetsPiece<'_>>) -> HeaderPart<'a> {
    piece.map_or(HeaderPart::unknown(0), |piece| HeaderPart::Known(&piece.0))
}

/// Header fields as read, put into their place one by one.
#[derive(Default)]
struct HeaderFields(Headers);

impl<'de> Deserialize<'de> for HeaderFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = HeaderFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of pairs of name and value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<HeaderFields, A::Error> {
                let mut headers = Headers::new();
                type Pair<'a> = (Option<OctetsPiece<'a>>, Option<OctetsPiece<'a>>);
                while let Some((name, value)) = pairs.next_element::<Pair<'de>>()? {
                    headers.push_parts(known(name.as_ref()), known(value.as_ref()));
                }
                Ok(HeaderFields(headers))
            }
        }
        deserializer.deserialize_seq(FieldsVisitor)
    }
}

/// A message as it stands in a file, with the times that may stand beside it: all fields side by
/// side, since reading nested ones (serde's `flatten`) costs several times as much.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RawMessage<'a> {
    /// When its first byte was seen.
    pub at: Option<Timestamp>,
    /// From a request's first byte to its last.
    pub duration_ns: i64,
    /// An answer's first byte, since the request's.
    pub first_byte_ns: Option<i64>,
    /// An answer's last byte, since the request's first.
    pub last_byte_ns: Option<i64>,
    /// A request's method.
    method: Option<Octets>,
    /// A request's target, as it was said.
    target: Option<Octets>,
    /// An answer's status; null where HTTP/2's cannot be known.
    status: Option<u16>,
    /// An answer's reason phrase.
    reason: Octets,
    /// `0.9`, `1.0`, `1.1` or `2`.
    #[serde(borrow)]
    version: Option<Text<'a>>,
    /// Pairs of name and value, in order, as they were said; of HTTP/2 with pseudo-header fields.
    headers: HeaderFields,
    /// What it says: chunks joined, content codings as they came (gzip stays gzip).
    body: Octets,
    /// The body's length, also where `body` holds only its beginning.
    body_bytes: Option<u64>,
    /// The hash of the whole body, where `body` holds only its beginning.
    #[serde(borrow)]
    body_sha256: Option<Text<'a>>,
    /// `none`, `content-length`, `chunked`, `close` or `frames`.
    framing: Framing,
    /// Fields behind the body, as `headers`.
    trailers: HeaderFields,
    /// A request's head byte by byte, where it is odd (blanks, folds, line ends).
    head: Option<Octets>,
    /// Where a request's chunked body was cut: sizes, or what stood around them.
    chunks: Option<RawChunks>,
    /// The error code by which the stream was reset (RFC 9113 §7).
    reset: Option<u32>,
    /// Fields that must never enter a table of HPACK (RFC 7541 §6.2.3), by number.
    never_indexed: Vec<u32>,
    /// Pieces of the body, where their pace says something: bytes, and when, since the request.
    pieces: Vec<(u64, i64)>,
}

/// Chunks as read: sizes, or what stood around them.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawChunks {
    Sizes(Vec<u64>),
    Framing(Octets),
}

impl RawMessage<'_> {
    /// As a request; the error names what is missing or wrong.
    pub fn into_request(self) -> Result<Request, String> {
        let (version, body) =
            (version(self.version)?, content(self.body.0, self.body_bytes, self.body_sha256)?);
        let chunks = self.chunks.map(|chunks| match chunks {
            RawChunks::Sizes(sizes) => Chunks::Sizes(sizes),
            RawChunks::Framing(framing) => Chunks::Framing(framing.0),
        });
        let Self { reset, never_indexed, pieces, .. } = self;
        let may_miss = |octets: Option<Octets>, missing| match octets {
            Some(octets) => Ok(octets.0),
            None if version == Version::Http2 => Ok(Bytes::new()),
            None => Err(missing),
        };
        Ok(Request {
            method: may_miss(self.method, "missing field `method`")?,
            target: may_miss(self.target, "missing field `target`")?,
            version,
            headers: self.headers.0,
            body,
            framing: self.framing,
            trailers: self.trailers.0,
            verbatim: Verbatim::of(self.head.map(|head| head.0), chunks),
            extras: Extras { reset, never_indexed, pieces }.of(),
        })
    }

    /// As a response; the error names what is missing or wrong.
    pub fn into_response(self) -> Result<Response, String> {
        let (version, body) =
            (version(self.version)?, content(self.body.0, self.body_bytes, self.body_sha256)?);
        let Self { reset, never_indexed, pieces, .. } = self;
        let status = match self.status {
            None if version != Version::Http2 => return Err("missing field `status`".to_owned()),
            status => status.unwrap_or_default(),
        };
        Ok(Response {
            status,
            reason: self.reason.0,
            version,
            headers: self.headers.0,
            body,
            framing: self.framing,
            trailers: self.trailers.0,
            extras: Extras { reset, never_indexed, pieces }.of(),
        })
    }
}

fn version(text: Option<Text<'_>>) -> Result<Version, String> {
    text.map_or(Ok(Version::Http11), |Text(text)| text.parse())
}

fn content(bytes: Bytes, length: Option<u64>, sha256: Option<Text<'_>>) -> Result<Body, String> {
    // A line that was edited may say that there is less than it has.
    let length = length.unwrap_or(0).max(bytes.len() as u64);
    let sha256 = sha256.map(|Text(text)| digest(&text)).transpose()?;
    Ok(Body { bytes, length, sha256 })
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "body_sha256 is not 64 hexadecimal digits".to_owned();
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (place, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *place = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RawMessage::deserialize(deserializer)?.into_request().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RawMessage::deserialize(deserializer)?.into_response().map_err(de::Error::custom)
    }
}
