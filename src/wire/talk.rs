//! One connection, whichever protocol it speaks: its first bytes choose the conversation that reads
//! it.
//!
//! HTTP/1 is read in place, without a pointer to follow. Where the first slice of a direction is
//! too short to tell, it waits. A connection that the capture joined in the middle is read as
//! HTTP/1 while nothing else is found in it.

use std::collections::VecDeque;

use crate::flow::{Direction, Endpoint};
use crate::wire::conversation::{Conversation, Ending, ExchangeOut, Origin, PacketMark};
use crate::wire::h1::pairing::Pairing;
use crate::wire::h2::frame::PREFACE;
use crate::wire::h2::search::Search;
use crate::wire::probe::{self, Guess};
use crate::wire::proxied::{self, Prefix};
use crate::wire::setup::Setup;

/// Reads one connection.
#[derive(Debug)]
pub struct Talk {
    origin: Origin,
    setup: Setup,
    handshake_ns: Option<i64>,
    /// What came while nothing was decided.
    early: Vec<Early>,
    /// By direction: its first bytes have told what it is.
    told: [bool; 2],
    /// By direction: bytes of a balancer before it, which the reader is not given.
    prefixed: [u64; 2],
    /// Joined in the middle, and nothing of HTTP/1 was found yet.
    hunt: Option<Box<Hunt>>,
    reader: TalkReader,
}

/// Looks for frames in a connection that was joined in the middle.
#[derive(Debug, Default)]
struct Hunt {
    searches: [Search<()>; 2],
    /// What came last, which is read anew where frames are found.
    all: VecDeque<Early>,
    bytes: usize,
    /// By direction: what came before that, and is not kept.
    passed: [Option<(u64, PacketMark)>; 2],
    looked_at: usize,
}

impl Hunt {
    /// Keeps what came; lets go of the oldest where that is too much.
    fn keep(&mut self, what: Early) {
        if let Early::Bytes(_, bytes, _) = &what {
            self.bytes += bytes.len();
            self.looked_at += bytes.len();
        }
        self.all.push_back(what);
        while self.bytes > HUNT_BYTES
            && let Some(oldest) = self.all.pop_front()
        {
            let (direction, n, mark) = match oldest {
                Early::Bytes(direction, bytes, mark) => {
                    self.bytes -= bytes.len();
                    (direction, bytes.len() as u64, mark)
                }
                Early::Gap(direction, n, mark) => (direction, n, mark),
                Early::Close(..) => continue,
            };
            let before = self.passed[direction as usize].map_or(0, |(n, _)| n);
            self.passed[direction as usize] = Some((before + n, mark));
        }
    }

    /// All that came: what is not kept is missing.
    fn into_all(self) -> impl Iterator<Item = Early> {
        let passed = [Direction::ToServer, Direction::ToClient].into_iter().zip(self.passed);
        let gap = |(direction, passed): (_, Option<(u64, PacketMark)>)| {
            passed.map(|(n, mark)| Early::Gap(direction, n, mark))
        };
        passed.filter_map(gap).chain(self.all)
    }
}

/// Bytes of a connection that was joined in the middle that are kept while frames are looked for.
const HUNT_BYTES: usize = 128 << 10;
/// Bytes in which they are looked for: gRPC's C core makes frames of up to 4 MiB.
const HUNTED_BYTES: usize = 8 << 20;

#[derive(Debug)]
enum TalkReader {
    Http1(Pairing),
    Other(Box<dyn Conversation>),
}

/// An event that waits.
#[derive(Debug)]
enum Early {
    Bytes(Direction, Vec<u8>, PacketMark),
    Gap(Direction, u64, PacketMark),
    Close(Direction, Ending),
}

impl Talk {
    /// For a connection that begins now.
    pub fn new(origin: Origin, setup: &Setup) -> Self {
        Self {
            origin,
            setup: setup.clone(),
            handshake_ns: None,
            early: Vec::new(),
            told: [false; 2],
            prefixed: [0; 2],
            hunt: origin.joined.then(Box::default),
            reader: TalkReader::Http1(Pairing::new(origin, setup.limits)),
        }
    }

    fn reader(&self) -> &dyn Conversation {
        match &self.reader {
            TalkReader::Http1(pairing) => pairing,
            TalkReader::Other(other) => &**other,
        }
    }

    fn reader_mut(&mut self) -> &mut dyn Conversation {
        match &mut self.reader {
            TalkReader::Http1(pairing) => pairing,
            TalkReader::Other(other) => &mut **other,
        }
    }

    /// What was received of the other direction, counted as its reader is given it.
    fn without_prefix(&self, direction: Direction, mark: PacketMark) -> PacketMark {
        match self.prefixed[1 - direction as usize] {
            0 => mark,
            bytes => PacketMark { ack: mark.ack.map(|ack| ack.saturating_sub(bytes)), ..mark },
        }
    }

    /// Whether events go on to the reader at once.
    fn is_decided(&self) -> bool {
        self.early.is_empty()
    }

    /// Looks at the first bytes of a direction: what is left of the payload for the reader, or
    /// none, where it was kept until more of it comes or was a balancer's.
    #[cold]
    fn probe<'p>(
        &mut self,
        direction: Direction,
        mut payload: &'p [u8],
        mark: PacketMark,
        out: ExchangeOut<'_>,
    ) -> Option<&'p [u8]> {
        let mut first: Vec<u8> = Vec::new();
        for early in &self.early {
            match early {
                Early::Bytes(whose, bytes, _) if *whose == direction => first.extend(bytes),
                _ => {}
            }
        }
        first.extend_from_slice(payload);
        let prefix = match self.prefixed[direction as usize] {
            0 => proxied::prefix(&first),
            _ => Prefix::Absent,
        };
        if let Prefix::Header(bytes) = prefix {
            self.pass_over(direction, bytes);
            payload = &payload[payload.len() - (first.len() - bytes).min(payload.len())..];
            first.drain(..bytes);
            if first.is_empty() {
                return None;
            }
        }
        if prefix == Prefix::Short || probe::is_too_short(&first) {
            self.early.push(Early::Bytes(direction, payload.to_vec(), mark));
            return None;
        }
        self.told[direction as usize] = true;
        if let Guess::Certain(name) = probe::guess(&first)
            && matches!(&self.reader, TalkReader::Http1(pairing) if !pairing.has_messages())
        {
            // A preface stands at the start of a connection, also where its handshake is missing.
            let joined = self.origin.joined && !first.starts_with(PREFACE);
            self.change(name, Origin { joined, ..self.origin });
        }
        self.go_on(out);
        Some(payload)
    }

    /// Lets go of a balancer's header, of which all but the last payload's part waits.
    fn pass_over(&mut self, direction: Direction, bytes: usize) {
        // It stands at the start of a connection, also where its handshake is missing.
        self.origin.joined = false;
        self.prefixed[direction as usize] = bytes as u64;
        self.early.retain(|early| !matches!(early, Early::Bytes(whose, ..) if *whose == direction));
    }

    /// Goes over to the conversation of this name, where there is one.
    fn change(&mut self, name: &str, origin: Origin) -> bool {
        let inside =
            |origin, setup: &Setup| Box::new(Self::new(origin, setup)) as Box<dyn Conversation>;
        let Some(mut other) = probe::start(name, origin, &self.setup, inside) else { return false };
        if let Some(nanos) = self.handshake_ns {
            other.set_handshake(nanos);
        }
        self.told = [true; 2];
        if let Some(hunt) = self.hunt.take() {
            // All that came is read anew.
            self.early.splice(0..0, hunt.into_all());
        }
        self.reader = TalkReader::Other(other);
        true
    }

    /// Looks for frames where nothing of HTTP/1 was found; whether they were, and everything was
    /// read anew.
    #[cold]
    fn hunt(&mut self, what: Early, out: ExchangeOut<'_>) -> bool {
        let found_http1 = match &self.reader {
            TalkReader::Http1(pairing) => pairing.has_messages(),
            TalkReader::Other(_) => true,
        };
        let Some(hunt) = self.hunt.as_mut().filter(|_| !found_http1) else {
            self.hunt = None;
            return false;
        };
        let found = match &what {
            Early::Bytes(direction, bytes, _) => {
                let frames = hunt.searches[*direction as usize].push(bytes, ()).is_some();
                // Most senders begin a segment with each record.
                let record = probe::guess(bytes) == Guess::Certain("tls");
                if frames { Some("http/2") } else { record.then_some("tls") }
            }
            Early::Gap(direction, ..) => {
                hunt.searches[*direction as usize].gap();
                None
            }
            Early::Close(..) => None,
        };
        hunt.keep(what);
        if let Some(name) = found {
            let changed = self.change(name, self.origin);
            if changed {
                self.go_on(out);
            }
            return changed;
        }
        if self.hunt.as_ref().is_some_and(|hunt| hunt.looked_at > HUNTED_BYTES) {
            self.hunt = None;
        }
        false
    }

    /// Gives what waited.
    #[cold]
    fn go_on(&mut self, out: ExchangeOut<'_>) {
        let reader = match &mut self.reader {
            TalkReader::Http1(pairing) => pairing,
            TalkReader::Other(other) => &mut **other as &mut dyn Conversation,
        };
        for early in std::mem::take(&mut self.early) {
            match early {
                Early::Bytes(direction, bytes, mark) => {
                    self.told[direction as usize] = true;
                    reader.bytes(direction, &bytes, mark, out);
                }
                Early::Gap(direction, n, mark) => reader.gap(direction, n, mark, out),
                Early::Close(direction, ending) => reader.close(direction, ending, out),
            }
        }
    }
}

impl Conversation for Talk {
    fn set_handshake(&mut self, nanos: i64) {
        self.handshake_ns = Some(nanos);
        self.reader_mut().set_handshake(nanos);
    }

    fn wants(&self, direction: Direction) -> bool {
        self.reader().wants(direction)
    }

    fn protocol(&self) -> &'static str {
        self.reader().protocol()
    }

    fn roles(&self) -> (Endpoint, Endpoint) {
        self.reader().roles()
    }

    fn held(&self) -> usize {
        let early = |early: &Early| match early {
            Early::Bytes(_, bytes, _) => bytes.len(),
            _ => 0,
        };
        let hunted = self.hunt.as_ref().map_or(0, |hunt| 2 * hunt.bytes);
        self.reader().held() + self.early.iter().map(early).sum::<usize>() + hunted
    }

    fn relieve(&mut self, out: ExchangeOut<'_>) {
        self.hunt = None;
        self.reader_mut().relieve(out);
    }

    fn waits(&self) -> bool {
        self.reader().waits()
    }

    fn retry(&mut self, out: ExchangeOut<'_>) {
        self.reader_mut().retry(out);
    }

    fn under_way(&self) -> u64 {
        self.reader().under_way()
    }

    fn skipped(&self) -> u64 {
        self.reader().skipped()
    }

    fn tunnelled(&self) -> u64 {
        self.reader().tunnelled()
    }

    fn unkept_interim(&self) -> u64 {
        self.reader().unkept_interim()
    }

    fn bytes(
        &mut self,
        direction: Direction,
        payload: &[u8],
        mark: PacketMark,
        out: ExchangeOut<'_>,
    ) {
        if payload.is_empty() {
            return;
        }
        let mark = self.without_prefix(direction, mark);
        let payload = match self.told[direction as usize] {
            true => payload,
            false => match self.probe(direction, payload, mark, out) {
                Some(payload) => payload,
                None => return,
            },
        };
        if self.hunt.is_some() && self.hunt(Early::Bytes(direction, payload.to_vec(), mark), out) {
            return;
        }
        match &mut self.reader {
            TalkReader::Http1(pairing) => pairing.bytes(direction, payload, mark, out),
            TalkReader::Other(other) => other.bytes(direction, payload, mark, out),
        }
    }

    fn gap(&mut self, direction: Direction, n: u64, mark: PacketMark, out: ExchangeOut<'_>) {
        let mark = self.without_prefix(direction, mark);
        if self.is_decided() {
            // What follows is no start.
            self.told[direction as usize] = true;
            if self.hunt.is_some() {
                self.hunt(Early::Gap(direction, n, mark), out);
            }
            return self.reader_mut().gap(direction, n, mark, out);
        }
        self.early.push(Early::Gap(direction, n, mark));
        self.told[direction as usize] = true;
        self.go_on(out);
    }

    fn close(&mut self, direction: Direction, ending: Ending, out: ExchangeOut<'_>) {
        if self.is_decided() {
            return self.reader_mut().close(direction, ending, out);
        }
        self.early.push(Early::Close(direction, ending));
        self.go_on(out);
    }

    fn finish(&mut self, out: ExchangeOut<'_>) {
        self.go_on(out);
        self.reader_mut().finish(out);
    }
}

#[cfg(test)]
mod tests {
    use Direction::{ToClient, ToServer};

    use super::*;
    use crate::exchange::Exchange;
    use crate::wire::h2::frame::{flag, kind, write, write_block};
    use crate::wire::h2::hpack::{Encoder, Indexing};

    fn block(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
        let (mut block, mut out) = (Vec::new(), Vec::new());
        for (name, value) in fields {
            Encoder::default().field(
                name.as_bytes(),
                value.as_bytes(),
                Indexing::Without,
                &mut block,
            );
        }
        write_block(&mut out, stream, &block, true, 16_384);
        out
    }

    /// Each direction begins inside of a frame with so many bytes of content to come, in text or
    /// not; then there are requests.
    fn joined_inside(content: usize, octet: u8) -> Vec<Exchange> {
        let origin = Origin {
            connection: 1,
            client: "10.0.0.1:1000".parse().unwrap(),
            server: "10.0.0.2:80".parse().unwrap(),
            opened_at: None,
            joined: true,
        };
        let mut talk = Talk::new(origin, &Setup::default());
        let mut given = [0; 2];
        let mut out = Vec::new();
        let mut packet = 0;
        let mut say = |direction: Direction, octets: &[u8], out: &mut Vec<Exchange>| {
            for slice in octets.chunks(1_448) {
                packet += 1;
                let ack = Some(given[1 - direction as usize]);
                let mark = PacketMark { packet, ack, ..PacketMark::default() };
                talk.bytes(direction, slice, mark, &mut |exchange| out.push(exchange));
                given[direction as usize] += slice.len() as u64;
            }
        };
        for direction in [ToServer, ToClient] {
            say(direction, &vec![octet; content], &mut out);
            let mut end = Vec::new();
            write(&mut end, kind::DATA, flag::END_STREAM, 1, b"");
            say(direction, &end, &mut out);
        }
        for stream in [3, 5, 7] {
            let path = format!("/{stream}");
            let fields = [
                (":method", "GET"),
                (":scheme", "http"),
                (":path", path.as_str()),
                (":authority", "shop.test"),
            ];
            say(ToServer, &block(stream, &fields), &mut out);
            say(ToClient, &block(stream, &[(":status", "200")]), &mut out);
        }
        talk.finish(&mut |exchange| out.push(exchange));
        out
    }

    #[test]
    fn frames_are_found_behind_content_of_any_length_that_frames_have() {
        for (content, octet) in [(10, b'a'), (HUNT_BYTES, 0xa5), (3 << 20, b'a'), (300_000, 0)] {
            let exchanges = joined_inside(content, octet);
            let asked = exchanges.iter().filter_map(|one| one.request.as_ref());
            let mut targets: Vec<_> = asked.map(|one| one.message.target.clone()).collect();
            targets.sort();
            assert_eq!(targets, ["/3", "/5", "/7"], "{content}: {exchanges:#?}");
        }
        let beyond = joined_inside(HUNTED_BYTES + 1, b'a');
        assert!(beyond.is_empty(), "{beyond:#?}");
    }

    /// What is read where a client asks twice at once after an answer, its bytes given in slices.
    fn asked_behind(prefix: &[u8], slice: usize, http2: bool, joined: bool) -> Vec<Exchange> {
        let origin = Origin {
            connection: 1,
            client: "10.0.0.1:1000".parse().unwrap(),
            server: "10.0.0.2:80".parse().unwrap(),
            opened_at: None,
            joined,
        };
        let mut talk = Talk::new(origin, &Setup::default());
        let mut out = Vec::new();
        let mut given = [0; 2];
        let mut say = |direction: Direction, octets: &[u8]| {
            for slice in octets.chunks(slice) {
                let mark = PacketMark {
                    packet: 1,
                    ack: Some(given[1 - direction as usize]),
                    ..PacketMark::default()
                };
                talk.bytes(direction, slice, mark, &mut |exchange| out.push(exchange));
                given[direction as usize] += slice.len() as u64;
            }
        };
        let ask = |number: u32| match http2 {
            true => {
                let path = format!("/{number}");
                let fields = [(":method", "GET"), (":scheme", "http"), (":path", path.as_str())];
                [if number == 1 { PREFACE } else { &b""[..] }, &block(number, &fields)].concat()
            }
            false => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
        };
        let answer = |number: u32| match http2 {
            true => block(number, &[(":status", "200")]),
            false => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        };
        say(ToServer, &[prefix, &ask(1)].concat());
        say(ToClient, &answer(1));
        say(ToServer, &[ask(3), ask(5)].concat());
        say(ToClient, &[answer(3), answer(5)].concat());
        talk.finish(&mut |exchange| out.push(exchange));
        out
    }

    #[test]
    fn what_a_balancer_says_first_is_no_part_of_a_conversation() {
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 80\r\n";
        let binary = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10"[..], &[9; 16]].concat();
        for http2 in [false, true] {
            let wanted = asked_behind(b"", usize::MAX, http2, false);
            assert_eq!(wanted.iter().filter(|one| one.response.is_some()).count(), 3, "{wanted:?}");
            for (prefix, slice) in [(&line[..], 1), (&binary, 1), (&line[..], 7), (&binary, 1_000)]
            {
                let found = asked_behind(prefix, slice, http2, false);
                assert_eq!(format!("{found:?}"), format!("{wanted:?}"), "{prefix:?} {slice}");
                let joined = asked_behind(prefix, slice, http2, true);
                assert_eq!(joined.len(), 3, "{joined:?}");
            }
        }
    }
}
