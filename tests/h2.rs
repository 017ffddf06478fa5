//! Replays over HTTP/2 at servers on loopback: what they get is what was captured, in its order and
//! on its streams; and every way in which a server may fail them. No test asserts a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "support/h2_server.rs"]
mod h2_server;
#[path = "support/replay_rig.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod rig;

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

#[test]
fn a_message_of_a_stream_waits_for_the_messages_its_client_had() {
    let call = |text: &str| format!("\0\0\0\0\x01{text}");
    let (one, two, three) = (call("1"), call("2"), call("3"));
    let mut exchange =
        streamed(0, 0, "/ping.Pong/Play", &[(&one, 0), (&two, 20 * MS), (&three, 40 * MS)]);
    // v1 answered each at once: so its client had one message before its second, two before its
    // third.
    let answer = rig::exchange(4, 0, 0, Some(41 * MS), &get("/")).response;
    exchange.response = answer;
    let response = &mut exchange.response.as_mut().unwrap();
    response.first_byte_ns = Some(MS);
    response.message.headers = [("content-type", "application/grpc")]
        .iter()
        .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
        .collect();
    response.message.body = Body::whole([&one[..], &two, &three].concat());
    let pieces = [(6, MS), (6, 21 * MS), (6, 41 * MS)];
    response.message.extras = Extras { pieces: pieces.to_vec(), ..Extras::default() }.of();
    exchange.completeness = Completeness::Complete;
    let log = Arc::new(Mutex::new(Vec::new()));
    let address = h2_server::serve_parts({
        let log = Arc::clone(&log);
        move |talk: &mut Talk, stream: u32, part: &[u8], ends: bool| {
            log.lock().unwrap().push(String::from_utf8_lossy(part).into_owned());
            // A slow v2: it says nothing until it is sure that nothing more comes by itself.
            assert!(talk.is_quiet(), "a message came before the one that it answers");
            talk.message(stream, part, ends);
        }
    });
    let wishes =
        Wishes { pacing: Pacing { speed: Speed::Factor(20.0), ..Pacing::default() }, ..all() };
    let replayed = run(&[exchange], wishes, &options(address));
    assert_eq!(replayed.finished.answered, 1, "{:?}", replayed.outcomes);
    assert_eq!(*log.lock().unwrap(), [one, two, three]);
    let response = replayed.outcome("4-0").response.as_ref().unwrap();
    assert_eq!(response.trailers.get("grpc-status"), Some(&b"0"[..]));
    assert_eq!(response.extras.as_ref().unwrap().pieces.len(), 3);
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
