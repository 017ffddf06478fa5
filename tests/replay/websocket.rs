//! Recorded WebSockets at servers that do as they are told: what v2 gets and when, what becomes of
//! what it says, and every way in which it may fail.

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use sha1::Digest as _;
use shadowtap::exchange::{Carriage, Exchange, SocketKind, SocketMessage};
use shadowtap::flow::Direction;
use shadowtap::message::Body;
use shadowtap::record::exchanges;
use shadowtap::replay::ReplayStop;

use super::rig::*;
use super::{Path, Wishes, with_unsafe};

const ASKED: &[u8] = b"GET /live HTTP/1.1\r\nHost: shop.invalid\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// `c hello` was said by the client; each message came ten milliseconds behind the one before.
fn said(texts: &[&str]) -> Vec<SocketMessage> {
    let message = |(at, text): (i64, &&str)| {
        let (from, text) = text.split_once(' ').unwrap();
        let direction = if from == "c" { Direction::ToServer } else { Direction::ToClient };
        let (kind, data) = match text.strip_prefix("close ") {
            Some(code) => (SocketKind::Close, code.parse::<u16>().unwrap().to_be_bytes().to_vec()),
            None => (SocketKind::Text, text.into()),
        };
        SocketMessage { direction, at_ns: at * 10 * MS, kind, data: Body::whole(data) }
    };
    (1..).zip(texts).map(message).collect()
}

/// An exchange that opened a WebSocket on which this was said.
fn session(connection: u64, texts: &[&str]) -> Exchange {
    session_at(connection, 0, texts)
}

/// The same, so many milliseconds behind the first exchange.
fn session_at(connection: u64, at: i64, texts: &[&str]) -> Exchange {
    let mut exchange = exchange(connection, 0, at * MS, Some((at + 1) * MS), ASKED);
    let answer = &mut exchange.response.as_mut().unwrap().message;
    answer.status = 101;
    answer.headers = [(&b"Upgrade"[..], &b"websocket"[..])].into_iter().collect();
    exchange.carriage = Some(Box::new(Carriage { messages: said(texts), ..Carriage::default() }));
    exchange
}

/// A frame of a server.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ ..126 => out.push(length as u8),
        length => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// The next frame of the client, unmasked: its first octet and its payload. What is not masked
/// ends the test.
fn heard(peer: &mut Peer) -> Option<(u8, Vec<u8>)> {
    let head = peer.exactly(2)?;
    assert!(head[1] & 0x80 != 0, "a client masks what it sends");
    let length = match head[1] & 0x7f {
        126 => peer.exactly(2)?.iter().fold(0, |all, &octet| all << 8 | usize::from(octet)),
        127 => peer.exactly(8)?.iter().fold(0, |all, &octet| all << 8 | usize::from(octet)),
        short => usize::from(short),
    };
    let mask = peer.exactly(4)?;
    let content = peer.exactly(length)?;
    let content = content.iter().enumerate().map(|(at, octet)| octet ^ mask[at % 4]);
    Some((head[0], content.collect()))
}

/// Takes the request, and opens a WebSocket.
fn open(peer: &mut Peer, fields: &str) -> Option<()> {
    let head = peer.head()?;
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    peer.say(switching(key, fields).as_bytes());
    Some(())
}

/// The head of the answer that opens a WebSocket.
fn switching(key: &str, fields: &str) -> String {
    let accept = sha1::Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = base64::engine::general_purpose::STANDARD.encode(accept);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
    )
}

/// What a session came to: v2's messages, and the result.
fn told(replayed: &Replayed) -> (Vec<String>, String) {
    let outcome = replayed.outcome("1-0");
    let message = |message: &SocketMessage| match message.kind {
        SocketKind::Close => format!("close {}", message.close_code()),
        _ => String::from_utf8_lossy(&message.data.bytes).into_owned(),
    };
    (outcome.messages.iter().map(message).collect(), replayed.result("1-0"))
}

fn play(exchanges: &[Exchange], address: std::net::SocketAddr, timeout_ms: i64) -> Replayed {
    let options =
        shadowtap::replay::ReplayOptions { timeout_ns: timeout_ms * MS, ..options(address) };
    replay_with(exchanges, with_unsafe(), &options, &Arc::new(ReplayStop::default()))
}

#[test]
fn a_session_is_played_behind_what_its_client_had_and_heard_to_its_end() {
    let notes = Notes::default();
    let log = notes.clone();
    let address = server(move |_, mut peer| {
        let Some(()) = open(&mut peer, "X-Of: v2\r\n") else { return };
        // v1's client had been greeted before it spoke: v2 takes its time for that.
        assert!(peer.is_quiet(std::time::Duration::from_millis(100)));
        peer.say(&[frame(0x89, b"there?"), text("hello")].concat());
        while let Some((first, content)) = heard(&mut peer) {
            let content = String::from_utf8_lossy(&content).into_owned();
            log.add(format!("{first:x} {content:?}"));
            match (first, &*content) {
                (0x81, "buy") => peer.say(&[text("bought"), text("{\"left\":2}")].concat()),
                (0x88, _) => {
                    peer.say(&frame(0x88, &[3, 232]));
                    break;
                }
                _ => {}
            }
        }
        peer.wait_for_end();
        log.add("closed");
    });
    let long = "x".repeat(70_000);
    let spoken =
        ["s hello", "c buy", "s bought", "s {\"left\":2}", &format!("c {long}"), "c close 1000"];
    let replayed = play(&[session(1, &spoken)], address, 20_000);
    let expected = ["hello", "bought", "{\"left\":2}", "close 1000"].map(str::to_owned);
    assert_eq!(told(&replayed), (expected.to_vec(), "101".to_owned()));
    assert!(notes.wait_for("closed"));
    let got = notes.all();
    assert_eq!(got[..2], ["8a \"there?\"", "81 \"buy\""]);
    assert_eq!(got[2], format!("81 {long:?}"));
    assert_eq!(got[3..], ["88 \"\\u{3}�\"", "closed"]);
    let outcome = replayed.outcome("1-0");
    let times: Vec<i64> = outcome.messages.iter().map(|message| message.at_ns).collect();
    assert!(times.is_sorted() && outcome.last_byte_ns.unwrap() <= times[0]);
    assert_eq!(outcome.response.as_ref().unwrap().headers.get("x-of"), Some(&b"v2"[..]));
}

#[test]
fn what_v2_compresses_is_undone_and_what_it_is_sent_is_not() {
    let address = server(|_, mut peer| {
        let Some(()) = open(&mut peer, "Sec-WebSocket-Extensions: permessage-deflate\r\n") else {
            return;
        };
        let (first, content) = heard(&mut peer).unwrap();
        assert_eq!((first, &content[..]), (0x81, &b"go"[..]));
        let mut deflate = flate2::Compress::new(flate2::Compression::default(), false);
        for _ in 0..2 {
            let mut out = Vec::with_capacity(1 << 10);
            let all = flate2::FlushCompress::Sync;
            deflate.compress_vec(b"over and over and over", &mut out, all).unwrap();
            out.truncate(out.len() - 4);
            peer.say(&frame(0xc1, &out));
        }
        peer.wait_for_end();
    });
    let spoken = ["c go", "s over and over and over", "s over and over and over"];
    let (said, result) = told(&play(&[session(1, &spoken)], address, 20_000));
    assert_eq!((said, &*result), (vec!["over and over and over".to_owned(); 2], "101"));
}

#[test]
fn every_way_to_fail_a_session_has_its_kind() {
    let v1 = ["s hello", "c one", "s two", "s close 1000"];
    let trouble = |serve: fn(&mut Peer)| {
        let address = server(move |_, mut peer| {
            serve(&mut peer);
            peer.wait_for_end();
        });
        told(&play(&[session(1, &v1)], address, 300))
    };
    let opened = |serve: fn(&mut Peer)| serve;
    for (serve, messages, result) in [
        // It says nothing, all but its close, or a part and then nothing.
        (
            opened(|peer| {
                open(peer, "");
            }),
            &[][..],
            "timeout: no message of the WebSocket",
        ),
        (
            |peer| {
                open(peer, "");
                peer.say(&text("hello"));
                heard(peer);
                peer.say(&text("two"));
            },
            &["hello", "two"],
            "timeout: v2 did not close the WebSocket",
        ),
        (
            |peer| {
                open(peer, "");
                peer.say(&text("hello"));
                peer.say(&frame(0x01, b"never whole"));
            },
            &["hello"],
            "timeout: no message of the WebSocket within 300ms, behind 1 of the 2",
        ),
        // It ends too early: in order, and not.
        (
            |peer| {
                open(peer, "");
                peer.say(&frame(0x88, &[3, 243]));
                assert_eq!(heard(peer), Some((0x88, vec![3, 243])));
            },
            &["close 1011"],
            "closed: v2 closed the WebSocket with code 1011",
        ),
        (
            |peer| {
                open(peer, "");
                peer.say(&text("hello"));
                let _ = peer.stream.shutdown(std::net::Shutdown::Both);
            },
            &["hello"],
            "closed: closed by v2, inside the WebSocket",
        ),
        // It answers otherwise.
        (
            |peer| {
                peer.head();
                peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            },
            &[],
            "200",
        ),
        (
            |peer| {
                peer.head();
                peer.say(
                    b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
                );
            },
            &[],
            "protocol: v2's sec-websocket-accept is not",
        ),
        (
            |peer| {
                peer.head();
                peer.say(b"HTTP/1.1 101 Yes\r\nUpgrade: h2c\r\n\r\n");
            },
            &[],
            "protocol: v2 switched to something else",
        ),
        // It breaks the protocol.
        (
            |peer| {
                open(peer, "");
                peer.say(&[text("hello"), b"\x81\x81\0\0\0\0a".to_vec()].concat());
            },
            &["hello"],
            "protocol: v2 broke the protocol of WebSockets: a masked frame",
        ),
        (
            |peer| {
                open(peer, "");
                peer.say(&frame(0x81, b"\xff"));
            },
            &[],
            "protocol: v2 broke the protocol of WebSockets: text that is not UTF-8",
        ),
        (
            |peer| {
                open(peer, "");
                peer.say(b"\x82\x7f\0\0\0\x01\0\0\0\0");
            },
            &[],
            "protocol: v2 broke the protocol of WebSockets: a message of more than 32 MiB",
        ),
    ] {
        let (said, told) = trouble(serve);
        assert!(told.starts_with(result), "{told:?} where {result:?} was expected");
        assert_eq!(said, messages, "{result}");
    }
}

#[test]
fn a_client_that_said_something_speaks_only_where_it_may() {
    let address = server(|_, mut peer| {
        let Some(()) = open(&mut peer, "") else { return };
        peer.say(&text("news"));
        peer.wait_for_end();
    });
    let sessions = [session(1, &["s news"]), session(2, &["c buy", "s news"])];
    let replayed = replay(&sessions, &options(address));
    assert_eq!(told(&replayed), (vec!["news".to_owned()], "101".to_owned()));
    assert_eq!(replayed.result("2-0"), "skipped: unsafe WebSocket: its client sent a message");
}

#[test]
fn sessions_of_a_baseline_and_of_copies_are_played_too_and_an_end_ends_them() {
    let address = server(|_, mut peer| {
        let Some(()) = open(&mut peer, "") else { return };
        peer.say(&text("news"));
        peer.wait_for_end();
    });
    let target = shadowtap::replay::session::target::Target::resolve(&format!("http://{address}"));
    let options =
        shadowtap::replay::ReplayOptions { baseline: Some(target.unwrap()), ..options(address) };
    let mut wishes: Wishes = with_unsafe();
    wishes.pacing.multiply = 2;
    let stop = Arc::new(ReplayStop::default());
    let replayed = replay_with(&[session(1, &["s news"])], wishes, &options, &stop);
    for outcomes in [&replayed.outcomes, &replayed.baseline] {
        let said = outcomes.iter().map(|outcome| outcome.messages.len());
        assert_eq!(said.collect::<Vec<_>>(), [1, 1]);
    }
    // A session that waits for its time when the replay is stopped.
    let mut late = session(1, &["s news", "c later"]);
    late.carriage.as_mut().unwrap().messages[1].at_ns = 3_600_000 * MS;
    let ended = Arc::clone(&stop);
    let options = shadowtap::replay::ReplayOptions { baseline: None, ..options };
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        ended.set();
    });
    let replayed = replay_with(&[late], with_unsafe(), &options, &stop);
    assert_eq!(replayed.result("1-0"), "skipped: interrupted before the answer was whole");
}

/// Runs the program over recorded sessions at a server that gives this price; its exit code and
/// the rows of `mismatches.csv`.
fn judged(folder: &Path, price: &'static str, more: &[&str]) -> (i32, String) {
    let address = server(move |_, mut peer| {
        let Some(()) = open(&mut peer, "") else { return };
        while let Some((0x81, content)) = heard(&mut peer) {
            let asked = String::from_utf8_lossy(&content).into_owned();
            let password = asked.contains("password");
            let answer = match password {
                true => r#"{"ok":true,"session":"c2VjcmV0LW9mLXRoaXM"}"#.to_owned(),
                false => {
                    format!(r#"{{"item":{asked},"price":{price},"at":"{}"}}"#, std::process::id())
                }
            };
            peer.say(&text(&answer));
        }
        peer.say(&frame(0x88, &[3, 232]));
        peer.wait_for_end();
    });
    let mut lines = Vec::new();
    for connection in 0..3 {
        let spoken = [
            r#"c {"password":"hunter2-is-long"}"#,
            r#"s {"ok":true,"session":"c2VjcmV0LW9mLXRoaXM"}"#,
            "c 7",
            &format!(r#"s {{"item":7,"price":10,"at":"{}"}}"#, std::process::id()),
            "c close 1000",
            "s close 1000",
        ];
        exchanges::write(&mut lines, &session(connection, &spoken));
    }
    let input = folder.join("sessions.jsonl");
    fs::write(&input, &lines).unwrap();
    let target = format!("http://{address}");
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["run", "sessions.jsonl", "--target", &target, "-o", "run", "--force"])
        .args(["--unsafe-methods", "--allow-captured-server"])
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap();
    let rows = fs::read_to_string(folder.join("run/mismatches.csv"))
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
    (ran.status.code().unwrap(), rows.lines().skip(1).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_run_compares_messages_and_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_, rows) = judged(folder.path(), "10", &[]);
    assert_eq!(rows, "", "the same server says the same");
    // How its messages came stands beside how v1's came: 20 ms to the first, 20 ms to the other.
    let latency = fs::read_to_string(folder.path().join("run/latency.csv")).unwrap();
    for (side, from, v1) in [
        ("v1", "first-message", "20,20,20"),
        ("v1", "between-messages", "20,20,20"),
        ("v2", "first-message", ""),
        ("v2", "between-messages", ""),
    ] {
        let row = latency.lines().find(|line| line.contains(&format!("/live,{side},{from},3,0,")));
        assert!(row.is_some_and(|row| row.contains(v1)), "{side} {from}:\n{latency}");
    }
    let (code, rows) = judged(folder.path(), "11", &[]);
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert!(
        rows.lines().all(|row| row.contains("$[1].price") && row.contains("regression")),
        "{rows}"
    );
    assert!(code == 1 || code == 5, "three samples may be too few for a verdict");
    let show = |arguments: &[&str]| {
        let ran = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args(["show", "run"])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let shown = show(&["0-0"]);
    for part in ["\"price\": 10", "\"price\": 11", "$[1].price", "\"close\": 1000"] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    assert!(!shown.contains("hunter2"), "secrets of messages are hidden:\n{shown}");
    for form in ["--json", "--curl", "--raw"] {
        show(&["0-0", form]);
    }
    let (_, rows) = judged(folder.path(), "11", &["--websockets", "skip"]);
    assert_eq!(rows, "");
    // Redacted on both sides alike.
    let (_, rows) = judged(folder.path(), "10", &["--redact", "default"]);
    assert_eq!(rows, "");
    let outcomes = fs::read_to_string(folder.path().join("run/outcomes.jsonl")).unwrap();
    assert!(outcomes.contains("\"messages\":[{\"from\":\"server\""));
    assert!(!outcomes.contains("c2VjcmV0LW9mLXRoaXM"), "{outcomes}");
}

/// A plain exchange: `wire` was asked `at` milliseconds after the first, and answered with JSON.
fn asked(connection: u64, at: i64, wire: &str, says: &str) -> Exchange {
    let mut exchange = exchange(connection, 0, at * MS, Some((at + 1) * MS), wire.as_bytes());
    let answer = &mut exchange.response.as_mut().unwrap().message;
    answer.headers = [(&b"Content-Type"[..], &b"application/json"[..])].into_iter().collect();
    answer.body = Body::whole(says.as_bytes().to_vec());
    exchange
}

#[test]
fn what_is_said_on_a_websocket_has_v2s_values_in_it() {
    let notes = Notes::default();
    let log = notes.clone();
    let address = server(move |_, mut peer| {
        let Some(head) = peer.head() else { return };
        let line = head.lines().next().unwrap().to_owned();
        log.add(line.clone());
        let plain = |body: &str| {
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                 \r\n{body}"
            )
        };
        if line.starts_with("POST /login") {
            peer.say(plain(r#"{"token":"aa11bb22cc33dd44ee55"}"#).as_bytes());
        } else if line.starts_with("POST /tickets") {
            // The message that says it is due long before that.
            std::thread::sleep(std::time::Duration::from_millis(300));
            peer.say(plain(r#"{"ticket":"aa77bb88cc99dd00ee11"}"#).as_bytes());
        } else if line.starts_with("GET /live") {
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
            peer.say(switching(key.unwrap(), "").as_bytes());
            for answer in [r#"{"room":"aa0011223344556677ff"}"#, "joined"] {
                let (_, content) = heard(&mut peer).unwrap();
                log.add(String::from_utf8_lossy(&content).into_owned());
                peer.say(&text(answer));
            }
            log.add("said");
        } else {
            peer.say(plain("{}").as_bytes());
        }
        peer.wait_for_end();
    });
    let (token, room) = ("3f2a91c07be41d05a8c1", "9d8e7f6a5b4c3d2e1f00");
    let ticket = "77aa01bc99de02ff31ab";
    let auth = format!(r#"c {{"auth":"{token}"}}"#);
    let (given, join) = (format!(r#"s {{"room":"{room}"}}"#), format!("c join {room} {ticket}"));
    let mut live = session_at(1, 20, &[&auth, &given, &join, "s joined"]);
    // Its client had the ticket when it joined, which it got while the WebSocket was open.
    let times = [10, 20, 60, 70];
    let messages = &mut live.carriage.as_mut().unwrap().messages;
    messages.iter_mut().zip(times).for_each(|(message, at)| message.at_ns = at * MS);
    let host = "Host: shop.invalid\r\n";
    let login = format!("POST /login HTTP/1.1\r\n{host}Content-Length: 3\r\n\r\nann");
    let tickets = format!("POST /tickets HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n");
    let entered = format!("GET /rooms/{room} HTTP/1.1\r\n{host}\r\n");
    let exchanges = [
        asked(0, 0, &login, &format!(r#"{{"token":"{token}"}}"#)),
        live,
        asked(2, 50, &tickets, &format!(r#"{{"ticket":"{ticket}"}}"#)),
        asked(3, 60, &entered, "{}"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    exchanges.iter().for_each(|exchange| exchanges::write(&mut lines, exchange));
    fs::write(folder.path().join("v1.jsonl"), &lines).unwrap();
    let target = format!("http://{address}");
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["replay", "v1.jsonl", "--target", &target, "-o", "run", "--timeout", "20s"])
        .args(["--unsafe-methods", "--allow-captured-server"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let got = notes.all();
    for said in [
        r#"{"auth":"aa11bb22cc33dd44ee55"}"#,
        "join aa0011223344556677ff aa77bb88cc99dd00ee11",
        "GET /rooms/aa0011223344556677ff HTTP/1.1",
    ] {
        assert!(got.iter().any(|line| line == said), "{said} is not in {got:?}");
    }
    let outcomes = fs::read_to_string(folder.path().join("run/outcomes.jsonl")).unwrap();
    let live = outcomes.lines().find(|line| line.contains("\"id\":\"1-0\"")).unwrap();
    assert!(live.contains("\"bound\":3") && live.contains("\"joined\""), "{live}");
}
