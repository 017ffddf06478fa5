//! A request of HTTP/1 in the form that HTTP/2 has for it (RFC 9113 §8.3.1, §8.2.2).

use crate::message::fields::{is_hop_by_hop, members};
use crate::message::target::{authority, path_and_query};
use crate::message::{Framing, Headers, Request, Version};

/// The request as a stream carries it: its start line in pseudo-header fields, names in lower case,
/// without what is of the connection, its body in frames. `scheme`: how its connection was reached.
pub fn in_http2(request: &Request, scheme: &str) -> Request {
    let named = request.headers.all("connection").flat_map(members);
    let named: Vec<&[u8]> = named.collect();
    let mut headers = Headers::with_capacity(request.headers.len() + 4, 512);
    headers.push(b":method", &request.method);
    headers.push(b":scheme", scheme.as_bytes());
    let host = authority(&request.target).or_else(|| request.headers.get("host"));
    if let Some(host) = host {
        headers.push(b":authority", host);
    }
    // In absolute form, the authority stands in a field of its own.
    let target = match authority(&request.target) {
        Some(_) => path_of(&request.target),
        None => request.target.to_vec(),
    };
    headers.push(b":path", &target);
    for (name, value) in request.headers.iter() {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let trailers = is(b"te") && value.eq_ignore_ascii_case(b"trailers");
        let of_connection = is_hop_by_hop(name) || named.iter().any(|other| is(other));
        if is(b"host") || is(b"transfer-encoding") || of_connection && !trailers {
            continue;
        }
        headers.push(&name.to_ascii_lowercase(), value);
    }
    let bare = request.body.bytes.is_empty() && request.trailers.is_empty();
    Request {
        method: request.method.clone(),
        target: target.into(),
        version: Version::Http2,
        headers,
        body: request.body.clone(),
        framing: if bare { Framing::None } else { Framing::Frames },
        trailers: request.trailers.clone(),
        verbatim: None,
        extras: None,
    }
}

/// Path and query of a target in absolute form.
fn path_of(target: &[u8]) -> Vec<u8> {
    let (path, query) = path_and_query(target);
    let path = if path.is_empty() { b"/" } else { path };
    if query.is_empty() { path.to_vec() } else { [path, b"?", query].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Body;

    #[test]
    fn what_is_of_the_connection_stays_behind() {
        let fields = [
            ("Host", "shop"),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"),
            ("X-Kept", "2"),
        ];
        let request = Request {
            method: "POST".into(),
            target: "http://other:81/a?b".into(),
            headers: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
            body: Body::whole("x"),
            ..Request::default()
        };
        let two = in_http2(&request, "http");
        let told: Vec<String> = two
            .headers
            .iter()
            .map(|(n, v)| format!("{}={}", String::from_utf8_lossy(n), String::from_utf8_lossy(v)))
            .collect();
        assert_eq!(
            told,
            [
                ":method=POST",
                ":scheme=http",
                ":authority=other:81",
                ":path=/a?b",
                "te=trailers",
                "x-kept=2"
            ]
        );
        assert_eq!((&two.target[..], two.framing), (&b"/a?b"[..], Framing::Frames));
    }
}
