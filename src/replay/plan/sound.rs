//! Whether the bytes that would be sent are the one request that was chosen.
//!
//! A recording is a file that anyone can edit, and a captured client may have been an attacker. So
//! what the filters and `--unsafe-methods` judged is held against what v2 would read: one request,
//! with this method and target, and nothing behind it.

use crate::message::Request;
use crate::wire::h1::parser::{
    AMBIGUOUS_FRAMING, Keep, Message, MessageSide, Parsed, Parser, ParserLimits,
};

/// Why `wire` must not be sent as `request`; none where nothing speaks against it. `unsafe_too`: a
/// request that hides in the body of this one may be sent as well, as whose it was.
pub(super) fn objection(request: &Request, wire: &[u8], unsafe_too: bool) -> Option<&'static str> {
    if let Some(place) = line_end_in(request) {
        return Some(place);
    }
    let kept_head = request.verbatim.as_ref().is_some_and(|verbatim| verbatim.head.is_some());
    let keep = if kept_head { Keep::Everything } else { Keep::Outline };
    let mut parser =
        Parser::<u8>::new(MessageSide::Requests, ParserLimits { keep, ..ParserLimits::outline() });
    let mut input = wire;
    let Some(Parsed { message: Message::Request(read), damage, oddities, .. }) =
        parser.step(&mut input, 0)
    else {
        return Some("its head and body do not fit together");
    };
    if damage.is_some() || !input.is_empty() {
        return Some("its head and body do not fit together");
    }
    if read.method != request.method || read.target != request.target {
        return Some("v2 would read another method or target");
    }
    if kept_head && read.headers != request.headers {
        return Some("its kept head has other fields than its headers");
    }
    let is_ambiguous = oddities.iter().any(|oddity| AMBIGUOUS_FRAMING.contains(oddity));
    (is_ambiguous && !unsafe_too)
        .then_some("its length can be read in two ways, so that it may hide another request")
}

/// Why a request must not be sent over HTTP/2; none where nothing speaks against it.
pub(super) fn objection_to_stream(request: &Request) -> Option<&'static str> {
    let is_only = |wanted: &str, value: &[u8]| {
        let mut all = request.headers.all(wanted);
        all.next() == Some(value) && all.next().is_none()
    };
    let broken = |text: &[u8]| memchr::memchr2(b'\r', b'\n', text).is_some();
    let split = |(name, value): (&[u8], &[u8])| {
        // Binary metadata of gRPC may hold any octet between who agreed on that.
        name.is_empty() || broken(name) || broken(value) && !name.ends_with(b"-bin")
    };
    match () {
        () if request.headers.iter().any(split) => Some("a line end stands in a header"),
        () if request.trailers.iter().any(split) => Some("a line end stands in a trailer"),
        () if !is_only(":method", &request.method) || !is_only(":path", &request.target) => {
            Some("v2 would read another method or target")
        }
        () => None,
    }
}

/// Where a CR or LF stands that would begin a line of its own.
fn line_end_in(request: &Request) -> Option<&'static str> {
    let broken = |text: &[u8]| memchr::memchr2(b'\r', b'\n', text).is_some();
    match () {
        () if broken(&request.method) => Some("a line end stands in its method"),
        () if broken(&request.target) => Some("a line end stands in its target"),
        () if request.headers.iter().any(|(name, value)| broken(name) || broken(value)) => {
            Some("a line end stands in a header")
        }
        () if request.trailers.iter().any(|(name, value)| broken(name) || broken(value)) => {
            Some("a line end stands in a trailer")
        }
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::wire::Verbatim;
    use crate::message::{Body, Framing};
    use crate::wire::h1::encode;

    fn request(method: &str, target: &str, fields: &[(&str, &str)], body: &'static str) -> Request {
        let pairs = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Request {
            method: method.to_owned().into(),
            target: target.to_owned().into(),
            headers: pairs.collect(),
            body: Body { bytes: body.into(), length: body.len() as u64, sha256: None },
            ..Request::default()
        }
    }

    fn told(request: &Request) -> Option<&'static str> {
        let mut wire = Vec::new();
        encode::request(&mut wire, request).unwrap();
        objection(request, &wire, false)
    }

    #[test]
    fn what_was_recorded_is_sent() {
        for request in [
            request("GET", "/a?b", &[("Host", "x"), ("Empty", "")], ""),
            request("POST", "/", &[("Content-Length", "3")], "abc"),
            request("GET", "*", &[("Upgrade", "h2c"), ("Connection", "Upgrade")], ""),
            Request {
                framing: Framing::Chunked,
                ..request(
                    "POST",
                    "/",
                    &[("Transfer-Encoding", "chunked")],
                    "POST / HTTP/1.1\r\n\r\n",
                )
            },
        ] {
            assert_eq!(told(&request), None, "{request:?}");
        }
    }

    #[test]
    fn a_second_request_is_never_slipped_in() {
        let hidden = "POST /pay HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        for (request, why) in [
            (request("GET", "/ HTTP/1.1\r\n\r\nPOST /pay", &[], ""), "target"),
            (request("GET", "/\nX: y", &[], ""), "target"),
            (request("GET / HTTP/1.1\r\n\r\nPOST", "/pay", &[], ""), "method"),
            (request("GET", "/", &[("A", "b\r\n\r\nPOST /pay HTTP/1.1")], ""), "header"),
            (request("GET", "/", &[("A: b\nC", "d")], ""), "header"),
            (request("GET", "/", &[("Host", "x")], hidden), "do not fit"),
            (request("GET", "/", &[("Content-Length", "0")], hidden), "do not fit"),
            (request("GET", "/", &[("Content-Length", "99")], "short"), "do not fit"),
            (request("GET x", "/", &[], ""), "another method"),
        ] {
            let told = told(&request).unwrap_or_else(|| panic!("{request:?}"));
            assert!(told.contains(why), "{told} for {request:?}");
        }
    }

    #[test]
    fn a_head_that_was_kept_says_what_its_parts_say() {
        let with_head = |head: &'static str| Request {
            verbatim: Some(Box::new(Verbatim { head: Some(head.into()), chunks: None })),
            ..request("GET", "/", &[("Host", "x")], "")
        };
        assert_eq!(told(&with_head("GET / HTTP/1.1\nHost:  x\n\n")), None);
        for head in [
            "POST / HTTP/1.1\nHost: x\n\n",
            "GET /other HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nCookie: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\nDELETE / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n",
        ] {
            assert!(told(&with_head(head)).is_some(), "{head:?}");
        }
    }

    #[test]
    fn a_body_that_ends_in_two_places_goes_only_where_unsafe_requests_may() {
        let both = &[("Content-Length", "4"), ("Transfer-Encoding", "chunked")];
        for request in [
            Request { framing: Framing::Chunked, ..request("GET", "/", both, "GET /x") },
            request("GET", "/", &[("Content-Length", "3"), ("Content-Length", "1")], "abc"),
            request("GET", "/", &[("Content-Length", "-1")], ""),
        ] {
            let mut wire = Vec::new();
            encode::request(&mut wire, &request).unwrap();
            assert!(objection(&request, &wire, false).is_some(), "{request:?}");
            assert_eq!(objection(&request, &wire, true), None, "{request:?}");
        }
    }
}
