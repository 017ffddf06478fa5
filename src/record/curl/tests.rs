//! Lines as browsers and people write them, and what `write` makes is read as it was.

use super::*;

fn read_all(text: &str) -> Vec<Result<Exchange, Reason>> {
    let mut all = Vec::new();
    read::<io::Error>(text.as_bytes(), |read| {
        all.push(read.map(|read| read.exchange));
        Ok(())
    })
    .expect("memory is read");
    all
}

fn message(text: &str) -> Request {
    let exchange = read_all(text).remove(0).expect("a request");
    exchange.request.expect("a request").message
}

fn field<'a>(request: &'a Request, name: &str) -> &'a str {
    std::str::from_utf8(request.headers.get(name).unwrap_or_default()).expect("UTF-8")
}

#[test]
fn what_a_browser_copies_is_a_request() {
    let copied = "curl 'https://shop.example:8443/cart?x=1' \\\n  -H 'accept: application/json' \
        \\\n  \
                  -b 'session=abc; theme=dark' \\\n  -H 'content-type: application/json' \\\n  \
                  --data-raw $'{\"note\":\"it\\'s \\u0021\"}' \\\n  --compressed";
    assert!(is_one(copied.as_bytes()));
    let request = message(copied);
    assert_eq!(&request.method[..], b"POST");
    assert_eq!(&request.target[..], b"/cart?x=1");
    assert_eq!(&request.body.bytes[..], br#"{"note":"it's !"}"#);
    for (name, value) in [
        ("host", "shop.example:8443"),
        ("cookie", "session=abc; theme=dark"),
        ("content-type", "application/json"),
        ("content-length", "17"),
    ] {
        assert_eq!(field(&request, name), value, "{name}");
    }
}

#[test]
fn what_a_browser_copies_for_cmd_is_the_same_request() {
    let copied = "curl ^\"https://shop.example/cart?x=1^&y=^%^20^\" ^\r\n  \
        -H ^\"accept: */*^\" ^\r\n  \
        -H ^\"sec-ch-ua: ^\\^\"Chromium^\\^\";v=^\\^\"149^\\^\"^\" ^\r\n  \
        --data-raw ^\"^{^\\^\"note^\\^\":^\\^\"a^\r\n\r\nb^\\^\"^}^\" &\r\n\
        curl ^\"https://shop.example/^\" ^\r\n  --compressed\r\n";
    assert!(is_one(copied.as_bytes()));
    let all = read_all(copied);
    assert_eq!(all.len(), 2, "{all:?}");
    let request = message(copied);
    assert_eq!(&request.target[..], b"/cart?x=1&y=%20");
    assert_eq!(field(&request, "accept"), "*/*");
    assert_eq!(field(&request, "sec-ch-ua"), "\"Chromium\";v=\"149\"");
    let body = String::from_utf8_lossy(&request.body.bytes).replace('\r', "");
    assert_eq!(body, "{\"note\":\"a\nb\"}");
    // A caret of bash is a caret.
    assert_eq!(&message("curl 'http://x/^a^' -d \"^\"").body.bytes[..], b"^");
}

#[test]
fn options_say_what_curl_would_send() {
    for (line, method, target, body) in [
        ("curl http://x/", "GET", "/", ""),
        ("curl -sSL -I x.example/a", "HEAD", "/a", ""),
        ("curl -sXDELETE http://x/1 -o /dev/null", "DELETE", "/1", ""),
        ("curl http://x/ -d a=1 -d b=2", "POST", "/", "a=1&b=2"),
        ("curl -G http://x/?q=1 --data-urlencode 'n=a b'", "GET", "/?q=1&n=a+b", ""),
        ("curl --json '{\"a\":1}' http://x/", "POST", "/", "{\"a\":1}"),
        ("printf %s aGk= | base64 -d | curl --data-binary @- http://x/", "POST", "/", "hi"),
    ] {
        let request = message(line);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let found = (text(&request.method), text(&request.target), text(&request.body.bytes));
        assert_eq!(found, (method.to_owned(), target.to_owned(), body.to_owned()), "{line}");
    }
    assert_eq!(field(&message("curl -u a:b http://x/"), "authorization"), "Basic YTpi");
    let form = message("curl -F a=1 http://x/");
    assert!(
        form.body.bytes.starts_with(b"------") && field(&form, "content-type").contains("form")
    );
}

#[test]
fn what_is_no_request_is_counted_by_its_reason() {
    for (line, reason) in [
        ("ls -l", "curl-line-of-another-command"),
        ("curl -s", "curl-line-without-url"),
        ("curl http://x/ -H", "curl-line-cut"),
        ("curl 'http://x/", "curl-line-with-open-quote"),
        ("curl ftp://x/", "curl-line-of-another-scheme"),
        ("curl 'http://x/a b'", "curl-line-without-url"),
    ] {
        assert_eq!(read_all(line), [Err(reason)], "{line}");
    }
    let file = read_all("curl http://x/ -d @secret.json").remove(0).expect("a request");
    assert_eq!(file.completeness, Completeness::RequestDamaged, "no file is opened");
}

#[test]
fn what_is_written_is_read_as_it_was() {
    let recorded = |target: &str, fields: &[(&str, &str)], body: Vec<u8>| {
        let mut headers = Headers::new();
        let length = body.len().to_string();
        let length = (!body.is_empty()).then_some(("Content-Length", &*length));
        for (name, value) in fields.iter().copied().chain(length) {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let method = Bytes::from_static(if body.is_empty() { b"GET" } else { b"PUT" });
        let framing = if body.is_empty() { Framing::None } else { Framing::ContentLength };
        let target = Bytes::from(target.to_owned());
        Request { method, target, headers, body: Body::whole(body), framing, ..Request::default() }
    };
    let host = ("Host", "shop.example:8080");
    for request in [
        recorded(
            "/a?b='c'&d=\"e\"",
            &[host, ("Accept", "*/*"), ("X-Quote", "it's \"so\"")],
            vec![],
        ),
        recorded("/$(id)`id`", &[host, ("Accept", "a")], vec![]),
        recorded("/", &[host, ("Accept", "a"), ("Content-Type", "b")], b"a\n'b\x1b".to_vec()),
        recorded("/", &[host, ("Accept", "a"), ("Content-Type", "b")], vec![0, 159, 146, 150]),
        recorded("/", &[host, ("Accept", "a"), ("Content-Type", "b")], vec![b'x'; 200 << 10]),
    ] {
        let message = request.clone();
        let exchange = Exchange {
            request: Some(TimedRequest { message, ..TimedRequest::default() }),
            ..Exchange::between(Endpoint::new(UNKNOWN, 0), Endpoint::new(UNKNOWN, 80))
        };
        let mut line = Vec::new();
        assert!(write::write(&mut line, &exchange));
        let line = String::from_utf8(line).expect("UTF-8");
        assert!(is_one(line.as_bytes()), "{line}");
        assert_eq!(self::message(&line), request, "{line}");
    }
}

#[test]
fn a_host_that_the_shell_would_run_is_not_written() {
    let mut headers = Headers::new();
    headers.push(b"Host", b"x$(id)");
    let message =
        Request { method: "GET".into(), target: "/".into(), headers, ..Request::default() };
    let exchange = Exchange {
        request: Some(TimedRequest { message, ..TimedRequest::default() }),
        ..Exchange::between(Endpoint::new(UNKNOWN, 0), Endpoint::new(UNKNOWN, 80))
    };
    assert!(!write::write(&mut Vec::new(), &exchange));
}
