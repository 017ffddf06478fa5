//! The comparison of two answers: any two bodies of any kind (JSON, lines of JSON, forms, XML,
//! text, bytes) are compared without a panic, an answer never differs from itself, and two that
//! differ one way differ the other way.
//!
//! Input: a byte that chooses the media type, two bytes that say where the first body ends, then
//! both.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use shadowtap::diff::change::{Context, MAX_CHANGES, Sink};
use shadowtap::diff::compare;
use shadowtap::diff::rules::{DiffConfig, RouteRules, Rules};
use shadowtap::message::{Body, Headers, Request, Response};
use shadowtap::redact::Masker;
use shadowtap::time::Timestamp;

const TYPES: [&str; 12] = [
    "application/json",
    "application/problem+json",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "application/xml",
    "text/html",
    "text/plain; charset=iso-8859-1",
    "application/json; charset=utf-16le",
    "text/plain",
    "image/svg+xml",
    "multipart/form-data; boundary=b",
    "",
];

static MASKER: LazyLock<Masker> = LazyLock::new(|| Masker::new(b"fuzz"));
static RULES: LazyLock<RouteRules> =
    LazyLock::new(|| Rules::new(&DiffConfig::default()).expect("no rules").of_route("GET /"));

fuzz_target!(|data: &[u8]| {
    let [kind, high, low, bodies @ ..] = data else { return };
    let (first, second) =
        bodies.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(bodies.len()));
    let media = TYPES[usize::from(*kind) % TYPES.len()];
    let (left, right) = (answer(media, first), answer(media, second));
    let (forth, back) = (differences(&left, &right), differences(&right, &left));
    assert_eq!(forth.is_empty(), back.is_empty(), "{forth:?} {back:?}");
    assert!(differences(&left, &left).is_empty(), "an answer differs from itself");
});

fn answer(media: &str, body: &[u8]) -> Response {
    let mut headers = Headers::new();
    if !media.is_empty() {
        headers.push(b"Content-Type", media.as_bytes());
    }
    Response {
        status: 200,
        headers,
        body: Body::whole(Bytes::copy_from_slice(body)),
        ..Response::default()
    }
}

fn differences(expected: &Response, actual: &Response) -> Vec<String> {
    let request = Request { method: "GET".into(), target: "/a?b=1".into(), ..Request::default() };
    let context = Context {
        request: &request,
        expected_at: Timestamp::from_nanos(0),
        actual_at: Some(Timestamp::from_nanos(1)),
        hosts: &|| [vec!["v1".to_owned()], vec!["v2".to_owned()]],
        rules: &RULES,
        readings: &Default::default(),
        masker: &MASKER,
        bound: None,
        asked: Default::default(),
    };
    // As in the first pass over a run, where places are counted and equal documents are walked.
    let mut sink = Sink { present: Some(Default::default()), ..Sink::default() };
    compare::answers(&context, expected, actual, &mut sink);
    assert!(sink.changes.len() <= MAX_CHANGES);
    sink.changes.iter().map(|change| format!("{} {}", change.place, change.label)).collect()
}
