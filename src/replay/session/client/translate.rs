//! A recorded request as the client library wants it: of a recorded head all that is not of the
//! connection, and nothing more.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Uri};

use super::proxy::Proxy;
use super::way::{SentMessage, Spoken};
use crate::message::fields::{is_framing, is_hop_by_hop, members};
use crate::message::target::host;
use crate::message::{Framing, Request};
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

/// The request for a connection that speaks `spoken` with `target`, or with a `forwarder` before it.
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
    let mut message = SentMessage::new(Full::new(body(request)));
    (*message.method_mut(), *message.uri_mut()) = (method, uri);
    for (name, value) in request.headers.iter() {
        if is_left_out(name, request, spoken) {
            continue;
        }
        let name = HeaderName::from_bytes(name)
            .map_err(|_| "a header's name is not a token".to_owned())?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| format!("the value of header {name} cannot be sent"))?;
        message.headers_mut().append(name, value);
    }
    if let Some(credentials) = forwarder.and_then(|proxy| proxy.credentials.as_ref()) {
        let value = HeaderValue::from_str(credentials)
            .map_err(|_| "the proxy's credentials cannot be sent".to_owned())?;
        message.headers_mut().insert(hyper::header::PROXY_AUTHORIZATION, value);
    }
    Ok(message)
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
            Connection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\
            TE: trailers\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(
            sent(wire, Spoken::One).unwrap(),
            "GET /a/../b?c=%20 host=shop.invalid x-a=1 x-a=2"
        );
        assert_eq!(
            sent(wire, Spoken::Two).unwrap(),
            "GET https://shop.invalid/a/../b?c=%20 x-a=1 x-a=2"
        );
        let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(sent(post, Spoken::One).unwrap(), "POST / host=a content-length=0");
        let options = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(sent(options, Spoken::One).unwrap(), "OPTIONS * host=a");
        let hostless = b"GET /x HTTP/1.0\r\n\r\n";
        assert_eq!(sent(hostless, Spoken::Two).unwrap(), "GET https://127.0.0.1:8443/x ");
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
