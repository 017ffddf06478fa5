//! Requests that go over HTTP/2: changed as the user asked, where their start line stands in
//! pseudo-header fields.

use crate::message::{Extras, Headers, Request};
use crate::replay::plan::rewrite::Rewriter;
use crate::replay::plan::script::never_indexed;

/// The request with all changes of a run; why that cannot be.
pub(super) fn changed(rewriter: &Rewriter, request: &Request) -> Result<Request, String> {
    let own_host = request.headers.get("host").is_some();
    let mut plain = request.clone();
    // Under the name that users and the rules of hosts know.
    plain.headers = request
        .headers
        .iter()
        .map(|(name, value)| match name {
            b":authority" if !own_host => (&b"host"[..], value),
            name => (name, value),
        })
        .collect();
    rewriter.apply(&mut plain)?;
    let mut headers = Headers::with_capacity(plain.headers.len(), 512);
    let mut is_told = own_host || request.headers.get(":authority").is_none();
    for (name, value) in plain.headers.iter() {
        if !is_told && name.eq_ignore_ascii_case(b"host") {
            is_told = true;
            headers.push(b":authority", value);
        } else if name == b":path" {
            headers.push(name, &plain.target);
        } else {
            headers.push(&name.to_ascii_lowercase(), value);
        }
    }
    let never_indexed = never_indexed(request, &headers);
    let extras = plain.extras.take().map_or_else(Extras::default, |extras| *extras);
    Ok(Request { headers, extras: Extras { never_indexed, ..extras }.of(), ..plain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Version;

    fn shown(headers: &Headers) -> Vec<String> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        headers.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect()
    }

    #[test]
    fn changes_find_what_stands_in_pseudo_header_fields() {
        let fields = [
            (":method", "GET"),
            (":authority", "shop"),
            (":path", "/v1/a"),
            ("authorization", "s"),
            ("x", "1"),
        ];
        let request = Request {
            method: "GET".into(),
            target: "/v1/a".into(),
            version: Version::Http2,
            headers: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
            extras: Extras { never_indexed: vec![3], ..Extras::default() }.of(),
            ..Request::default()
        };
        let rewriter = Rewriter {
            set: vec!["X-New: n".parse().unwrap()],
            remove: vec!["x".to_owned()],
            marker: Some("r1".to_owned()),
            hosts: vec![("shop".to_owned(), 1, "v2:81".to_owned())],
            targets: vec!["^/v1/=>/v2/".parse().unwrap()],
            traces: None,
        };
        let now = changed(&rewriter, &request).unwrap();
        assert_eq!(
            shown(&now.headers),
            [
                ":method=GET",
                ":authority=v2:81",
                ":path=/v2/a",
                "authorization=s",
                "x-new=n",
                "x-shadowtap-replay=r1"
            ]
        );
        assert_eq!(now.extras.unwrap().never_indexed, [3]);
        let host = Rewriter { set: vec!["Host: h".parse().unwrap()], ..Rewriter::default() };
        assert_eq!(shown(&changed(&host, &request).unwrap().headers)[1], ":authority=h");
        let scheme = |text: &str| Rewriter { set: vec![text.parse().unwrap()], ..rewriter.clone() };
        let without = changed(&scheme(":scheme: https"), &request).unwrap();
        assert!(!shown(&without.headers).contains(&":scheme=https".to_owned()), "never added");
        let mut with = request.clone();
        with.headers =
            [(&b":method"[..], &b"GET"[..]), (b":scheme", b"http"), (b":path", b"/"), (b"x", b"1")]
                .into_iter()
                .collect();
        let now = changed(&scheme(":scheme:https"), &with).unwrap();
        assert_eq!(shown(&now.headers)[1], ":scheme=https");
        assert!(":scheme: ftp".parse::<crate::replay::plan::rewrite::Field>().is_err());
        let same = changed(&Rewriter::default(), &request).unwrap();
        assert_eq!((same.headers, same.extras), (request.headers, request.extras));
    }
}
