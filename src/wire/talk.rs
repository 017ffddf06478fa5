//! One connection, whichever protocol it speaks: its first bytes choose the conversation that reads
//! it.
//!
//! HTTP/1 is read in place, without a pointer to follow. Where the first slice of a direction is
//! too short to tell, it waits. A connection that the capture joined in the middle is read as
//! HTTP/1 while nothing else is found in it.

use crate::flow::{Direction, Endpoint};
use crate::wire::conversation::{Conversation, Ending, ExchangeOut, Origin, PacketMark};
use crate::wire::h1::pairing::Pairing;
use crate::wire::h2::frame::PREFACE;
use crate::wire::h2::pairing::Streams;
use crate::wire::h2::search::Search;
use crate::wire::probe::{self, Guess};
use crate::wire::setup::Setup;
use crate::wire::tls::Tls;

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
    /// Joined in the middle, and nothing of HTTP/1 was found yet.
    hunt: Option<Box<Hunt>>,
    reader: TalkReader,
}

/// Looks for frames in a connection that was joined in the middle.
#[derive(Debug, Default)]
struct Hunt {
    searches: [Search<()>; 2],
    /// All that came, which is read anew where frames are found.
    all: Vec<Early>,
    bytes: usize,
}

/// Bytes of a connection that was joined in the middle in which frames are looked for.
const HUNT_BYTES: usize = 128 << 10;

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

/// The conversation for a protocol that the probe named; none where nobody reads it.
fn start(name: &str, origin: Origin, setup: &Setup) -> Option<Box<dyn Conversation>> {
    let inside =
        |origin, setup: &Setup| Box::new(Talk::new(origin, setup)) as Box<dyn Conversation>;
    match name {
        "tls" => Some(Box::new(Tls::new(origin, setup, inside))),
        "http/2" => Some(Box::new(Streams::new(origin, setup.limits).in_records(setup.in_records))),
        _ => None,
    }
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

    /// Whether events go on to the reader at once.
    fn is_decided(&self) -> bool {
        self.early.is_empty()
    }

    /// Looks at the first bytes of a direction; whether they were kept until more of them comes.
    #[cold]
    fn probe(
        &mut self,
        direction: Direction,
        payload: &[u8],
        mark: PacketMark,
        out: ExchangeOut<'_>,
    ) -> bool {
        let mut first: Vec<u8> = Vec::new();
        for early in &self.early {
            match early {
                Early::Bytes(whose, bytes, _) if *whose == direction => first.extend(bytes),
                _ => {}
            }
        }
        first.extend_from_slice(payload);
        if probe::is_too_short(&first) {
            self.early.push(Early::Bytes(direction, payload.to_vec(), mark));
            return true;
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
        false
    }

    /// Goes over to the conversation of this name, where there is one.
    fn change(&mut self, name: &str, origin: Origin) -> bool {
        let Some(mut other) = start(name, origin, &self.setup) else { return false };
        if let Some(nanos) = self.handshake_ns {
            other.set_handshake(nanos);
        }
        self.told = [true; 2];
        if let Some(hunt) = self.hunt.take() {
            // All that came is read anew.
            self.early.splice(0..0, hunt.all);
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
                hunt.bytes += bytes.len();
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
        hunt.all.push(what);
        if let Some(name) = found {
            let changed = self.change(name, self.origin);
            if changed {
                self.go_on(out);
            }
            return changed;
        }
        if hunt.bytes > HUNT_BYTES {
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
        if !self.told[direction as usize] && self.probe(direction, payload, mark, out) {
            return;
        }
        if self.hunt.is_some() && self.hunt(Early::Bytes(direction, payload.to_vec(), mark), out) {
            return;
        }
        match &mut self.reader {
            TalkReader::Http1(pairing) => pairing.bytes(direction, payload, mark, out),
            TalkReader::Other(other) => other.bytes(direction, payload, mark, out),
        }
    }

    fn gap(&mut self, direction: Direction, n: u64, mark: PacketMark, out: ExchangeOut<'_>) {
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
