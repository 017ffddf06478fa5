//! Connections of HTTP/2, written by the encoder beside the reader: cut anew, joined in the middle,
//! with bytes missing.

use Direction::{ToClient, ToServer};
use proptest::prelude::*;

use super::*;
use crate::message::HeaderPart;
use crate::wire::h2::frame::{PREFACE, flag, kind, write, write_block, write_settings};
use crate::wire::h2::hpack::{Encoder, Indexing};

/// Both ends of a connection.
#[derive(Default)]
struct Ends {
    encoders: [Encoder; 2],
    /// What was sent, in order: one entry a write.
    sent: Vec<(Direction, Vec<u8>)>,
}

impl Ends {
    fn new() -> Self {
        let mut ends = Self::default();
        let mut first = PREFACE.to_vec();
        write_settings(&mut first, &[(3, 100)]);
        ends.sent.push((ToServer, first));
        let mut first = Vec::new();
        write_settings(&mut first, &[]);
        ends.sent.push((ToClient, first));
        ends
    }

    fn frame(&mut self, direction: Direction, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut out = Vec::new();
        write(&mut out, kind, flags, stream, payload);
        self.sent.push((direction, out));
    }

    fn block(&mut self, direction: Direction, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        let encoder = &mut self.encoders[direction as usize];
        for (name, value) in fields {
            encoder.field(name.as_bytes(), value.as_bytes(), Indexing::Incremental, &mut block);
        }
        block
    }

    fn head(&mut self, direction: Direction, stream: u32, fields: &[(&str, &str)], ends: bool) {
        let block = self.block(direction, fields);
        let mut out = Vec::new();
        write_block(&mut out, stream, &block, ends, 40);
        self.sent.push((direction, out));
    }

    fn ask(&mut self, stream: u32, path: &str, ends: bool) {
        let fields = [(":method", "GET"), (":path", path), (":authority", "shop.test")];
        self.head(ToServer, stream, &fields, ends);
    }

    fn answer(&mut self, stream: u32, token: &str, body: &[u8]) {
        let fields = [(":status", "200"), ("x-token", token), ("server", "a server")];
        self.head(ToClient, stream, &fields, body.is_empty());
        if !body.is_empty() {
            self.frame(ToClient, kind::DATA, flag::END_STREAM, stream, body);
        }
    }

    fn rest(&self, from: usize) -> Vec<(Direction, Vec<u8>)> {
        self.sent[from..].to_vec()
    }
}

#[test]
fn the_first_exchange_tells_what_its_client_announced() {
    let mut ends = Ends::new();
    ends.frame(ToServer, kind::WINDOW_UPDATE, 0, 0, &1_000u32.to_be_bytes());
    ends.frame(ToServer, kind::SETTINGS, flag::ACK, 0, &[]);
    ends.frame(ToServer, kind::SETTINGS, 0, 0, &[0xfe, 3, 0, 0, 0, 1]);
    ends.frame(ToServer, kind::WINDOW_UPDATE, 0, 1, &9u32.to_be_bytes());
    ends.ask(1, "/a", true);
    ends.frame(ToServer, kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
    ends.frame(ToServer, kind::WINDOW_UPDATE, 0, 0, &5u32.to_be_bytes());
    ends.ask(3, "/b", true);
    ends.answer(3, "b", b"b");
    ends.answer(1, "a", b"a");
    let told = |exchanges: Vec<Exchange>| {
        let mut told: Vec<_> = exchanges
            .into_iter()
            .map(|one| (one.id.ordinal, one.carriage.and_then(|carriage| carriage.settings)))
            .collect();
        told.sort_by_key(|(ordinal, _)| *ordinal);
        told
    };
    let values = vec![(3, 100), (0xfe03, 1)];
    let announced = Some(Box::new(ClientSettings { values, window: 1_000 }));
    for cut in [1, 7, 1_000] {
        assert_eq!(told(read(&ends.sent, cut, false)), [(0, announced.clone()), (1, None)]);
    }
    // One that announces nothing of its own has what everybody begins with.
    let mut plain = Ends::new();
    plain.sent[0].1.truncate(PREFACE.len());
    write_settings(&mut plain.sent[0].1, &[]);
    plain.ask(1, "/a", true);
    plain.answer(1, "a", b"a");
    let nothing = Some(Box::new(ClientSettings::default()));
    assert_eq!(told(read(&plain.sent, 1_000, false)), [(0, nothing)]);
    // Where something of it is missing, nothing is told.
    assert_eq!(told(read(&ends.rest(1), 1_000, true)), [(0, None), (1, None)]);
    for write in [0, 2, 4] {
        let part = ends.sent[write].1.len() - 3..ends.sent[write].1.len();
        let read = told(read_with(&ends.sent, 1_000, false, Some((write, part))));
        assert_eq!(read, [(0, None), (1, None)], "{write}");
    }
}

/// What comes out of writes, each cut into slices of `cut` bytes.
fn read(sent: &[(Direction, Vec<u8>)], cut: usize, joined: bool) -> Vec<Exchange> {
    read_with(sent, cut, joined, None)
}

/// The same, where bytes `lost` of this write are missing.
fn read_with(
    sent: &[(Direction, Vec<u8>)],
    cut: usize,
    joined: bool,
    lost: Option<(usize, std::ops::Range<usize>)>,
) -> Vec<Exchange> {
    let origin = Origin {
        connection: 4,
        client: "10.0.0.1:1000".parse().unwrap(),
        server: "10.0.0.2:80".parse().unwrap(),
        opened_at: None,
        joined,
    };
    let mut streams = Streams::new(origin, ParserLimits::default());
    let mut out = Vec::new();
    let mut given = [0u64; 2];
    for (number, (direction, bytes)) in sent.iter().enumerate() {
        let at = Timestamp::from_nanos(number as i64 * 1_000);
        let mut parts: Vec<(bool, &[u8])> = vec![(true, bytes)];
        if let Some((_, range)) = lost.as_ref().filter(|(place, _)| *place == number) {
            let (start, end) = (range.start.min(bytes.len()), range.end.min(bytes.len()));
            parts =
                vec![(true, &bytes[..start]), (false, &bytes[start..end]), (true, &bytes[end..])];
        }
        for (is_there, part) in parts {
            for slice in part.chunks(cut) {
                let ack = Some(given[1 - *direction as usize]);
                let mark = PacketMark { at, packet: number as u64, ack, cut: false };
                if is_there {
                    streams.bytes(*direction, slice, mark, &mut |exchange| out.push(exchange));
                } else {
                    let n = slice.len() as u64;
                    streams.gap(*direction, n, mark, &mut |exchange| out.push(exchange));
                }
                given[*direction as usize] += slice.len() as u64;
            }
        }
    }
    streams.finish(&mut |exchange| out.push(exchange));
    out.sort_by_key(|exchange| exchange.id);
    out
}

fn shown(exchange: &Exchange) -> String {
    let request = exchange.request.as_ref().map(|request| &request.message);
    let response = exchange.response.as_ref().map(|response| &response.message);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    format!(
        "{}:{}>{} {}",
        exchange.carriage.as_ref().and_then(|carriage| carriage.stream).unwrap_or_default(),
        request.map_or("-".to_owned(), |request| text(&request.target)),
        response.map_or("-".to_owned(), |r| format!("{} {}", r.status, text(&r.body.bytes))),
        exchange.completeness.name()
    )
}

fn sample() -> Ends {
    let mut ends = Ends::new();
    ends.ask(1, "/a", true);
    ends.ask(3, "/b", false);
    ends.frame(ToServer, kind::DATA, flag::PADDED, 3, b"\x02body\0\0");
    ends.answer(1, "one", b"first answer");
    ends.head(ToServer, 3, &[("x-sum", "4")], true);
    ends.head(ToClient, 3, &[(":status", "103"), ("link", "x")], false);
    ends.head(ToClient, 3, &[(":status", "201"), ("x-token", "two")], false);
    ends.frame(ToClient, kind::DATA, 0, 3, b"second");
    ends.head(ToClient, 3, &[("grpc-status", "0")], true);
    ends.ask(5, "/c", true);
    ends.answer(5, "one", b"");
    ends
}

#[test]
fn streams_are_paired_in_any_cut() {
    let ends = sample();
    let whole = read(&ends.sent, usize::MAX, false);
    assert_eq!(
        whole.iter().map(shown).collect::<Vec<_>>(),
        ["1:/a>200 first answer complete", "3:/b>201 second complete", "5:/c>200  complete"]
    );
    let second = &whole[1];
    let asked = &second.request.as_ref().unwrap().message;
    assert_eq!(
        (&asked.body.bytes[..], asked.trailers.get("x-sum")),
        (&b"body"[..], Some(&b"4"[..]))
    );
    let answered = &second.response.as_ref().unwrap().message;
    assert_eq!(answered.trailers.get("grpc-status"), Some(&b"0"[..]));
    assert_eq!(second.interim.len(), 1);
    let names: Vec<_> = asked.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&b":method"[..], b":path", b":authority"]);
    for cut in [1, 2, 5, 9, 13, 64] {
        assert_eq!(read(&ends.sent, cut, false), whole, "slices of {cut} bytes");
    }
}

#[test]
fn pushes_resets_and_goaway_are_told() {
    let mut ends = Ends::new();
    ends.ask(1, "/page", true);
    let fields = [(":method", "GET"), (":path", "/style.css"), (":authority", "shop.test")];
    let block = ends.block(ToClient, &fields);
    let promise = [&2u32.to_be_bytes()[..], &block].concat();
    ends.frame(ToClient, kind::PUSH_PROMISE, flag::END_HEADERS, 1, &promise);
    ends.answer(1, "page", b"page");
    ends.answer(2, "style", b"style");
    ends.ask(3, "/cancelled", true);
    ends.head(ToClient, 3, &[(":status", "200")], false);
    ends.frame(ToClient, kind::DATA, 0, 3, b"some");
    ends.frame(ToServer, kind::RST_STREAM, 0, 3, &8u32.to_be_bytes());
    ends.ask(5, "/failed", true);
    ends.head(ToClient, 5, &[(":status", "200")], false);
    ends.frame(ToClient, kind::RST_STREAM, 0, 5, &2u32.to_be_bytes());
    ends.ask(7, "/late", true);
    let last = [&5u32.to_be_bytes()[..], &0u32.to_be_bytes()].concat();
    ends.frame(ToClient, kind::GOAWAY, 0, 0, &last);
    // Under way to the server when it left; and one that it refused alone.
    ends.ask(9, "/later", true);
    ends.ask(11, "/refused", true);
    ends.frame(ToClient, kind::RST_STREAM, 0, 11, &7u32.to_be_bytes());
    let read = read(&ends.sent, usize::MAX, false);
    assert_eq!(
        read.iter().map(shown).collect::<Vec<_>>(),
        [
            "1:/page>200 page complete",
            "2:/style.css>200 style complete",
            "3:/cancelled>200 some response-damaged",
            "5:/failed>200  complete",
            "7:/late>- no-response",
            "9:/later>- no-response",
            "11:/refused>- no-response",
        ]
    );
    assert_eq!(read[1].carriage.as_ref().unwrap().pushed_by, Some(1));
    let reset = |extras: &Option<Box<crate::message::Extras>>| extras.as_ref()?.reset;
    assert_eq!(reset(&read[2].request.as_ref().unwrap().message.extras), Some(8));
    assert_eq!(reset(&read[3].response.as_ref().unwrap().message.extras), Some(2));
    let left = read.iter().map(Exchange::was_not_looked_at).collect::<Vec<_>>();
    assert_eq!(left, [false, false, false, false, true, true, true]);
    assert!(read[4].marks[0].contains("GOAWAY"), "{:?}", read[4].marks);
}

/// A reset may follow the last frame of a stream, and belongs to it.
#[test]
fn a_reset_behind_the_end_is_kept() {
    let mut ends = Ends::new();
    ends.ask(1, "/a", true);
    ends.answer(1, "x", b"all");
    ends.frame(ToServer, kind::RST_STREAM, 0, 1, &5u32.to_be_bytes());
    let read = read(&ends.sent, usize::MAX, false);
    assert_eq!(read.iter().map(shown).collect::<Vec<_>>(), ["1:/a>200 all complete"]);
    assert!(read[0].request.as_ref().unwrap().message.extras.is_some());
}

/// Content that is missing costs its stream alone, and its length stays true.
#[test]
fn a_loss_inside_data_costs_one_stream() {
    let mut ends = Ends::new();
    ends.ask(1, "/a", true);
    ends.ask(3, "/b", true);
    ends.answer(1, "x", &[b'x'; 100]);
    ends.answer(3, "x", b"whole");
    let data = ends.sent.iter().rposition(|(_, bytes)| bytes.len() > 100).unwrap();
    let read = read_with(&ends.sent, usize::MAX, false, Some((data, 20..60)));
    assert_eq!(shown(&read[1]), "3:/b>200 whole complete");
    assert_eq!(read[0].completeness, Completeness::ResponseDamaged);
    assert_eq!(read[0].response.as_ref().unwrap().message.body.length, 100);
    assert!(read[0].marks[0].contains("gap of 40 bytes"), "{:?}", read[0].marks);
}

/// What the true exchanges say of the fields that were read: equal, or unknown.
fn holds(read: &Exchange, truth: &[Exchange]) -> Result<(), String> {
    let stream = |exchange: &Exchange| exchange.carriage.as_ref().and_then(|c| c.stream);
    let Some(truth) = truth.iter().find(|truth| stream(truth) == stream(read)) else {
        return Err(format!("no such stream: {}", shown(read)));
    };
    let pairs = [
        (
            read.request.as_ref().map(|request| &request.message.headers),
            truth.request.as_ref().map(|request| &request.message.headers),
        ),
        (
            read.response.as_ref().map(|response| &response.message.headers),
            truth.response.as_ref().map(|response| &response.message.headers),
        ),
    ];
    for (read_fields, true_fields) in pairs {
        let (Some(read_fields), Some(true_fields)) = (read_fields, true_fields) else { continue };
        if read_fields.len() != true_fields.len() {
            return Err(format!("{read_fields:?} for {true_fields:?}"));
        }
        let known = |part: HeaderPart<'_>, octets: &[u8]| {
            part.identity().is_some() || part.octets() == octets
        };
        let mut fields = read_fields.parts().zip(true_fields.iter());
        if !fields.all(|((n, v), (name, value))| known(n, name) && known(v, value)) {
            return Err(format!("{read_fields:?} for {true_fields:?}"));
        }
    }
    let whole = read.completeness == Completeness::Complete;
    let request = |of: &Exchange| of.request.as_ref().map(|request| request.message.clone());
    if whole && (request(read), shown(read)) != (request(truth), shown(truth)) {
        return Err(format!("{} for {}", shown(read), shown(truth)));
    }
    Ok(())
}

/// A connection of many streams that repeat their fields.
fn busy() -> Ends {
    let mut ends = Ends::new();
    for number in 0..12u32 {
        let stream = 2 * number + 1;
        ends.ask(stream, &format!("/path/{}", number % 5), number % 3 > 0);
        if number % 3 == 0 {
            ends.frame(ToServer, kind::DATA, flag::END_STREAM, stream, b"some content");
        }
        if number % 2 == 1 {
            ends.answer(stream, &format!("token {}", number % 4), &[b'y'; 60]);
            ends.answer(stream - 2, &format!("token {}", number % 3), b"short");
        }
    }
    ends
}

#[test]
fn joined_at_any_write_nothing_is_made_up() {
    let ends = busy();
    let truth = read(&ends.sent, usize::MAX, false);
    assert!(truth.iter().all(|exchange| exchange.completeness == Completeness::Complete));
    let mut known = 0;
    for from in 2..ends.sent.len() {
        for read in read(&ends.rest(from), usize::MAX, true) {
            // Ordinals and times count from where it was joined.
            let read = Exchange { id: truth[0].id, ..read };
            holds(&read, &truth).unwrap_or_else(|error| panic!("joined at {from}: {error}"));
            known += 1;
        }
    }
    assert!(known > 100, "{known} exchanges were read");
}

proptest! {
    #[test]
    fn whatever_is_lost_nothing_is_made_up(
        write in 0usize..40,
        start in 0usize..120,
        length in 1usize..200,
        cut in 1usize..90
    ) {
        let ends = busy();
        let truth = read(&ends.sent, usize::MAX, false);
        let lost = Some((write % ends.sent.len(), start..start + length));
        let read = read_with(&ends.sent, cut, false, lost);
        for exchange in &read {
            prop_assert_eq!(holds(exchange, &truth), Ok(()));
        }
        // A loss costs what is under way; most of twelve streams are read.
        prop_assert!(read.len() >= 6, "{} exchanges", read.len());
    }

    #[test]
    fn no_bytes_bring_it_down(
        writes in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(0u8..12, 0..60), 0u64..30),
            0..20,
        ),
        joined: bool
    ) {
        let origin = Origin {
            connection: 1,
            client: "10.0.0.1:1".parse().unwrap(),
            server: "10.0.0.2:2".parse().unwrap(),
            opened_at: None,
            joined,
        };
        let mut streams = Streams::new(origin, ParserLimits::default());
        let mut out = Vec::new();
        for (up, bytes, gap) in &writes {
            let direction = if *up { ToServer } else { ToClient };
            streams
                .bytes(direction, bytes, PacketMark::default(), &mut |exchange| out.push(exchange));
            if *gap > 20 {
                streams.gap(direction, *gap, PacketMark::default(), &mut |exchange| {
                    out.push(exchange)
                });
            }
        }
        streams.relieve(&mut |exchange| out.push(exchange));
        streams.finish(&mut |exchange| out.push(exchange));
        prop_assert_eq!(streams.under_way(), 0);
    }
}

#[test]
fn trailers_whose_head_was_lost_are_no_head() {
    for (trailers, is_head) in [
        (vec![("x-sum", "first"), ("grpc-message", "")], false),
        (vec![("x-sum", "second")], false),
        (vec![("x-sum", "first"), ("x-served", "b")], false),
        (vec![("x-sum", "first")], false),
        // What only a head has tells a head, its status unknown.
        (vec![("x-sum", "first"), ("location", "/elsewhere")], true),
    ] {
        let mut ends = Ends::new();
        ends.ask(1, "/known", true);
        ends.head(ToClient, 1, &[(":status", "200"), ("x-sum", "first")], true);
        ends.ask(3, "/lost", true);
        let lost = ends.sent.len();
        ends.head(ToClient, 3, &[(":status", "200"), ("content-type", "text/plain")], false);
        ends.head(ToClient, 3, &trailers, true);
        let length = ends.sent[lost].1.len();
        let out = read_with(&ends.sent, 7, false, Some((lost, 0..length)));
        assert_eq!(out.len(), 2, "{out:?}");
        assert_eq!(out[0].completeness, Completeness::Complete);
        assert_eq!(out[1].completeness, Completeness::ResponseDamaged);
        assert_eq!(out[1].response.is_some(), is_head, "{trailers:?} {:?}", out[1].response);
    }
}

#[test]
fn whoever_joined_takes_the_right_side_for_the_client_s() {
    // The first block that comes is a server's, all its pseudo-header fields unknown, and the
    // origin has the sides the other way round.
    let mut ends = Ends::new();
    ends.ask(1, "/before", true);
    ends.answer(1, "t", b"");
    ends.head(ToClient, 3, &[(":status", "200"), ("x-token", "t")], false);
    let joined_at = ends.sent.len();
    ends.head(ToClient, 3, &[("x-token", "t"), ("grpc-message", "none")], true);
    ends.ask(5, "/behind", true);
    ends.answer(5, "u", b"body");
    let turned: Vec<_> =
        ends.rest(joined_at).into_iter().map(|(to, bytes)| (to.reverse(), bytes)).collect();
    let out = read(&turned, 9, true);
    let [exchange] = &out[..] else { panic!("{out:?}") };
    assert_eq!(exchange.client, "10.0.0.2:80".parse().unwrap());
    assert_eq!(exchange.request.as_ref().unwrap().message.target, "/behind");
    assert_eq!(exchange.response.as_ref().unwrap().message.status, 200);
}
