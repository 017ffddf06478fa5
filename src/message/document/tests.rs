//! What the walk tells of each format, and that it never loses a value or itself.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::message::protobuf::Schema;
use crate::message::{Body, Headers, grpc};

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

/// Places and values of a call's body, and the body with `edits` in it.
fn called(
    schema: &Schema,
    kind: &str,
    body: &[u8],
    edits: &[(&str, &str)],
) -> (Vec<String>, Option<Vec<u8>>) {
    struct Put<'e>(Vec<String>, &'e [(&'e str, &'e str)]);
    impl Visit for Put<'_> {
        fn value(&mut self, at: &Trail<'_>, value: Value<'_>) -> Option<String> {
            let place = at.place().to_string();
            self.0.push(format!("{place}={}", value.text));
            let edit = self.1.iter().find(|(own, _)| *own == place);
            edit.map(|(_, text)| (*text).to_owned())
        }
    }
    let mut visit = Put(Vec::new(), edits);
    let call = Call::of(schema, b"/shop.v1.Shop/Place");
    let headers: Headers = [(&b"content-type"[..], kind.as_bytes())].into_iter().collect();
    let edited = Walk::new(&mut visit, Bounds::default()).of(call).body(&headers, body);
    (visit.0, edited)
}

fn shop() -> Schema {
    static SHOP: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(compiled);
    SHOP.clone()
}

fn compiled() -> Schema {
    let folder = tempfile::tempdir().unwrap();
    let source = r#"syntax = "proto3"; package shop.v1;
        import "google/protobuf/timestamp.proto";
        enum State { NEW = 0; PAID = 1; }
        message Item { int64 id = 1; sint32 delta = 2; }
        message Order { int64 id = 1; repeated Item items = 2; map<int64, string> notes = 3;
          repeated int64 others = 4; State state = 5; bytes token = 6; fixed64 serial = 7;
          google.protobuf.Timestamp at = 8; double price = 9; string name = 10; }
        service Shop { rpc Place(Order) returns (Order); }"#;
    std::fs::write(folder.path().join("shop.proto"), source).unwrap();
    Schema::load(&[folder.path().to_owned()], &[]).unwrap()
}

/// An order with every kind of field, and one that the schema does not have.
const ORDER: &[u8] = b"\x08\x11\x12\x04\x08\x07\x10\x03\x12\x02\x08\x08\x1a\x05\x08\x05\x12\x01n\
    \x22\x03\x01\x02\x03\x28\x01\x32\x02\xff\x00\x39\x2a\0\0\0\0\0\0\0\
    \x42\x06\x08\x80\x94\xeb\xdc\x03\x49\0\0\0\0\0\0\xf0\x3f\x52\x02hi\xa0\x06\x09";

#[test]
fn messages_are_told_by_the_names_of_a_schema() {
    let framed = grpc::frame_of(ORDER);
    let (told, edited) = called(&shop(), "application/grpc", &framed, &[]);
    assert_eq!(edited, None);
    assert_eq!(
        told,
        [
            "$[0].id=17",
            "$[0].items[0].id=7",
            "$[0].items[0].delta=-2",
            "$[0].items[1].id=8",
            "$[0].notes['5']~=5",
            "$[0].notes['5']=n",
            "$[0].others[0]=1",
            "$[0].others[1]=2",
            "$[0].others[2]=3",
            "$[0].state=PAID",
            "$[0].token=/wA=",
            "$[0].serial=42",
            "$[0].at=2001-09-09T01:46:40.000000000Z",
            "$[0].price=1",
            "$[0].name=hi",
            "$[0]['#100']=9",
        ]
    );
    let (bare, _) = called(&shop(), "application/proto", ORDER, &[]);
    assert_eq!(bare[0], "$.id=17");
}

#[test]
fn a_field_of_a_message_is_written_anew_and_all_other_bytes_stay() {
    let edits = [
        ("$[0].id", "1017"),
        ("$[0].items[1].id", "1008"),
        ("$[0].others[1]", "300"),
        ("$[0].token", "AQID"),
        ("$[0].serial", "43"),
        ("$[0].name", "longer"),
        ("$[0].state", "no such state"),
        ("$[0]['#100']", "10"),
    ];
    let framed = [grpc::frame_of(ORDER), grpc::frame_of(b"\x08\x01")].concat();
    let (_, edited) = called(&shop(), "application/grpc", &framed, &edits);
    let wanted =
        b"\x08\xf9\x07\x12\x04\x08\x07\x10\x03\x12\x03\x08\xf0\x07\x1a\x05\x08\x05\x12\x01n\
        \x22\x04\x01\xac\x02\x03\x28\x01\x32\x03\x01\x02\x03\x39\x2b\0\0\0\0\0\0\0\
        \x42\x06\x08\x80\x94\xeb\xdc\x03\x49\0\0\0\0\0\0\xf0\x3f\x52\x06longer\xa0\x06\x0a";
    assert_eq!(edited, Some([grpc::frame_of(wanted), grpc::frame_of(b"\x08\x01")].concat()));
}

/// An element that cannot be told, or is not written as short as it can be, stays as it is.
#[test]
fn other_elements_of_a_packed_list_stay_as_they_were() {
    let message = b"\x22\x0c\x05\xff\xff\xff\xff\xff\xff\x01\x88\x80\x00\x07";
    let (told, edited) = called(&shop(), "application/proto", message, &[("$.others[3]", "9")]);
    assert!(told.contains(&"$.others[3]=7".to_owned()), "{told:?}");
    let wanted = b"\x22\x0c\x05\xff\xff\xff\xff\xff\xff\x01\x88\x80\x00\x09";
    assert_eq!(edited, Some(wanted.to_vec()));
}

#[test]
fn a_token_that_parses_as_a_message_is_a_text() {
    let token = format!("20{}", "a".repeat(48));
    let message = [&b"\x0a\x32"[..], token.as_bytes()].concat();
    let (told, _) = called(&Schema::default(), "application/proto", &message, &[]);
    assert_eq!(told, [format!("$['#1']={token}")]);
}

#[test]
fn messages_without_a_schema_are_told_by_numbers() {
    let unknown = Schema::default();
    let id = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6";
    let inner = [&b"\x22\x24"[..], id.as_bytes()].concat();
    let message = [&b"\x08\x11\x12\x26"[..], &inner, b"\x1a\x24", id.as_bytes()].concat();
    let edits = [("$[0]['#2']['#4']", "new"), ("$[0]['#3']", "x")];
    let (told, edited) = called(&unknown, "application/grpc", &grpc::frame_of(&message), &edits);
    let of = |place: &str| format!("{place}={id}");
    assert_eq!(told[0], "$[0]['#1']=17");
    assert_eq!(told[1..], [of("$[0]['#2']['#4']"), of("$[0]['#3']")]);
    let wanted = grpc::frame_of(b"\x08\x11\x12\x05\x22\x03new\x1a\x01x");
    assert_eq!(edited, Some(wanted));
}

proptest! {
    /// Whatever octets say, they are walked, and what is put back changes nothing.
    #[test]
    fn any_octets_of_a_call_are_walked(
        body in prop::collection::vec(prop_oneof![0u8..40, any::<u8>()], 0..200),
        named in any::<bool>(),
    ) {
        let schema = if named { shop() } else { Schema::default() };
        for kind in ["application/grpc", "application/proto"] {
            let is_framed = kind == "application/grpc";
            let framed = if is_framed { grpc::frame_of(&body) } else { body.clone() };
            let (told, edited) = called(&schema, kind, &framed, &[]);
            prop_assert_eq!(edited, None);
            let edits: Vec<(&str, &str)> =
                told.iter().filter_map(|told| told.split_once('=')).collect();
            let places: std::collections::HashSet<&str> =
                edits.iter().map(|(place, _)| *place).collect();
            let (_, same) = called(&schema, kind, &framed, &edits);
            if let Some(same) = same.filter(|_| places.len() == edits.len()) {
                prop_assert_eq!(called(&schema, kind, &same, &[]).0, told);
            }
        }
    }
}
