//! One line of each form, and lines that are none.

use super::*;

fn of(line: &str) -> Exchange {
    let mut all = Vec::new();
    read::<io::Error>(line.as_bytes(), |read| {
        all.push(read);
        Ok(())
    })
    .expect("memory is read");
    match all.pop() {
        Some(Ok(read)) => read.exchange,
        other => panic!("{line}: {:?}", other.map(|read| read.map(|_| ()))),
    }
}

fn rejected(line: &str) -> Option<Reason> {
    let mut reason = None;
    read::<io::Error>(line.as_bytes(), |read| {
        reason = read.err();
        Ok(())
    })
    .expect("memory is read");
    reason
}

/// Method, target, host, status, time.
fn told(line: &str) -> [String; 5] {
    let exchange = of(line);
    let request = exchange.request.as_ref().expect("a request");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let host = request.message.headers.get("host").map(text).unwrap_or_default();
    let status = exchange.response.map(|answer| answer.message.status).unwrap_or_default();
    [
        text(&request.message.method),
        text(&request.message.target),
        host,
        status.to_string(),
        request.at.to_string(),
    ]
}

#[test]
fn lines_of_every_form_are_understood() {
    let at = "2026-09-21T14:13:20.000000000Z";
    let start = "2026-09-21T14:13:19.500000000Z";
    for (line, expected) in [
        (
            "10.0.0.1 - frank [21/Sep/2026:14:13:20 +0000] \"GET /a?b=1 HTTP/1.1\" 200 12 \"-\" \
             \"curl/8\"",
            ["GET", "/a?b=1", "", "200", at],
        ),
        (
            r#"10.0.0.1 - - [21/Sep/2026:16:13:20 +0200] "HEAD /a HTTP/1.0" 404 -"#,
            ["HEAD", "/a", "", "404", at],
        ),
        (
            "shop.example:80 10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] \"GET / HTTP/1.1\" 200 1 \
             \"-\" \"x\"",
            ["GET", "/", "shop.example:80", "200", at],
        ),
        (
            "{\"time_local\":\"21/Sep/2026:14:13:20 +0000\",\"remote_addr\":\"10.0.0.1\",\
             \"request\":\"GET /a HTTP/1.1\",\"status\":\"200\",\"http_host\":\"shop.example\",\
             \"request_time\":\"0.500\"}",
            ["GET", "/a", "shop.example", "200", start],
        ),
        (
            "{\"msec\":\"1790000000.000\",\"request_method\":\"GET\",\"uri\":\"/a\",\
             \"args\":\"b=1\",\"host\":\"shop.example\",\"status\":200,\"http_x_tenant\":\"acme\"}",
            ["GET", "/a?b=1", "shop.example", "200", at],
        ),
        (
            "https 2026-09-21T14:13:20.000000Z app/lb/50dc6c495c0c9188 10.0.0.1:2817 10.0.1.1:80 \
             0.000 0.500 0.000 200 200 34 366 \"GET https://shop.example:443/a HTTP/1.1\" \
             \"curl/7.46.0\" - - arn:aws:x \"Root=1-58337262-36d228ad5d99923122bbe354\" \
             \"shop.example\" \"-\" 0 2026-09-21T14:13:19.500000Z \"forward\" \"-\" \"-\" \
             \"10.0.1.1:80\" \"200\" \"-\" \"-\"",
            ["GET", "/a", "shop.example:443", "200", start],
        ),
        (
            "[2026-09-21T14:13:20.000Z] \"GET /a HTTP/2\" 204 - 154 0 226 100 \"10.0.35.28\" \
             \"nsq2http\" \"cc21d9b0\" \"shop.example\" \"tcp://10.0.2.1:80\"",
            ["GET", "/a", "shop.example", "204", at],
        ),
        (
            "{\"start_time\":\"2026-09-21T14:13:20.000Z\",\"method\":\"GET\",\"path\":\"/a\",\
             \"protocol\":\"HTTP/1.1\",\"response_code\":200,\"authority\":\"shop.example\",\
             \"duration\":12,\"user_agent\":\"x\",\"request_id\":\"1\"}",
            ["GET", "/a", "shop.example", "200", at],
        ),
        (
            "{\"ts\":1790000000.5,\"request\":{\"method\":\"GET\",\"uri\":\"/a\",\
             \"proto\":\"HTTP/2.0\",\"host\":\"shop.example\",\"headers\":{\"Accept\":[\"*/*\"]}},\
             \"duration\":0.5,\"status\":200,\"resp_headers\":{\"Server\":[\"Caddy\"]}}",
            ["GET", "/a", "shop.example", "200", at],
        ),
        (
            "{\"StartUTC\":\"2026-09-21T14:13:20Z\",\"RequestMethod\":\"GET\",\
             \"RequestPath\":\"/a\",\"RequestHost\":\"shop.example\",\"DownstreamStatus\":200,\
             \"Duration\":500000000,\"RequestProtocol\":\"HTTP/1.1\"}",
            ["GET", "/a", "shop.example", "200", at],
        ),
        (
            "2026-09-21T14:13:20.000000Z lb 10.0.0.1:2817 10.0.1.1:80 0.000 0.500 0.000 200 200 0 \
             29 \"GET https://shop.example:443/a HTTP/1.1\" \"curl/7.46.0\" - -",
            ["GET", "/a", "shop.example:443", "200", at],
        ),
        (
            "Sep 21 14:13:20 node haproxy[32450]: 10.0.0.1:38862 [21/Sep/2026:14:13:19.500] in~ \
             shop/a 0/0/1/0/+500 304 168 - - ---- 6/6/0/0/0 0/0 {x||} {|} \"GET /a HTTP/1.1\"",
            ["GET", "/a", "", "304", start],
        ),
        (
            "<190>Sep  1 14:13:20 node nginx: 10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] \"GET /a \
             HTTP/1.1\" 200 12",
            ["GET", "/a", "", "200", at],
        ),
        (
            "shop.example 10.0.0.2, 10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] \"GET /a HTTP/1.1\" \
             200 571 \"-\" \"x\"",
            ["GET", "/a", "shop.example", "200", at],
        ),
        (
            "\"10.5.0.2, 10.0.0.1\" 10.2.1.5 - - [21/Sep/2026:14:13:20 +0000] \"GET /a HTTP/1.1\" \
             200 5 \"-\" \"x\"",
            ["GET", "/a", "", "200", at],
        ),
        (
            "[21/Sep/2026:14:13:20 +0000] 10.0.0.1 TLSv1.3 TLS_AES_256_GCM_SHA384 \"GET /a \
             HTTP/1.1\" 1375",
            ["GET", "/a", "", "0", at],
        ),
        (
            "#Version: 1.0\n#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port \
             c-ip cs(User-Agent) cs-host sc-status time-taken\n2026-09-21 14:13:20 10.0.1.1 GET \
             /a b=1 443 10.0.0.1 Mozilla/5.0+(X11) shop.example 200 500",
            ["GET", "/a?b=1", "shop.example", "200", start],
        ),
        (
            "#Fields: date time x-edge-location c-ip cs-method cs(Host) cs-uri-stem sc-status \
             cs-uri-query x-host-header time-taken\n2026-09-21\t14:13:20\tLAX1\t10.0.0.1\tGET\t\
             d1.cloudfront.net\t/a\t200\t-\tshop.example\t0.5",
            ["GET", "/a", "shop.example", "200", start],
        ),
    ] {
        assert_eq!(told(line), expected, "{line}");
    }
}

#[test]
fn what_a_log_holds_of_a_request_is_kept_and_what_it_lacks_is_said() {
    let get = of("{\"start_time\":\"2026-09-21T14:13:20Z\",\"method\":\"GET\",\"path\":\"/a\",\
         \"response_code\":200,\"authority\":\"x\",\"duration\":12,\"user_agent\":\"agent\",\
         \"x_forwarded_for\":\"10.0.0.9\",\"request_id\":\"1\"}");
    assert_eq!(get.completeness, Completeness::ResponseDamaged, "its answer's body is not there");
    let request = &get.request.as_ref().expect("a request").message;
    for (name, value) in
        [("user-agent", "agent"), ("x-forwarded-for", "10.0.0.9"), ("x-request-id", "1")]
    {
        assert_eq!(request.headers.get(name), Some(value.as_bytes()), "{name}");
    }
    assert_eq!(get.client.address.to_string(), "10.0.0.9");
    assert_eq!(get.response.as_ref().and_then(|a| a.first_byte_ns), Some(12_000_000));
    assert!(get.marks.iter().any(|mark| mark == OF_A_LOG), "{:?}", get.marks);
    let post = of(r#"10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] "POST /a HTTP/1.1" 200 12"#);
    assert_eq!(post.completeness, Completeness::RequestDamaged, "never replayed");
    assert!(post.marks.iter().any(|mark| mark == HOST_UNKNOWN), "{:?}", post.marks);
    let body =
        of("{\"time_iso8601\":\"2026-09-21T14:13:20+00:00\",\"request\":\"POST /a HTTP/1.1\",\
         \"status\":201,\"host\":\"x\",\"request_body\":\"a=1\"}");
    assert_eq!(body.completeness, Completeness::ResponseDamaged);
    assert_eq!(&body.request.expect("a request").message.body.bytes[..], b"a=1");
}

/// The address of the client, and a header field of the request.
fn client_and(field: &str, line: &str) -> (String, Option<String>) {
    let exchange = of(line);
    let headers = exchange.request.expect("a request").message.headers;
    let value = headers.get(field).map(|value| String::from_utf8_lossy(value).into_owned());
    (exchange.client.address.to_string(), value)
}

#[test]
fn lists_of_proxies_tell_the_client_and_are_kept() {
    let rest = r#"- - [21/Sep/2026:14:13:20 +0000] "GET /a HTTP/1.1" 200 5 "-" "x""#;
    for (before, after, client, forwarded) in [
        ("10.5.0.2, 10.0.0.1", "", "10.5.0.2", Some("10.5.0.2, 10.0.0.1")),
        ("\"2a03:0:0::8, 10.0.0.1\" 10.2.1.5", "", "2a03::8", Some("2a03:0:0::8, 10.0.0.1")),
        ("10.2.1.5", " \"10.5.0.2\"", "10.2.1.5", Some("10.5.0.2")),
        ("10.2.1.5", " \"0.004\"", "10.2.1.5", None),
        ("10.2.1.5", " \"-\"", "10.2.1.5", None),
    ] {
        let found = client_and("x-forwarded-for", &format!("{before} {rest}{after}"));
        let forwarded = forwarded.map(str::to_owned);
        assert_eq!(found, (client.to_owned(), forwarded), "{before} {after}");
    }
}

#[test]
fn what_a_client_wrote_ends_no_header_field() {
    let line =
        r#"10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] "GET / HTTP/1.1" 200 1 "r" "x\x0d\x0aA: b""#;
    assert_eq!(client_and("user-agent", line).1, None);
    assert_eq!(client_and("referer", line).1.as_deref(), Some("r"));
    assert_eq!(client_and("a", line).1, None);
    for host in ["shop\\r\\nA: b", "two hosts"] {
        let line = format!(
            "{{\"time_iso8601\":\"2026-09-21T14:13:20Z\",\"request\":\"GET / HTTP/1.1\",\
             \"status\":200,\"host\":\"{host}\"}}"
        );
        assert_eq!(client_and("host", &line).1, None, "{line}");
    }
    let cloudfront = "#Fields: date time x-edge-location cs-method cs-uri-stem cs(User-Agent)\n\
                      2026-09-21\t14:13:20\tLAX1\tGET\t/a\tx%0D%0AA:%20b";
    assert_eq!(client_and("user-agent", cloudfront).1, None);
}

#[test]
fn lines_of_other_fields_than_were_said_are_not_understood() {
    let said = "#Fields: date time cs-method cs-uri-stem sc-status\n";
    let line = "2026-09-21 14:13:20 GET /a 200";
    assert_eq!(rejected(&format!("{said}{line}")), None);
    assert_eq!(rejected(&format!("{said}{line} 5")), Some("access-log-line-not-understood"));
    assert!(is_one(format!("#Software: x\n{said}").as_bytes()));
    assert!(!is_one(b"#Software: x\n#Fields: date time action src-ip\n"), "a firewall's");
    assert!(!is_one(b"# a note\nhello\n"));
}

#[test]
fn what_is_no_request_is_counted_by_its_reason() {
    for (line, reason) in [
        ("hello", "access-log-line-not-understood"),
        (r#"{"level":"info"}"#, "access-log-line-not-understood"),
        (
            r#"10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] "\x16\x03\x01" 400 0"#,
            "access-log-request-not-http",
        ),
        (r#"10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] "-" 408 0"#, "access-log-request-not-http"),
        (
            "10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] \"GET /a\\x0d\\x0aX: y HTTP/1.1\" 200 0",
            "access-log-request-not-http",
        ),
        (r#"{"method":"GET","path":"/a","status":200}"#, "access-log-line-without-time"),
    ] {
        assert_eq!(rejected(line), Some(reason), "{line}");
    }
    let long = format!("{}\n", "x".repeat(2 * limits::HEAD_BYTES));
    assert_eq!(rejected(&long), Some("access-log-line-too-long"));
    assert_eq!(rejected("# a remark\n\n"), None);
}

proptest::proptest! {
    #[test]
    fn no_line_ends_the_program(line in "[\\[\\]\"\\\\ a-z0-9{}:x/é,#<>\\t-]{0,80}") {
        let _ = read::<io::Error>(line.as_bytes(), |_| Ok(()));
    }
}
