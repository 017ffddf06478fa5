//! The replayer against servers on loopback that do as they are told: exact bytes, the order of
//! lanes, and every way in which v2 may fail. No test asserts a time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

#[path = "../support/elsewhere.rs"]
mod elsewhere;
#[path = "../support/port.rs"]
mod port;
#[path = "../support/raw_streams.rs"]
mod raw_streams;
#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../support/replay_rig.rs"]
mod rig;
#[path = "../support/tls.rs"]
mod tls;

mod client;
mod failures;
mod websocket;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use port::Port;
use rig::*;
use shadowtap::exchange::{Closed, Exchange};
use shadowtap::message::Framing;
use shadowtap::outcome::{FailureKind, Outcome};
use shadowtap::record::exchanges::{Line, Rest};
use shadowtap::replay::plan::rewrite::Rewriter;
use shadowtap::replay::plan::{Planner, Wishes};
use shadowtap::replay::session::client::Proxy;
use shadowtap::replay::session::target::Target;
use shadowtap::replay::session::tls::{Sni, Trust};
use shadowtap::replay::{Arrivals, ReplayError, ReplayStop, Think};
use shadowtap::schedule::pacing::{Pacing, Speed};
use shadowtap::schedule::select::{Choice, Selection};
use shadowtap::wire::h1::parser::{Message, Parser};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers every request with `OK`.
fn answers(_: usize, mut peer: Peer) {
    while peer.head().is_some() {
        peer.say(OK);
    }
}

fn with_unsafe() -> Wishes {
    Wishes {
        selection: Selection { unsafe_methods: true, ..Selection::default() },
        ..Wishes::default()
    }
}

// -- bytes
// ------------------------------------------------------------------------------------------

#[test]
fn requests_leave_exactly_as_they_came() {
    let large = [
        &b"PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"[..],
        &vec![b'x'; 900_000],
    ]
    .concat();
    let wires: Vec<Vec<u8>> = vec![
        b"GET /a/../b?c=%20%zz&d=\xff HTTP/1.1\r\nhOST: Shop.Local:80\r\nX-Twice: 1\r\n\
            x-twice: 2\r\nEmpty:\r\n\r\n"
            .to_vec(),
        b"POST http://abs.example/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\
            a\0b\r\n"
            .to_vec(),
        b"PUT /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n\
            5\r\nhello\r\n0\r\nT: v\r\n\r\n"
            .to_vec(),
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        large,
        b"HEAD /head HTTP/1.1\r\nHost: a\r\nCookie: s=1; t=2\r\n\r\n".to_vec(),
        b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_vec(),
    ];
    let expected = wires.concat();
    let got = Arc::new(Mutex::new(Vec::new()));
    let lengths: Vec<usize> = wires.iter().map(Vec::len).collect();
    let address = server({
        let got = Arc::clone(&got);
        move |_, mut peer| {
            for (place, length) in lengths.iter().enumerate() {
                let Some(bytes) = peer.exactly(*length) else { return };
                got.lock().unwrap().extend_from_slice(&bytes);
                // The answer to the HEAD tells a length and has no body.
                peer.say(if place == 5 {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"
                } else {
                    OK
                });
            }
        }
    });
    let exchanges: Vec<_> = wires
        .iter()
        .enumerate()
        .map(|(place, wire)| {
            exchange(4, place as u32, place as i64 * MS, Some(place as i64 * MS + 1), wire)
        })
        .collect();
    let replayed =
        replay_with(&exchanges, with_unsafe(), &options(address), &Arc::new(ReplayStop::default()));
    assert_eq!(replayed.finished.answered, 7, "{:?}", replayed.outcomes);
    let got = got.lock().unwrap();
    assert!(
        *got == expected,
        "the server got other bytes: {}",
        String::from_utf8_lossy(&got[..got.len().min(2_000)])
    );
    assert_eq!(replayed.noted("connections"), 1, "kept alive");
}

/// The captures of the project, and those that `SHADOWTAP_CAPTURES` (or `../shared/captures`)
/// holds, as in `tests/captures.rs`.
fn captures() -> Vec<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("SHADOWTAP_CAPTURES")
        .map_or_else(|| home.join("../shared/captures"), PathBuf::from);
    let list = |folder: &Path| {
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path())
    };
    let own = list(&home.join("captures"))
        .filter(|path| path.extension().is_some_and(|end| end == "pcap"));
    let truths = list(&shared)
        .filter_map(|path| Some(PathBuf::from(path.to_str()?.strip_suffix(".truth.jsonl")?)));
    let mut all: Vec<PathBuf> = own.chain(truths).collect();
    all.sort();
    all
}

/// The exchanges that `shadowtap parse` records of a capture, by connection.
fn recorded(capture: &Path) -> BTreeMap<u64, Vec<Exchange>> {
    let parse = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .arg("parse")
        .arg(capture)
        .args(["-o", "-", "-q"])
        .output()
        .unwrap();
    let mut connections: BTreeMap<u64, Vec<Exchange>> = BTreeMap::new();
    for line in
        parse.stdout.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"{\"id\""))
    {
        let Line::Exchange(exchange) = shadowtap::record::exchanges::read(line).unwrap() else {
            panic!("an exchange")
        };
        connections.entry(exchange.id.connection).or_default().push(*exchange);
    }
    connections
        .values_mut()
        .for_each(|exchanges| exchanges.sort_by_key(|exchange| exchange.id.ordinal));
    connections
}

/// Every connection of every capture that is whole, of all captures in one replay: the server gets
/// the captured bytes.
#[test]
fn whole_captures_leave_byte_for_byte() {
    let (mut exchanges, mut expected, mut left_out, mut odd) =
        (Vec::new(), Vec::new(), Vec::new(), 0);
    for capture in captures() {
        let base = exchanges
            .iter()
            .map(|exchange: &Exchange| exchange.id.connection + 1)
            .max()
            .unwrap_or(0);
        let mut connections = recorded(&capture);
        for (rank, raw) in raw_streams::raw_streams(&capture) {
            let Some(mut lane) = connections.remove(&rank).filter(|_| raw.whole) else { continue };
            // What a lane leaves out on purpose, or the capture does not hold whole, is not for
            // this test.
            let selection = Selection { unsafe_methods: true, ..Selection::default() };
            let sent = |exchange: &Exchange| {
                exchange.completeness.request_is_whole()
                    && matches!(selection.choose(exchange), Choice::Send)
                    // Frames are written anew, and another server reads them.
                    && exchange.protocol == "http/1"
            };
            if !lane.iter().all(sent)
                || lane
                    .iter()
                    .any(|exchange| exchange.marks.iter().any(|mark| mark.contains("missing")))
            {
                left_out.push(format!("{} {rank}", capture.display()));
                continue;
            }
            odd += lane
                .iter()
                .filter(|exchange| exchange.request.as_ref().unwrap().message.verbatim.is_some())
                .count();
            lane.iter_mut().for_each(|exchange| exchange.id.connection = base + rank);
            exchanges.extend(lane);
            expected.push((
                up_to_the_last_message(&raw.bytes).to_vec(),
                format!("{} {rank}", capture.display()),
            ));
        }
    }
    assert!(
        expected.len() >= 15,
        "the project's captures hold whole connections: {}",
        expected.len()
    );
    let got = Arc::new(Mutex::new(Vec::new()));
    let address = server({
        let got = Arc::clone(&got);
        move |_, peer| {
            let answered = answer_all(peer);
            got.lock().unwrap().push(answered);
        }
    });
    let wishes =
        Wishes { pacing: Pacing { speed: Speed::Max, ..Pacing::default() }, ..with_unsafe() };
    let options =
        shadowtap::replay::ReplayOptions { max_connections: Some(64), ..options(address) };
    let replayed = replay_with(&exchanges, wishes, &options, &Arc::new(ReplayStop::default()));
    assert_eq!(
        replayed.finished.answered,
        exchanges.len() as u64,
        "{:?}",
        replayed.finished.failures
    );
    for _ in 0..500 {
        // The last connections are noted once the server saw their end.
        if got.lock().unwrap().len() >= expected.len() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut got = got.lock().unwrap().clone();
    let mut wrong = Vec::new();
    for (bytes, of) in &expected {
        match got.iter().position(|other| other == bytes) {
            Some(place) => drop(got.swap_remove(place)),
            None => wrong.push(format!(
                "{of}: {:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(600)])
            )),
        }
    }
    println!(
        "{} connections, {} requests, {odd} of them in odd forms; left out: {}",
        expected.len(),
        exchanges.len(),
        left_out.len()
    );
    let others: Vec<_> = got
        .iter()
        .map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).into_owned())
        .take(20)
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} streams differ:\n{}\ngot instead: {others:#?}",
        wrong.len(),
        expected.len(),
        wrong.join("\n")
    );
}

/// Some clients send a line end or more behind their last request (RFC 9112 §2.2): bytes of no
/// message, which are not replayed.
fn up_to_the_last_message(stream: &[u8]) -> &[u8] {
    let mut parser =
        Parser::<u8>::new(shadowtap::wire::h1::parser::MessageSide::Requests, Default::default());
    let (mut input, mut end) = (stream, 0);
    while let Some(parsed) = parser.step(&mut input, 0) {
        end = parsed.end as usize;
    }
    &stream[..end]
}

/// Answers each request of a connection; gives all bytes that came.
fn answer_all(mut peer: Peer) -> Vec<u8> {
    use std::io::Read as _;
    let mut parser =
        Parser::<u8>::new(shadowtap::wire::h1::parser::MessageSide::Requests, Default::default());
    let (mut all, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while let Ok(n) = peer.stream.read(&mut buffer) {
        if n == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..n]);
        let mut input = &buffer[..n];
        while let Some(parsed) = parser.step(&mut input, 0) {
            let Message::Request(request) = parsed.message else { break };
            match &request.method[..] {
                _ if request.version == shadowtap::message::Version::Http09 => {
                    peer.say(b"ok");
                    return all;
                }
                b"HEAD" => peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
                _ => peer.say(OK),
            }
        }
    }
    all
}

#[test]
fn a_pipelined_lane_is_pipelined_again_and_the_marker_is_added() {
    let notes = Notes::default();
    let address = server({
        let notes = notes.clone();
        move |_, mut peer| {
            // Nothing is answered before all three are there.
            let heads: Vec<_> = (0..3).map_while(|_| peer.head()).collect();
            heads.iter().for_each(|head| notes.add(head));
            peer.say(&OK.repeat(3));
            peer.wait_for_end();
        }
    });
    let exchanges: Vec<_> = (0..3)
        .map(|n| exchange(1, n, i64::from(n), Some(500 * MS), &get(&format!("/{n}"))))
        .collect();
    let wishes = Wishes {
        rewriter: Rewriter { marker: Some("r7".to_owned()), ..Rewriter::default() },
        ..Wishes::default()
    };
    let replayed =
        replay_with(&exchanges, wishes, &options(address), &Arc::new(ReplayStop::default()));
    assert_eq!(replayed.finished.answered, 3, "{:?}", replayed.outcomes);
    let marked = |n: u32| {
        format!("GET /{n} HTTP/1.1\r\nHost: shop.invalid\r\nx-shadowtap-replay: r7\r\n\r\n")
    };
    assert_eq!(notes.all(), [marked(0), marked(1), marked(2)]);
}

#[test]
fn a_body_waits_for_its_100() {
    let wire =
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody";
    let notes = Notes::default();
    let address = server({
        let notes = notes.clone();
        move |number, mut peer| {
            peer.head().unwrap();
            if number == 0 {
                notes.add(format!("quiet: {}", peer.is_quiet(Duration::from_millis(60))));
                peer.say(b"HTTP/1.1 100 Continue\r\n\r\n");
                notes.add(String::from_utf8(peer.exactly(4).unwrap()).unwrap());
                peer.say(OK);
            } else {
                peer.say(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
            }
            notes.add(format!("more: {}", peer.exactly(1).is_some()));
        }
    });
    let exchanges =
        [exchange(1, 0, 0, Some(1), wire), exchange(2, 0, 300 * MS, Some(301 * MS), wire)];
    let replayed =
        replay_with(&exchanges, with_unsafe(), &options(address), &Arc::new(ReplayStop::default()));
    assert_eq!((replayed.result("1-0").as_str(), replayed.result("2-0").as_str()), ("200", "417"));
    let mut notes = notes.all();
    notes.sort();
    assert_eq!(notes, ["body", "more: false", "more: false", "quiet: true"]);
}

// -- answers
// ------------------------------------------------------------------------------------------

#[test]
fn answers_of_every_framing_are_read() {
    let answers: [&[u8]; 6] = [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: \
            3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n2\r\nbc\r\n0\r\n\
            T: v\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nabc",
    ];
    let address = server(move |_, mut peer| {
        for answer in answers {
            if peer.head().is_none() {
                return;
            }
            peer.say(answer);
            if answer.ends_with(b"300000\r\n\r\n") {
                peer.say(&vec![b'z'; 300_000]);
            }
        }
    });
    let exchanges: Vec<_> = (0..6)
        .map(|n| exchange(1, n, i64::from(n) * MS, Some(i64::from(n) * MS), &get("/")))
        .collect();
    let options = shadowtap::replay::ReplayOptions { max_body: 100_000, ..options(address) };
    let replayed = replay(&exchanges, &options);
    let shapes: Vec<_> = replayed
        .outcomes
        .iter()
        .map(|outcome| {
            let response =
                outcome.response.as_ref().unwrap_or_else(|| panic!("no answer in {outcome:?}"));
            (
                response.status,
                response.framing,
                response.body.length,
                response.body.bytes.len(),
                outcome.failure.is_some(),
            )
        })
        .collect();
    assert_eq!(
        shapes,
        [
            (200, Framing::ContentLength, 3, 3, false),
            (200, Framing::Chunked, 3, 3, false),
            (204, Framing::None, 0, 0, false),
            (304, Framing::None, 0, 0, false),
            (200, Framing::ContentLength, 300_000, 100_000, false),
            (200, Framing::Close, 3, 3, false),
        ]
    );
    let cut = replayed.outcomes[4].response.as_ref().unwrap();
    assert!(cut.body.sha256.is_some(), "what is not kept is hashed");
    assert!(replayed.outcomes.iter().all(|outcome| outcome.sent_ns <= outcome.first_byte_ns
        && outcome.first_byte_ns <= outcome.last_byte_ns));
}

// -- order
// ------------------------------------------------------------------------------------------

#[test]
fn when_a_stream_of_events_came_is_told_and_of_other_answers_it_is_not() {
    let parts = ["data: one\n\n", "data: two\n\n", "data: three\n\n"];
    let address = server(move |_, mut peer| {
        while let Some(head) = peer.head() {
            let kind = if head.contains("/events") { "text/event-stream" } else { "text/html" };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
            );
            peer.say(head.as_bytes());
            for part in parts {
                std::thread::sleep(Duration::from_millis(30));
                peer.say(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes());
            }
            peer.say(b"0\r\n\r\n");
        }
    });
    let exchanges =
        [exchange(1, 0, 0, Some(1), &get("/events")), exchange(1, 1, 2, Some(3), &get("/plain"))];
    let replayed = replay(&exchanges, &options(address));
    let answer = |id: &str| replayed.outcome(id).response.clone().unwrap();
    let pieces = answer("1-0").extras.unwrap().pieces;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    assert_eq!(pieces.iter().map(|(bytes, _)| bytes).sum::<u64>(), length as u64);
    assert!(pieces.is_sorted_by_key(|(_, at)| *at) && pieces[0].1 > 0, "{pieces:?}");
    assert!(answer("1-1").extras.is_none());
}

#[test]
fn a_request_waits_for_the_answer_its_client_had_and_other_lanes_do_not() {
    let notes = Notes::default();
    let address = server({
        let notes = notes.clone();
        move |_, mut peer| {
            while let Some(head) = peer.head() {
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                if path == "/slow" {
                    assert!(notes.wait_for("/other"), "another lane goes on meanwhile");
                    notes.add(format!("quiet: {}", peer.is_quiet(Duration::from_millis(300))));
                }
                notes.add(path);
                peer.say(OK);
            }
        }
    });
    let exchanges = [
        exchange(1, 0, 0, Some(5 * MS), &get("/slow")),
        exchange(1, 1, 10 * MS, Some(12 * MS), &get("/after")),
        exchange(2, 0, 20 * MS, Some(22 * MS), &get("/other")),
    ];
    let replayed = replay(&exchanges, &options(address));
    assert_eq!(notes.all(), ["/other", "quiet: true", "/slow", "/after"]);
    let after = replayed.outcome("1-1");
    assert!(after.sent_ns >= replayed.outcome("1-0").last_byte_ns);
    assert!(after.waited_ns >= 200 * MS, "v2 caused the wait: {after:?}");
    // It is not the replayer's lateness: that is what is left without it, however busy the machine
    // is.
    let own = |outcome: &Outcome| outcome.sent_ns.unwrap() - outcome.due_ns - outcome.waited_ns;
    let latest = replayed.outcomes.iter().map(own).max().unwrap();
    let counted = replayed.finished.generator["lateness"]["max_ns"].as_i64().unwrap();
    assert!(counted <= latest + latest / 500 + 1_000, "{counted} for {latest}");
}

#[test]
fn a_lane_closes_when_the_captured_connection_did() {
    let notes = Notes::default();
    let address = server({
        let notes = notes.clone();
        move |number, mut peer| {
            while let Some(head) = peer.head() {
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                if path == "/last" {
                    assert!(notes.wait_for("closed 1"), "the first lane has closed by now");
                }
                notes.add(format!("{path} {number}"));
                peer.say(OK);
            }
            notes.add(format!("closed {number}"));
        }
    });
    let origin = shadowtap::time::Timestamp::from_nanos(1_795_341_600_000_000_000);
    // Connections are numbered as they are accepted, and open in this order.
    let lane = |connection, ordinal, at: i64, path: &str| {
        let mut exchange = exchange(connection, ordinal, at, Some(at + MS), &get(path));
        exchange.opened_at = Some(origin.plus(200 * MS * connection as i64 - 1_500 * MS));
        exchange
    };
    let mut exchanges = [
        lane(0, 0, 0, "/keeps"),
        lane(1, 0, 5 * MS, "/closes"),
        lane(2, 0, 100 * MS, "/first"),
        lane(2, 1, 1_600 * MS, "/last"),
    ];
    exchanges[3].closed = vec![Closed(1, origin.plus(1_500 * MS))];
    let folder = tempfile::tempdir().unwrap();
    let mut planner = Planner::new(folder.path(), Wishes::default(), None).unwrap();
    exchanges.iter().for_each(|exchange| planner.add(exchange).unwrap());
    let rest = Rest { closed: vec![Closed(2, origin.plus(1_700 * MS))], open: Some(1) };
    planner.end(&rest).unwrap();
    let plan = planner.finish().unwrap();
    assert_eq!(plan.figures().unwrap().peak_lanes, 3);
    let replayed = replay_plan(&plan, &options(address), &Arc::new(ReplayStop::default()));
    assert_eq!(replayed.finished.answered, 4);
    assert!(notes.wait_for("closed 0") && notes.wait_for("closed 2"), "{:?}", notes.all());
    let place = |note: &str| notes.all().iter().position(|known| known == note).unwrap();
    assert!(place("/first 2") < place("closed 1"), "not at its last answer: {:?}", notes.all());
    assert!(place("/last 2") < place("closed 0"), "it was open at the end: {:?}", notes.all());
    assert_eq!(replayed.noted("reopened-connections"), 0);
}

/// An exchange whose client left `after` nanoseconds behind its request, with the head of an answer
/// or without.
fn left(connection: u64, after: i64, headed: bool) -> Exchange {
    let mut left = exchange(connection, 0, 0, headed.then_some(after / 2), &get("/stream"));
    if headed {
        left.completeness = shadowtap::exchange::Completeness::ResponseDamaged;
        left.marks = vec!["response: ended-inside at packet 6".to_owned()];
    }
    let at = left.request.as_ref().unwrap().at.plus(after);
    left.closed = vec![Closed(connection, at)];
    left
}

#[test]
fn v2_is_read_for_as_long_as_v1s_client_read() {
    for transport in
        [shadowtap::replay::Transport::Wire, shadowtap::replay::Transport::Client { proxy: None }]
    {
        let address = server(|_, mut peer| {
            peer.head();
            peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            peer.wait_for_end();
        });
        let options = shadowtap::replay::ReplayOptions { transport, ..options(address) };
        let replayed = replay(&[left(1, 200 * MS, true)], &options);
        let outcome = replayed.outcome("1-0");
        let response = outcome.response.as_ref().unwrap();
        assert_eq!((response.status, &response.body.bytes[..]), (200, &b"hello"[..]));
        assert!(outcome.failure.is_none() && outcome.last_byte_ns.is_none(), "{outcome:?}");
        let read = outcome.left_ns.unwrap() - outcome.sent_ns.unwrap();
        assert!((200 * MS..15_000 * MS).contains(&read), "left after {read} ns");
    }
}

#[test]
fn who_gave_up_gives_up_again_and_an_error_in_its_place_is_seen() {
    let silent = server(|_, mut peer| {
        peer.head();
        peer.wait_for_end();
    });
    let replayed = replay(&[left(1, 200 * MS, false)], &options(silent));
    let outcome = replayed.outcome("1-0");
    assert!(outcome.left_ns.is_some() && outcome.failure.is_none(), "{outcome:?}");
    // v1 had begun to answer by then: v2 has the usual time for that.
    let options = shadowtap::replay::ReplayOptions { timeout_ns: 600 * MS, ..options(silent) };
    let replayed = replay(&[left(1, 200 * MS, true)], &options);
    assert!(replayed.result("1-0").starts_with("timeout"), "{}", replayed.result("1-0"));
    let failing = server(|_, mut peer| {
        peer.head();
        peer.say(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    });
    let replayed = replay(&[left(1, 200 * MS, true)], &self::options(failing));
    assert_eq!(replayed.result("1-0"), "500");
}

#[test]
fn a_long_answer_keeps_nobody_waiting() {
    let served = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let address = server({
        let served = Arc::clone(&served);
        move |_, mut peer| {
            while let Some(head) = peer.head() {
                if !head.starts_with("GET /long") {
                    peer.say(OK);
                    served.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    continue;
                }
                peer.say(b"HTTP/1.1 200 OK\r\n\r\n");
                let part = vec![b'x'; 1 << 20];
                // Each lane's next request comes when the answer before it was read.
                while served.load(std::sync::atomic::Ordering::SeqCst) < 40 {
                    if std::io::Write::write_all(&mut peer.stream, &part).is_err() {
                        return;
                    }
                }
                return;
            }
        }
    });
    let mut exchanges = vec![exchange(0, 0, 0, Some(MS), &get("/long"))];
    for n in 0..40u32 {
        let at = 50 * MS + i64::from(n / 4) * 10 * MS;
        exchanges.push(exchange(1 + u64::from(n % 4), n / 4, at, Some(at + 1), &get("/")));
    }
    let options = shadowtap::replay::ReplayOptions { max_body: 1_000, ..options(address) };
    let replayed = replay(&exchanges, &options);
    assert_eq!(replayed.finished.answered, 41, "{:?}", replayed.finished);
    assert!(
        replayed
            .outcome("0-0")
            .response
            .as_ref()
            .is_some_and(|response| response.body.length >= 1 << 20)
    );
}

#[test]
fn pipelined_requests_go_again_as_long_as_v2_answers_one() {
    let address = server(|_, mut peer| {
        if peer.head().is_some() {
            peer.say(OK);
        }
    });
    let exchanges: Vec<_> =
        (0..4u32).map(|n| exchange(1, n, i64::from(n), Some(9 * MS), &get("/"))).collect();
    let replayed = replay(&exchanges, &options(address));
    assert_eq!(replayed.finished.answered, 4, "{:?}", replayed.finished);
}

/// A recording that was cut tells of some connections when they closed, and of others nothing.
#[test]
fn lanes_end_in_every_loop_whether_their_end_is_told_or_not() {
    let address = server(answers);
    let origin = shadowtap::time::Timestamp::from_nanos(1_795_341_600_000_000_000);
    let mut exchanges: Vec<_> = (0..4)
        .map(|n| exchange(n, 0, n as i64 * 20 * MS, Some(n as i64 * 20 * MS + 1), &get("/")))
        .collect();
    // One in time, one behind the last request, one long before its request, one of nobody.
    let times = [(0, 30 * MS), (1, 90_000 * MS), (2, i64::MIN / 4), (77, 5 * MS)];
    exchanges[3].closed =
        times.map(|(connection, at)| Closed(connection, origin.plus(at))).to_vec();
    let pacing = Pacing { multiply: 2, loops: 3, jitter_ns: 10 * MS, ..Pacing::default() };
    for shard in [None, Some("1/2".parse().unwrap()), Some("2/2".parse().unwrap())] {
        let wishes = Wishes { pacing, shard, ..Wishes::default() };
        let planned = plan(&exchanges, wishes.clone()).sends();
        let replayed =
            replay_with(&exchanges, wishes, &options(address), &Arc::new(ReplayStop::default()));
        assert_eq!(replayed.finished.answered, planned, "{:?}", replayed.finished);
    }
}

#[test]
fn think_time_is_kept_after_a_late_answer() {
    let address = server(|_, mut peer| {
        while peer.head().is_some() {
            std::thread::sleep(Duration::from_millis(60));
            peer.say(OK);
        }
    });
    let exchanges =
        [exchange(1, 0, 0, Some(MS), &get("/")), exchange(1, 1, 41 * MS, Some(42 * MS), &get("/"))];
    let options = shadowtap::replay::ReplayOptions { think: Think::ThinkTime, ..options(address) };
    let replayed = replay(&exchanges, &options);
    let thought =
        replayed.outcome("1-1").sent_ns.unwrap() - replayed.outcome("1-0").last_byte_ns.unwrap();
    assert!(thought >= 40 * MS, "{thought}");
}

#[test]
fn open_arrivals_take_another_connection_where_the_lane_is_busy() {
    let address = server(|_, mut peer| {
        while let Some(head) = peer.head() {
            if !head.starts_with("GET /hang") {
                peer.say(OK);
            }
        }
    });
    let exchanges = [
        exchange(1, 0, 0, Some(MS), &get("/hang")),
        exchange(1, 1, 10 * MS, Some(12 * MS), &get("/a")),
        exchange(1, 2, 20 * MS, Some(22 * MS), &get("/b")),
    ];
    let options = shadowtap::replay::ReplayOptions {
        arrivals: Arrivals::Open,
        timeout_ns: 2_000 * MS,
        ..options(address)
    };
    let replayed = replay(&exchanges, &options);
    assert!(replayed.result("1-0").starts_with("timeout"), "{}", replayed.result("1-0"));
    assert_eq!((replayed.result("1-1").as_str(), replayed.result("1-2").as_str()), ("200", "200"));
}

#[test]
fn more_lanes_than_connections_still_get_their_turn() {
    let address = server(answers);
    let exchanges: Vec<_> = (0..40u32)
        .map(|n| {
            let at = i64::from(n) * MS / 4;
            exchange(u64::from(n % 8), n / 8, at, Some(at + 1), &get("/"))
        })
        .collect();
    let options = shadowtap::replay::ReplayOptions { max_connections: Some(2), ..options(address) };
    for speed in [Speed::Factor(1.0), Speed::Max] {
        let wishes = Wishes { pacing: Pacing { speed, ..Pacing::default() }, ..Wishes::default() };
        let replayed = replay_with(&exchanges, wishes, &options, &Arc::new(ReplayStop::default()));
        assert_eq!(replayed.finished.answered, 40, "{:?}", replayed.finished);
        assert!(replayed.finished.generator["peak_connections"].as_u64() <= Some(2));
    }
}

#[test]
fn copies_and_loops_are_lanes_of_their_own() {
    let address = server(answers);
    let exchanges =
        [exchange(0, 0, 0, Some(MS), &get("/")), exchange(5, 0, 2 * MS, Some(3 * MS), &get("/"))];
    let pacing = Pacing { multiply: 2, loops: 2, jitter_ns: 5 * MS, ..Pacing::default() };
    let replayed = replay_with(
        &exchanges,
        Wishes { pacing, ..Wishes::default() },
        &options(address),
        &Arc::new(ReplayStop::default()),
    );
    let mut ids: Vec<_> =
        replayed.outcomes.iter().map(|outcome| (outcome.id.to_string(), outcome.lane)).collect();
    ids.sort();
    let expected = [
        ("0-0", 0),
        ("0-0@2", 6),
        ("0-0@3", 12),
        ("0-0@4", 18),
        ("5-0", 5),
        ("5-0@2", 11),
        ("5-0@3", 17),
        ("5-0@4", 23),
    ];
    assert_eq!(ids, expected.map(|(id, lane)| (id.to_owned(), lane)));
    assert_eq!(replayed.finished.answered, 8);
}

#[test]
fn due_times_are_the_captured_offsets_at_the_speed() {
    let address = server(answers);
    let exchanges: Vec<_> = (0..20u32)
        .map(|n| exchange(u64::from(n), 0, i64::from(n * n) * MS / 2, None, &get("/")))
        .collect();
    for (speed, ramp_ns) in [(1.0, 0), (4.0, 0), (2.0, 50 * MS)] {
        let pacing = Pacing { speed: Speed::Factor(speed), ramp_ns, ..Pacing::default() };
        let replayed = replay_with(
            &exchanges,
            Wishes { pacing, ..Wishes::default() },
            &options(address),
            &Arc::new(ReplayStop::default()),
        );
        for n in 0..20u32 {
            let outcome = replayed.outcome(&format!("{n}-0"));
            assert_eq!(outcome.due_ns, pacing.due(i64::from(n * n) * MS / 2));
            assert!(outcome.sent_ns.unwrap() >= outcome.due_ns, "nothing leaves early");
        }
    }
}

#[test]
fn the_baseline_gets_every_request_too() {
    let (target, baseline) = (
        server(answers),
        server(|_, mut peer| {
            while peer.head().is_some() {
                peer.say(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
            }
        }),
    );
    let exchanges: Vec<_> = (0..6u32)
        .map(|n| {
            exchange(u64::from(n % 2), n / 2, i64::from(n) * MS, Some(i64::from(n) * MS), &get("/"))
        })
        .collect();
    let options = shadowtap::replay::ReplayOptions {
        baseline: Some(Target::resolve(&format!("http://{baseline}")).unwrap()),
        ..options(target)
    };
    let replayed = replay(&exchanges, &options);
    let statuses = |outcomes: &[Outcome]| {
        outcomes.iter().map(|outcome| outcome.response.as_ref().unwrap().status).collect::<Vec<_>>()
    };
    assert_eq!(
        (statuses(&replayed.outcomes), statuses(&replayed.baseline)),
        (vec![200; 6], vec![201; 6])
    );
    let dues = |outcomes: &[Outcome]| {
        let mut dues: Vec<_> =
            outcomes.iter().map(|outcome| (outcome.id, outcome.due_ns)).collect();
        dues.sort();
        dues
    };
    assert_eq!(dues(&replayed.outcomes), dues(&replayed.baseline));
}

// -- what is not sent
// ------------------------------------------------------------------------------------------

#[test]
fn unsafe_methods_are_not_sent_and_have_a_record() {
    let notes = Notes::default();
    let address = server({
        let notes = notes.clone();
        move |_, mut peer| {
            while let Some(head) = peer.head() {
                notes.add(head.split(' ').next().unwrap_or_default());
                peer.say(OK);
            }
        }
    });
    let post = b"POST /pay HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    let exchanges = [
        exchange(1, 0, 0, Some(1), &get("/")),
        exchange(1, 1, 2 * MS, Some(3 * MS), post),
        exchange(1, 2, 4 * MS, Some(5 * MS), &get("/")),
    ];
    let replayed = replay(&exchanges, &options(address));
    assert_eq!(notes.all(), ["GET", "GET"]);
    assert_eq!(replayed.result("1-1"), "skipped: unsafe method POST");
    assert_eq!(replayed.outcome("1-1").sent_ns, None);
    assert_eq!(replayed.finished.ledger.rejected["skipped"], 1);
}
