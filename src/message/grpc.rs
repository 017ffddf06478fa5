//! gRPC and gRPC-Web over HTTP: the messages that a body carries, and the status of a call.
//!
//! A message stands behind five octets: whether it is compressed, and its length (gRPC over HTTP2,
//! "Length-Prefixed-Message"). The status of a call is in the trailer fields, in the head where
//! there is no message, and with gRPC-Web in a last frame of the body.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::media::MediaType;
use super::{Headers, Response, content};
use crate::limits::CONTENT_BYTES;

/// The field that names the status of a call.
pub const STATUS: &str = "grpc-status";
/// How long the head of a message is, in bytes.
const PREFIX: usize = 5;
/// Marks a frame of gRPC-Web that holds trailer fields.
const TRAILERS: u8 = 0x80;
/// Names of the codes (google.rpc.Code), by number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What a message is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Protocol Buffers.
    Protobuf,
    /// JSON.
    Json,
    /// Anything else.
    Other,
}

/// How the content of a type is written, where it is that of a call.
pub fn codec(kind: MediaType<'_>) -> Option<Codec> {
    /// Every body that is walked asks.
    const START: &str = "application/grpc";
    let (start, rest) = kind.name().split_at_checked(START.len())?;
    if !start.eq_ignore_ascii_case(START) {
        return None;
    }
    let rest = &*rest.to_ascii_lowercase();
    let rest = rest.strip_prefix("-web").unwrap_or(rest);
    match rest.strip_prefix("-text").unwrap_or(rest) {
        "" | "+proto" => Some(Codec::Protobuf),
        "+json" => Some(Codec::Json),
        other => other.starts_with('+').then_some(Codec::Other),
    }
}

/// How the messages of a body with these fields are written, framed or not; none where it is the
/// body of no call.
pub fn codec_of(headers: &Headers) -> Option<Codec> {
    let kind = MediaType::new(headers.get("content-type").unwrap_or_default());
    codec(kind).or_else(|| is_bare_protobuf(kind).then_some(Codec::Protobuf))
}

/// A content of one message without frames, as Twirp, Connect and others send it.
pub fn is_bare_protobuf(kind: MediaType<'_>) -> bool {
    const NAMES: [&str; 5] = [
        "application/protobuf",
        "application/x-protobuf",
        "application/vnd.google.protobuf",
        "application/x-google-protobuf",
        "application/proto",
    ];
    NAMES.iter().any(|name| kind.name().eq_ignore_ascii_case(name))
}

/// The messages of a body.
#[derive(Debug, Default, PartialEq)]
pub struct Messages<'b> {
    /// Each without its compression; none for one whose compression cannot be undone.
    pub messages: Vec<Option<Cow<'b, [u8]>>>,
    /// The trailer fields in the body, with gRPC-Web.
    pub trailers: Option<Headers>,
    /// Bytes at the end that are no whole message.
    pub rest: usize,
}

/// Cuts a body into its messages. `headers` say how they are compressed.
pub fn messages<'b>(kind: MediaType<'_>, headers: &Headers, body: &'b [u8]) -> Messages<'b> {
    let framed = framed(kind, body);
    match framed {
        Cow::Borrowed(framed) => cut(headers, framed),
        Cow::Owned(framed) => {
            let Messages { messages, trailers, rest } = cut(headers, &framed);
            let own = |message: Option<Cow<'_, [u8]>>| {
                message.map(|message| Cow::Owned(message.into_owned()))
            };
            Messages { messages: messages.into_iter().map(own).collect(), trailers, rest }
        }
    }
}

/// The frames of a body: with `application/grpc-web-text` they stand in base64.
fn framed<'b>(kind: MediaType<'_>, body: &'b [u8]) -> Cow<'b, [u8]> {
    if !is_text(kind) {
        return Cow::Borrowed(body);
    }
    let mut out = Vec::with_capacity(body.len() / 4 * 3);
    // Each part that was sent has its own padding.
    for part in body.split_inclusive(|&byte| byte == b'=') {
        let padded = part.len().next_multiple_of(4) - part.len();
        let part = [part, &b"==="[..padded]].concat();
        match STANDARD.decode(&part) {
            Ok(decoded) => out.extend(decoded),
            Err(_) if part.iter().all(|&byte| byte == b'=') => {}
            Err(_) => break,
        }
    }
    Cow::Owned(out)
}

fn is_text(kind: MediaType<'_>) -> bool {
    kind.name().to_ascii_lowercase().starts_with("application/grpc-web-text")
}

fn cut<'b>(headers: &Headers, body: &'b [u8]) -> Messages<'b> {
    let mut found = Messages::default();
    let mut at = 0;
    while let Some((flags, message)) = frame(&body[at..]) {
        at += PREFIX + message.len();
        let plain = plain(headers, flags, message);
        if flags & TRAILERS == 0 {
            found.messages.push(plain);
        } else if let Some(plain) = plain {
            found.trailers = Some(fields(&plain));
        }
    }
    found.rest = body.len() - at;
    found
}

/// The frame that `bytes` begin with: its flags and its content.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[flags, a, b, c, d], rest) = bytes.split_first_chunk::<PREFIX>()?;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    Some((flags, rest.get(..length)?))
}

fn plain<'b>(headers: &Headers, flags: u8, message: &'b [u8]) -> Option<Cow<'b, [u8]>> {
    if flags & 1 == 0 {
        return Some(Cow::Borrowed(message));
    }
    content::decode(message, headers.all("grpc-encoding"), CONTENT_BYTES).ok()
}

/// Lines of names and values, as the trailers of gRPC-Web are written.
fn fields(text: &[u8]) -> Headers {
    let lines = text.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
    });
    lines.collect()
}

/// A body with other messages in the place of its own, uncompressed; `None` keeps one as it is.
/// None where the body does not hold as many.
pub fn with_messages(kind: MediaType<'_>, body: &[u8], new: &[Option<Vec<u8>>]) -> Option<Vec<u8>> {
    let framed = framed(kind, body);
    let mut out = Vec::with_capacity(framed.len());
    let (mut at, mut new) = (0, new.iter());
    while let Some((flags, message)) = frame(&framed[at..]) {
        let end = at + PREFIX + message.len();
        match if flags & TRAILERS == 0 { new.next()? } else { &None } {
            Some(edited) => {
                out.push(flags & !1);
                out.extend_from_slice(&(edited.len() as u32).to_be_bytes());
                out.extend_from_slice(edited);
            }
            None => out.extend_from_slice(&framed[at..end]),
        }
        at = end;
    }
    out.extend_from_slice(&framed[at..]);
    Some(if is_text(kind) { STANDARD.encode(out).into_bytes() } else { out })
}

/// One message as a body holds it, uncompressed.
pub fn frame_of(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// The status of the call that `response` answers; none where it is no call, or has no status.
pub fn status(response: &Response) -> Option<u16> {
    let of = |fields: &Headers| number(fields.get(STATUS)?);
    of(&response.trailers).or_else(|| of(&response.headers)).or_else(|| {
        let kind = MediaType::new(response.headers.get("content-type").unwrap_or_default());
        codec(kind)?;
        of(&messages(kind, &response.headers, &response.body.bytes).trailers?)
    })
}

/// The status in the trailers of a body of gRPC-Web, whose content is of the type `name`.
pub fn web_status(name: &str, body: &[u8]) -> Option<u16> {
    let found = messages(MediaType::new(name.as_bytes()), &Headers::new(), body);
    number(found.trailers?.get(STATUS)?)
}

/// Whether a content type is one of gRPC-Web.
pub fn is_web(content_type: &[u8]) -> bool {
    const START: &[u8] = b"application/grpc-web";
    content_type.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}

/// A status as its field writes it.
pub fn number(value: &[u8]) -> Option<u16> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// `13 INTERNAL`.
pub fn shown(code: u16) -> String {
    match NAMES.get(usize::from(code)) {
        Some(name) => format!("{code} {name}"),
        None => code.to_string(),
    }
}

/// The status of HTTP that says the same (google/rpc/code.proto): what judges errors.
pub const fn as_http(code: u16) -> u16 {
    match code {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// The status that tells whether an answer is an error: that of the call where it is one.
pub fn judged_status(response: &Response) -> u16 {
    judged(response.status, status(response))
}

/// [`judged_status`] of an answer with this status of HTTP and, where it is one, of a call.
pub fn judged(http: u16, call: Option<u16>) -> u16 {
    call.filter(|_| http == 200).map_or(http, as_http)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::message::Body;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    fn kind(text: &str) -> MediaType<'_> {
        MediaType::new(text.as_bytes())
    }

    #[test]
    fn codecs_are_known_by_the_type() {
        for (name, codec) in [
            ("application/grpc", Some(Codec::Protobuf)),
            ("Application/gRPC+proto; x=1", Some(Codec::Protobuf)),
            ("application/grpc-web+json", Some(Codec::Json)),
            ("application/grpc-web-text+proto", Some(Codec::Protobuf)),
            ("application/grpc+thrift", Some(Codec::Other)),
            ("application/grpcish", None),
            ("application/json", None),
        ] {
            assert_eq!(super::codec(kind(name)), codec, "{name}");
        }
    }

    #[test]
    fn messages_are_cut_out_whatever_carries_them() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"squeezed").expect("memory");
        let gzip = gzip.finish().expect("memory");
        let mut body = frame_of(b"one");
        body.extend([&[1][..], &(gzip.len() as u32).to_be_bytes(), &gzip].concat());
        body.extend([1, 0, 0, 0, 2, 7, 7]);
        let fields = headers(&[("grpc-encoding", "gzip")]);
        let found = messages(kind("application/grpc"), &fields, &body);
        let texts: Vec<_> = found.messages.iter().map(|message| message.as_deref()).collect();
        assert_eq!(texts, [Some(&b"one"[..]), Some(b"squeezed"), None]);
        body.extend(b"\0\0\0\0\x09cut");
        assert_eq!(messages(kind("application/grpc"), &fields, &body).rest, 8);

        let trailers = b"grpc-status: 5\r\ngrpc-message:no\r\n";
        let mut web = frame_of(b"one");
        web.extend([&[0x80][..], &(trailers.len() as u32).to_be_bytes(), trailers].concat());
        // Each part of the text has its own padding.
        let text = STANDARD.encode(&web[..7]) + &STANDARD.encode(&web[7..]);
        for (name, body) in
            [("application/grpc-web", web), ("application/grpc-web-text", text.into_bytes())]
        {
            let found = messages(kind(name), &Headers::new(), &body);
            assert_eq!(found.messages, [Some(b"one".into())], "{name}");
            let response = Response {
                status: 200,
                headers: headers(&[("content-type", name)]),
                body: Body::whole(body.clone()),
                ..Response::default()
            };
            assert_eq!((status(&response), judged_status(&response)), (Some(5), 404));
            let edited = with_messages(kind(name), &body, &[Some(b"other".to_vec())]);
            let edited = edited.expect("one message");
            let again = messages(kind(name), &Headers::new(), &edited);
            assert_eq!(again.messages, [Some(b"other".into())], "{name}");
            assert_eq!(again.trailers, found.trailers);
        }
    }

    #[test]
    fn no_body_is_lost_or_panics() {
        for body in [&b""[..], b"\0", b"\0\xff\xff\xff\xff", b"\x80\0\0\0\0", b"=====", b"AAA=B"] {
            for name in ["application/grpc", "application/grpc-web-text"] {
                let found = messages(kind(name), &Headers::new(), body);
                assert!(found.messages.is_empty(), "{body:?}");
                assert!(with_messages(kind(name), body, &[]).is_some());
            }
        }
    }
}
