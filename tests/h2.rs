//! Replays over HTTP/2 at servers on loopback: what they get is what was captured, in its order and
//! on its streams; and every way in which a server may fail them. No test asserts a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "support/h2_server.rs"]
mod h2_server;
#[path = "support/replay_rig.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod rig;
#[path = "support/tls.rs"]
mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use h2_server::{Asked, Talk, serve};
use rig::*;
use shadowtap::exchange::{Carriage, ClientSettings, Completeness, Exchange};
use shadowtap::message::{Body, Extras, Framing, Request, Version};
use shadowtap::outcome::FailureKind;
use shadowtap::record::exchanges::Line;
use shadowtap::replay::plan::Wishes;
use shadowtap::replay::{ReplayOptions, ReplayStop, Spoken, Windows};
use shadowtap::schedule::pacing::{Pacing, Speed};
use shadowtap::schedule::select::Selection;
use shadowtap::wire::h2::frame::{self, flag, kind};

/// A request of HTTP/2 that was captured `at`, and answered `answered`.
fn asked(ordinal: u32, at: i64, answered: Option<i64>, path: &str) -> Exchange {
    let mut exchange = exchange(4, ordinal, at, answered, &get(path));
    exchange.protocol = "http/2".to_owned();
    let pairs =
        [(":method", "GET"), (":scheme", "http"), (":authority", "shop.invalid"), (":path", path)];
    let message = &mut exchange.request.as_mut().unwrap().message;
    *message = Request {
        method: "GET".into(),
        target: path.to_owned().into(),
        version: Version::Http2,
        headers: pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
        ..Request::default()
    };
    exchange
}

/// The same with a body that comes in pieces.
fn streamed(ordinal: u32, at: i64, path: &str, pieces: &[(&str, i64)]) -> Exchange {
    let mut exchange = asked(ordinal, at, None, path);
    let request = exchange.request.as_mut().unwrap();
    let body: String = pieces.iter().map(|(text, _)| *text).collect();
    let told = pieces.iter().map(|(text, at)| (text.len() as u64, *at)).collect();
    request.message.body = Body::whole(body);
    request.message.framing = Framing::Frames;
    request.message.extras = Extras { pieces: told, ..Extras::default() }.of();
    exchange
}

fn all() -> Wishes {
    let selection = Selection { unsafe_methods: true, ..Selection::default() };
    Wishes { selection, ..Wishes::default() }
}

fn at_once() -> Wishes {
    Wishes { pacing: Pacing { speed: Speed::Max, ..Pacing::default() }, ..all() }
}

fn run(exchanges: &[Exchange], wishes: Wishes, options: &ReplayOptions) -> Replayed {
    replay_with(exchanges, wishes, options, &Arc::new(ReplayStop::default()))
}

#[test]
fn streams_of_a_connection_share_one_and_wait_only_for_what_their_client_had() {
    // The second asks while the first is under way; the third behind the second's answer.
    let exchanges = [
        asked(0, 0, Some(900 * MS), "/slow"),
        asked(1, MS, Some(2 * MS), "/quick"),
        asked(2, 3 * MS, Some(4 * MS), "/behind"),
        asked(3, 901 * MS, None, "/last"),
    ];
    let log = Arc::new(Mutex::new(Vec::new()));
    let address = serve({
        let log = Arc::clone(&log);
        move |talk: &mut Talk, asked: &Asked| {
            let path = asked.field(":path");
            log.lock().unwrap().push(path.clone());
            match path.as_str() {
                // Not before the others are there, which would never be if they waited for it.
                "/slow" => {}
                "/behind" => {
                    talk.answer(asked.stream, b"ok");
                    talk.answer(1, b"slow");
                }
                _ => talk.answer(asked.stream, b"ok"),
            }
        }
    });
    let replayed = run(&exchanges, at_once(), &options(address));
    assert_eq!(replayed.finished.answered, 4, "{:?}", replayed.outcomes);
    assert_eq!(*log.lock().unwrap(), ["/slow", "/quick", "/behind", "/last"]);
    assert_eq!(replayed.noted("connections"), 1);
    let slow = replayed.outcome("4-0").response.as_ref().unwrap();
    assert_eq!((slow.status, &slow.body.bytes[..]), (200, &b"slow"[..]));
    assert_eq!(slow.version, Version::Http2);
}

#[test]
fn v2_is_told_what_the_captured_client_announced() {
    let announced = |exchange: &mut Exchange, values: &[(u16, u32)], window| {
        let settings = Some(Box::new(ClientSettings { values: values.to_vec(), window }));
        exchange.carriage = Some(Box::new(Carriage { settings, ..Carriage::default() }));
    };
    // One connection tells it with a request that is not replayed, one with its first; of the last
    // nothing is known.
    let on = |connection, ordinal, path: &str| {
        let mut exchange = asked(ordinal, i64::from(ordinal) * MS, Some(500 * MS), path);
        exchange.id.connection = connection;
        exchange
    };
    let mut exchanges =
        [on(1, 0, "/left-out"), on(1, 1, "/small"), on(2, 0, "/wide"), on(3, 0, "/unknown")];
    announced(&mut exchanges[0], &[(0x1a2a, 7), (4, 100), (2, 1), (3, 50)], 0);
    announced(&mut exchanges[2], &[(1, 1 << 20), (4, 6_291_456), (5, 20)], 15_663_105);
    exchanges[0].request.as_mut().unwrap().message.method = "POST".into();
    let log = Arc::new(Mutex::new(BTreeMap::new()));
    let address = serve({
        let log = Arc::clone(&log);
        move |talk: &mut Talk, asked: &Asked| {
            let told = (talk.settings.clone(), talk.window);
            log.lock().unwrap().insert(asked.field(":path"), told);
            talk.answer(asked.stream, &[b'a'; 16_000]);
        }
    });
    let wishes = Wishes {
        selection: Selection::default(),
        pacing: Pacing { speed: Speed::Max, ..Pacing::default() },
        ..Wishes::default()
    };
    let said = |h2: Windows| {
        let replayed = run(&exchanges, wishes.clone(), &ReplayOptions { h2, ..options(address) });
        assert_eq!(replayed.finished.answered, 3, "{:?}", replayed.outcomes);
        let mut log = log.lock().unwrap();
        ["/small", "/wide", "/unknown"].map(|path| log.remove(path).unwrap())
    };
    let wide = (vec![(2, 0), (4, 16 << 20)], (64 << 20) - 65_535);
    assert_eq!(
        said(Windows::Captured),
        [
            // Nobody asked for what pushes hold.
            (vec![(0x1a2a, 7), (4, 100), (2, 0), (3, 50)], 0),
            // A table of header fields has its bound, and frames theirs (RFC 9113 §6.5.2).
            (vec![(1, 64 << 10), (4, 6_291_456), (5, 16_384), (2, 0)], 15_663_105),
            wide.clone(),
        ]
    );
    assert_eq!(said(Windows::Large), [wide.clone(), wide.clone(), wide]);
    assert_eq!(said(Windows::Initial)[1], (vec![(2, 0), (4, 65_535)], 0));
}

/// A message of a call that says one octet.
fn call(text: &str) -> String {
    format!("\0\0\0\0\x01{text}")
}

/// A call as it was captured: what its client said and when, what v1 answered and when.
fn called(asked: &[(&str, i64)], answered: &[(&str, i64)]) -> Exchange {
    let asked: Vec<(String, i64)> = asked.iter().map(|(text, at)| (call(text), *at)).collect();
    let pieces: Vec<(&str, i64)> = asked.iter().map(|(text, at)| (&text[..], *at)).collect();
    let mut exchange = streamed(0, 0, "/ping.Pong/Play", &pieces);
    let last = answered.last().map_or(MS, |(_, at)| *at);
    exchange.response = rig::exchange(4, 0, 0, Some(last), &get("/")).response;
    let response = exchange.response.as_mut().unwrap();
    response.first_byte_ns = answered.first().map(|(_, at)| *at);
    response.message.headers = [("content-type", "application/grpc")]
        .iter()
        .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
        .collect();
    let body: String = answered.iter().map(|(text, _)| call(text)).collect();
    response.message.body = Body::whole(body);
    let pieces = answered.iter().map(|(_, at)| (6, *at)).collect();
    response.message.extras = Extras { pieces, ..Extras::default() }.of();
    exchange.completeness = Completeness::Complete;
    exchange
}

/// Of each kind of call: a message goes behind as many messages of a slow v2 as its client had of
/// v1's, and does not wait for one that its client had not.
#[test]
fn messages_of_calls_wait_for_the_messages_their_client_had() {
    const T: i64 = 20 * MS;
    // What each said in v1 and when; and what v2 says behind how many messages of its client, once
    // it is sure that no more come by themselves.
    type Case<'a> =
        (&'a str, &'a [(&'a str, i64)], &'a [(&'a str, i64)], &'a [(usize, &'a [&'a str])]);
    let cases: &[Case<'_>] = &[
        ("unary", &[("1", 0)], &[("a", T)], &[(1, &["a"])]),
        // v1 answered when it had all of them.
        ("client streaming", &[("1", 0), ("2", T), ("3", 2 * T)], &[("a", 3 * T)], &[(3, &["a"])]),
        (
            "server streaming",
            &[("1", 0)],
            &[("a", T), ("b", 2 * T), ("c", 3 * T)],
            &[(1, &["a", "b", "c"])],
        ),
        (
            "both, in turns",
            &[("1", 0), ("2", 2 * T), ("3", 4 * T)],
            &[("a", T), ("b", 3 * T), ("c", 5 * T)],
            &[(1, &["a"]), (2, &["b"]), (3, &["c"])],
        ),
        // Two go without an answer, the third behind two of them.
        (
            "both, not in turns",
            &[("1", 0), ("2", T), ("3", 4 * T), ("4", 5 * T)],
            &[("a", 2 * T), ("b", 3 * T), ("c", 6 * T)],
            &[(2, &["a", "b"]), (4, &["c"])],
        ),
        // The last is only the end of what the client says.
        (
            "both, the end waits as well",
            &[("0", 0), ("1", 2 * T), ("2", 4 * T)],
            &[("a", T), ("b", 3 * T)],
            &[(1, &["a"]), (2, &["b"]), (3, &[])],
        ),
    ];
    for &(name, asked, answered, v2) in cases {
        let wanted: Vec<String> = asked.iter().map(|(text, _)| call(text)).collect();
        let log = Arc::new(Mutex::new(Vec::new()));
        let script: Vec<(usize, Vec<String>)> =
            v2.iter().map(|(n, said)| (*n, said.iter().map(|text| call(text)).collect())).collect();
        let address = h2_server::serve_parts({
            let log = Arc::clone(&log);
            move |talk: &mut Talk, stream: u32, part: &[u8], ends: bool| {
                let mut log = log.lock().unwrap();
                if !part.is_empty() {
                    log.push(String::from_utf8_lossy(part).into_owned());
                }
                let had = log.len();
                let Some(at) = script.iter().position(|(n, _)| *n == had) else { return };
                let is_last = at + 1 == script.len();
                if is_last && !ends {
                    return;
                }
                // It says each only when it is sure that nothing more comes by itself.
                if !is_last {
                    assert!(talk.is_quiet(), "{name}: a message came before the one it answers");
                }
                let said = &script[at].1;
                for (rank, message) in said.iter().enumerate() {
                    talk.message(stream, message.as_bytes(), is_last && rank + 1 == said.len());
                }
                if said.is_empty() {
                    talk.message(stream, b"", true);
                }
            }
        });
        let pacing = Pacing { speed: Speed::Factor(20.0), ..Pacing::default() };
        let replayed =
            run(&[called(asked, answered)], Wishes { pacing, ..all() }, &options(address));
        assert_eq!(replayed.finished.answered, 1, "{name}: {:?}", replayed.outcomes);
        assert_eq!(*log.lock().unwrap(), wanted, "{name}");
        let response = replayed.outcome("4-0").response.as_ref().unwrap();
        assert_eq!(response.trailers.get("grpc-status"), Some(&b"0"[..]), "{name}");
        let body: String = answered.iter().map(|(text, _)| call(text)).collect();
        assert_eq!(response.body.bytes, body.as_bytes(), "{name}");
    }
}

#[test]
fn v2_without_http_2_fails_the_requests_unless_a_downgrade_is_allowed() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let address = server({
        let heads = Arc::clone(&heads);
        move |_, mut peer| {
            while let Some(head) = peer.head() {
                if head.starts_with("PRI * HTTP/2.0") {
                    return peer.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                }
                heads.lock().unwrap().push(head);
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    });
    let exchanges = [asked(0, 0, Some(MS), "/a"), asked(1, 2 * MS, None, "/b")];
    let refused = run(&exchanges, all(), &options(address));
    for id in ["4-0", "4-1"] {
        let result = refused.result(id);
        assert!(result.starts_with("protocol: v2 speaks HTTP/1.1, not HTTP/2"), "{result}");
    }
    let allowed = ReplayOptions { allow_downgrade: true, ..options(address) };
    let replayed = run(&exchanges, all(), &allowed);
    assert_eq!(replayed.finished.answered, 2, "{:?}", replayed.outcomes);
    assert_eq!(replayed.noted("downgraded-to-http-1"), 1);
    assert!(heads.lock().unwrap()[0].starts_with("GET /a HTTP/1.1\r\nhost: shop.invalid\r\n"));
}

#[test]
fn v2_without_http_1_is_told_as_such() {
    // Some servers speak first, some when they have seen that it is no preface.
    for is_first in [true, false] {
        let address = server(move |_, mut peer| {
            if !is_first {
                peer.head();
            }
            peer.say(&[settings(&[(3, 7)]), one(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1])].concat());
            peer.wait_for_end();
        });
        let exchanges = [0, 1].map(|n| {
            let at = i64::from(n) * 9 * MS;
            exchange(4, n, at, Some(at + MS), &get("/a"))
        });
        let replayed = run(&exchanges, all(), &options(address));
        for id in ["4-0", "4-1"] {
            let result = replayed.result(id);
            assert!(result.starts_with("protocol: v2 speaks HTTP/2, not HTTP/1.1"), "{result}");
        }
    }
}

#[test]
fn a_protocol_is_translated_on_purpose() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let address = serve({
        let seen = Arc::clone(&seen);
        move |talk: &mut Talk, asked: &Asked| {
            seen.lock().unwrap().push(asked.fields.clone());
            talk.answer(asked.stream, b"ok");
        }
    });
    let one = exchange(
        2,
        0,
        0,
        Some(MS),
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nConnection: close\r\n\r\n",
    );
    let wishes = Wishes { protocol: Some(Spoken::Two), ..all() };
    assert_eq!(run(&[one], wishes, &options(address)).finished.answered, 1);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let wanted = [
        pair(":method", "GET"),
        pair(":scheme", "http"),
        pair(":authority", "a"),
        pair(":path", "/x"),
        pair("x-a", "1"),
    ];
    assert_eq!(seen.lock().unwrap()[0], wanted);
    // And the other way round: two streams at a time are two connections.
    let address = server(|_, mut peer| {
        while let Some(head) = peer.head() {
            let body = if head.starts_with("GET /one") { "one" } else { "two" };
            peer.say(format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{body}").as_bytes());
        }
    });
    let exchanges = [asked(0, 0, Some(90 * MS), "/one"), asked(1, 1, Some(80 * MS), "/two")];
    let wishes = Wishes { protocol: Some(Spoken::One), ..all() };
    let replayed = run(&exchanges, wishes, &options(address));
    assert_eq!(replayed.finished.answered, 2, "{:?}", replayed.outcomes);
    let body = |id| replayed.outcome(id).response.as_ref().unwrap().body.bytes.clone();
    assert_eq!((&body("4-0")[..], &body("4-1")[..]), (&b"one"[..], &b"two"[..]));
}

/// What a server says on the stream that asks, or elsewhere, instead of answering.
type Misdeed = (&'static str, fn(u32) -> Vec<u8>, FailureKind, &'static str);

fn one(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, kind, flags, stream, payload);
    out
}

/// The same frame again and again.
fn many(count: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    one(kind, flags, stream, payload).repeat(count)
}

fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write_settings(&mut out, pairs);
    out
}

/// A head of status 200 on a stream that goes on.
fn head(stream: u32) -> Vec<u8> {
    one(kind::HEADERS, flag::END_HEADERS, stream, &[0x88])
}

/// By the kind of their frames; what ends each.
const MISDEEDS: &[Misdeed] = {
    use FailureKind::{Closed, Protocol, Timeout};
    &[
        ("silence", |_| vec![], Timeout, "no answer within"),
        ("octets that are no frames", |_| vec![0xff; 4_000], Protocol, "frame"),
        ("half a frame", |id| head(id)[..7].to_vec(), Timeout, "no answer within"),
        (
            "a frame beyond the limit",
            |id| one(0, 0, id, &[0; 16_385]),
            Protocol,
            "a frame of 16385",
        ),
        (
            "unknown frames without end",
            |_| many(30_000, 0x42, 0, 0, b"?"),
            Protocol,
            "no answer on",
        ),
        // DATA
        ("content before a head", |id| one(0, 1, id, b"early"), Protocol, "content before a head"),
        ("content on no stream", |_| one(0, 1, 0, b"none"), Protocol, "no frame"),
        ("content on a stream of nobody", |_| one(0, 1, 77, b"x"), Protocol, "nobody began"),
        ("content on an even stream", |_| one(0, 1, 2, b"x"), Protocol, "nobody began"),
        (
            "empty content without end",
            |id| [head(id), many(30_000, 0, 0, id, b"")].concat(),
            Protocol,
            "no answer on",
        ),
        (
            "padding without end",
            |id| [head(id), many(30_000, 0, flag::PADDED, id, &[0])].concat(),
            Protocol,
            "no answer on",
        ),
        (
            "an end that does not come",
            |id| [head(id), one(0, 0, id, b"x")].concat(),
            Timeout,
            "within",
        ),
        // HEADERS and CONTINUATION
        ("a head on a stream of nobody", |_| head(99), Protocol, "nobody began"),
        ("a head on no stream", |_| head(0), Protocol, "no frame"),
        ("an index of nothing", |id| one(1, 5, id, &[0xfe]), Protocol, "cannot be read"),
        ("an index of zero", |id| one(1, 5, id, &[0x80]), Protocol, "cannot be read"),
        ("a cut Huffman code", |id| one(1, 5, id, &[0x40, 0x81, 0, 0]), Protocol, "cannot be read"),
        ("a head without a status", |id| one(1, 5, id, &[0x82]), Protocol, "without a status"),
        ("two statuses", |id| one(1, 5, id, &[0x88, 0x8d]), Protocol, "two statuses"),
        ("no field at all", |id| one(1, 5, id, &[]), Protocol, "the answer is none"),
        (
            "a status that is none",
            |id| one(1, 5, id, b"\x08\x03abc"),
            Protocol,
            "the answer is none",
        ),
        (
            "a bomb of header fields",
            |id| {
                let large = [&[0x40, 1, b'a', 0x7f, 0xa1, 0x1e][..], &[b'v'; 4_000]].concat();
                one(1, 5, id, &[&[0x88][..], &large, &vec![0xbe; 12_000]].concat())
            },
            Protocol,
            "fields too many",
        ),
        (
            "a block without end",
            |id| [one(1, 0, id, &[0x88]), many(3_000, kind::CONTINUATION, 0, id, &[])].concat(),
            Protocol,
            "without end",
        ),
        (
            "a block that another frame interrupts",
            |id| [one(1, 0, id, &[0x88]), many(1, kind::PING, 0, 0, &[0; 8])].concat(),
            Protocol,
            "inside a header block",
        ),
        (
            "a block that goes on elsewhere",
            |id| [one(1, 0, id, &[0x88]), many(1, kind::CONTINUATION, 4, id + 2, &[0x88])].concat(),
            Protocol,
            "inside a header block",
        ),
        ("CONTINUATION alone", |id| one(9, 4, id, &[0x88]), Protocol, "without a header block"),
        ("a second head", |id| [head(id), head(id)].concat(), Protocol, "a second head"),
        (
            "trailers without end",
            |id| [head(id), many(50, 1, flag::END_HEADERS, id, b"\0\x01t\x01v")].concat(),
            Protocol,
            "trailers that do not end it",
        ),
        (
            "interim answers without end",
            |id| many(5_000, 1, flag::END_HEADERS, id, b"\x08\x03103"),
            Protocol,
            "interim answers without end",
        ),
        ("padding beyond its frame", |id| one(1, 0x0d, id, &[200, 0x88]), Protocol, "is cut"),
        // RST_STREAM
        ("a reset", |id| one(3, 0, id, &2u32.to_be_bytes()), Closed, "INTERNAL_ERROR"),
        ("a refusal", |id| one(3, 0, id, &7u32.to_be_bytes()), Closed, "refused it each time"),
        ("a reset without a code", |id| one(3, 0, id, &[]), Protocol, "no frame"),
        ("resets of nobody", |_| many(9, 3, 0, 999, &[0, 0, 0, 8]), Protocol, "nobody began"),
        (
            "a reset inside the answer",
            |id| [head(id), one(3, 0, id, &[0, 0, 0, 8])].concat(),
            Closed,
            "CANCEL",
        ),
        // SETTINGS, PING, WINDOW_UPDATE
        ("settings without end", |_| settings(&[(3, 7)]).repeat(30_000), Protocol, "no answer on"),
        ("settings that are cut", |_| one(4, 0, 0, &[0; 5]), Protocol, "no frame"),
        ("settings of a stream", |id| one(4, 0, id, &[0; 6]), Protocol, "no frame"),
        ("a window beyond all", |_| settings(&[(4, 1 << 31)]), Protocol, "beyond all bounds"),
        ("a tiny largest frame", |_| settings(&[(5, 1)]), Protocol, "a largest frame of 1"),
        ("a push to itself", |_| settings(&[(2, 1)]), Protocol, "pushes"),
        ("no stream allowed", |_| settings(&[(3, 0)]), Timeout, "within"),
        ("pings without end", |_| many(30_000, 6, 0, 0, &[7; 8]), Protocol, "no answer on"),
        ("a ping of a stream", |id| one(6, 0, id, &[7; 8]), Protocol, "no frame"),
        ("a window of nothing", |id| one(8, 0, id, &[0; 4]), Protocol, "beyond all bounds"),
        ("no window for all", |_| one(8, 0, 0, &[0; 4]), Protocol, "beyond all bounds"),
        (
            "windows beyond all",
            |_| many(3, 8, 0, 0, &0x7fff_ffffu32.to_be_bytes()),
            Protocol,
            "beyond all bounds",
        ),
        (
            "windows without end",
            |_| many(30_000, 8, 0, 0, &1u32.to_be_bytes()),
            Protocol,
            "no answer on",
        ),
        (
            "windows of a stream beyond all",
            |id| many(3, 8, 0, id, &0x7fff_ffffu32.to_be_bytes()),
            Protocol,
            "beyond all bounds",
        ),
        ("priorities without end", |id| many(30_000, 2, 0, id, &[0; 5]), Protocol, "no answer on"),
        // GOAWAY and PUSH_PROMISE
        ("a farewell at once", |_| one(7, 0, 0, &[0; 8]), Closed, "refused it each time"),
        ("half a farewell", |_| one(7, 0, 0, &[0; 4]), Protocol, "no frame"),
        (
            "a farewell that keeps it and says no more",
            |id| one(7, 0, 0, &[id.to_be_bytes(), [0; 4]].concat()),
            Timeout,
            "within",
        ),
        (
            "a push that nobody asked for",
            |id| one(5, flag::END_HEADERS, id, &[0, 0, 0, 2, 0x82, 0x84, 0x86]),
            Protocol,
            "a push that was not allowed",
        ),
    ]
};

#[test]
fn a_server_that_misbehaves_is_a_failure_of_its_kind_and_never_a_hang() {
    for_each_misdeed(|&(name, frames, kind, detail)| {
        let address = serve(move |talk: &mut Talk, asked: &Asked| talk.say(&frames(asked.stream)));
        // Where nothing else ends it; all others end sooner, on however slow a machine.
        let timeout_ns = if kind == FailureKind::Timeout { 400 * MS } else { 60_000 * MS };
        let options = ReplayOptions { timeout_ns, ..options(address) };
        let replayed = run(&[asked(0, 0, Some(MS), "/a")], all(), &options);
        let failure = replayed.outcome("4-0").failure.as_ref().unwrap_or_else(|| panic!("{name}"));
        let is_it = failure.kind == kind && failure.detail.contains(detail);
        assert!(is_it, "{name}: {failure:?}");
    });
}

/// What goes wrong on one stream leaves the others alone; what breaks the connection is the end of
/// those on it, and the next request has another one.
#[test]
fn a_misdeed_costs_its_stream_or_its_connection_and_no_more() {
    for_each_misdeed(|&(name, frames, kind, _)| {
        if kind == FailureKind::Timeout {
            return;
        }
        let address = serve(move |talk: &mut Talk, asked: &Asked| match &*asked.field(":path") {
            "/bad" => talk.say(&frames(asked.stream)),
            _ => talk.answer(asked.stream, b"ok"),
        });
        let exchanges = [asked(0, 0, Some(MS), "/bad"), asked(1, 2 * MS, Some(3 * MS), "/good")];
        let options = ReplayOptions { timeout_ns: 60_000 * MS, ..options(address) };
        let replayed = run(&exchanges, at_once(), &options);
        assert!(replayed.outcome("4-0").failure.is_some(), "{name}");
        assert_eq!(replayed.result("4-1"), "200", "{name}");
    });
}

/// Some at a time, as most of the time is spent waiting.
fn for_each_misdeed(each: impl Fn(&Misdeed) + Sync) {
    for group in MISDEEDS.chunks(12) {
        std::thread::scope(|scope| {
            group.iter().for_each(|misdeed| drop(scope.spawn(|| each(misdeed))));
        });
    }
}

/// What is said again and again, for as long as anybody reads it.
const FLOODS: &[(&str, fn(u32) -> Vec<u8>, &str)] = &[
    ("unknown frames", |_| one(0x42, 0, 0, b"?"), "no answer on"),
    ("empty content", |id| one(0, 0, id, b""), "no answer on"),
    ("padding", |id| one(0, flag::PADDED, id, &[100; 101]), "no answer on"),
    ("settings", |_| settings(&[(3, 7)]), "no answer on"),
    ("pings", |_| one(6, 0, 0, &[7; 8]), "no answer on"),
    ("windows", |_| one(8, 0, 0, &1u32.to_be_bytes()), "no answer on"),
    ("windows of the stream", |id| one(8, 0, id, &1u32.to_be_bytes()), "no answer on"),
    ("priorities", |id| one(2, 0, id, &[0; 5]), "no answer on"),
    ("resets of what is over", |id| one(3, 0, id, &8u32.to_be_bytes()), "no answer on"),
    (
        "farewells that keep it",
        |_| one(7, 0, 0, &[0x7f, 255, 255, 255, 0, 0, 0, 0]),
        "no answer on",
    ),
];

#[test]
fn a_flood_without_end_is_broken_off() {
    std::thread::scope(|scope| {
        for &(name, frames, detail) in FLOODS {
            scope.spawn(move || {
                let address = serve(move |talk: &mut Talk, asked: &Asked| {
                    // The first is the one that is flooded; of the other nothing is said.
                    let flooded = if name == "resets of what is over" { 1 } else { asked.stream };
                    if asked.field(":path") == "/over" {
                        return talk.answer(asked.stream, b"ok");
                    }
                    if name == "empty content" || name == "padding" {
                        talk.say(&head(asked.stream));
                    }
                    talk.flood(&frames(flooded));
                });
                let exchanges =
                    [asked(0, 0, Some(MS), "/over"), asked(1, 2 * MS, Some(3 * MS), "/flooded")];
                let options = ReplayOptions { timeout_ns: 60_000 * MS, ..options(address) };
                let replayed = run(&exchanges, at_once(), &options);
                assert_eq!(replayed.result("4-0"), "200", "{name}");
                let result = replayed.result("4-1");
                assert!(
                    result.starts_with("protocol") && result.contains(detail),
                    "{name}: {result}"
                );
            });
        }
    });
}

/// Content that never ends is an answer, of which no more is kept than a limit; its time is up.
#[test]
fn content_without_end_times_out() {
    let address = serve(|talk: &mut Talk, asked: &Asked| {
        talk.say(&head(asked.stream));
        talk.flood(&one(0, 0, asked.stream, &[b'a'; 1_000]));
    });
    let options = ReplayOptions { timeout_ns: 400 * MS, ..options(address) };
    let replayed = run(&[asked(0, 0, Some(MS), "/a")], all(), &options);
    assert_eq!(replayed.result("4-0"), "timeout: no whole answer within 400ms");
}

/// What comes on a stream that is whole breaks the connection: its answer stands, and what else
/// was under way fails by v2's doing.
#[test]
fn frames_behind_the_end_of_a_stream_break_the_connection() {
    let cases: &[(&str, fn(u32) -> Vec<u8>, Option<&str>)] = &[
        ("content", |id| one(0, 0, id, b"more"), Some("which v2 had ended")),
        ("the end again", |id| one(0, 1, id, b""), Some("which v2 had ended")),
        ("a head", head, Some("which v2 had ended")),
        ("trailers", |id| one(1, 5, id, b"\0\x01t\x01v"), Some("which v2 had ended")),
        ("an interim answer", |id| one(1, 4, id, b"\x08\x03103"), Some("which v2 had ended")),
        // Which may cross what ends it (RFC 9113 §5.1).
        ("a window", |id| one(8, 0, id, &1u32.to_be_bytes()), None),
        ("a reset", |id| one(3, 0, id, &[0; 4]), None),
        ("a priority", |id| one(2, 0, id, &[0; 5]), None),
    ];
    for &(name, frames, breaks) in cases {
        let address = serve(move |talk: &mut Talk, asked: &Asked| {
            if asked.field(":path") == "/other" {
                talk.answer(1, b"ok");
                talk.say(&frames(1));
                if breaks.is_none() {
                    talk.answer(asked.stream, b"ok");
                }
            }
        });
        let exchanges =
            [asked(0, 0, Some(900 * MS), "/first"), asked(1, MS, Some(800 * MS), "/other")];
        let options = ReplayOptions { timeout_ns: 60_000 * MS, ..options(address) };
        let replayed = run(&exchanges, at_once(), &options);
        assert_eq!(replayed.result("4-0"), "200", "{name}");
        let result = replayed.result("4-1");
        match breaks {
            Some(why) => {
                assert!(result.starts_with("protocol") && result.contains(why), "{result}")
            }
            None => assert_eq!(result, "200", "{name}"),
        }
    }
}

#[test]
fn a_v2_that_allows_no_stream_is_told_as_such() {
    let address = h2_server::serve_after(|talk: &mut Talk| talk.say(&settings(&[(3, 0)])));
    let options = ReplayOptions { timeout_ns: 300 * MS, ..options(address) };
    let exchanges = [("/a", 0), ("/b", 1), ("/c", 2)].map(|(path, n)| {
        let at = i64::from(n) * 2 * MS;
        asked(n, at, Some(at + MS), path)
    });
    let replayed = run(&exchanges, at_once(), &options);
    // The first may be on its way before that is known; the others are not.
    assert!(replayed.result("4-0").starts_with("timeout: "), "{}", replayed.result("4-0"));
    for id in ["4-1", "4-2"] {
        assert_eq!(replayed.result(id), "timeout: not sent: v2 allows no streams, for 300ms");
    }
}

/// `https://` without HTTP/2 behind it: nobody to talk to, in each way in which a server says so.
#[test]
fn a_v2_without_http_2_by_alpn_is_a_failure_of_its_own() {
    let exchanges = [asked(0, 0, Some(MS), "/a"), asked(1, 2 * MS, None, "/b")];
    for (alpn, wanted) in [
        (&[][..], "protocol: v2 speaks HTTP/1.1, not HTTP/2"),
        (&["http/1.1"][..], "protocol: v2 speaks HTTP/1.1, not HTTP/2"),
        // It says that it speaks HTTP/2, and does not.
        (&["h2"][..], "protocol: v2 speaks HTTP/1.1, not HTTP/2"),
    ] {
        let config = tls::config(false, alpn).0;
        let address = server(move |_, mut peer| {
            use std::io::{Read as _, Write as _};
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut peer.stream);
            let mut buffer = [0; 4_096];
            while stream.read(&mut buffer).is_ok_and(|n| n > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let trust = shadowtap::replay::session::tls::Trust::nobody();
        let target =
            shadowtap::replay::session::target::Target::resolve(&format!("https://{address}"))
                .unwrap();
        let options = ReplayOptions { trust, target, ..options(address) };
        let replayed = run(&exchanges, all(), &options);
        for id in ["4-0", "4-1"] {
            let result = replayed.result(id);
            assert!(result.starts_with(wanted), "{alpn:?}: {result}");
        }
        if alpn == ["h2"] {
            continue;
        }
        let allowed = ReplayOptions { allow_downgrade: true, ..options };
        let replayed = run(&exchanges, all(), &allowed);
        assert_eq!(replayed.finished.answered, 2, "{alpn:?}: {:?}", replayed.outcomes);
    }
}

#[test]
fn settings_come_first() {
    let address = h2_server::serve_after(|talk: &mut Talk| talk.say(&one(6, 0, 0, &[7; 8])));
    let options = ReplayOptions { timeout_ns: 900 * MS, ..options(address) };
    let replayed = run(&[asked(0, 0, Some(MS), "/a")], all(), &options);
    assert_eq!(replayed.result("4-0"), "protocol: v2 did not begin with its settings");
}

#[test]
fn a_window_that_never_opens_times_out_and_tells_so() {
    let address = h2_server::serve_after(|talk: &mut Talk| {
        let mut closed = Vec::new();
        frame::write_settings(&mut closed, &[(4, 0)]);
        talk.say(&closed);
    });
    let options = ReplayOptions { timeout_ns: 300 * MS, ..options(address) };
    let replayed = run(&[streamed(0, 0, "/up", &[("abc", 0)])], all(), &options);
    assert!(
        replayed.result("4-0").starts_with("timeout: no answer within"),
        "{:?}",
        replayed.outcomes
    );
}

#[test]
fn a_window_of_the_connection_that_never_opens_times_out_too() {
    let address = server(|_, mut peer| {
        peer.say(&settings(&[(4, 1 << 20)]));
        peer.wait_for_end();
    });
    let options = ReplayOptions { timeout_ns: 300 * MS, ..options(address) };
    let body = "a".repeat(200_000);
    let replayed = run(&[streamed(0, 0, "/up", &[(&body, 0)])], all(), &options);
    assert_eq!(replayed.result("4-0"), "timeout: no answer within 300ms");
}

/// It takes what the kernel takes for it, and no more.
#[test]
fn a_v2_that_reads_nothing_keeps_nobody_for_ever() {
    let address = server(|_, mut peer| {
        let wide = one(8, 0, 0, &0x7000_0000u32.to_be_bytes());
        peer.say(&[settings(&[(4, 0x7fff_ffff)]), wide].concat());
        std::thread::sleep(std::time::Duration::from_secs(20));
    });
    let body = "a".repeat(24 << 20);
    let mut up = streamed(0, 0, "/up", &[(&body, 0)]);
    up.response = exchange(4, 0, 0, Some(9 * MS), &get("/")).response;
    up.completeness = Completeness::Complete;
    let options = ReplayOptions { timeout_ns: 500 * MS, ..options(address) };
    let replayed = run(&[up, asked(1, 10 * MS, None, "/b")], at_once(), &options);
    assert_eq!(replayed.result("4-0"), "timeout: no answer within 500ms");
    // It may still have been put where the rest of the first one waits to be written.
    assert!(replayed.result("4-1").starts_with("timeout: "), "{}", replayed.result("4-1"));
}

#[test]
fn what_v2_did_not_look_at_goes_on_the_next_connection() {
    let connections = Arc::new(Mutex::new(0));
    let address = serve({
        let connections = Arc::clone(&connections);
        move |talk: &mut Talk, asked: &Asked| {
            if asked.stream == 1 && talk.number == 0 {
                *connections.lock().unwrap() += 1;
                let mut leaves = Vec::new();
                frame::write(&mut leaves, kind::GOAWAY, 0, 0, &[0; 8]);
                talk.say(&leaves);
            } else if talk.number > 0 {
                talk.answer(asked.stream, b"ok");
            }
        }
    });
    let mut unsafe_one = asked(0, 0, None, "/pay");
    let message = &mut unsafe_one.request.as_mut().unwrap().message;
    message.method = "POST".into();
    let pairs = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/pay")];
    message.headers = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let replayed = run(&[unsafe_one], all(), &options(address));
    assert_eq!(replayed.result("4-0"), "200", "unsafe, and not looked at: it goes again");
    assert_eq!((replayed.noted("sent-again"), *connections.lock().unwrap()), (1, 1));
}

/// A recording on disk gives what a message waits for, as one in memory does.
#[test]
fn the_messages_that_a_client_had_are_read_back() {
    let mut told = streamed(0, 0, "/a", &[("\0\0\0\0\0", 0)]);
    told.response = exchange(4, 0, 0, Some(9 * MS), &get("/")).response;
    let answer = &mut told.response.as_mut().unwrap().message;
    answer.extras = Extras { pieces: vec![(5, 7)], ..Extras::default() }.of();
    let mut line = Vec::new();
    shadowtap::record::exchanges::write(&mut line, &told);
    for read in [shadowtap::record::exchanges::read, shadowtap::record::exchanges::read_outline] {
        let Line::Exchange(read) = read(&line).unwrap() else { panic!("an exchange") };
        let answer = read.response.unwrap().message;
        assert_eq!(answer.extras.unwrap().pieces, [(5, 7)]);
    }
}

/// The captures of `SHADOWTAP_PROTOCOLS` (or `../shared/protocols`) that are HTTP/2.
fn captures() -> Vec<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("SHADOWTAP_PROTOCOLS")
        .map_or_else(|| home.join("../shared/protocols"), PathBuf::from);
    let list = std::fs::read_dir(shared).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> = list
        .filter(|path| path.extension().is_some_and(|end| end == "pcap" || end == "pcapng"))
        .collect();
    all.sort();
    all
}

fn recorded(capture: &Path) -> BTreeMap<u64, Vec<Exchange>> {
    let mut parse = Command::new(env!("CARGO_BIN_EXE_shadowtap"));
    parse.arg("parse").arg(capture).args(["-o", "-", "-q"]);
    let keys = PathBuf::from(format!("{}.keylog.txt", capture.display()));
    if keys.exists() {
        parse.arg("--keylog").arg(keys);
    }
    let parse = parse.output().unwrap();
    let mut connections: BTreeMap<u64, Vec<Exchange>> = BTreeMap::new();
    let lines = parse.stdout.split(|&byte| byte == b'\n');
    for line in lines.filter(|line| line.starts_with(b"{\"id\"")) {
        let Line::Exchange(exchange) = shadowtap::record::exchanges::read(line).unwrap() else {
            panic!("an exchange")
        };
        connections.entry(exchange.id.connection).or_default().push(*exchange);
    }
    connections
}

/// All requests of all captures in one replay: the server gets their fields in their order, and
/// their bodies.
#[test]
fn captures_are_sent_field_for_field() {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for capture in captures() {
        let base = exchanges.iter().map(|known| known.id.connection + 1).max().unwrap_or(0);
        for (rank, mut lane) in recorded(&capture) {
            lane.retain(|one| one.completeness.request_is_whole());
            lane.retain(|one| {
                let message = &one.request.as_ref().unwrap().message;
                message.version == Version::Http2
            });
            // The server answers what is whole, so no message may wait for its answer.
            for one in &mut lane {
                if let Some(extras) = &mut one.request.as_mut().unwrap().message.extras {
                    extras.pieces.clear();
                }
            }
            lane.iter_mut().for_each(|one| one.id.connection = base + rank);
            exchanges.extend(lane);
        }
    }
    if exchanges.is_empty() {
        eprintln!("no captures of HTTP/2 at hand: nothing to compare");
        return;
    }
    let got = Arc::new(Mutex::new(Vec::new()));
    let address = serve({
        let got = Arc::clone(&got);
        move |talk: &mut Talk, asked: &Asked| {
            got.lock().unwrap().push(asked.told());
            let is_head = asked.field(":method") == "HEAD";
            talk.answer(asked.stream, if is_head { b"" } else { b"ok" });
        }
    });
    let replayed = run(&exchanges, at_once(), &options(address));
    let skipped = |one: &&Exchange| {
        let outcome = replayed.outcome(&one.id.to_string());
        outcome.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Skipped)
    };
    let sent: Vec<&Exchange> = exchanges.iter().filter(|one| !skipped(one)).collect();
    let failed: Vec<_> = replayed
        .outcomes
        .iter()
        .filter_map(|one| one.failure.as_ref().map(|why| (one.id.to_string(), why)))
        .filter(|(_, why)| why.kind != FailureKind::Skipped)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    let mut wanted: Vec<String> =
        sent.iter().map(|one| h2_server::told(&one.request.as_ref().unwrap().message)).collect();
    let mut got = got.lock().unwrap().clone();
    wanted.sort();
    got.sort();
    assert_eq!(got.len(), wanted.len());
    for (got, wanted) in got.iter().zip(&wanted) {
        assert_eq!(got, wanted);
    }
}
