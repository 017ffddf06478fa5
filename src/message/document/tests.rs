//! What the walk tells of each format, and that it never loses a value or itself.

use std::fmt::Write as _;

use super::*;
use crate::message::{Body, Headers};

/// `place=text` of all values of a body.
fn told(kind: &str, body: &[u8]) -> Vec<String> {
    let headers: Headers = std::iter::once((&b"Content-Type"[..], kind.as_bytes())).collect();
    let mut all = Vec::new();
    let mut reader = Reader(|at: &Trail<'_>, value: Value<'_>| {
        all.push(format!("{at}={}", value.text));
    });
    assert_eq!(Walk::new(&mut reader, Bounds::default()).body(&headers, body), None);
    all
}

#[test]
fn every_format_is_told_by_its_places() {
    let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSIsIm4iOjV9.c2ln";
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "application/json",
            r#"{"a":[1,{}],"b":"x","a":null,"ids":{"8231":[]}}"#,
            &[
                "$.a[0]=1",
                "$.a[1]={}",
                "$.b=x",
                "$.a(2)=null",
                "$.ids['8231']~=8231",
                "$.ids['8231']=[]",
            ],
        ),
        (
            "text/plain",
            r#"{"p":"{\"n\":[1]}","x":"<o><i k='1'>t</i></o>","u":"https://h:1/a%20b/?q=1#f"}"#,
            &[
                "$.p $.n[0]=1",
                "$.x /o/i/@k=1",
                "$.x /o/i/text()=t",
                "$.u=https://h:1",
                "$.u path[1]=a b",
                "$.u path[2]=",
                "$.u query:q=1",
                "$.u @fragment=f",
            ],
        ),
        ("application/json", "{\"t\":\"eyJuIjoxfQ==\"}", &["$.t $.n=1"]),
        ("application/json", "\"plain\"", &["$=plain"]),
        ("application/json", "{broken", &["body={broken"]),
        ("application/x-ndjson", "{\"n\":1}\r\n\n{\"n\":2}", &["line[1] $.n=1", "line[3] $.n=2"]),
        (
            "application/x-www-form-urlencoded",
            "a=1&b=%7B%22n%22%3A2%7D&a=x+y&c",
            &["form:a=1", "form:b $.n=2", "form:a=x y", "form:c="],
        ),
        (
            "text/event-stream",
            ": hi\nevent: add\ndata: {\"i\":1}\n\ndata: one\ndata: two\nid: 7\n\ndata: cut",
            &[
                "event[1] @event=add",
                "event[1] $.i=1",
                "event[2] @id=7",
                "event[2]=one\ntwo",
                "event[3]=cut",
            ],
        ),
        (
            "text/xml",
            "<?xml version='1.0'?><s:a xmlns:s='u' x='1 000' s:y='2'><b> 1<!-- c \
             --><![CDATA[<0>]]> </b><b/>t&amp;</s:a>",
            &[
                "/a/namespace()=u",
                "/a/@y/namespace()=u",
                "/a/@y=2",
                "/a/@x=1 000",
                "/a/b/namespace()=",
                "/a/b/text()=1<0>",
                "/a/b[2]/namespace()=",
                "/a/b[2]=",
                "/a/text()=t&",
            ],
        ),
        ("text/xml", "<a><b>1</a>", &["body=<a><b>1</a>"]),
        ("text/xml", "<a x='1' x='2'/>", &["body=<a x='1' x='2'/>"]),
        (
            "text/html",
            "<!doctype html><form action='/pay?c=1'><input name=csrf value=t><script \
             type=application/json>{\"k\":1}</script>",
            &[
                "doctype()=html",
                "/html/body/form/@action path[1]=pay",
                "/html/body/form/@action query:c=1",
                "/html/body/form/input/@name=csrf",
                "/html/body/form/input/@value=t",
                "/html/body/form/script/@type=application/json",
                "/html/body/form/script/text() $.k=1",
            ],
        ),
        (
            "text/html",
            "<script>on(() => set({\"k\":1})); s = [{\"t\":\"x\"}];</script><script>a({\"b\":2}\
             )</script>",
            &[
                "/html/head/script/text() line[1]=on(() => set(",
                "/html/head/script/text() $[0].k=1",
                "/html/head/script/text() line[2]=)); s = ",
                "/html/head/script/text() $[1][0].t=x",
                "/html/head/script/text() line[3]=;",
                "/html/head/script[2]/text() line[1]=a(",
                "/html/head/script[2]/text() $.b=2",
                "/html/head/script[2]/text() line[2]=)",
            ],
        ),
        ("text/plain", "one\n\n  two \n", &["line[1]=one", "line[3]=  two "]),
        ("text/plain", token, &["body $.sub=u1", "body $.n=5"]),
        (
            "multipart/related; boundary=b",
            "--b\r\nContent-Type: text/xml; charset=utf-8\r\nContent-ID: <r>\r\n\r\n<a>1</a>\r\n\
             --b\r\n\
             Content-Type: application/json\r\n\r\n{\"n\":2}\r\n--b--",
            &[
                "part[0] header:content-type=text/xml; charset=utf-8",
                "part[0] header:content-id=<r>",
                "part[0] /a/text()=1",
                "part[1] header:content-type=application/json",
                "part[1] $.n=2",
            ],
        ),
    ];
    for (kind, body, expected) in cases {
        let found = told(kind, body.as_bytes());
        let expected: Vec<_> =
            expected.iter().map(|one| one.replace("doctype()", "/text()")).collect();
        let clean: Vec<_> =
            found.iter().map(|one| one.replace(" /text()=html", "/text()=html")).collect();
        assert_eq!(clean, expected, "{kind} {body}");
    }
}

#[test]
fn a_charset_and_a_coding_are_undone_first() {
    let wide: Vec<u8> = "<a>1\u{e9}</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(told("text/xml", &wide), ["/a/text()=1\u{e9}"]);
    assert_eq!(told("application/json; charset=iso-8859-1", b"{\"a\":\"\xe9\"}"), ["$.a=\u{e9}"]);
    let bytes = told("image/png", b"\x89PNG\0");
    assert!(bytes[0].starts_with("body=5 bytes, sha256 "), "{bytes:?}");
    assert_ne!(told("", b"caf\xe9"), told("", b"caf\xe8"));
}

#[test]
fn fields_are_told_by_what_they_hold() {
    let fields = [
        ("X-Plain", " a "),
        ("Cookie", "a=1; t=%7B%22n%22%3A1%7D"),
        ("Set-Cookie", "sid=x; Path=/; Secure"),
        ("Authorization", "Basic dTpw"),
        ("ETag", "W/\"v1\""),
        ("Location", "/orders/7?x=1"),
        ("Link", "<https://h/p?page=2>; rel=\"next\", <q>; rel=prev"),
    ];
    let headers: Headers =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let mut all = String::new();
    let mut reader = Reader(|at: &Trail<'_>, value: Value<'_>| {
        let _ = writeln!(all, "{at}={}", value.text);
    });
    assert!(Walk::new(&mut reader, Bounds::default()).headers(&headers).is_empty());
    let expected = [
        "header:x-plain=a",
        "cookie:a=1",
        "cookie:t $.n=1",
        "cookie:sid=x",
        "cookie:sid;Path=/",
        "cookie:sid;Secure=",
        "header:authorization=u:p",
        "header:etag=v1",
        "header:location path[1]=orders",
        "header:location path[2]=7",
        "header:location query:x=1",
        "header:link=https://h",
        "header:link path[1]=p",
        "header:link query:page=2",
        "header:link=rel=\"next\"",
        "header:link path[0]=q",
        "header:link=rel=prev",
    ];
    assert_eq!(all.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_visitor_may_stay_outside() {
    struct Outside(Vec<String>);
    impl Visit for Outside {
        fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
            self.0.push(format!("{at}={}", value.text));
            None
        }
        fn inside(&mut self, _: &Trail<'_>, _: Value<'_>) -> bool {
            false
        }
    }
    let mut outside = Outside(Vec::new());
    let headers = Headers::new();
    Walk::new(&mut outside, Bounds::default())
        .body(&headers, br#"{"p":"{\"n\":1}","u":"http://h/a"}"#);
    assert_eq!(outside.0, ["$.p={\"n\":1}", "$.u=http://h/a"]);
}

#[test]
fn hostile_messages_end_and_say_that_they_were_cut() {
    let nested = (0..12)
        .fold("1".to_owned(), |text, _| serde_json::to_string(&format!("[{text}]")).unwrap());
    let parts = (0..2_000).map(|n| format!("--b\r\n\r\n{n}\r\n")).collect::<String>() + "--b--";
    let cases = [
        ("application/json", "[".repeat(100_000)),
        ("application/json", format!("[{}1]", "1,".repeat(20_000))),
        ("application/json", nested),
        ("text/xml", "<a>".repeat(50_000)),
        ("text/xml", format!("<r>{}</r>", "<a/>".repeat(20_000))),
        ("text/html", "<p x=1>".repeat(50_000)),
        ("application/x-www-form-urlencoded", "a&".repeat(50_000)),
        ("text/plain", "x\n".repeat(50_000)),
        ("text/event-stream", "data:x\n\n".repeat(20_000)),
        ("multipart/mixed; boundary=b", parts),
    ];
    for (kind, body) in cases {
        let headers: Headers = std::iter::once((&b"Content-Type"[..], kind.as_bytes())).collect();
        let mut count = 0;
        let mut reader = Reader(|_: &Trail<'_>, _: Value<'_>| count += 1);
        let mut walk = Walk::new(&mut reader, Bounds::default());
        walk.body(&headers, body.as_bytes());
        let cut = walk.was_cut();
        assert!(count > 0 && count <= WALKED_VALUES, "{kind}: {count}");
        assert_eq!(cut, count == WALKED_VALUES, "{kind}: {count}");
    }
    let long = Body::whole(vec![b'x'; WALKED_BODY_BYTES + 1]);
    let mut texts = Vec::new();
    let mut reader =
        Reader(|at: &Trail<'_>, value: Value<'_>| texts.push(format!("{at} {}", value.text)));
    Walk::new(&mut reader, Bounds::default()).body(&Headers::new(), &long.bytes);
    assert!(texts[0].starts_with("body 1048577 bytes"), "{texts:?}");
}

#[test]
fn no_message_costs_more_than_n_log_n() {
    let forms: [(&str, &str, fn(usize) -> String); 6] = [
        ("cookie", "", |n| (0..n).map(|i| format!("c{i}=v{i}; ")).collect()),
        ("x-list", "", |n| "a=1; b, ".repeat(n)),
        ("content-type", "text/plain", |n| "line\n".repeat(n)),
        ("content-type", "application/x-www-form-urlencoded", |n| "a=1&".repeat(n)),
        ("content-type", "text/event-stream", |n| "id: 1\ndata: x\ndata: y\n\n".repeat(n)),
        ("content-type", "text/xml", |n| format!("<r>{}</r>", "<a b='1'>c</a>".repeat(n))),
    ];
    for (field, kind, made) in forms {
        steps::hold_to_n_log_n(200, |n| {
            let text = made(n);
            let value = if kind.is_empty() { &text } else { kind };
            let headers = std::iter::once((field.as_bytes(), value.as_bytes())).collect();
            let body = Body::whole(if kind.is_empty() { Vec::new() } else { text.into_bytes() });
            let request = Request { headers, body, ..Request::default() };
            let mut reader = Reader(|_: &Trail<'_>, _: Value<'_>| ());
            let _ = Walk::new(&mut reader, Bounds::default()).request(&request);
        });
    }
}
