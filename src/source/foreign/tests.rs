//! Recordings of other tools: what becomes of each kind of entry, round trips, and what other texts
//! are called.

use std::io::Read as _;

use super::*;
use crate::exchange::Completeness;
use crate::record::exchanges::Line;

/// The exchanges of a text, and the ledger of its last line.
fn read(text: impl Into<Vec<u8>>) -> (Vec<Exchange>, Ledger) {
    let reader = Box::new(io::Cursor::new(text.into()));
    let mut lines = String::new();
    as_exchanges("x", reader).expect("a recording").read_to_string(&mut lines).expect("text");
    let (mut all, mut ledger) = (Vec::new(), Ledger::default());
    for line in lines.lines() {
        match exchanges::read(line.as_bytes()).expect("a line of our own") {
            Line::Exchange(exchange) => all.push(*exchange),
            Line::End(end) => ledger = end.ledger,
            Line::Header(_) => {}
        }
    }
    (all, ledger)
}

fn refused(text: &str) -> String {
    match as_exchanges("x", Box::new(io::Cursor::new(text.as_bytes().to_vec()))) {
        Ok(_) => panic!("{text:?} is read"),
        Err(error) => error.to_string(),
    }
}

/// An entry; `more` stands in its request and response where those names are.
fn entry(second: u32, method: &str, url: &str, request: &str, response: &str) -> String {
    format!(
        r#"{{"startedDateTime":"2026-09-21T14:13:{second:02}.500+02:00","time":30,
        "request":{{"method":"{method}","url":"{url}",
        "httpVersion":"HTTP/1.1","headers":[],{request}
        "cookies":[{{"name":"c","value":"1"}}],"queryString":[],"headersSize":-1,"bodySize":0}},
        "response":{{{response}"statusText":"","httpVersion":"h2","cookies":[],"redirectURL":""}},
        "timings":{{"blocked":1,"dns":-1,"connect":-1,"send":2,"wait":20,"receive":7}},
        "cache":{{}}}}"#
    )
}

fn har(entries: &[String]) -> String {
    let creator = r#""creator":{"name":"a browser","version":"1"},"pages":[{"id":"p"}]"#;
    format!(
        "{{\n  \"log\": {{\"version\":\"1.2\",{creator},\"entries\":[{}]}}}}",
        entries.join(",")
    )
}

const OK: &str = r#""status":200,"headers":[{"name":"content-type","value":"text/plain"}],
    "content":{"size":2,"mimeType":"text/plain","text":"ok"},"#;

#[test]
fn entries_of_a_har_are_exchanges() {
    let text = har(&[
        entry(21, "GET", "https://shop.example:8443/a?x=%20#part", "", OK),
        entry(
            20,
            "POST",
            "http://shop.example/form",
            "\"postData\":{\"mimeType\":\"application/x-www-form-urlencoded\",\
             \"params\":[{\"name\":\"a\",\"value\":\"b c\"}]},",
            OK,
        ),
        entry(22, "GET", "data:text/plain,x", "", OK),
        entry(23, "GET", "http://shop.example/gone", "", r#""status":0,"headers":[],"#),
        entry(
            24,
            "GET",
            "http://shop.example/image",
            "",
            r#""status":200,"headers":[],"content":{"size":2000,"mimeType":"image/png"},"#,
        ),
    ]);
    let (all, ledger) = read(text);
    let [form, get, gone, image] = &all[..] else { panic!("{all:?}") };
    assert_eq!(ledger.rejected.get("har-entry-of-another-scheme"), Some(&1), "{ledger:?}");
    assert_eq!((ledger.input, ledger.used), (5, 4));
    let request = &get.request.as_ref().expect("a request");
    assert_eq!(request.at.to_string(), "2026-09-21T12:13:21.501000000Z", "behind the waiting");
    assert_eq!(&request.message.target[..], b"/a?x=%20");
    assert_eq!(request.message.headers.get("host"), Some(&b"shop.example:8443"[..]));
    assert_eq!(get.server.port, 8443);
    let response = get.response.as_ref().expect("a response");
    assert_eq!(
        (response.first_byte_ns, response.last_byte_ns),
        (Some(22_000_000), Some(29_000_000))
    );
    assert_eq!(&response.message.body.bytes[..], b"ok");
    let posted = &form.request.as_ref().expect("a request").message;
    assert_eq!(&posted.body.bytes[..], b"a=b+c");
    assert_eq!(posted.headers.get("content-length"), Some(&b"5"[..]));
    assert_eq!(gone.completeness, Completeness::NoResponse);
    assert_eq!(image.completeness, Completeness::ResponseDamaged, "its body is not in the HAR");
}

#[test]
fn what_a_har_has_undone_is_done_again() {
    let coded = |coding: &str| {
        let headers = format!(r#"[{{"name":"Content-Encoding","value":"{coding}"}}]"#);
        let response = format!(
            "\"status\":200,\"headers\":{headers},\"content\":{{\"size\":2,\"text\":\"b2s=\",\
             \"encoding\":\"base64\"}},"
        );
        let (all, _) = read(har(&[entry(1, "GET", "http://x/", "", &response)]));
        all[0].response.clone().expect("a response").message
    };
    for coding in ["gzip", "deflate", "zstd", "br"] {
        let message = coded(coding);
        let decoded = crate::message::content::decode(
            &message.body.bytes,
            message.headers.all("content-encoding"),
            100,
        );
        assert_eq!(&*decoded.expect("decodes"), b"ok", "{coding}");
    }
    assert_eq!(&coded("compress").body.bytes[..], b"ok");
    assert!(coded("compress").headers.get("content-encoding").is_none());
}

#[test]
fn a_large_body_goes_back_into_brotli() {
    let long = "ab".repeat(70_000);
    let response = format!(
        r#""status":200,"headers":[{{"name":"content-encoding","value":"br"}}],
        "content":{{"size":140000,"text":"{long}"}},"#
    );
    let (all, _) = read(har(&[entry(1, "GET", "http://x/", "", &response)]));
    let message = &all[0].response.as_ref().expect("a response").message;
    let codings = message.headers.all("content-encoding");
    let decoded = crate::message::content::decode(&message.body.bytes, codings, 1 << 20);
    assert!(*decoded.expect("decodes") == *long.as_bytes());
}

#[test]
fn requests_that_overlap_have_lanes_of_their_own() {
    let slow = |second| {
        entry(second, "GET", "http://x/", "", OK).replace("\"receive\":7", "\"receive\":1500")
    };
    let (all, _) = read(har(&[slow(1), slow(2), slow(4)]));
    let ids: Vec<String> = all.iter().map(|exchange| exchange.id.to_string()).collect();
    assert_eq!(ids, ["0-0", "1-0", "0-1"]);
}

fn gor(parts: &[(&str, &str)]) -> String {
    let separator = std::str::from_utf8(gor::SEPARATOR).expect("UTF-8");
    parts.iter().map(|(line, payload)| format!("{line}\n{payload}{separator}")).collect()
}

#[test]
fn methods_are_those_that_a_client_sent() {
    let methods = [("get", "GET"), ("Post", "POST"), ("PURGE", "PURGE"), ("patch", "patch")];
    for (written, sent) in methods {
        let exchange = one(entry(20, written, "http://shop.example/a", "", OK)).expect(written);
        let request = exchange.request.expect("a request");
        assert_eq!(&request.message.method[..], sent.as_bytes());
    }
}

#[test]
fn payloads_of_a_gor_file_are_exchanges() {
    let at = 1_790_000_000_000_000_000i64;
    let get = "GET /a HTTP/1.1\r\nHost: shop.example:8080\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\n\r\r\n0\r\n\r\n";
    let text = gor(&[
        (&format!("1 a1 {at} 0"), get),
        (&format!("1 a2 {} 0", at + 5), get),
        (&format!("2 a1 {} 12000000", at + 12_000_000), chunked),
        (&format!("3 a1 {} 9", at + 9), "HTTP/1.1 200 OK\r\n\r\n"),
        (&format!("2 zz {at} 0"), chunked),
        (&format!("1 a3 {at}"), "GET"),
        ("no line", "of this format"),
    ]);
    let (all, ledger) = read(text);
    let [answered, waits] = &all[..] else { panic!("{all:?}") };
    assert_eq!(answered.completeness, Completeness::Complete);
    let response = answered.response.as_ref().expect("a response");
    assert_eq!(response.last_byte_ns, Some(12_000_000));
    assert_eq!(&response.message.body.bytes[..], b"a\n\r");
    assert_eq!(waits.completeness, Completeness::NoResponse);
    assert_eq!(answered.server.port, 8080);
    for reason in [
        "gor-answer-of-a-replay",
        "gor-answer-without-request",
        "gor-request-damaged",
        "gor-payload-without-its-line",
    ] {
        assert_eq!(ledger.rejected.get(reason), Some(&1), "{reason}: {ledger:?}");
    }
}

/// Forms of `.gor` files that are published: written by other programs, by old versions, by hand.
#[test]
fn gor_files_of_other_writers_and_versions_are_read() {
    let at = 1_446_258_132_421_163_739i64;
    // Heads that end with the separator's own newline, without a host; newlines that git made LF.
    let (all, _) = read(gor(&[
        (&format!("1 a1 {at} 0"), "GET /ping HTTP/1.1\n"),
        (&format!("1 a2 {} 0", at + 1), "GET /x HTTP/1.1\nHost: shop.example\nAccept: */*\n"),
        (&format!("1 a3 {}", at + 2), "GET /y HTTP/1.0\nHost: shop.example\n\n"),
        (&format!("1 a4 {} 0 ", at + 3), "\nGET /z HTTP/1.1\nHost: shop.example\n"),
    ]));
    let targets: Vec<_> =
        all.iter().map(|all| &all.request.as_ref().expect("one").message.target[..]).collect();
    assert_eq!(targets, [&b"/ping"[..], b"/x", b"/y", b"/z"]);
    assert!(all[0].is_marked(crate::exchange::HOST_UNKNOWN));
    assert!(!all[1].is_marked(crate::exchange::HOST_UNKNOWN));
    // GoReplay records no answers unless it is told to: v1 may have answered.
    assert!(all.iter().all(|all| all.is_marked(crate::exchange::UNANSWERED)));

    // What came off the wire with CRLF and stops in its head was cut there.
    let cut = "GET /x HTTP/1.1\r\nHost: shop.example\r\n";
    let (all, ledger) = read(gor(&[
        (&format!("1 a1 {at} 0"), cut),
        (&format!("1 a2 {at} 0"), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ]));
    assert_eq!((all.len(), ledger.rejected.get("gor-request-damaged")), (1, Some(&1)));

    // Version 0.14 tells of an answer how long it took, and not when it came.
    let (all, _) = read(gor(&[
        (&format!("1 a1 {at}"), "GET / HTTP/1.0\r\nHost: x\r\n\r\n"),
        ("2 a1 458922218", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    ]));
    let answer = all[0].response.as_ref().expect("an answer");
    assert_eq!(answer.last_byte_ns, Some(458_922_218));
    assert!(!all[0].is_marked(crate::exchange::UNANSWERED));
}

#[test]
fn requests_of_a_gor_file_whose_separator_is_missing_are_read_or_counted() {
    let at = 1_612_344_573_714_086_685i64;
    let post = |body: &str| {
        let length = body.len();
        format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let (all, ledger) = read(gor(&[
        (&format!("1 a1 {at} 0"), &(post("{}") + &post("[1]") + "\r\n")),
        (&format!("1 a2 {at} 0"), &(post("{}") + "and what is no request")),
    ]));
    let bodies: Vec<_> =
        all.iter().map(|all| all.request.as_ref().expect("one").message.body.bytes.len()).collect();
    assert_eq!(bodies.iter().sum::<usize>(), 7, "{all:?}");
    assert_eq!(all.len(), 3);
    assert_eq!(ledger.rejected.get("gor-bytes-behind-a-request"), Some(&1));
    assert_eq!(ledger.balance(), 0);
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let at = 1_790_000_000_000_000_000i64;
    let post = "POST /a?b=1 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\n\u{e4}\r\n";
    let answer =
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>";
    let (first, _) = read(gor(&[
        (&format!("1 a1 {at} 0"), post),
        (&format!("2 a1 {} 0", at + 7_000), answer),
        (&format!("1 a2 {} 0", at + 9_000_000), "GET / HTTP/1.1\r\nHost: y\r\n\r\n"),
    ]));
    let mut as_gor = Vec::new();
    let mut as_har = har::write::beginning("shadowtap 1").into_bytes();
    for (index, exchange) in first.iter().enumerate() {
        as_har.extend_from_slice(if index > 0 { b"," } else { b"" });
        assert!(har::write::write(&mut as_har, exchange));
        assert_eq!(gor::write(&mut as_gor, exchange), gor::Written::Whole);
    }
    as_har.extend_from_slice(har::write::END.as_bytes());
    for text in [as_gor, as_har] {
        let (again, ledger) = read(text);
        assert_eq!(ledger.balance(), 0);
        assert_eq!(again.len(), first.len());
        for (first, again) in first.iter().zip(&again) {
            assert_eq!(again.request, first.request);
            let message =
                |exchange: &Exchange| exchange.response.as_ref().map(|r| r.message.clone());
            assert_eq!(message(again), message(first));
            assert_eq!(again.completeness, first.completeness);
        }
    }
}

#[test]
fn other_texts_are_called_what_they_are() {
    for (text, said) in [
        (r#"{"info":{"_postman_id":"1","name":"x"},"item":{}}"#, "a Postman collection that is"),
        ("GET / HTTP/1.1\r\n\r\n", "no capture and no recording"),
        ("1 a1 12 0\nno request", "no capture and no recording"),
        (r#"{"openapi":"3.0.0","paths":{}}"#, "OpenAPI"),
        (r#"{"log":"x"}"#, "JSON that begins with \"log\""),
        ("{", "JSON without members"),
        ("{\n\t\"id\": \"1\",\n\t\"order\": [],\n\t\"requests\": []}", "v2.1"),
        ("[{}]", "a list of JSON"),
        ("<?xml version=\"1.0\"?>", "XML"),
        ("4:flow;", "mitmproxy"),
        ("  \n", "blank"),
        (r#"{"log":{"entries":[{"request":{]}"#, "a HAR that is damaged"),
    ] {
        let error = refused(text);
        assert!(error.contains(said), "{text:?}: {error}");
    }
}

#[test]
fn a_har_that_is_cut_gives_what_stands_before_the_cut() {
    let entries: Vec<String> = (1..4).map(|at| entry(at, "GET", "http://x/a", "", OK)).collect();
    let whole = har(&entries);
    let cut = whole.rfind("startedDateTime").expect("an entry") + 40;
    let (all, ledger) = read(&whole[..cut]);
    assert_eq!((all.len(), ledger.used), (2, 2));
    assert_eq!(ledger.rejected.get("har-cut-before-its-end"), Some(&1), "{ledger:?}");
    assert!(refused(&whole[..whole.len() / 4]).contains("cut inside its first entry"));
    // What is damaged in the middle is no HAR any more.
    assert!(refused(&whole.replacen(r#""cache":{}},"#, r#""cache":{}};"#, 1)).contains("damaged"));
}

#[test]
fn a_list_of_requests_without_times_comes_back_from_gor() {
    for list in [
        "curl http://x/a\ncurl http://x/b -d 'n=1'\n",
        r#"{"info":{"_postman_id":"1"},"item":[{"request":"http://x/a"},{"request":"http://x/b"}]}"#,
    ] {
        let (before, _) = read(list);
        let mut gor = Vec::new();
        for exchange in &before {
            assert_eq!(gor::write(&mut gor, exchange), gor::Written::Whole);
        }
        let (after, _) = read(gor);
        let requests = |all: &[Exchange]| -> Vec<_> {
            all.iter().map(|exchange| exchange.request.clone()).collect()
        };
        assert_eq!(requests(&after), requests(&before), "{list}");
    }
}

#[test]
fn requests_of_logs_and_command_lines_are_exchanges() {
    let log = "10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] \"GET /a HTTP/1.1\" 200 12\nnot a line\n";
    let (all, ledger) = read(log);
    assert_eq!((all.len(), ledger.input, ledger.used), (1, 2, 1), "{ledger:?}");
    assert!(ledger.noted.keys().any(|name| name.contains("without-bodies")), "{ledger:?}");
    let (all, ledger) = read("# two lines\ncurl http://x/a\n\ncurl http://x/b");
    assert_eq!((all.len(), ledger.used), (2, 2));
    let ids: Vec<String> = all.iter().map(|exchange| exchange.id.to_string()).collect();
    assert_eq!(ids, ["0-0", "0-1"]);
    let (all, _) = read(r#"{"info":{"_postman_id":"1"},"item":[{"request":"http://x/a"}]}"#);
    assert_eq!(all.len(), 1);
}

#[test]
fn own_recordings_are_handed_on_as_they_are() {
    let text = "\u{feff}{ \"format\":\"shadowtap/exchanges\",\"version\":1}\n";
    let mut read = String::new();
    let reader = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
    as_exchanges("x", reader).expect("a recording").read_to_string(&mut read).expect("text");
    assert_eq!(read, text.trim_start_matches('\u{feff}'));
}

/// The one exchange of a HAR's entry, or why it is none.
fn one(entry: String) -> Result<Exchange, String> {
    let (mut all, ledger) = read(har(&[entry]));
    all.pop().ok_or_else(|| ledger.rejected.keys().cloned().collect())
}

#[test]
fn what_a_browser_did_by_itself_is_no_exchange() {
    let get = |response: &str| entry(1, "GET", "http://x/", "", response);
    let of_entry = |more: &str| get(OK).replacen('{', &format!("{{{more},"), 1);
    for (entry, reason) in [
        (of_entry(r#""_fromCache":"disk""#), "har-entry-from-a-cache"),
        (of_entry(r#""_fetchType":"Memory Cache""#), "har-entry-from-a-cache"),
        (of_entry(r#""_fetchType":"Service Worker""#), "har-entry-of-a-service-worker"),
        (get(&format!("{OK}\"_fetchedViaServiceWorker\":true,")), "har-entry-of-a-service-worker"),
        (get(r#""status":0,"_error":"net::ERR_BLOCKED_BY_CLIENT","#), "har-entry-never-sent"),
        (get(&format!("{OK}\"bodySize\":-171,\"_transferSize\":0,")), "har-entry-from-a-cache"),
    ] {
        assert_eq!(one(entry).map(|_| ()), Err(reason.to_owned()));
    }
    assert!(one(of_entry(r#""_fetchType":"Network Load""#)).is_ok());
    for error in ["_error", "_failureText"] {
        let aborted = one(get(&format!(r#""status":-1,"{error}":"net::ERR_ABORTED","#)));
        let aborted = aborted.expect("an exchange");
        assert!(aborted.is_marked(crate::exchange::UNANSWERED), "v1 may have answered");
        // And so it is when it goes out and comes back.
        let mut written = Vec::new();
        assert!(har::write::write(&mut written, &aborted));
        let again = one(String::from_utf8(written).expect("text")).expect("an exchange");
        assert!(again.is_marked(crate::exchange::UNANSWERED));
    }
    // What goes out before a request of another origin has no body to transfer.
    let preflight = r#""status":200,"_transferSize":0,"bodySize":-1,"content":{"size":0},"#;
    assert!(one(entry(1, "OPTIONS", "http://x/", "", preflight)).is_ok());
}

#[test]
fn bodies_that_a_browser_did_not_read_are_not_empty_ones() {
    let answer = |status: u16, fields: &str, content: &str, more: &str| {
        format!(r#""status":{status},"headers":[{fields}],"content":{{{content}}},{more}"#)
    };
    let length = r#"{"name":"Content-Length","value":"257"}"#;
    let zero = r#"{"name":"Content-Length","value":"0"}"#;
    let coded =
        r#"{"name":"Content-Length","value":"20"},{"name":"Content-Encoding","value":"gzip"}"#;
    let nothing = r#""size":0"#;
    let error = r#""_error":"net::ERR_ABORTED","#;
    let text = r#""size":2,"text":"ok""#;
    for (method, response, expected) in [
        ("GET", answer(302, length, nothing, ""), Completeness::ResponseDamaged),
        ("GET", answer(302, zero, nothing, ""), Completeness::Complete),
        ("GET", answer(200, coded, nothing, ""), Completeness::Complete),
        ("GET", answer(200, length, nothing, error), Completeness::ResponseDamaged),
        ("GET", answer(200, "", text, error), Completeness::ResponseDamaged),
        ("HEAD", answer(200, length, nothing, ""), Completeness::Complete),
        ("GET", answer(304, length, text, ""), Completeness::Complete),
    ] {
        let exchange = one(entry(1, method, "http://x/", "", &response)).expect("an exchange");
        assert_eq!(exchange.completeness, expected, "{method} {response}");
        let body = &exchange.response.expect("a response").message.body.bytes;
        if matches!(expected, Completeness::Complete) {
            assert!(body.is_empty(), "{method} {response}");
        }
    }
}

#[test]
fn what_a_browser_had_in_its_cache_was_not_modified() {
    let again = |field: &str, transferred: u32| {
        let response = format!(r#"{OK}"bodySize":0,"_transferSize":{transferred},"#);
        let entry = entry(1, "GET", "http://x/", "", &response);
        one(entry.replacen(
            r#""httpVersion":"HTTP/1.1","headers":[]"#,
            &format!(r#""httpVersion":"HTTP/1.1","headers":[{{"name":"{field}","value":"1"}}]"#),
            1,
        ))
    };
    let status = |exchange: Exchange| exchange.response.expect("a response").message.status;
    assert_eq!(again("If-None-Match", 172).map(status), Ok(304));
    assert_eq!(again("Accept", 172).map(status), Ok(200));
    // Where no bodies are kept, and where sizes are not.
    for response in [
        OK.replace(r#","text":"ok""#, "") + r#""bodySize":0,"_transferSize":172,"#,
        OK.replace(r#""headers":["#, r#""headers":[{"name":"Content-Length","value":"0"},"#)
            + r#""bodySize":-1,"#,
    ] {
        let field = r#""httpVersion":"HTTP/1.1","headers":[{"name":"If-None-Match","value":"1"}]"#;
        let entry = entry(1, "GET", "http://x/", "", &response);
        let entry = entry.replacen(r#""httpVersion":"HTTP/1.1","headers":[]"#, field, 1);
        assert_eq!(one(entry).map(status), Ok(304), "{response}");
    }
}

#[test]
fn a_har_without_any_cookie_says_so() {
    let with = entry(1, "GET", "http://x/", "", OK);
    let without = with.replace(r#""cookies":[{"name":"c","value":"1"}]"#, r#""cookies":[]"#);
    let note = "entries-of-a-har-without-any-cookie";
    let noted = |entries: &[String]| read(har(entries)).1.noted.get(note).copied();
    assert_eq!(noted(&[without.clone(), without.clone()]), Some(2));
    assert_eq!(noted(&[without, with]), None);
}

#[test]
fn bodies_of_requests_are_what_their_length_says() {
    let posted = |length: u32, text: &str| {
        let request = format!(r#""postData":{{"mimeType":"x/y","text":"{text}"}},"#);
        let entry = entry(1, "POST", "http://x/", &request, OK);
        let field = format!(r#""headers":[{{"name":"content-length","value":"{length}"}}]"#);
        let exchange = one(entry.replacen(r#""headers":[]"#, &field, 1)).expect("an exchange");
        let body = exchange.request.expect("a request").message.body.bytes;
        (exchange.completeness, body.to_vec())
    };
    let complete = |body: &[u8]| (Completeness::Complete, body.to_vec());
    assert_eq!(posted(4, "\\u0000\u{ff}\\u0001\u{fe}"), complete(b"\0\xff\x01\xfe"), "a byte each");
    assert_eq!(posted(2, "\u{fc}"), complete("\u{fc}".as_bytes()), "two bytes of UTF-8");
    assert_eq!(posted(0, ""), complete(b""));
    let unknown = |text: &str| {
        let request = format!(r#""postData":{{"mimeType":"x/y","text":"{text}"}},"#);
        let exchange = one(entry(1, "POST", "http://x/", &request, OK)).expect("an exchange");
        exchange.request.expect("a request").message.body.bytes.to_vec()
    };
    assert_eq!(unknown("\\u0000\u{ff}"), b"\0\xff");
    assert_eq!(unknown("\u{fc}\\n"), "\u{fc}\n".as_bytes());
    let parts = entry(1, "POST", "http://x/", "", OK).replacen(
        r#""headers":[]"#,
        r#""headers":[{"name":"Content-Type","value":"multipart/form-data; boundary=b"}]"#,
        1,
    );
    let parts = one(parts).expect("an exchange");
    assert_eq!(parts.completeness, Completeness::RequestDamaged, "a file is not listed");
    assert_eq!(posted(4, "").0, Completeness::RequestDamaged, "it is not listed");
}

#[test]
fn texts_go_back_into_their_charsets() {
    for (charset, expected) in [
        ("iso-8859-1", &b"gr\xfc\xdfe"[..]),
        ("shift_jis", "gr\u{fc}\u{df}e".as_bytes()),
        ("utf-8", "gr\u{fc}\u{df}e".as_bytes()),
        ("utf-16le", b"g\0r\0\xfc\0\xdf\0e\0"),
    ] {
        let kind = format!("text/plain; charset={charset}");
        let response = format!(
            r#""status":200,"headers":[{{"name":"Content-Type","value":"{kind}"}}],
            "content":{{"size":5,"mimeType":"{kind}","text":"grüße"}},"#
        );
        let posted = format!(r#""postData":{{"mimeType":"{kind}","text":"grüße"}},"#);
        let exchange = one(entry(1, "POST", "http://x/", &posted, &response)).expect("an exchange");
        let request = &exchange.request.as_ref().expect("a request").message;
        assert_eq!(&request.body.bytes[..], expected, "{charset}");
        let response = &exchange.response.as_ref().expect("a response").message;
        assert_eq!(&response.body.bytes[..], expected, "{charset}");
        let is_said = exchange.marks.iter().any(|mark| mark.contains("Shift_JIS"));
        assert_eq!(is_said, charset == "shift_jis", "{:?}", exchange.marks);
        // And out again, whatever the bytes are.
        let mut text = har::write::beginning("shadowtap 1").into_bytes();
        assert!(har::write::write(&mut text, &exchange));
        text.extend_from_slice(har::write::END.as_bytes());
        let (again, _) = read(text);
        assert_eq!(again[0].request, exchange.request, "{charset}");
    }
}

#[test]
fn odd_fields_cost_themselves_and_odd_entries_their_entry() {
    let odd = entry(1, "GET", "http://x/a", r#""postData":null,"#, OK)
        .replace(r#""headersSize":-1"#, r#""headersSize":null"#)
        .replace(r#""statusText":"""#, r#""statusText":null"#)
        .replace(r#""time":30"#, r#""time":"30""#)
        .replace(
            r#""httpVersion":"HTTP/1.1","headers":[]"#,
            r#""httpVersion":null,"headers":[{"name":"A","value":1},{"name":"B","value":null}]"#,
        );
    let no_entry =
        entry(2, "GET", "http://x/b", "", OK).replace(r#""headers":[]"#, r#""headers":7"#);
    let (all, ledger) = read(har(&[odd, no_entry, entry(3, "GET", "http://x/c", "", OK)]));
    assert_eq!(ledger.rejected.get("har-entry-not-understood"), Some(&1), "{ledger:?}");
    let [odd, _] = &all[..] else { panic!("{all:?}") };
    let headers = &odd.request.as_ref().expect("a request").message.headers;
    assert_eq!(headers.get("a"), Some(&b"1"[..]));
    assert_eq!(headers.get("b"), Some(&b""[..]));
}

#[test]
fn what_stands_beside_url_and_fields_is_part_of_the_request() {
    let listed = entry(1, "GET", "http://x/a", "", OK)
        .replace(r#""queryString":[]"#, r#""queryString":[{"name":"q","value":"a b"}]"#);
    let request = one(listed).expect("an exchange").request.expect("a request").message;
    assert_eq!(&request.target[..], b"/a?q=a+b");
    assert_eq!(request.headers.get("cookie"), Some(&b"c=1"[..]), "no field holds it");
}

#[test]
fn logs_of_containers_and_texts_that_only_begin_like_a_har() {
    let line = r#"10.0.0.1 - - [21/Sep/2026:14:13:20 +0000] "GET /a HTTP/1.1" 200 12"#;
    let docker = serde_json::json!({"log": format!("{line}\n"), "stream": "stdout",
        "time": "2026-09-21T14:13:20.1Z"});
    let cri = format!("2026-09-21T14:13:20.123456789Z stdout F {line}");
    let json = r#"{"time":"2026-09-21T14:13:20Z","method":"GET","path":"/a","status":200}"#;
    let cri_json = format!("2026-09-21T14:13:20.123456789+00:00 stderr F {json}");
    for text in [docker.to_string(), cri, cri_json] {
        let (all, ledger) = read(text.clone());
        assert_eq!((all.len(), ledger.used), (1, 1), "{text}: {ledger:?}");
        assert_eq!(&all[0].request.as_ref().expect("a request").message.target[..], b"/a");
    }
    let (all, _) = read(har(&[entry(1, "GET", "http://x/", "", OK)]).replacen(
        '{',
        r#"{"$schema":"http://json.schemastore.org/har","#,
        1,
    ));
    assert_eq!(all.len(), 1, "a log that is not the first member");
}
