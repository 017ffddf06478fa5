//! A recorded request as the client library wants it: of a recorded head all that is not of the
//! connection, and nothing more.

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Uri};

use super::body::SentBody;
use super::proxy::Proxy;
use super::way::{SentMessage, Spoken};
use crate::message::fields::{is_framing, is_hop_by_hop, members};
use crate::message::target::host;
use crate::message::{Framing, Headers, Request};
use crate::replay::session::target::Target;
use crate::wire::h1::parser::{self, Parser, ParserLimits};

/// A request as it stands in the spool.
pub(in crate::replay) fn parse(bytes: &[u8]) -> Result<Request, String> {
    let mut parser = Parser::<u8>::new(
        parser::MessageSide::Requests,
        ParserLimits { body_bytes: usize::MAX, ..ParserLimits::default() },
    );
    let mut input = bytes;
    match parser.step(&mut input, 0).map(|parsed| parsed.message) {
        Some(parser::Message::Request(request)) => Ok(request),
        _ => Err("it is not a request that the client can send".to_owned()),
    }
}

/// The request for a connection that speaks `spoken` with `target`, or with a `forwarder` before
/// it.
pub(super) fn translate(
    request: &Request,
    target: &Target,
    spoken: Spoken,
    forwarder: Option<&Proxy>,
) -> Result<SentMessage, String> {
    let method =
        Method::from_bytes(&request.method).map_err(|_| "its method is not a token".to_owned())?;
    let named = host(request).and_then(|host| std::str::from_utf8(host).ok());
    let authority = match (spoken, forwarder) {
        (_, Some(_)) => Some(target.authority()),
        (Spoken::Two, None) => Some(named.map_or_else(|| target.authority(), str::to_owned)),
        (Spoken::One, None) => None,
    };
    let uri = uri(&request.target, target, authority.as_deref())?;
    let trailers = map(&request.trailers, |name| is_hop_by_hop(name) || is_framing(name))?;
    let mut headers = map(&request.headers, |name| is_left_out(name, request, spoken))?;
    say_te(request, spoken, &mut headers);
    if spoken == Spoken::One && !trailers.is_empty() {
        // They need chunks, and the library sends those alone that are announced.
        let names: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
        let names = HeaderValue::from_str(&names.join(", "));
        headers.insert(header::TRAILER, names.map_err(|_| "its trailers cannot be sent")?);
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        headers.remove(header::CONTENT_LENGTH);
    }
    let mut message = SentMessage::new(SentBody::new(body(request), trailers));
    (*message.method_mut(), *message.uri_mut()) = (method, uri);
    *message.headers_mut() = headers;
    if let Some(credentials) = forwarder.and_then(|proxy| proxy.credentials.as_ref()) {
        let value = HeaderValue::from_str(credentials)
            .map_err(|_| "the proxy's credentials cannot be sent".to_owned())?;
        message.headers_mut().insert(header::PROXY_AUTHORIZATION, value);
    }
    Ok(message)
}

/// Fields but for those that are `left_out`.
fn map(fields: &Headers, left_out: impl Fn(&[u8]) -> bool) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().filter(|(name, _)| !left_out(name)) {
        let name = HeaderName::from_bytes(name)
            .map_err(|_| "a header's name is not a token".to_owned())?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| format!("the value of header {name} cannot be sent"))?;
        map.append(name, value);
    }
    Ok(map)
}

/// Which trailers and codings the captured client takes (RFC 9110 §10.1.4): of the connection in
/// HTTP/1, in HTTP/2 (RFC 9113 §8.2.2) its trailers alone.
fn say_te(request: &Request, spoken: Spoken, headers: &mut HeaderMap) {
    let takes_trailers =
        |value: &[u8]| members(value).any(|member| member.eq_ignore_ascii_case(b"trailers"));
    match spoken {
        Spoken::Two if request.headers.all("te").any(takes_trailers) => {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        Spoken::Two => {}
        Spoken::One => {
            let values =
                request.headers.all("te").filter_map(|te| HeaderValue::from_bytes(te).ok());
            for value in values {
                headers.append(header::TE, value);
                headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
        }
    }
}

fn body(request: &Request) -> Bytes {
    if request.framing == Framing::None { Bytes::new() } else { request.body.bytes.clone() }
}

/// The request's target: as it stands for HTTP/1, with scheme and authority for HTTP/2 and proxies.
fn uri(target: &[u8], to: &Target, authority: Option<&str>) -> Result<Uri, String> {
    let wrong = |error: hyper::http::Error| format!("its target is not a URL: {error}");
    let Some(authority) = authority else {
        return Uri::try_from(target).map_err(|error| wrong(error.into()));
    };
    let given = Uri::try_from(target).map_err(|error| wrong(error.into()))?;
    let path = given.path_and_query().map_or("/", |path| path.as_str());
    let scheme = if to.tls { "https" } else { "http" };
    Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().map_err(wrong)
}

/// What belongs to the captured connection, and what the client says in its own way.
fn is_left_out(name: &[u8], request: &Request, spoken: Spoken) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    if is(b"content-length") {
        return request.framing != Framing::ContentLength;
    }
    let named = request.headers.all("connection").flat_map(members).any(&is);
    let own = is_hop_by_hop(name) || is_framing(name) || is(b"expect") || is(b"trailer");
    own || named || (is(b"host") && spoken == Spoken::Two)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(wire: &[u8], spoken: Spoken) -> Result<String, String> {
        let target = Target::resolve("https://127.0.0.1:8443").unwrap();
        let message = translate(&parse(wire)?, &target, spoken, None)?;
        let fields = message.headers().iter();
        let fields: Vec<String> = fields
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        Ok(format!("{} {} {}", message.method(), message.uri(), fields.join(" ")))
    }

    #[test]
    fn nothing_is_added_and_what_is_of_the_connection_is_left_out() {
        let wire = b"GET /a/../b?c=%20 HTTP/1.1\r\nHost: shop.invalid\r\nX-A: 1\r\nx-a: 2\r\n\
            Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
            HTTP2-Settings: x\r\n\
            TE: trailers\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(
            sent(wire, Spoken::One).unwrap(),
            "GET /a/../b?c=%20 host=shop.invalid x-a=1 x-a=2 te=trailers connection=te"
        );
        assert_eq!(
            sent(wire, Spoken::Two).unwrap(),
            "GET https://shop.invalid/a/../b?c=%20 x-a=1 x-a=2 te=trailers"
        );
        let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(sent(post, Spoken::One).unwrap(), "POST / host=a content-length=0");
        let options = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(sent(options, Spoken::One).unwrap(), "OPTIONS * host=a");
        let hostless = b"GET /x HTTP/1.0\r\n\r\n";
        assert_eq!(sent(hostless, Spoken::Two).unwrap(), "GET https://127.0.0.1:8443/x ");
    }

    #[test]
    fn trailers_and_what_is_taken_of_them_are_said_as_the_protocol_has_it() {
        let wire = b"POST /c HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\nTrailer: X-Sum\r\n\
            Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\nContent-Length: \
            9\r\n\r\n";
        assert_eq!(
            sent(wire, Spoken::One).unwrap(),
            "POST /c host=a te=gzip, trailers connection=te trailer=x-sum transfer-encoding=chunked"
        );
        assert_eq!(sent(wire, Spoken::Two).unwrap(), "POST https://a/c te=trailers");
        let coded = b"GET / HTTP/1.1\r\nHost: a\r\nTE: deflate;q=0.5\r\n\r\n";
        assert_eq!(sent(coded, Spoken::Two).unwrap(), "GET https://a/ ");
    }

    #[test]
    fn a_target_that_is_no_url_fails_and_leads_nowhere_else() {
        for wire in
            [&b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"GET /\xff\"<> HTTP/1.1\r\n\r\n"]
        {
            assert!(sent(wire, Spoken::Two).is_err(), "{}", String::from_utf8_lossy(wire));
        }
        // The connection leads to the target whatever the host is.
        let other = b"GET http://other.invalid/x HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(sent(other, Spoken::Two).unwrap(), "GET https://other.invalid/x ");
    }
}
