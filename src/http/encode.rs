//! The exact bytes of a request: what came is what goes, with target, order, case, duplicates and framing as they were.
//!
//! Where the chunks of a chunked body were cut is not kept, so it goes as one chunk (with its trailers).

use super::{Framing, Headers, Request, Version};

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
    body(out, &request.body.bytes, request.framing, &request.trailers);
    Ok(())
}

/// Appends a request's head with the empty line that ends it. A request of HTTP/0.9 without fields is its one line.
pub fn request_head(out: &mut Vec<u8>, request: &Request) {
    out.extend_from_slice(&request.method);
    out.push(b' ');
    out.extend_from_slice(&request.target);
    match request.version {
        Version::Http09 if request.headers.is_empty() => {
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
    fields(out, &request.headers);
    out.extend_from_slice(b"\r\n");
}

/// Appends a body in its framing (RFC 9112 §7.1 for chunked).
pub fn body(out: &mut Vec<u8>, bytes: &[u8], framing: Framing, trailers: &Headers) {
    if framing != Framing::Chunked {
        out.extend_from_slice(bytes);
        return;
    }
    if !bytes.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    fields(out, trailers);
    out.extend_from_slice(b"\r\n");
}

fn fields(out: &mut Vec<u8>, headers: &Headers) {
    for (name, value) in headers.iter() {
        out.extend_from_slice(name);
        out.extend_from_slice(if value.is_empty() { b":" } else { b": " });
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parser::{Message, Parser, Side};

    fn read(bytes: &[u8]) -> Request {
        let mut parser = Parser::<u8>::new(Side::Requests, Default::default());
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
            b"PUT * HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GET /old\r\n",
        ] {
            let mut out = Vec::new();
            request(&mut out, &read(wire)).unwrap();
            assert_eq!(out, wire, "{}", String::from_utf8_lossy(&out));
        }
    }

    #[test]
    fn a_cut_body_is_not_sent_as_if_it_were_whole() {
        let mut cut = read(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
        cut.body.length = 9;
        assert_eq!(request(&mut Vec::new(), &cut), Err(EncodeError::BodyCut));
    }
}
