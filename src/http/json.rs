//! The JSON form of messages in `exchanges.jsonl` and `outcomes.jsonl`: written by hand into a buffer (the writer is on
//! the hot path of `parse`), read through serde.
//!
//! Octets are a JSON string where they are UTF-8 and `{"base64": …}` where not; bodies name both forms (`{"utf8": …}`).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use super::escape::{escape, is_plain};
use super::{Body, Framing, Headers, Request, Response, Version};

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
    match simdutf8::basic::from_utf8(octets) {
        Ok(text) => string(out, text),
        Err(_) => base64_object(out, octets),
    }
}

fn base64_object(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend_from_slice(b"{\"base64\":\"");
    let start = out.len();
    out.resize(start + octets.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(octets, &mut out[start..]).expect("the buffer has the encoded length");
    out.truncate(start + written);
    out.extend_from_slice(b"\"}");
}

/// Appends a body's bytes: `null` where there are none, `{"utf8": …}` or `{"base64": …}`.
fn body(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => {
            out.extend_from_slice(b"{\"utf8\":");
            string(out, text);
            out.push(b'}');
        }
        Err(_) => base64_object(out, bytes),
    }
}

/// Appends an integer.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends fields as pairs.
fn headers(out: &mut Vec<u8>, headers: &Headers) {
    out.push(b'[');
    for (index, (name, value)) in headers.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"[" } else { b",[" });
        octets(out, name);
        out.push(b',');
        octets(out, value);
        out.push(b']');
    }
    out.push(b']');
}

/// What requests and responses share, from `"version"` to `"trailers"`.
fn tail(out: &mut Vec<u8>, version: Version, fields: &Headers, content: &Body, framing: Framing, trailers: &Headers) {
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
    });
    out.extend_from_slice(b"\",\"trailers\":");
    headers(out, trailers);
}

/// Appends the fields of a request, without braces, so that the caller can put times before them.
pub fn request_fields(out: &mut Vec<u8>, request: &Request) {
    out.extend_from_slice(b"\"method\":");
    octets(out, &request.method);
    out.extend_from_slice(b",\"target\":");
    octets(out, &request.target);
    out.push(b',');
    tail(out, request.version, &request.headers, &request.body, request.framing, &request.trailers);
}

/// Appends the fields of a response, without braces.
pub fn response_fields(out: &mut Vec<u8>, response: &Response) {
    out.extend_from_slice(b"\"status\":");
    integer(out, i64::from(response.status));
    out.extend_from_slice(b",\"reason\":");
    octets(out, &response.reason);
    out.push(b',');
    tail(out, response.version, &response.headers, &response.body, response.framing, &response.trailers);
}

/// Octets as read: from a JSON string, `{"utf8": …}` or `{"base64": …}`; `null` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Octets(pub Bytes);

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OctetsVisitor;
        impl<'de> Visitor<'de> for OctetsVisitor {
            type Value = Octets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, {\"utf8\": …}, {\"base64\": …} or null")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Octets, E> {
                Ok(Octets::default())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Octets, E> {
                Ok(Octets(Bytes::copy_from_slice(text.as_bytes())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Octets, E> {
                Ok(Octets(Bytes::from(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Octets, A::Error> {
                let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? else {
                    return Err(de::Error::custom("an empty object where octets are expected"));
                };
                let value: std::borrow::Cow<'de, str> = map.next_value()?;
                let octets = match &*key {
                    "utf8" => Bytes::from(value.into_owned()),
                    "base64" => Bytes::from(BASE64.decode(value.as_bytes()).map_err(de::Error::custom)?),
                    other => return Err(de::Error::unknown_field(other, &["utf8", "base64"])),
                };
                match map.next_key::<de::IgnoredAny>()? {
                    None => Ok(Octets(octets)),
                    Some(_) => Err(de::Error::custom("more than one form of the same octets")),
                }
            }
        }
        deserializer.deserialize_any(OctetsVisitor)
    }
}

/// Header fields as read.
#[derive(Default)]
struct Fields(Headers);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs: Vec<(Octets, Octets)> = Deserialize::deserialize(deserializer)?;
        Ok(Self(pairs.iter().map(|(name, value)| (&*name.0, &*value.0)).collect()))
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct RawTail {
    version: String,
    headers: Fields,
    body: Octets,
    body_bytes: Option<u64>,
    body_sha256: Option<String>,
    framing: Framing,
    trailers: Fields,
}

impl Default for RawTail {
    fn default() -> Self {
        Self {
            version: "1.1".to_owned(),
            headers: Fields::default(),
            body: Octets::default(),
            body_bytes: None,
            body_sha256: None,
            framing: Framing::None,
            trailers: Fields::default(),
        }
    }
}

#[derive(Deserialize)]
struct RawRequest {
    method: Octets,
    target: Octets,
    #[serde(flatten)]
    tail: RawTail,
}

#[derive(Deserialize)]
struct RawResponse {
    status: u16,
    #[serde(default)]
    reason: Octets,
    #[serde(flatten)]
    tail: RawTail,
}

fn content(bytes: Bytes, length: Option<u64>, sha256: Option<&str>) -> Result<Body, String> {
    let length = length.unwrap_or(bytes.len() as u64);
    let sha256 = sha256.map(digest).transpose()?;
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
        let RawRequest { method, target, tail } = RawRequest::deserialize(deserializer)?;
        Ok(Self {
            method: method.0,
            target: target.0,
            version: tail.version.parse().map_err(de::Error::custom)?,
            headers: tail.headers.0,
            body: content(tail.body.0, tail.body_bytes, tail.body_sha256.as_deref()).map_err(de::Error::custom)?,
            framing: tail.framing,
            trailers: tail.trailers.0,
        })
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RawResponse { status, reason, tail } = RawResponse::deserialize(deserializer)?;
        Ok(Self {
            status,
            reason: reason.0,
            version: tail.version.parse().map_err(de::Error::custom)?,
            headers: tail.headers.0,
            body: content(tail.body.0, tail.body_bytes, tail.body_sha256.as_deref()).map_err(de::Error::custom)?,
            framing: tail.framing,
            trailers: tail.trailers.0,
        })
    }
}
