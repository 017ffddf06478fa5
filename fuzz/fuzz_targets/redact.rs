//! Redaction and edits: any message is redacted without a panic and in the same way each time, a
//! secret that a header names stays nowhere, and a walk that puts nothing changes nothing.
//!
//! Input: a byte that chooses the media type, a byte with the length of the target, the target, then
//! the body.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use shadowtap::exchange::{Exchange, TimedRequest, TimedResponse};
use shadowtap::message::document::{Bounds, Value, Visit};
use shadowtap::message::place::Trail;
use shadowtap::message::{Body, Headers, Request, Response, edit};
use shadowtap::record::exchanges::{Line, read};
use shadowtap::redact::{Masker, RedactRule, Redactor};

const TYPES: [&str; 12] = [
    "application/json",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "application/xml",
    "text/html",
    "text/plain; charset=utf-16",
    "text/event-stream",
    "multipart/form-data; boundary=b",
    "application/grpc",
    "application/graphql",
    "text/csv",
    "",
];

const SECRET: &str = "Zq7vP2xK9mLd4TnB8wRj";

static REDACTOR: LazyLock<Redactor> =
    LazyLock::new(|| Redactor::new(&[RedactRule::Default], b"a key of a fuzz target"));
static MASKER: LazyLock<Masker> = LazyLock::new(|| Masker::new(b"fuzz"));

fuzz_target!(|data: &[u8]| {
    let [kind, length, rest @ ..] = data else { return };
    let (target, body) = rest.split_at(usize::from(*length).min(rest.len()));
    let mut exchange = exchange(TYPES[usize::from(*kind) % TYPES.len()], target, body);
    let before = exchange.clone();
    if let (Some(request), Some(response)) = (&mut exchange.request, &mut exchange.response) {
        assert!(!edit::request(&mut request.message, &mut Nothing, Bounds::default()));
        assert!(!edit::response(&mut response.message, &mut Nothing, Bounds::default()));
    }
    assert_eq!(exchange, before);
    REDACTOR.apply(&mut exchange);
    let request = &exchange.request.as_ref().expect("it had one").message;
    let holds = |text: &[u8]| text.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
    assert!(request.headers.iter().all(|(_, value)| !holds(value)), "a secret stays");
    assert!(!holds(&request.body.bytes), "a secret that a header names stays in the body");
    let mut again = before;
    REDACTOR.apply(&mut again);
    assert_eq!(again, exchange, "a token is another one");
    let text = String::from_utf8_lossy(body);
    let _ = (MASKER.text(&text), MASKER.value(&text), MASKER.lines(&text));
});

/// A visitor that puts nothing.
struct Nothing;

impl Visit for Nothing {
    fn value(&mut self, _: &Trail<'_>, _: Value<'_>) -> Option<String> {
        None
    }
}

fn exchange(media: &str, target: &[u8], body: &[u8]) -> Exchange {
    let mut headers = Headers::new();
    headers.push(b"Host", b"h");
    headers.push(b"Authorization", format!("Bearer {SECRET}").as_bytes());
    if !media.is_empty() {
        headers.push(b"Content-Type", media.as_bytes());
    }
    let content = Body::whole(Bytes::copy_from_slice(body));
    let request = Request {
        method: "POST".into(),
        target: Bytes::copy_from_slice(target),
        headers: headers.clone(),
        body: content.clone(),
        ..Request::default()
    };
    let response = Response { status: 200, headers, body: content, ..Response::default() };
    let line = r#"{"id":"1-0","connection":1,"client":"10.0.0.1:1","server":"10.0.0.2:2","protocol":"http/1","completeness":"complete","request":null,"response":null,"interim":[]}"#;
    let Ok(Line::Exchange(empty)) = read(line.as_bytes()) else { panic!("a line") };
    Exchange {
        request: Some(TimedRequest { message: request, ..TimedRequest::default() }),
        response: Some(TimedResponse { message: response, ..TimedResponse::default() }),
        ..*empty
    }
}
