//! The exact bytes of a request: what came is what goes, with target, order, case, duplicates and
//! framing as they were.
//!
//! What the parts do not tell (odd blanks, where a body was cut into chunks) is in
//! [`Verbatim`](super::verbatim::Verbatim).

use std::borrow::Cow;

use crate::message::fields::is_framing;
use crate::message::wire::Chunks;
use crate::message::{Framing, Headers, Request, Response, Version};
use crate::wire::h1::pieces::{chunk, field, fields, trailer_section};
use crate::wire::h1::verbatim;

/// Why a request cannot be written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A limit cut the body when it was recorded.
    #[error("its body was longer than the recording keeps")]
    BodyCut,
}

/// Appends a request: head and body.
pub fn request(out: &mut Vec<u8>, request: &Request) -> Result<(), EncodeError> {
    if request.body.is_cut() {
        return Err(EncodeError::BodyCut);
    }
    out.reserve(256 + request.target.len() + request.body.bytes.len());
    request_head(out, request);
    body(out, request);
    Ok(())
}

/// A request of HTTP/2 in the form that HTTP/1 has for it (RFC 9113 §8.3, §8.2.3): `Host` in place
/// of `:authority`, no other pseudo-header fields, cookies in one field, the body with its length
/// or, where that was not told, in chunks.
pub fn in_http1(request: &Request) -> Request {
    let mut headers = Headers::with_capacity(request.headers.len(), 512);
    let has_host = request.headers.get("host").is_some();
    if let Some(authority) = request.headers.get(":authority").filter(|_| !has_host) {
        headers.push(b"host", authority);
    }
    let is_cookie = |name: &[u8]| name.eq_ignore_ascii_case(b"cookie");
    let cookies: Vec<&[u8]> = request.headers.all("cookie").collect();
    let mut told = false;
    for (name, value) in request.headers.iter() {
        match name {
            [b':', ..] => {}
            _ if is_cookie(name) && told => {}
            _ if is_cookie(name) => {
                told = true;
                headers.push(name, &cookies.join(&b"; "[..]));
            }
            _ => headers.push(name, value),
        }
    }
    let has_length = headers.get("content-length").is_some();
    let framing = match request.framing {
        Framing::Frames if has_length && request.trailers.is_empty() => Framing::ContentLength,
        Framing::Frames => Framing::Chunked,
        other => other,
    };
    if framing == Framing::Chunked {
        headers.push(b"transfer-encoding", b"chunked");
    }
    Request {
        version: Version::Http11,
        headers,
        framing,
        verbatim: None,
        extras: None,
        ..request.clone()
    }
}

/// An answer of HTTP/2 in the form that HTTP/1 has for it: no pseudo-header fields, the body with its
/// length where it has one and else to the end of the connection, or in chunks before trailers.
pub fn answer_in_http1(response: &Response) -> Cow<'_, Response> {
    if response.version != Version::Http2 && response.framing != Framing::Frames {
        return Cow::Borrowed(response);
    }
    let framing = match response.framing {
        Framing::Frames if !response.trailers.is_empty() => Framing::Chunked,
        Framing::Frames if response.headers.get("content-length").is_some() => {
            Framing::ContentLength
        }
        Framing::Frames => Framing::Close,
        other => other,
    };
    let is_chunked = framing == Framing::Chunked;
    let mut headers = Headers::with_capacity(response.headers.len(), 512);
    for (name, value) in response.headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
        if !is_chunked || !is_framing(name) {
            headers.push(name, value);
        }
    }
    if is_chunked {
        headers.push(b"transfer-encoding", b"chunked");
    }
    Cow::Owned(Response { version: Version::Http11, headers, framing, ..response.clone() })
}

/// Appends a request's head with the empty line that ends it: as it came, where that was kept.
pub fn request_head(out: &mut Vec<u8>, request: &Request) {
    match request.verbatim.as_ref().and_then(|verbatim| verbatim.head.as_ref()) {
        Some(head) => out.extend_from_slice(head),
        None => {
            usual_head(out, (&request.method, &request.target, request.version), &request.headers)
        }
    }
}

/// Appends the head of a request in the usual form, of HTTP/1.0 or later, with one more field
/// behind the others.
pub fn request_head_with(out: &mut Vec<u8>, request: &Request, more: Option<(&[u8], &[u8])>) {
    usual_head(out, (&request.method, &request.target, request.version), &request.headers);
    if let Some(more) = more {
        // In the place of the empty line.
        out.truncate(out.len() - 2);
        field(out, more);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a head in the usual form. A request of HTTP/0.9 without fields is its one line.
pub(super) fn usual_head(
    out: &mut Vec<u8>,
    (method, target, version): (&[u8], &[u8], Version),
    headers: &Headers,
) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    match version {
        Version::Http09 if headers.is_empty() => {
            out.extend_from_slice(b"\r\n");
            return;
        }
        Version::Http09 => {}
        Version::Http11 => out.extend_from_slice(b" HTTP/1.1"),
        other => {
            out.extend_from_slice(b" HTTP/");
            out.extend_from_slice(other.to_string().as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    fields(out, headers);
    out.extend_from_slice(b"\r\n");
}

/// Appends a request's body in its framing (RFC 9112 §7.1 for chunked).
pub fn body(out: &mut Vec<u8>, request: &Request) {
    let bytes = &request.body.bytes[..];
    if request.framing != Framing::Chunked {
        out.extend_from_slice(bytes);
        return;
    }
    let chunks: Option<&Chunks> =
        request.verbatim.as_ref().and_then(|verbatim| verbatim.chunks.as_ref());
    if chunks.is_some_and(|chunks| verbatim::chunked(out, bytes, chunks, &request.trailers)) {
        return;
    }
    if !bytes.is_empty() {
        chunk(out, bytes);
    }
    out.extend_from_slice(b"0\r\n");
    trailer_section(out, &request.trailers);
}

/// Appends a response as its parts tell it: the head in the usual form, a chunked body as one
/// chunk; one of HTTP/2 as HTTP/1.1.
pub fn response(out: &mut Vec<u8>, response: &Response) {
    let version = match response.version {
        Version::Http2 => Version::Http11,
        other => other,
    };
    out.extend_from_slice(format!("HTTP/{version} {:03} ", response.status).as_bytes());
    out.extend_from_slice(&response.reason);
    out.extend_from_slice(b"\r\n");
    fields(out, &response.headers);
    out.extend_from_slice(b"\r\n");
    let bytes = &response.body.bytes[..];
    if response.framing != Framing::Chunked {
        out.extend_from_slice(bytes);
        return;
    }
    if !bytes.is_empty() {
        chunk(out, bytes);
    }
    out.extend_from_slice(b"0\r\n");
    trailer_section(out, &response.trailers);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::h1::parser::{Message, MessageSide, Parser};

    fn read(bytes: &[u8]) -> Request {
        let mut parser = Parser::<u8>::new(MessageSide::Requests, Default::default());
        let mut input = bytes;
        match parser.step(&mut input, 0).expect("a whole request").message {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a request was read"),
        }
    }

    #[test]
    fn what_was_read_is_written_byte_for_byte() {
        for wire in [
            &b"GET /a?b=%20 HTTP/1.1\r\nhOST: x\r\nA: 1\r\nA: 2\r\nEmpty:\r\n\r\n"[..],
            b"POST http://x/ HTTP/1.0\r\nContent-Length: 3\r\n\r\na\0b",
            b"PUT * HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n5\r\nhello\r\n\
                0\r\nT: v\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GET /old\r\n",
            b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n\
                0123456789abcdef\r\n0\r\n\r\n",
            b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n03;x=\"y\"\r\nabc\r\nA\n\
                0123456789\r\n000\r\nT:v\r\n\r\n",
            // Heads in other forms than ours: blanks, folds, line ends.
            b"GET / HTTP/1.1\r\nHost:x\r\nA:  1 \r\nB: \r\nC:\t2\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nFold: a\r\n  b\r\n\r\n",
            b"GET / HTTP/1.1\nHost: x\n\n",
            b"GET / HTTP/1.1\r\nHost: x \n\r\n",
            b"GET  /two  HTTP/1.1\r\nHost : x\r\nno colon\r\n\r\n",
            b"GET http://old/\n",
        ] {
            // Whole, and byte by byte: the fast and the lenient way must agree.
            for step in [usize::MAX, 1] {
                let mut parser = Parser::<u8>::new(MessageSide::Requests, Default::default());
                let parsed = wire
                    .chunks(step.min(wire.len()))
                    .find_map(|mut part| parser.step(&mut part, 0));
                let Some(Message::Request(read)) = parsed.map(|parsed| parsed.message) else {
                    panic!("a whole request")
                };
                let mut out = Vec::new();
                request(&mut out, &read).unwrap();
                assert_eq!(out, wire, "{}", String::from_utf8_lossy(&out));
                let usual = wire.windows(2).all(|pair| pair[1] != b'\n' || pair[0] == b'\r');
                assert!(usual || read.verbatim.is_some());
            }
        }
    }

    #[test]
    fn a_cut_body_is_not_sent_as_if_it_were_whole() {
        let mut cut = read(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
        cut.body.length = 9;
        assert_eq!(request(&mut Vec::new(), &cut), Err(EncodeError::BodyCut));
    }

    #[test]
    fn a_request_of_http2_has_a_form_in_http1() {
        let fields: [(&[u8], &[u8]); 6] = [
            (b":method", b"POST"),
            (b":path", b"/cart"),
            (b"cookie", b"a=1"),
            (b":authority", b"shop.test"),
            (b"x-token", b"t"),
            (b"cookie", b"b=2"),
        ];
        let asked = Request {
            method: "POST".into(),
            target: "/cart".into(),
            version: Version::Http2,
            headers: fields.into_iter().collect(),
            body: crate::message::Body::whole(&b"body"[..]),
            framing: Framing::Frames,
            ..Request::default()
        };
        let mut out = Vec::new();
        request(&mut out, &in_http1(&asked)).expect("a whole body");
        let wanted = "POST /cart HTTP/1.1\r\nhost: shop.test\r\ncookie: a=1; b=2\r\nx-token: t\r\n\
                      transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), wanted);
    }
}
