//! The session against scripted frames: what it sends, what it makes of what comes, and every way
//! in which a server may break the protocol.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::exchange::ExchangeId;
use crate::message::{Body, Framing, Headers, Request, Version};
use crate::outcome::ReplayId;
use crate::replay::Windows;
use crate::replay::plan::script;
use crate::replay::plan::script::{SendMoment, Story};
use crate::replay::plan::spool::SpoolWriter;
use crate::replay::plan::{Load, StepKind};
use crate::replay::task::Task;
use crate::schedule::pacing::Pacing;
use crate::wire::h2::frame::{FrameHead, FrameReader, Piece, flag, kind};
use crate::wire::h2::hpack::Decoder;
use crate::wire::h2::hpack::{Encoder, Indexing};

const MS: i64 = 1_000_000;

fn fields(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

fn message(body: &'static [u8], trailers: &[(&str, &str)]) -> Request {
    let bare = body.is_empty() && trailers.is_empty();
    Request {
        method: "POST".into(),
        target: "/a".into(),
        version: Version::Http2,
        headers: fields(&[(":method", "POST"), (":path", "/a"), ("x", "1"), ("x", "2")]),
        framing: if bare { Framing::None } else { Framing::Frames },
        body: Body::whole(body),
        trailers: fields(trailers),
        ..Request::default()
    }
}

fn in_flight(ordinal: u32, request: &Request, story: Story) -> InFlight {
    let mut bytes = Vec::new();
    let head = script::write(&mut bytes, request, story) as u32;
    let ahead = bytes.len() as u64;
    let mut load = Load { head, ..Load::default() };
    load.place.length = ahead;
    InFlight {
        task: Task {
            kind: StepKind::Send,
            id: ReplayId { exchange: ExchangeId { connection: 1, ordinal }, copy: 1 },
            lane: 1,
            due: 0,
            when: 0,
            answered: 0,
            think: 0,
            load,
            bytes: Bytes::from(bytes),
            ahead,
            gate: None,
            socket: None,
            again: false,
            blamed: false,
            traceparent: None,
        },
        sent: 0,
        waited: 0,
        connect_ns: None,
        until: 1_000 * MS,
        held_ns: 0,
    }
}

/// A session, and what a server read of it.
struct Rig {
    two: Two,
    spool: Spool,
    reader: FrameReader<i64>,
    decoder: Decoder,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            two: Two::new(Windows::Initial.rules(Pacing::default(), 1 << 20)),
            spool: SpoolWriter::new(folder.path()).unwrap().finish().unwrap(),
            reader: FrameReader::new(1 << 20),
            decoder: Decoder::default(),
        }
    }

    /// One whose server took its preface and said its settings.
    fn greeted() -> Self {
        let mut rig = Self::new();
        rig.said(0);
        let mut hello = Vec::new();
        frame::write_settings(&mut hello, &[]);
        assert!(matches!(rig.hears(&hello, 0)[..], [Told::Go]));
        assert_eq!(rig.said(0), ["4/1 0: "]);
        rig
    }

    fn begin(&mut self, request: InFlight) {
        self.two.begin(request);
    }

    /// What goes out by `now`: type, flags, stream, and the payload in words.
    fn said(&mut self, now: i64) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            self.two.core.fill(&self.spool, now).unwrap();
            let octets = self.two.core.out.rest().to_vec();
            if octets.is_empty() {
                return told;
            }
            self.two.core.out.wrote(octets.len());
            let mut rest = &octets[..];
            loop {
                let step = self.reader.step(rest, now);
                rest = &rest[step.used..];
                match step.piece {
                    None => break,
                    Some(Piece::Frame(head, payload)) => {
                        told.push(shown(&mut self.decoder, head, payload));
                    }
                    Some(Piece::Data(head, content)) => {
                        told.push(format!("data {}: {} bytes", head.stream, content.len()));
                    }
                    Some(Piece::DataEnd(head)) if head.ends_stream() => {
                        told.push(format!("end {}", head.stream));
                    }
                    Some(_) => {}
                }
            }
        }
    }

    fn hears(&mut self, mut octets: &[u8], now: i64) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(heard) = self.two.hear(&mut octets, now) {
            told.push(match heard {
                Heard::Answer { request, answer, early } => {
                    Told::Answer(request.task.id.exchange.ordinal, Box::new(answer), early)
                }
                Heard::Refused { requests, times } => {
                    let ids = requests.iter().map(|one| one.task.id.exchange.ordinal);
                    Told::Refused(ids.collect(), times)
                }
                Heard::Go => Told::Go,
                Heard::SpeaksOne => Told::One,
                Heard::Garbage(why) => return [told, vec![Told::Garbage(why)]].concat_told(),
                Heard::Unasked(note) => Told::Garbage(note.to_owned()),
            });
        }
        told
    }
}

trait Concat {
    fn concat_told(self) -> Vec<Told>;
}

impl Concat for [Vec<Told>; 2] {
    fn concat_told(self) -> Vec<Told> {
        self.into_iter().flatten().collect()
    }
}

enum Told {
    Answer(u32, Box<Answer>, bool),
    Refused(Vec<u32>, u8),
    Go,
    One,
    Garbage(String),
}

impl Told {
    fn failure(&self) -> String {
        match self {
            Self::Answer(_, answer, _) => {
                answer.failure.as_ref().map_or_else(String::new, |why| why.detail.clone())
            }
            Self::Garbage(why) => why.clone(),
            _ => String::new(),
        }
    }
}

fn shown(decoder: &mut Decoder, head: FrameHead, payload: &[u8]) -> String {
    if head.kind == kind::HEADERS {
        let block = decoder.decode(payload).unwrap();
        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        let all: Vec<String> =
            block.fields.iter().map(|(n, v)| format!("{}={}", text(n), text(v))).collect();
        let end = if head.ends_stream() { " end" } else { "" };
        return format!("head {}: {}{end}", head.stream, all.join(" "));
    }
    let number = frame::number(payload).map_or_else(String::new, |number| number.to_string());
    format!("{}/{} {}: {number}", head.kind, head.flags, head.stream)
}

fn block(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::default();
    for (name, value) in pairs {
        encoder.field(name.as_bytes(), value.as_bytes(), Indexing::Without, &mut out);
    }
    out
}

fn head(stream: u32, pairs: &[(&str, &str)], ends: bool) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write_block(&mut out, stream, &block(pairs), ends, frame::PAYLOAD);
    out
}

fn other(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, kind, flags, stream, payload);
    out
}

#[test]
fn a_connection_begins_with_preface_and_settings_and_fields_keep_their_order() {
    let mut rig = Rig::new();
    assert_eq!(rig.said(0), ["4/0 0: 131072"], "settings; ENABLE_PUSH comes first");
    rig.begin(in_flight(0, &message(b"", &[]), Story::default()));
    assert_eq!(rig.said(0), ["head 1: :method=POST :path=/a x=1 x=2 end"]);
    rig.begin(in_flight(1, &message(b"hello", &[("t", "v")]), Story::default()));
    assert_eq!(
        rig.said(0),
        ["head 3: :method=POST :path=/a x=1 x=2", "data 3: 5 bytes", "head 3: t=v end"]
    );
    let empty = Request { framing: Framing::Frames, ..message(b"", &[]) };
    rig.begin(in_flight(2, &empty, Story::default()));
    assert_eq!(rig.said(0), ["head 5: :method=POST :path=/a x=1 x=2", "end 5"]);
}

#[test]
fn answers_come_in_any_order_with_trailers() {
    let mut rig = Rig::greeted();
    for ordinal in 0..2 {
        rig.begin(in_flight(ordinal, &message(b"", &[]), Story::default()));
    }
    rig.said(0);
    let answer = [
        head(3, &[(":status", "103")], false),
        head(3, &[(":status", "200"), ("content-type", "application/grpc")], false),
        other(kind::DATA, flag::PADDED, 3, b"\x02abc\0\0"),
        head(3, &[("grpc-status", "5")], true),
        head(1, &[(":status", "204")], true),
    ];
    let told = rig.hears(&answer.concat(), 7);
    let [Told::Answer(1, second, false), Told::Answer(0, first, false)] = &told[..] else {
        panic!("two answers")
    };
    let response = second.response.as_ref().unwrap();
    assert_eq!((response.status, &response.body.bytes[..]), (200, &b"abc"[..]));
    assert_eq!(response.trailers.get("grpc-status"), Some(&b"5"[..]));
    assert_eq!(response.extras.as_ref().unwrap().pieces, [(3, 7)]);
    assert_eq!((second.first, second.last), (Some(7), Some(7)));
    assert_eq!(first.response.as_ref().unwrap().status, 204);
    assert_eq!(rig.two.under_way(), 0);
}

#[test]
fn pieces_go_when_they_are_due_and_behind_the_messages_their_client_had() {
    let mut rig = Rig::greeted();
    let at = |at, messages| SendMoment { at, messages, headed: messages > 0 };
    let story = Story {
        pieces: vec![(2, at(0, 0)), (3, at(5 * MS, 1)), (1, at(6 * MS, 1))],
        end: Some(at(9 * MS, 2)),
        ..Story::default()
    };
    rig.begin(in_flight(0, &message(b"123456", &[]), story));
    assert_eq!(rig.said(0)[1..], ["data 1: 2 bytes"]);
    assert_eq!(rig.two.wakes_at(), 5 * MS);
    let opens = head(1, &[(":status", "200"), ("content-type", "application/grpc")], false);
    rig.hears(&opens, MS);
    assert!(rig.said(5 * MS).is_empty(), "no message came");
    rig.hears(&other(kind::DATA, 0, 1, b"\0\0\0\0\x01a"), 7 * MS);
    assert_eq!(rig.said(7 * MS), ["data 1: 3 bytes", "data 1: 1 bytes"]);
    rig.hears(&other(kind::DATA, 0, 1, b"\0\0\0\0\x01b"), 8 * MS);
    assert!(rig.said(8 * MS).is_empty(), "its end is not due");
    assert_eq!(rig.two.wakes_at(), 9 * MS);
    assert!(matches!(rig.two.wake(9 * MS), Late::None));
    assert_eq!(rig.two.goes_on(9 * MS), GoesOn::Piece);
    assert_eq!(rig.said(9 * MS), ["end 1"]);
}

#[test]
fn content_waits_for_v2s_windows_and_goes_in_turns() {
    let mut rig = Rig::greeted();
    static LONG: [u8; 100_000] = [7; 100_000];
    rig.begin(in_flight(0, &message(&LONG, &[]), Story::default()));
    rig.begin(in_flight(1, &message(&LONG, &[]), Story::default()));
    let bytes = |told: &[String]| -> usize {
        let data = told.iter().filter_map(|line| line.strip_prefix("data "));
        data.map(|line| line[3..].trim_end_matches(" bytes").parse::<usize>().unwrap()).sum()
    };
    let told = rig.said(0);
    assert_eq!(bytes(&told), 65_535, "the connection's window");
    assert!(told.iter().any(|line| line.starts_with("data 3")), "both have a turn: {told:?}");
    rig.hears(&other(kind::WINDOW_UPDATE, 0, 0, &200_000u32.to_be_bytes()), 4 * MS);
    assert_eq!(bytes(&rig.said(4 * MS)), 65_535, "now the streams' own");
    let mut more = Vec::new();
    frame::write_settings(&mut more, &[(4, 100_000)]);
    rig.hears(&more, 5 * MS);
    let told = rig.said(6 * MS);
    assert_eq!(bytes(&told), 200_000 - 2 * 65_535);
    assert_eq!(told.iter().filter(|line| line.starts_with("end")).count(), 2);
    assert!(rig.two.core.streams[&1].request.held_ns > 0);
}

#[test]
fn v2s_bound_on_streams_is_kept_and_its_end_is_told() {
    let mut rig = Rig::new();
    let mut one = Vec::new();
    frame::write_settings(&mut one, &[(3, 1)]);
    rig.hears(&one, 0);
    assert!(rig.two.has_room());
    rig.begin(in_flight(0, &message(b"", &[]), Story::default()));
    assert!(!rig.two.has_room());
    rig.hears(&head(1, &[(":status", "200")], true), 30);
    assert!(rig.two.has_room());
    assert_eq!(rig.two.room_since(), 30);
}

#[test]
fn what_v2_did_not_look_at_is_given_back() {
    let mut rig = Rig::greeted();
    for ordinal in 0..3 {
        rig.begin(in_flight(ordinal, &message(b"", &[]), Story::default()));
    }
    let refused = other(kind::RST_STREAM, 0, 3, &7u32.to_be_bytes());
    assert!(matches!(&rig.hears(&refused, 0)[..], [Told::Refused(ids, 1)] if ids == &[1]));
    let leaves = other(kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    let told = rig.hears(&leaves, 0);
    assert!(matches!(&told[0], Told::Refused(ids, 2) if ids == &[2]));
    assert!(rig.two.is_closing() && rig.two.under_way() == 1, "the first is still answered");
    let told = rig.hears(&head(1, &[(":status", "200")], true), 0);
    assert!(matches!(&told[0], Told::Answer(0, answer, _) if answer.failure.is_none()));
}

#[test]
fn a_reset_is_a_failure_but_where_v1_did_the_same() {
    for (story, wanted) in [
        (Story::default(), "v2 reset the stream with INTERNAL_ERROR (2), inside the answer"),
        (Story { reset: Some(2), ..Story::default() }, ""),
    ] {
        let mut rig = Rig::greeted();
        rig.begin(in_flight(0, &message(b"", &[]), story));
        let frames = [
            head(1, &[(":status", "200")], false),
            other(kind::RST_STREAM, 0, 1, &2u32.to_be_bytes()),
        ];
        let told = rig.hears(&frames.concat(), 0);
        assert_eq!(told[0].failure(), wanted);
        let Told::Answer(_, answer, _) = &told[0] else { panic!("an answer") };
        let extras = answer.response.as_ref().unwrap().extras.as_ref().unwrap();
        assert_eq!(extras.reset, Some(2));
    }
}

#[test]
fn a_request_that_takes_too_long_is_reset_and_the_others_go_on() {
    let mut rig = Rig::greeted();
    rig.begin(in_flight(0, &message(b"", &[]), Story::default()));
    rig.begin(InFlight { until: 5 * MS, ..in_flight(1, &message(b"", &[]), Story::default()) });
    let mut timed = message(b"", &[]);
    timed.headers.push(b"grpc-timeout", b"2m");
    rig.begin(in_flight(2, &timed, Story::default()));
    rig.said(0);
    // A deadline of two milliseconds, and ten to say that it passed.
    for (now, ordinal, within) in [(5 * MS, 1, "5ms"), (12 * MS, 2, "12ms")] {
        assert_eq!(rig.two.wakes_at(), now);
        let Late::TimedOut(request, answer) = rig.two.wake(now) else { panic!("it is late") };
        assert_eq!(request.task.id.exchange.ordinal, ordinal);
        assert_eq!(answer.failure.unwrap().detail, format!("no answer within {within}"));
    }
    assert!(matches!(rig.two.wake(12 * MS), Late::None));
    assert_eq!(rig.said(12 * MS), ["3/0 3: 8", "3/0 5: 8"]);
    assert_eq!(rig.two.under_way(), 1);
}

#[test]
fn a_client_that_left_leaves_again_with_its_code_behind_what_it_had() {
    let mut rig = Rig::greeted();
    let story = Story { left: Some((5, 1)), ..Story::default() };
    let mut request = in_flight(0, &message(b"", &[]), story);
    (request.task.load.reads_ms, request.task.load.status) = (3, 200);
    rig.begin(request);
    rig.said(0);
    rig.hears(&head(1, &[(":status", "200"), ("content-type", "application/grpc")], false), MS);
    assert!(matches!(rig.two.wake(4 * MS), Late::None), "the message that it had is wanting");
    rig.hears(&other(kind::DATA, 0, 1, b"\0\0\0\0\0"), 5 * MS);
    let Late::Left(_, answer) = rig.two.wake(5 * MS) else { panic!("it leaves") };
    assert_eq!((answer.failure, answer.response.unwrap().body.length), (None, 5));
    assert_eq!(rig.said(5 * MS), ["3/0 1: 5"]);
}

#[test]
fn a_server_that_breaks_the_protocol_is_given_up_with_the_reason() {
    let mut bomb = block(&[("x", &"y".repeat(4_000))]);
    bomb[0] |= 0x40;
    bomb.extend(std::iter::repeat_n(0xbe, 10_000));
    let mut split = Vec::new();
    frame::write_block(&mut split, 1, &[0; 8], true, 4);
    let inside = [&split[..13], &other(kind::PING, 0, 0, &[0; 8])].concat();
    let mut endless = other(kind::HEADERS, 0, 1, &[]);
    (0..2_000).for_each(|_| frame::write(&mut endless, kind::CONTINUATION, 0, 1, &[]));
    let pings: Vec<u8> = other(kind::PING, 0, 0, &[0; 8]).repeat(20_000);
    let mut settings = Vec::new();
    frame::write_settings(&mut settings, &[(4, u32::MAX)]);
    let mut storm = Vec::new();
    (0..20_000).for_each(|_| frame::write_settings(&mut storm, &[(3, 100)]));
    for (octets, why) in [
        (b"\0\0\x04\x03\0\0\0\0\0abcd".to_vec(), "no frame"),
        (other(kind::HEADERS, flag::END_HEADERS, 2, &block(&[(":status", "200")])), "stream 2"),
        (other(kind::DATA, 0, 77, b"x"), "stream 77"),
        (other(kind::WINDOW_UPDATE, 0, 0, &0u32.to_be_bytes()), "window"),
        (other(kind::WINDOW_UPDATE, 0, 0, &i32::MAX.to_be_bytes()), "window"),
        (settings, "window"),
        (other(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2]), "push"),
        (other(kind::CONTINUATION, flag::END_HEADERS, 1, &[]), "CONTINUATION"),
        (other(kind::HEADERS, flag::END_HEADERS, 1, &[0xff; 3]), "cannot be read"),
        (other(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &bomb), "fields too many"),
        (inside, "inside a header block"),
        (endless, "without end"),
        (pings, "bring no answer on"),
        (storm, "bring no answer on"),
        (other(kind::DATA, 0, 1, &[0; 20_000]), "20000 bytes"),
    ] {
        let mut rig = Rig::greeted();
        rig.begin(in_flight(0, &message(b"", &[]), Story::default()));
        rig.said(0);
        let told = rig.hears(&octets, 0);
        let last = told.last().unwrap_or_else(|| panic!("nothing told of {why}"));
        assert!(
            matches!(last, Told::Garbage(_)) && last.failure().contains(why),
            "{why}: {}",
            last.failure()
        );
        assert_eq!(rig.two.blamed().len(), 1);
    }
    let mut rig = Rig::new();
    let told = rig.hears(&other(kind::PING, 0, 0, &[0; 8]), 0);
    assert!(told[0].failure().contains("settings"));
    // With a head, and as those answer that take the preface for a request of HTTP/0.9.
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"<!DOCTYPE HTML>\n<p>Bad request"] {
        assert!(matches!(Rig::new().hears(answer, 0)[..], [Told::One]));
    }
}

#[test]
fn what_comes_before_its_request_or_behind_its_answer_ends_the_connection() {
    let ok = [(":status", "200")];
    let whole = |stream| {
        [head(stream, &ok, false), other(kind::DATA, flag::END_STREAM, stream, b"{}")].concat()
    };
    // Read at 5, with the answer before it, when the second request had not been sent.
    let mut rig = Rig::greeted();
    rig.begin(in_flight(0, &message(b"", &[]), Story::default()));
    rig.said(0);
    let octets = [whole(1), whole(3)].concat();
    let mut input = &octets[..];
    assert!(matches!(rig.two.hear(&mut input, 5), Some(Heard::Answer { .. })));
    let mut second = in_flight(1, &message(b"", &[]), Story::default());
    second.sent = 6;
    rig.begin(second);
    let Some(Heard::Garbage(why)) = rig.two.hear(&mut input, 5) else { panic!("it is taken") };
    assert!(why.contains("before its request"), "{why}");
    assert_eq!(rig.two.blamed().len(), 1);
    // The same frames in their time are an answer.
    let mut rig = Rig::greeted();
    let mut late = in_flight(0, &message(b"", &[]), Story::default());
    late.sent = 6;
    rig.begin(late);
    rig.said(6);
    assert!(matches!(rig.hears(&whole(1), 7)[..], [Told::Answer(0, ..)]));
    for surplus in
        [other(kind::DATA, 0, 1, b"more"), head(1, &ok, true), head(1, &[("t", "v")], true)]
    {
        let mut rig = Rig::greeted();
        rig.begin(in_flight(0, &message(b"", &[]), Story::default()));
        rig.said(0);
        let told = rig.hears(&[whole(1), surplus].concat(), 0);
        assert!(matches!(told[0], Told::Answer(0, ..)));
        assert!(told.last().unwrap().failure().contains("which v2 had ended"));
    }
    // Some return a window or reset a stream that they have ended.
    for late in [
        other(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]),
        other(kind::RST_STREAM, 0, 1, &[0, 0, 0, 0]),
    ] {
        let mut rig = Rig::greeted();
        rig.begin(in_flight(0, &message(b"", &[]), Story::default()));
        rig.said(0);
        let told = rig.hears(&[whole(1), late].concat(), 0);
        assert!(matches!(told[..], [Told::Answer(0, ..)]));
    }
}

#[test]
fn more_content_than_the_windows_allow_is_a_breach() {
    let mut rig = Rig::greeted();
    rig.begin(in_flight(0, &message(b"", &[]), Story::default()));
    rig.hears(&head(1, &[(":status", "200")], false), 0);
    // Windows are given back as content comes, so only what comes at once can break them.
    let mut rules = Windows::Initial.rules(Pacing::default(), 1 << 20);
    rules.window = 10;
    let mut two = Two::new(rules);
    two.begin(in_flight(0, &message(b"", &[]), Story::default()));
    let mut hello = Vec::new();
    frame::write_settings(&mut hello, &[]);
    hello.extend(head(1, &[(":status", "200")], false));
    hello.extend(other(kind::DATA, 0, 1, &[0; 11]));
    let mut input = &hello[..];
    let mut last = None;
    while let Some(heard) = two.hear(&mut input, 0) {
        last = Some(heard);
    }
    assert!(matches!(last, Some(Heard::Go | Heard::Garbage(_))));
    for _ in 0..20 {
        assert!(
            rig.hears(&other(kind::DATA, 0, 1, &[0; 16_000]), 0)
                .iter()
                .all(|told| matches!(told, Told::Go))
        );
    }
    assert!(!rig.said(0).is_empty(), "windows are given back");
}

#[test]
fn an_answer_that_is_none_fails_alone() {
    let ok = (":status", "200");
    for (frames, why) in [
        (head(1, &[("x", "y")], true), "without a status"),
        (head(1, &[ok, ("content-length", "3")], true), "not as long"),
        (head(1, &[ok, ("content-length", "a")], true), "no length"),
        ([head(1, &[ok], false), head(1, &[("t", "v")], false)].concat(), "do not end"),
        ([head(1, &[ok], false), head(1, &[ok], true)].concat(), "second head"),
        (other(kind::DATA, flag::END_STREAM, 1, b"x"), "before a head"),
        (head(1, &[ok, ok], true), "two statuses"),
        (head(1, &[("x", "y"), ok], true), "behind others"),
        (head(1, &[ok, (":path", "/")], true), "of requests"),
        (head(1, &[ok, ("x", "a\r\nb: c")], true), "line end"),
        (
            [head(1, &[(":status", "204")], false), other(kind::DATA, flag::END_STREAM, 1, b"x")]
                .concat(),
            "must have none",
        ),
        (head(1, &[(":status", "100")], false).repeat(1_500), "interim answers without end"),
    ] {
        let mut rig = Rig::greeted();
        rig.begin(in_flight(0, &message(b"", &[]), Story::default()));
        rig.begin(in_flight(1, &message(b"", &[]), Story::default()));
        rig.said(0);
        let told = rig.hears(&frames, 0);
        assert!(told[0].failure().contains(why), "{why}: {}", told[0].failure());
        assert_eq!(rig.said(0), ["3/0 1: 1"]);
        let told = rig.hears(&head(3, &[ok], true), 0);
        assert!(
            matches!(&told[0], Told::Answer(1, answer, _) if answer.failure.is_none()),
            "{why}"
        );
    }
}

proptest! {
    #[test]
    fn no_octets_bring_it_down(
        octets in prop::collection::vec(0u8..20, 0..400),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut rig = Rig::greeted();
        for ordinal in 0..3 {
            rig.begin(in_flight(ordinal, &message(b"abc", &[]), Story::default()));
        }
        let mut rest = &octets[..];
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (part, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            rig.hears(part, 0);
            rig.said(0);
        }
        let _ = rig.two.wake(i64::MAX);
        rig.two.take_unanswered();
    }
}
