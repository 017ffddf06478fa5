//! Pairs the requests and responses of one connection: by their order, never by time.
//!
//! In: bytes, gaps and ends of both directions, each in stream order. Out: [`Exchange`]s in the
//! order of the connection. Two rules go beyond counting. A response cannot answer a request of
//! which its sender had acknowledged no byte, so a server that sends more responses than there are
//! requests does not shift the pairs; and a response that is found after lost bytes belongs to the
//! request that the acknowledgements of both sides allow, or to none where they allow several that
//! were pipelined.

mod slot;

use std::collections::VecDeque;

use slot::{Interim, PairingSlot, note, timed_request, timed_response, weight};

use crate::exchange::{Carriage, Exchange, ExchangeId, socket};
use crate::flow::{Direction, Endpoint};
use crate::limits;
use crate::message::Response;
use crate::wire::conversation::{Conversation, Ending, ExchangeOut, Origin, PacketMark};
use crate::wire::h1::parser::{Expect, Message, MessageSide, Parsed, Parser, ParserLimits};
use crate::wire::h2::pairing::{Streams, Upgraded};
use crate::wire::probe::{Guess, guess};
use crate::wire::websocket::WebSocket;

/// Pairs one connection. Exchanges leave through a callback, at the packet that finished them.
#[derive(Debug)]
pub struct Pairing {
    origin: Origin,
    handshake_ns: Option<i64>,
    /// Requests first, unless `flipped` was found by content; indices are [`REQUESTS`] and
    /// [`RESPONSES`].
    lanes: [H1Direction; 2],
    flipped: bool,
    slots: VecDeque<PairingSlot>,
    /// Bytes of the messages in `slots`.
    kept: usize,
    ordinal: u32,
    /// Requests wait for the answer to a CONNECT or an Upgrade.
    gate: bool,
    /// What the connection carries after 101 or CONNECT.
    tunnel: Option<&'static str>,
    /// What reads it from there, and where each direction was then.
    next: Option<NextReader>,
    bases: [u64; 2],
    /// Interim responses without a request, for the orphan that follows.
    stray: Interim,
    /// The last response answered no request that is known, so how its body was framed is a guess
    /// (it may have answered a HEAD): what follows is placed by acknowledgements, as after a loss.
    unsure: bool,
    /// Its client has sent a request before it had the whole answer to the one before it.
    is_pipelined: bool,
    /// What it had received when it sent the last request, and where the last answer ended.
    last_ack: Option<u64>,
    answered_to: u64,
    /// Which answers were lost cannot be told any more: none is given to a request.
    is_adrift: bool,
    /// Which direction holds requests is settled by a message.
    settled: bool,
    /// Nothing more comes, so nothing waits.
    over: bool,
    /// Messages of the wrong kind for their direction.
    misplaced: u64,
    /// Interim answers that were not kept, of exchanges that were given.
    unkept_interim: u64,
    /// Bytes behind a switch of protocols that were not read.
    unread: u64,
    limits: ParserLimits,
}

/// What reads a connection behind the answer that switched its protocol.
#[derive(Debug)]
enum NextReader {
    Http2(Box<Streams>),
    Socket(Box<WebSocket>),
}

/// The lane of requests.
const REQUESTS: usize = 0;
/// The lane of responses.
const RESPONSES: usize = 1;
/// Said of a request whose answer may be there, among others.
const UNTOLD: &str =
    "which answer is its own cannot be told behind missing bytes: it was pipelined";
/// Bytes of unknown protocol after which a connection whose start was seen is given up.
const UNKNOWN_BYTES: u64 = 64 << 10;

/// One direction.
#[derive(Debug)]
struct H1Direction {
    parser: Parser<PacketMark>,
    /// What must wait for the other direction.
    held: VecDeque<Held>,
    held_bytes: usize,
    guess: Guess,
    /// Nothing of it is read any more.
    opaque: bool,
    ended: bool,
    gaps: u64,
    /// Offsets at which the last gaps begin.
    gap_starts: VecDeque<u64>,
}

/// Gaps that are remembered of a direction: those that are not yet acknowledged matter.
const GAPS_REMEMBERED: usize = 16;

/// Which request an answer belongs to.
enum Asked {
    ByNone,
    By(usize),
    /// To one of several that were sent together, and some answers were lost.
    BySeveral,
}

#[derive(Debug)]
enum Held {
    Bytes(Vec<u8>, PacketMark),
    Gap(u64, PacketMark),
    End(Ending),
}

impl Pairing {
    /// For a connection that begins now.
    pub fn new(origin: Origin, limits: ParserLimits) -> Self {
        let lane = || {
            let mut parser = Parser::new(MessageSide::Either, limits);
            if origin.joined {
                parser.joined();
            }
            H1Direction {
                parser,
                held: VecDeque::new(),
                held_bytes: 0,
                guess: Guess::Unknown,
                opaque: false,
                ended: false,
                gaps: 0,
                gap_starts: VecDeque::new(),
            }
        };
        Self {
            origin,
            handshake_ns: None,
            lanes: [lane(), lane()],
            flipped: false,
            slots: VecDeque::new(),
            kept: 0,
            ordinal: 0,
            gate: false,
            tunnel: None,
            next: None,
            bases: [0; 2],
            stray: Interim::default(),
            unsure: false,
            is_pipelined: false,
            last_ack: None,
            answered_to: 0,
            is_adrift: false,
            settled: false,
            over: false,
            misplaced: 0,
            unkept_interim: 0,
            unread: 0,
            limits,
        }
    }

    fn lane(&self, direction: Direction) -> usize {
        let natural = if direction == Direction::ToServer { REQUESTS } else { RESPONSES };
        if self.flipped { 1 - natural } else { natural }
    }

    fn hold(&mut self, lane: usize, what: Held) {
        let state = &mut self.lanes[lane];
        if let Held::Bytes(bytes, _) = &what {
            state.held_bytes += bytes.len();
        }
        state.held.push_back(what);
    }

    /// Gives bytes to the reader of the protocol that was switched to.
    #[cold]
    fn hand_on(&mut self, lane: usize, payload: &[u8], mark: PacketMark, out: ExchangeOut<'_>) {
        let direction = direction_of(lane);
        let mark = self.rebased(lane, mark);
        match &mut self.next {
            Some(NextReader::Http2(streams)) => streams.bytes(direction, payload, mark, out),
            Some(NextReader::Socket(socket)) => socket.bytes(direction, payload, mark.at),
            None => {}
        }
    }

    /// A mark whose acknowledgement counts from the switch of protocols.
    fn rebased(&self, lane: usize, mark: PacketMark) -> PacketMark {
        PacketMark { ack: mark.ack.map(|ack| ack.saturating_sub(self.bases[1 - lane])), ..mark }
    }

    fn skip(&mut self, lane: usize, n: u64, mark: PacketMark, out: ExchangeOut<'_>) {
        if self.lanes[lane].parser.is_tunnel() {
            let (direction, rebased) = (direction_of(lane), self.rebased(lane, mark));
            match &mut self.next {
                Some(NextReader::Http2(streams)) => return streams.gap(direction, n, rebased, out),
                Some(NextReader::Socket(socket)) => return socket.gap(direction, n),
                None => {}
            }
        }
        self.prepare(lane, mark);
        let state = &mut self.lanes[lane];
        if state.gap_starts.len() == GAPS_REMEMBERED {
            state.gap_starts.pop_front();
        }
        state.gap_starts.push_back(state.parser.position());
        if let Some(parsed) = self.lanes[lane].parser.gap(n, mark) {
            self.take(lane, parsed, out);
        }
    }

    fn end(&mut self, lane: usize, ending: Ending, out: ExchangeOut<'_>) {
        if std::mem::replace(&mut self.lanes[lane].ended, true) {
            return;
        }
        if let Some(parsed) = self.lanes[lane].parser.finish(ending) {
            self.take(lane, parsed, out);
        }
    }

    /// Reads bytes of a direction until they are used or must wait.
    fn feed(&mut self, lane: usize, mut payload: &[u8], mark: PacketMark, out: ExchangeOut<'_>) {
        // Content may tell that the directions are the other way round: the lane then changes its
        // number.
        let mut lane = lane;
        while !payload.is_empty() {
            if self.next.is_some() && self.lanes[lane].parser.is_tunnel() {
                return self.hand_on(lane, payload, mark, out);
            }
            if self.must_wait(lane, mark) {
                self.lanes[lane].held_bytes += payload.len();
                self.lanes[lane].held.push_front(Held::Bytes(payload.to_vec(), mark));
                return;
            }
            self.prepare(lane, mark);
            match self.lanes[lane].parser.step(&mut payload, mark) {
                Some(parsed) => lane = self.take(lane, parsed, out),
                None => break,
            }
        }
        let state = &mut self.lanes[lane];
        let unknown = !self.origin.joined
            && self.ordinal == 0
            && self.slots.is_empty()
            && state.parser.skipped() > UNKNOWN_BYTES;
        state.opaque |= unknown;
    }

    /// Whether the next message of a direction must wait for the other direction.
    fn must_wait(&self, lane: usize, mark: PacketMark) -> bool {
        let state = &self.lanes[lane];
        let bounded = state.held_bytes <= limits::HELD_BYTES;
        if self.over
            || state.ended
            || !bounded
            || !state.parser.is_between_messages()
            || state.parser.is_tunnel()
        {
            return false;
        }
        let other = &self.lanes[1 - lane];
        if other.ended || other.opaque {
            return false;
        }
        if lane == REQUESTS {
            // Its client had received what is missing, the answer that it waited for among it.
            let is_lost = other.parser.is_resuming()
                && mark.ack.is_some_and(|ack| ack >= other.parser.position());
            return self.gate && !is_lost;
        }
        // Its sender had received bytes that are not here yet: the capture is out of order, the
        // request is still to come.
        let unseen = mark.ack.is_some_and(|ack| ack > other.parser.position());
        unseen
            && self
                .partner(mark, self.place())
                .is_none_or(|index| index == self.slots.len() && other.parser.current().is_none())
    }

    /// Where the next response stands in its stream, where it is searched after lost bytes.
    fn place(&self) -> Option<u64> {
        let responses = &self.lanes[RESPONSES].parser;
        let is_searched = self.unsure || self.is_adrift || responses.is_resuming();
        is_searched.then(|| responses.position())
    }

    /// Gives what waited and need not any more, from both directions, until nothing moves.
    fn settle(&mut self, out: ExchangeOut<'_>) {
        loop {
            let mut moved = false;
            for lane in [REQUESTS, RESPONSES] {
                while let Some(first) = self.lanes[lane].held.front() {
                    if let Held::Bytes(_, mark) = first
                        && self.must_wait(lane, *mark)
                    {
                        break;
                    }
                    moved = true;
                    if !self.give_held(lane, out) {
                        break;
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Gives the first thing that waited; whether it was used up.
    fn give_held(&mut self, lane: usize, out: ExchangeOut<'_>) -> bool {
        let Some(first) = self.lanes[lane].held.pop_front() else { return false };
        let before = self.lanes[lane].held.len();
        match first {
            Held::Bytes(bytes, mark) => {
                self.lanes[lane].held_bytes =
                    self.lanes[lane].held_bytes.saturating_sub(bytes.len());
                self.feed(lane, &bytes, mark, out);
            }
            Held::Gap(n, mark) => self.skip(lane, n, mark, out),
            Held::End(ending) => self.end(lane, ending, out),
        }
        self.lanes[lane].held.len() <= before
    }

    /// Before a message begins: tells the parser of responses what the next one answers.
    fn prepare(&mut self, lane: usize, mark: PacketMark) {
        if lane == RESPONSES && self.lanes[lane].parser.is_between_messages() {
            let expect = self.partner(mark, self.place()).map(|index| self.kind_of(index));
            self.lanes[lane].parser.expect_only(expect);
        }
    }

    fn kind_of(&self, index: usize) -> Expect {
        let parsed = self
            .slots
            .get(index)
            .and_then(|slot| slot.request.as_deref())
            .map(|parsed| &parsed.message);
        match parsed.or(self.lanes[REQUESTS].parser.current()) {
            Some(Message::Request(request)) => Expect::answer_to(request),
            _ => Expect::Other,
        }
    }

    /// The place of the request that a response answers which begins with a packet of `mark`;
    /// `slots.len()` is the request under way. `place`: it was searched after lost bytes and found
    /// at this offset of its stream.
    fn partner(&self, mark: PacketMark, place: Option<u64>) -> Option<usize> {
        if let Asked::By(index) = self.asked(mark, place) { Some(index) } else { None }
    }

    fn asked(&self, mark: PacketMark, place: Option<u64>) -> Asked {
        if self.is_adrift {
            return Asked::BySeveral;
        }
        let requests = &self.lanes[REQUESTS].parser;
        // (place, offset of its first byte, what its client had received when it began)
        // What only may be a head, found by search, is nothing to answer yet.
        let is_certain = requests.current().is_some() || !requests.is_resuming();
        let under_way = match (self.slots.back(), requests.first(), requests.start()) {
            (Some(PairingSlot { open: true, .. }), ..) => None,
            (_, Some(first), Some(start)) if is_certain => {
                Some((self.slots.len(), start, first.ack))
            }
            _ => None,
        };
        let open_request = |slot: &PairingSlot| match (&slot.request, slot.open) {
            (Some(parsed), _) => Some((parsed.start, parsed.first.ack)),
            (None, true) => Some((requests.start()?, requests.first()?.ack)),
            (None, false) => None,
        };
        let waiting = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.response.is_none() && !slot.lost)
            .filter_map(|(index, slot)| open_request(slot).map(|(start, ack)| (index, start, ack)))
            .chain(under_way)
            .take_while(|&(_, start, _)| mark.ack.is_none_or(|ack| ack > start));
        let Some(here) = place else {
            return waiting.map(|(index, ..)| Asked::By(index)).next().unwrap_or(Asked::ByNone);
        };
        // After lost bytes: of the requests that were sent before their client had received what
        // comes now the one with the latest knowledge, as clients ask when they have been answered.
        // Where this one does not wait, nobody knows how many answers are among the lost bytes.
        let mut best: Option<(usize, u64, Option<u64>)> = None;
        let (mut possible, mut together) = (0, false);
        for (index, start, ack) in waiting {
            if ack.is_none_or(|ack| ack <= here) {
                possible += 1;
                together |= best.is_some_and(|(.., known)| ack == known);
                if best.is_none_or(|(.., known)| ack > known) {
                    best = Some((index, start, ack));
                }
            }
        }
        if possible > 1 && (self.is_pipelined || together) {
            return Asked::BySeveral;
        }
        // Where requests were lost as well, behind the one that was found, it may be the answer to
        // one of those.
        let lost = self.lost_request_before(mark);
        best.filter(|&(index, start, _)| {
            let damaged = self
                .slots
                .get(index)
                .and_then(|slot| slot.request.as_ref())
                .is_some_and(|parsed| parsed.damage.is_some());
            damaged || lost.is_none_or(|lost| lost <= start)
        })
        .map_or(Asked::ByNone, |(index, ..)| Asked::By(index))
    }

    /// Where the last bytes of requests were lost that the sender of a response had received.
    fn lost_request_before(&self, mark: PacketMark) -> Option<u64> {
        let starts = self.lanes[REQUESTS].gap_starts.iter().rev().copied();
        starts.into_iter().find(|&start| mark.ack.is_none_or(|ack| start < ack))
    }

    /// Takes a message; gives the lane it belongs to, which content may have changed.
    fn take(&mut self, lane: usize, parsed: Parsed<PacketMark>, out: ExchangeOut<'_>) -> usize {
        let belongs =
            if matches!(parsed.message, Message::Request(_)) { REQUESTS } else { RESPONSES };
        if lane != belongs && self.settled {
            self.misplaced += 1;
            return lane;
        }
        self.settled = true;
        if lane != belongs {
            self.lanes.swap(REQUESTS, RESPONSES);
            self.flipped = !self.flipped;
        }
        self.lanes[REQUESTS].parser.set_side(MessageSide::Requests);
        self.lanes[RESPONSES].parser.set_side(MessageSide::Responses);
        if belongs == REQUESTS {
            self.take_request(parsed)
        } else {
            self.take_response(parsed)
        }
        self.emit_done(out);
        belongs
    }

    /// Whether a message of HTTP/1 was found, or the head of one.
    pub fn has_messages(&self) -> bool {
        self.settled || self.lanes.iter().any(|lane| lane.parser.current().is_some())
    }

    /// Messages that were dropped because their direction carries the other kind.
    pub fn misplaced(&self) -> u64 {
        self.misplaced
    }

    fn take_request(&mut self, parsed: Parsed<PacketMark>) {
        let ack = parsed.first.ack;
        let unheard = |ack| self.last_ack == Some(ack) || ack < self.answered_to;
        self.is_pipelined |= ack.is_some_and(unheard);
        self.last_ack = ack.or(self.last_ack);
        self.gate = parsed.tunnel && parsed.damage.is_none();
        self.kept += weight(&parsed.message);
        match self.slots.back_mut() {
            Some(slot) if slot.open && slot.start != parsed.start => {
                // What was answered could not be read to its end; this is another request.
                slot.open = false;
                slot.lost = true;
                self.slots.push_back(PairingSlot {
                    request: Some(Box::new(parsed)),
                    ..PairingSlot::default()
                });
            }
            Some(slot) if slot.open => {
                slot.request = Some(Box::new(parsed));
                slot.open = false;
                // It was answered early.
                self.gate &= slot.response.is_none();
            }
            _ => self.slots.push_back(PairingSlot {
                request: Some(Box::new(parsed)),
                ..PairingSlot::default()
            }),
        }
    }

    fn take_response(&mut self, parsed: Parsed<PacketMark>) {
        let resumed = parsed.resumed || self.unsure || self.is_adrift;
        let asked = self.asked(parsed.first, resumed.then_some(parsed.start));
        let interim = parsed.message.is_interim();
        if !interim {
            self.kept += weight(&parsed.message);
        }
        let Asked::By(index) = asked else {
            if interim {
                self.stray.add(parsed);
                return;
            }
            let has_body = |response: &Response| response.body.length > 0;
            self.unsure |= matches!(&parsed.message, Message::Response(r) if has_body(r));
            if matches!(asked, Asked::BySeveral) {
                self.is_adrift = true;
                self.gate = false;
                let ack = parsed.first.ack;
                self.lose_answers(|start| ack.is_none_or(|ack| ack > start), Some(UNTOLD));
            } else if resumed && let Some(lost) = self.lost_request_before(parsed.first) {
                // It answers a request that was lost; the answers to those before it were lost too.
                self.lose_answers(|start| start < lost, None);
            }
            let place =
                self.slots.iter().position(|slot| !slot.is_done()).unwrap_or(self.slots.len());
            let interim = std::mem::take(&mut self.stray);
            self.kept += interim.bytes;
            if parsed.tunnel {
                self.open_tunnel(&parsed, self.slots.len());
            }
            let socket = parsed.tunnel && matches!(self.next, Some(NextReader::Socket(_)));
            let response = Some(Box::new(parsed));
            self.slots
                .insert(place, PairingSlot { interim, response, socket, ..PairingSlot::default() });
            return;
        };
        if index == self.slots.len() {
            let start = self.lanes[REQUESTS].parser.start().unwrap_or_default();
            self.slots.push_back(PairingSlot { open: true, start, ..PairingSlot::default() });
        }
        let next = self.slots.get(index + 1).and_then(|slot| slot.request.as_ref()?.first.ack);
        self.is_pipelined |= next.is_some_and(|ack| ack < parsed.end);
        self.answered_to = parsed.end;
        if resumed {
            // The answers to requests before it were in the lost bytes.
            for slot in self.slots.iter_mut().take(index).filter(|slot| slot.response.is_none()) {
                slot.lost = true;
            }
        }
        if interim {
            let interim = &mut self.slots[index].interim;
            let before = interim.bytes;
            interim.add(parsed);
            self.kept += interim.bytes - before;
            return;
        }
        self.gate &= index + 1 != self.slots.len();
        if parsed.tunnel {
            self.open_tunnel(&parsed, index);
            self.slots[index].socket = matches!(self.next, Some(NextReader::Socket(_)));
        }
        self.unsure = false;
        self.slots[index].response = Some(Box::new(parsed));
    }

    /// Marks requests without an answer, by where they start, as such whose answers were lost.
    fn lose_answers(&mut self, which: impl Fn(u64) -> bool, note: Option<&'static str>) {
        let asked = |slot: &&mut PairingSlot| {
            slot.response.is_none() && slot.request.as_ref().is_some_and(|one| which(one.start))
        };
        for slot in self.slots.iter_mut().filter(asked).filter(|slot| !slot.lost) {
            (slot.lost, slot.note) = (true, note);
        }
    }

    fn open_tunnel(&mut self, parsed: &Parsed<PacketMark>, index: usize) {
        let name = match &parsed.message {
            Message::Response(Response { status: 101, headers, .. }) => {
                let asked = self.slots.get(index).and_then(|slot| slot.request.as_deref());
                let asked = asked.and_then(|parsed| match &parsed.message {
                    Message::Request(request) => Some(&request.headers),
                    Message::Response(_) => None,
                });
                match socket::upgraded_to(asked, headers) {
                    Some(value) if socket::is_name(value) => {
                        let extensions = headers.get("sec-websocket-extensions");
                        let socket = WebSocket::new(extensions, self.limits.body_bytes);
                        self.next = Some(NextReader::Socket(Box::new(socket)));
                        "websocket"
                    }
                    Some(value) if value.eq_ignore_ascii_case(b"h2c") => {
                        self.next = Some(NextReader::Http2(Box::new(self.streams(index))));
                        "h2c"
                    }
                    _ => "upgraded",
                }
            }
            _ => "connect-tunnel",
        };
        self.tunnel = Some(name);
        self.gate = false;
        self.lanes[REQUESTS].parser.tunnel();
        self.bases = [REQUESTS, RESPONSES].map(|lane| self.lanes[lane].parser.position());
    }

    /// HTTP/2 behind the answer at `index`: it answers the same request again, on stream 1
    /// (RFC 7540 §3.2).
    fn streams(&self, index: usize) -> Streams {
        let (client, server) = self.roles();
        let origin = Origin { client, server, joined: false, ..self.origin };
        let request = self.slots.get(index).and_then(|slot| slot.request.as_deref());
        let ordinal = self.ordinal.saturating_add(index as u32).saturating_add(1);
        let mut asked = Upgraded { ordinal, ..Upgraded::default() };
        if let Some(parsed) = request.cloned() {
            note("request", &parsed, &mut asked.marks);
            asked.damaged = parsed.damage.is_some();
            asked.request = timed_request(parsed);
        }
        let mut streams = Streams::upgraded(origin, self.limits, asked);
        if let Some(nanos) = self.handshake_ns {
            streams.set_handshake(nanos);
        }
        streams
    }

    fn emit_done(&mut self, out: ExchangeOut<'_>) {
        while let Some(slot) = self.slots.front() {
            // More requests without an answer than a connection may keep: the oldest go as they
            // are.
            let full = self.slots.len() > limits::OUTSTANDING_REQUESTS
                || self.kept > limits::OUTSTANDING_BYTES;
            if !(slot.is_done() || (full && !slot.open)) {
                return;
            }
            self.give_up_first(out);
        }
    }

    /// Gives the first place, whether it is done or not.
    fn give_up_first(&mut self, out: ExchangeOut<'_>) {
        let Some(mut slot) = self.slots.pop_front() else { return };
        if !slot.is_done() && !slot.socket {
            slot.note = Some("given up: too much waits for an answer");
        }
        self.kept = self.kept.saturating_sub(slot.bytes());
        self.emit(slot, out);
    }

    /// What was said on the WebSocket that a place opened.
    fn take_messages(
        &mut self,
        slot: &PairingSlot,
        marks: &mut Vec<String>,
    ) -> Option<Box<Carriage>> {
        if !slot.socket || !matches!(self.next, Some(NextReader::Socket(_))) {
            return None;
        }
        let Some(NextReader::Socket(socket)) = self.next.take() else { return None };
        self.unread += socket.unread();
        let first = slot.request.as_ref().or(slot.response.as_ref())?.first.at;
        let said = socket.finish(first);
        marks.extend(said.marks);
        let messages = said.messages;
        (!messages.is_empty()).then(|| Box::new(Carriage { messages, ..Carriage::default() }))
    }

    fn emit(&mut self, slot: PairingSlot, out: ExchangeOut<'_>) {
        let id = ExchangeId { connection: self.origin.connection, ordinal: self.ordinal };
        self.ordinal = self.ordinal.saturating_add(1);
        let (client, server) = self.roles();
        let completeness = slot.completeness();
        let mut marks = Vec::new();
        if let Some(parsed) = &slot.request {
            note("request", parsed, &mut marks);
        }
        for parsed in &slot.interim.kept {
            note("interim", parsed, &mut marks);
        }
        if slot.interim.more > 0 {
            marks.push(format!("interim: {} more were not kept", slot.interim.more));
            self.unkept_interim += slot.interim.more;
        }
        match &slot.response {
            Some(parsed) => note("response", parsed, &mut marks),
            None if slot.lost && slot.note.is_none() => {
                marks.push("response lost with missing bytes".to_owned())
            }
            None => {}
        }
        marks.extend(slot.note.map(str::to_owned));
        let start = slot.request.as_ref().map(|parsed| parsed.first.at);
        let carriage = self.take_messages(&slot, &mut marks);
        out(Exchange {
            carriage,
            id,
            client,
            server,
            protocol: "http/1".to_owned(),
            completeness,
            request: slot.request.and_then(|parsed| timed_request(*parsed)),
            response: slot.response.and_then(|parsed| timed_response(*parsed, start)),
            interim: slot
                .interim
                .kept
                .into_iter()
                .filter_map(|parsed| timed_response(parsed, start))
                .collect(),
            opened_at: self.origin.opened_at,
            handshake_ns: self.handshake_ns,
            marks,
            closed: Vec::new(),
        });
    }
}

impl Conversation for Pairing {
    fn set_handshake(&mut self, nanos: i64) {
        self.handshake_ns = Some(nanos);
        if let Some(NextReader::Http2(streams)) = &mut self.next {
            streams.set_handshake(nanos);
        }
    }

    fn wants(&self, direction: Direction) -> bool {
        let lane = &self.lanes[self.lane(direction)];
        !lane.opaque && (!lane.parser.is_tunnel() || self.next.is_some())
    }

    fn protocol(&self) -> &'static str {
        if let Some(NextReader::Http2(_)) = self.next {
            return "http/2";
        }
        if let Some(name) = self.tunnel {
            return name;
        }
        if self.ordinal > 0 || !self.slots.is_empty() {
            return "http/1";
        }
        let guesses = [self.lanes[REQUESTS].guess, self.lanes[RESPONSES].guess];
        let certain = guesses
            .iter()
            .find_map(|guess| if let Guess::Certain(name) = guess { Some(*name) } else { None });
        let likely = guesses
            .iter()
            .find_map(|guess| if let Guess::Likely(name) = guess { Some(*name) } else { None });
        let empty = self.lanes.iter().all(|lane| lane.parser.position() == 0);
        certain.or(likely).unwrap_or(if empty { "empty" } else { "unknown" })
    }

    fn roles(&self) -> (Endpoint, Endpoint) {
        let Origin { client, server, .. } = self.origin;
        if self.flipped { (server, client) } else { (client, server) }
    }

    fn held(&self) -> usize {
        let next = match &self.next {
            Some(NextReader::Http2(streams)) => streams.held(),
            Some(NextReader::Socket(socket)) => socket.held(),
            None => 0,
        };
        self.kept
            + next
            + self.lanes.iter().map(|lane| lane.held_bytes + lane.parser.held()).sum::<usize>()
    }

    fn relieve(&mut self, out: ExchangeOut<'_>) {
        self.lanes.iter_mut().for_each(|lane| lane.parser.let_go());
        if let Some(NextReader::Http2(streams)) = &mut self.next {
            streams.relieve(out);
        }
        while self.kept > 0 && self.slots.front().is_some_and(|slot| !slot.open) {
            self.give_up_first(out);
        }
    }

    fn under_way(&self) -> u64 {
        let next = match &self.next {
            Some(NextReader::Http2(streams)) => streams.under_way(),
            _ => 0,
        };
        self.slots.len() as u64 + next
    }

    fn skipped(&self) -> u64 {
        let next = match &self.next {
            Some(NextReader::Http2(streams)) => streams.skipped(),
            _ => 0,
        };
        self.lanes.iter().map(|lane| lane.parser.skipped()).sum::<u64>() + next
    }

    fn unkept_interim(&self) -> u64 {
        let next = match &self.next {
            Some(NextReader::Http2(streams)) => streams.unkept_interim(),
            _ => 0,
        };
        self.unkept_interim + next
    }

    fn tunnelled(&self) -> u64 {
        let next = match &self.next {
            Some(NextReader::Http2(streams)) => streams.tunnelled(),
            _ => 0,
        };
        self.lanes.iter().map(|lane| lane.parser.tunnelled()).sum::<u64>() + next + self.unread
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
        let lane = self.lane(direction);
        let state = &mut self.lanes[lane];
        if state.parser.position() == 0 && state.held.is_empty() {
            state.guess = guess(payload);
            state.opaque = matches!(state.guess, Guess::Certain(_));
        }
        if state.opaque {
            return;
        }
        if state.held.is_empty() {
            self.feed(lane, payload, mark, out);
        } else {
            self.hold(lane, Held::Bytes(payload.to_vec(), mark));
        }
        self.settle(out);
    }

    fn gap(&mut self, direction: Direction, n: u64, mark: PacketMark, out: ExchangeOut<'_>) {
        let lane = self.lane(direction);
        self.lanes[lane].gaps += 1;
        if self.lanes[lane].held.is_empty() {
            self.skip(lane, n, mark, out);
        } else {
            self.hold(lane, Held::Gap(n, mark));
        }
        self.settle(out);
    }

    fn close(&mut self, direction: Direction, ending: Ending, out: ExchangeOut<'_>) {
        let lane = self.lane(direction);
        if self.lanes[lane].held.is_empty() {
            self.end(lane, ending, out);
        } else {
            self.hold(lane, Held::End(ending));
        }
        self.settle(out);
    }

    fn finish(&mut self, out: ExchangeOut<'_>) {
        self.over = true;
        self.settle(out);
        self.end(REQUESTS, Ending::Cut, out);
        self.end(RESPONSES, Ending::Cut, out);
        // What ended first may have told that the lanes are the other way round.
        self.end(REQUESTS, Ending::Cut, out);
        if !self.stray.kept.is_empty() {
            let interim = std::mem::take(&mut self.stray);
            self.slots.push_back(PairingSlot { interim, lost: true, ..PairingSlot::default() });
        }
        let lossy = self.lanes[RESPONSES].gaps > 0 && self.lanes[RESPONSES].parser.is_lost();
        let foreign = !lossy && self.lanes[RESPONSES].parser.is_lost();
        for slot in &mut self.slots {
            slot.open = false;
            if slot.response.is_none() && slot.request.is_some() && !slot.lost {
                slot.lost = lossy || self.is_adrift;
                slot.note = foreign.then_some("the answer is not HTTP");
            }
        }
        while let Some(slot) = self.slots.pop_front() {
            self.emit(slot, out);
        }
        self.kept = 0;
        if let Some(NextReader::Http2(streams)) = &mut self.next {
            streams.finish(out);
        }
    }
}

fn direction_of(lane: usize) -> Direction {
    if lane == REQUESTS { Direction::ToServer } else { Direction::ToClient }
}

#[cfg(test)]
mod tests;
