//! How requests are taken apart: each kind of body, what is equal by kind, and what never is.

use super::*;

fn known(rules: &FeatureRules, scope: u64) -> Known<'_> {
    static DRAWN: std::sync::LazyLock<Drawn> = std::sync::LazyLock::new(Drawn::default);
    static TOLD: std::sync::LazyLock<ToldNumbers> = std::sync::LazyLock::new(Default::default);
    static NONE: ContextNames = ContextNames::none();
    Known { rules, drawn: &DRAWN, told: &TOLD, context: &NONE, scope }
}

fn places(target: &str, content_type: &str, body: &str, rules: &FeatureRules) -> Vec<String> {
    let headers: Headers =
        std::iter::once((&b"Content-Type"[..], content_type.as_bytes())).collect();
    let subject = Subject {
        route: "POST /v1/{id}/x",
        target: target.as_bytes(),
        headers: &headers,
        content: Content::Whole(body.as_bytes()),
        reads: false,
        at: Timestamp::default(),
    };
    describe(&subject, known(rules, 0))
        .into_iter()
        .map(|d| {
            format!("{}={}{}", d.place, d.value, if d.family.is_some() { " (varies)" } else { "" })
        })
        .collect()
}

fn keys(target: &str, content_type: &str, body: &str) -> (u64, u64) {
    let headers: Headers =
        std::iter::once((&b"Content-Type"[..], content_type.as_bytes())).collect();
    let content = Content::Whole(body.as_bytes());
    let taken = take(
        &Subject {
            route: "POST /v1",
            target: target.as_bytes(),
            headers: &headers,
            content,
            reads: false,
            at: Timestamp::default(),
        },
        known(&FeatureRules::default(), 7),
    );
    (taken.exact, taken.by_kind)
}

#[test]
fn every_kind_of_body_is_taken_apart() {
    let volatile = vec!["$.a[*].n".parse().unwrap()];
    let rules = FeatureRules { volatile, ..FeatureRules::default() };
    assert_eq!(
        places(
            "/v1/7781/x?b=2&a=1&b=1",
            "application/json",
            r#"{"a":[{"n":1.0},{"n":true}],"e":{},"s":"1"}"#,
            &rules
        ),
        [
            "$.a[0].n=1 (varies)",
            "$.a[1].n=true (varies)",
            "$.e={}",
            "$.s=1",
            "path[2]=7781",
            "query:a=1",
            "query:b=1",
            "query:b=2"
        ]
    );
    assert_eq!(
        places(
            "/v1/q/x",
            "application/x-www-form-urlencoded",
            "card=4242&t=2026-11-22T10:00:00Z",
            &rules
        ),
        ["form:card=4242", "form:t=2026-11-22T10:00:00Z (varies)", "path[2]=q"]
    );
    let multipart = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--XX--\r\n";
    assert_eq!(
        places("/v1/q/x", "multipart/form-data; boundary=XX", multipart, &rules),
        ["part:a=one", "part:a header:content-disposition=form-data; name=\"a\"", "path[2]=q"]
    );
    let soap = "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"u\"><s:Body><Pay \
        cur=\"EUR\"><Amount>12</Amount><Now/></Pay></s:Body></s:Envelope>";
    assert_eq!(
        places("/v1/q/x", "text/xml", soap, &rules),
        [
            "/Envelope/Body/Pay/@cur=EUR",
            "/Envelope/Body/Pay/Amount/text()=12",
            "/Envelope/Body/Pay/Now=",
            "/Envelope/Body/Pay/namespace()=",
            "/Envelope/namespace()=u",
            "path[2]=q"
        ]
    );
    assert_eq!(places("/v1/q/x", "text/plain", "hello", &rules), ["body=hello", "path[2]=q"]);
}

#[test]
fn order_does_not_count_and_values_that_vary_are_equal_by_kind() {
    let json = "application/json";
    let a =
        keys("/v1?x=1&y=2", json, r#"{"k":"f81d4fae-7dec-41d0-a765-00a0c91e6bf6","n":5,"t":"a"}"#);
    let b = keys(
        "/v1?y=2&x=1",
        json,
        r#"{"t":"a","n":5.0,"k":"0190163d-8694-739b-aea5-966c26f8ad91"}"#,
    );
    assert_ne!(a.0, b.0);
    assert_eq!(a.1, b.1);
    for (other, why) in [
        (r#"{"k":"f81d4fae-7dec-41d0-a765-00a0c91e6bf6","n":"5","t":"a"}"#, "a text is no number"),
        (r#"{"k":"f81d4fae","n":5,"t":"a"}"#, "no identifier"),
        (r#"{"k":"f81d4fae-7dec-41d0-a765-00a0c91e6bf6","n":6,"t":"a"}"#, "another number"),
    ] {
        assert_ne!(keys("/v1?x=1&y=2", json, other).1, a.1, "{why}");
    }
    assert_ne!(
        keys("/v1?x=1", json, "").1,
        keys("/v1?x=1&x=1", json, "").1,
        "a query is a multiset"
    );
}

#[test]
fn hostile_bodies_end() {
    let deep = "[".repeat(100_000);
    let wide = format!("[{}1]", "1,".repeat(20_000));
    for body in [&deep, &wide, &"<".repeat(50_000), &"<a>".repeat(50_000)] {
        assert!(
            places("/v1/q/x", "application/json", body, &FeatureRules::default()).len() < 6_000
        );
        assert!(places("/v1/q/x", "text/xml", body, &FeatureRules::default()).len() < 6_000);
    }
}

/// A media type and coding with a call, the same call written in another way, and calls that say
/// something else in a way that was once overlooked.
type FormatCase = (&'static str, &'static str, Vec<u8>, Vec<u8>, Vec<Vec<u8>>);

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// UTF-16, the higher octet first.
fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// CDATA, attributes with blanks, namespaces, order, entities, charsets, what is not well-formed.
fn calls_in_xml() -> Vec<FormatCase> {
    vec![
        (
            "text/xml",
            "",
            text("<a><![CDATA[100]]></a>"),
            text("<a> 100</a>"),
            vec![text("<a><![CDATA[999]]></a>"), text("<a><![CDATA[100]]>0</a>")],
        ),
        (
            "text/xml",
            "",
            text("<a v=\"1 000\" w='x'/>"),
            text("<a w=\"x\" v='1 000'></a>"),
            vec![text("<a v=\"1 999\" w='x'/>"), text("<a v=\"1\" w='x'/>")],
        ),
        (
            "text/xml",
            "",
            text("<n:a xmlns:n='u' xmlns:m='v'><n:x>1</n:x><m:x>2</m:x></n:a>"),
            text("<a xmlns='u'><x>1</x><q:x xmlns:q='v'>2</q:x></a>"),
            vec![
                text("<n:a xmlns:n='u' xmlns:m='v'><n:x>2</n:x><m:x>1</m:x></n:a>"),
                text("<n:a xmlns:n='w' xmlns:m='v'><n:x>1</n:x><m:x>2</m:x></n:a>"),
            ],
        ),
        (
            "text/xml",
            "",
            text("<a><i>1</i><i>2</i></a>"),
            text("<a>\n<i>1</i>\n<i>2</i><!-- c --></a>"),
            vec![text("<a><i>2</i><i>1</i></a>"), text("<a><i>1</i></a>")],
        ),
        (
            "text/xml",
            "",
            text("<!DOCTYPE a [<!ENTITY n \"100\">]><a>&n;</a>"),
            text("<!DOCTYPE a [<!ENTITY n \"100\">]>\n<a>&n;</a>"),
            vec![text("<!DOCTYPE a [<!ENTITY n \"999\">]><a>&n;</a>")],
        ),
        (
            "text/xml",
            "",
            text("<a>100</b>"),
            text("<a>100</b>\n"),
            vec![text("<a>999</b>"), text("<a>100</b></b>")],
        ),
        ("text/xml", "", wide("<a>100</a>"), text("<a>100</a>"), vec![wide("<a>999</a>")]),
        (
            "text/xml; charset=iso-8859-1",
            "",
            b"<a v='1 0'>caf\xe9</a>".to_vec(),
            text("<a v='1 0'>caf&#xe9;</a>"),
            vec![b"<a v='1 0'>caf\xe8</a>".to_vec(), b"<a v='1 9'>caf\xe9</a>".to_vec()],
        ),
        (
            "application/soap+xml",
            "",
            text("<s:E xmlns:s='u'><s:B><![CDATA[<amount>100</amount>]]></s:B></s:E>"),
            text("<e:E xmlns:e='u'><e:B>&lt;amount>100&lt;/amount></e:B></e:E>"),
            vec![
                text("<s:E xmlns:s='u'><s:B><![CDATA[<amount>999</amount>]]></s:B></s:E>"),
                text("<s:E xmlns:s='v'><s:B><![CDATA[<amount>100</amount>]]></s:B></s:E>"),
            ],
        ),
    ]
}

/// Duplicate keys, numbers beyond doubles, documents in strings, tokens, charsets, codings.
fn calls_in_json() -> Vec<FormatCase> {
    let json = |text: &str| crate::message::encoding::base64_of(text.as_bytes(), true);
    let token = |amount: u32| {
        format!(
            "{}.{}.c2ln",
            json("{\"alg\":\"HS256\"}"),
            json(&format!("{{\"amount\":{amount},\"iat\":1795341600}}"))
        )
    };
    vec![
        (
            "application/json",
            "",
            text(r#"{"a":1,"a":2,"b":"x"}"#),
            text(r#"{"b":"x", "a":1.0, "a":2}"#),
            vec![text(r#"{"a":2,"a":1,"b":"x"}"#), text(r#"{"a":2,"b":"x"}"#)],
        ),
        (
            "application/json",
            "",
            text(r#"{"n":9007199254740993}"#),
            text(r#"{"n":9007199254740993.0}"#),
            vec![text(r#"{"n":9007199254740992}"#), text(r#"{"n":"9007199254740993"}"#)],
        ),
        (
            "application/json",
            "",
            text(r#"{"p":"{\"amount\":100}"}"#),
            text(r#"{"p":"{ \"amount\" : 1e2 }"}"#),
            vec![text(r#"{"p":"{\"amount\":999}"}"#)],
        ),
        (
            "application/json",
            "",
            format!("{{\"d\":\"{}\"}}", json("{\"amount\":100}")).into(),
            format!("{{\"d\":\"{}\"}}", json("{\"amount\" :100}")).into(),
            vec![format!("{{\"d\":\"{}\"}}", json("{\"amount\":999}")).into()],
        ),
        ("application/jose", "", token(100).into(), token(100).into(), vec![token(999).into()]),
        (
            "application/json; charset=utf-16be",
            "",
            wide("{\"a\":\"\u{e9}\"}"),
            text(
                "\u{0}{\u{0}\"\u{0}a\u{0}\"\u{0}:\u{0}\"\u{0}\\\u{0}u\u{0}0\u{0}0\u{0}e\u{0}9\u{0}\
                 \"\u{0}}",
            ),
            vec![wide("{\"a\":\"\u{e8}\"}")],
        ),
        (
            "application/json",
            "gzip",
            gzip("{\"a\":100}"),
            gzip("{ \"a\":100}"),
            vec![gzip("{\"a\":999}")],
        ),
        (
            "application/json",
            "",
            text("{broken 100"),
            text("{broken 100\n"),
            vec![text("{broken 999")],
        ),
        (
            "application/x-ndjson",
            "",
            text("{\"a\":100}\n{\"a\":2}\n"),
            text("{\"a\":100}\r\n{ \"a\":2}"),
            vec![text("{\"a\":2}\n{\"a\":100}\n"), text("{\"a\":100}\n{\"a\":9}\n")],
        ),
        (
            "application/json; charset=iso-8859-1",
            "",
            b"{\"a\":\"caf\xe9\"}".to_vec(),
            text(r#"{"a":"caf\u00e9"}"#),
            vec![b"{\"a\":\"caf\xe8\"}".to_vec()],
        ),
        (
            "application/vnd.shop+json",
            "",
            text(r#"{"p":{"a":1,"a":2},"l":[1,2]}"#),
            text(r#"{"l":[1,2],"p":{"a":1,"a":2}}"#),
            vec![
                text(r#"{"p":{"a":1,"a":9},"l":[1,2]}"#),
                text(r#"{"p":{"a":1,"a":2},"l":[2,1]}"#),
            ],
        ),
    ]
}

/// Multipart of every subtype, with documents, codings and charsets in its parts.
fn calls_in_parts() -> Vec<FormatCase> {
    vec![
        (
            "multipart/mixed; boundary=b",
            "",
            text("--b\r\nContent-Type: text/plain\r\n\r\n100\r\n--b--"),
            text(
                "--b\r\ncontent-type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                 MTAw\r\n--b--",
            ),
            vec![
                text("--b\r\nContent-Type: text/plain\r\n\r\n999\r\n--b--"),
                text("--b\r\nContent-Type: text/html\r\n\r\n100\r\n--b--"),
                text("--b\r\nContent-Type: text/plain\r\n\r\n100\r\n--b\r\n\r\n1\r\n--b--"),
            ],
        ),
        (
            "multipart/form-data; boundary=b",
            "",
            text("--b\r\nContent-Disposition: form-data; name=a; filename=x\r\n\r\n1\r\n--b--"),
            text("--b\r\nContent-Disposition:form-data; name=a; filename=x\r\n\r\n1\r\n--b--"),
            vec![
                text("--b\r\nContent-Disposition: form-data; name=a; filename=y\r\n\r\n1\r\n--b--"),
                text("--b\r\nContent-Disposition: form-data; name=b; filename=x\r\n\r\n1\r\n--b--"),
            ],
        ),
        (
            "multipart/related; boundary=b; type=\"text/xml\"",
            "",
            text("--b\r\nContent-Type: text/xml\r\n\r\n<a><![CDATA[100]]></a>\r\n--b--"),
            text("--b\r\nContent-Type: text/xml\r\n\r\n<a>\n100</a>\r\n--b--\r\n"),
            vec![
                text("--b\r\nContent-Type: text/xml\r\n\r\n<a><![CDATA[999]]></a>\r\n--b--"),
                text("--b\r\nContent-Type: text/xml\r\n\r\n<b><![CDATA[100]]></b>\r\n--b--"),
            ],
        ),
        (
            "multipart/related; boundary=b",
            "",
            text(
                "--b\r\nContent-Type: application/json\r\n\r\n{\"a\":1,\"a\":2}\r\n\
                 --b\r\nContent-Type: text/xml\r\n\r\n<a v='1 0'/>\r\n--b--",
            ),
            text(
                "--b\r\nContent-Type: application/json\r\n\r\n{\"a\":1, \"a\":2}\r\n\
                 --b\r\nContent-Type: text/xml\r\n\r\n<a v=\"1 0\"></a>\r\n--b--",
            ),
            vec![
                text(
                    "--b\r\nContent-Type: application/json\r\n\r\n{\"a\":9,\"a\":2}\r\n\
                     --b\r\nContent-Type: text/xml\r\n\r\n<a v='1 0'/>\r\n--b--",
                ),
                text(
                    "--b\r\nContent-Type: application/json\r\n\r\n{\"a\":1,\"a\":2}\r\n\
                     --b\r\nContent-Type: text/xml\r\n\r\n<a v='1 9'/>\r\n--b--",
                ),
            ],
        ),
        (
            "multipart/mixed; boundary=b",
            "",
            b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe9\r\n--b--".to_vec(),
            text(
                "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
                 Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n--b--",
            ),
            vec![
                b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe8\r\n--b--"
                    .to_vec(),
            ],
        ),
    ]
}

/// Forms, texts and bytes.
fn calls_in_texts() -> Vec<FormatCase> {
    vec![
        (
            "application/x-www-form-urlencoded",
            "",
            text("a=100&b=caf%C3%A9"),
            text("b=caf%c3%a9&a=1%300"),
            vec![text("a=999&b=caf%C3%A9"), text("a=100&b=caf%C3%A8"), text("a=100&b=caf%e9")],
        ),
        (
            "text/plain",
            "",
            text("one\namount 100"),
            text("one\r\namount 100\r\n"),
            vec![text("one\namount 999"), text("amount 100\none")],
        ),
        (
            "application/octet-stream",
            "",
            vec![0, 1, 2, 255],
            vec![0, 1, 2, 255],
            vec![vec![0, 1, 3, 255], vec![0, 1, 2, 254]],
        ),
        (
            "application/x-www-form-urlencoded; charset=iso-8859-1",
            "",
            text("a=caf%E9&n=100"),
            text("n=100&a=caf%E9"),
            vec![text("a=caf%E8&n=100"), text("a=caf%E9&n=999")],
        ),
        (
            "text/plain; charset=iso-8859-1",
            "",
            b"caf\xe9 amount 100".to_vec(),
            b"caf\xe9 amount 100\r\n".to_vec(),
            vec![b"caf\xe8 amount 100".to_vec(), b"caf\xe9 amount 999".to_vec()],
        ),
        (
            "text/plain; charset=utf-16be",
            "",
            wide("amount 100"),
            wide("amount 100\n"),
            vec![wide("amount 999")],
        ),
    ]
}

#[test]
fn another_amount_is_never_equal_whatever_the_format() {
    let formats = [calls_in_xml(), calls_in_json(), calls_in_parts(), calls_in_texts()];
    for (kind, coding, call, same, others) in formats.into_iter().flatten() {
        let by_kind = |body: &[u8]| {
            let fields = [("Content-Type", kind), ("Content-Encoding", coding)];
            let headers: Headers =
                fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            let content = Content::Whole(body);
            let subject = Subject {
                route: "POST /v1",
                target: b"/v1",
                headers: &headers,
                content,
                reads: false,
                at: Timestamp::default(),
            };
            take(&subject, known(&FeatureRules::default(), 7)).by_kind
        };
        let shown = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
        let expected = by_kind(&call);
        // A charset that only the header names holds for the whole row.
        assert_eq!(by_kind(&same), expected, "{kind}: {} is {}", shown(&same), shown(&call));
        for other in &others {
            assert_ne!(
                by_kind(other),
                expected,
                "{kind}: {} is not {}",
                shown(other),
                shown(&call)
            );
        }
    }
}

#[test]
fn a_text_varies_where_only_its_fresh_parts_do() {
    let key = |text: &str| keys("/v1", "application/json", &format!("{{\"k\":\"{text}\"}}")).1;
    let (one, two) =
        ("f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "0190163d-8694-439b-aea5-966c26f8ad91");
    for form in ["urn:uuid:#", "r-#.json", "receipts/u1/#.txt", "2026-#/part", "#:eu:1"] {
        assert_eq!(key(&form.replace('#', one)), key(&form.replace('#', two)), "{form}");
    }
    for (a, b) in [
        ("20260921T141320Z", "20261128T100000Z"),
        ("AK/20260921T141320Z/eu", "AK/20261128T100000Z/eu"),
        ("sent 2026-11-22T10:00:00Z by a", "sent 2026-11-23T11:00:00Z by a"),
        ("4bf92f3577b34da6a3ce929d0e0e4736.tmp", "0af7651916cd43dd8448eb211c80319c.tmp"),
    ] {
        assert_eq!(key(a), key(b), "{a}");
    }
    for (a, b) in [
        (format!("r-{one}.json"), format!("s-{two}.json")),
        (format!("urn:uuid:{one} 100"), format!("urn:uuid:{two} 999")),
        (
            "YW1vdW50PTEwMDtjdXJyZW5jeT1FVVI=".to_owned(),
            "YW1vdW50PTk5OTtjdXJyZW5jeT1FVVI=".to_owned(),
        ),
        (
            "616d6f756e743d3130303b633d455552".to_owned(),
            "616d6f756e743d3939393b633d455552".to_owned(),
        ),
        ("sent 2026-11-22T10:00:00Z by a".to_owned(), "sent 2026-11-23T11:00:00Z by b".to_owned()),
        ("version 1.2.3 of x".to_owned(), "version 1.2.4 of x".to_owned()),
    ] {
        assert_ne!(key(&a), key(&b), "{a} {b}");
    }
}

#[test]
fn fresh_names_of_members_are_equal_by_kind_and_their_values_are_not() {
    let key = |id: &str, amount: u32| {
        keys(
            "/v1",
            "application/json",
            &format!("{{\"by_id\":{{\"{id}\":{{\"amount\":{amount}}}}}}}"),
        )
        .1
    };
    let (one, two) =
        ("f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "0190163d-8694-439b-aea5-966c26f8ad91");
    assert_eq!(key(one, 1), key(two, 1));
    assert_ne!(key(one, 1), key(two, 2));
    assert_ne!(key("8231", 1), key("8232", 1), "a number is a name of one thing");
}

#[test]
fn documents_of_graphql_are_equal_however_they_are_laid_out() {
    let one = "query U($id: ID!){user(id:$id,n:\"a, b\"){name,mail}}";
    for same in [
        "query U($id: ID!) {\n  user(id: $id, n: \"a, b\") { # who\n    name\n    mail\n  }\n}\n",
        "query U ( $id : ID! ) { user ( id : $id n : \"a, b\" ) { name mail } }",
    ] {
        assert!(is_graphql(same));
        assert_eq!(without_layout(same), without_layout(one), "{same}");
    }
    for other in [
        "query U($id: ID!){user(id:$id,n:\"a,b\"){name,mail}}",
        "query U($id: ID!){user(id:$id,n:\"a, b\"){namemail}}",
        "query U($id: ID!){user(id:$id,n:\"a, b\"){name}}",
    ] {
        assert_ne!(without_layout(other), without_layout(one), "{other}");
    }
    for text in ["{a(b:\"\"\"x # \\\"\"\" , y\"\"\"){c}}", "{a(b:\"\\\\\"){c}}", "{a(b:\"open}"] {
        assert_eq!(without_layout(text), text);
    }
    for none in ["{\"a\":1}", "query", "{}", "querying is {fun}!", "{ \"query\": 1 }"] {
        assert!(!is_graphql(none), "{none}");
    }
}

#[test]
fn a_persisted_query_is_told_by_its_hash() {
    let of = |hash: &str| {
        let body =
            format!("{{\"extensions\":{{\"persistedQuery\":{{\"sha256Hash\":\"{hash}\"}}}}}}");
        let headers: Headers =
            [(&b"Content-Type"[..], &b"application/json"[..])].into_iter().collect();
        let subject = Subject {
            route: "POST /graphql",
            target: b"/graphql",
            headers: &headers,
            content: Content::Whole(body.as_bytes()),
            reads: true,
            at: Timestamp::default(),
        };
        take(&subject, known(&FeatureRules::default(), 0)).by_kind
    };
    let [one, other] = ["ad80c730a21e5b8d", "0055627c9e194cb4"].map(|start| start.repeat(4));
    assert_eq!(of(&one), of(&one));
    assert_ne!(of(&one), of(&other));
}
