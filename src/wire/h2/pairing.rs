//! Pairs the requests and responses of an HTTP/2 connection: by the numbers of their streams.
//!
//! A stream that is over stays for a moment: a reset may follow its last frame. Where a connection
//! was joined in the middle, or frames are missing, an exchange has what is known of it; what its
//! streams cannot tell is unknown and never guessed.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::exchange::{
    Carriage, ClientSettings, Completeness, Exchange, ExchangeId, NOT_LOOKED_AT, TimedRequest,
    TimedResponse,
};
use crate::flow::{Direction, Endpoint};
use crate::limits;
use crate::message::Request;
use crate::time::Timestamp;
use crate::wire::conversation::{Conversation, Ending, ExchangeOut, Origin, PacketMark};
use crate::wire::h1::parser::ParserLimits;
use crate::wire::h2::frame::{REFUSED_STREAM, error_name, settings};
use crate::wire::h2::hpack::HeaderBlock;
use crate::wire::h2::message::{Half, Is, kind_of, leaning_of, may_trail, must_lead, status_of};
use crate::wire::h2::side::{Event, H2Side};
use crate::wire::websocket::{Said, WebSocket};

/// The direction of requests, where no content said otherwise; indices as of [`Direction`].
const REQUESTS: usize = Direction::ToServer as usize;

/// Pairs one connection.
#[derive(Debug)]
pub struct Streams {
    sides: [H2Side; 2],
    ended: [bool; 2],
    table: StreamTable,
}

/// The streams of a connection.
#[derive(Debug)]
struct StreamTable {
    origin: Origin,
    limits: ParserLimits,
    handshake_ns: Option<i64>,
    streams: FxHashMap<u32, Stream>,
    /// Numbers of streams in the order in which they were first seen; some are gone.
    order: VecDeque<u32>,
    /// Streams that are over, and since when.
    closing: VecDeque<(u32, Timestamp)>,
    closed: FxHashSet<u32>,
    closed_order: VecDeque<u32>,
    ordinal: u32,
    /// Which side sends requests, and whether content told it.
    requests: usize,
    settled: bool,
    /// What the streams keep, in bytes.
    kept: usize,
    /// Bytes of content that belong to no exchange.
    skipped: u64,
    unkept_interim: u64,
    /// By side: frames were missing.
    lossy: [bool; 2],
    /// How far requests were given.
    asked: u64,
    /// The number of the first exchange, which tells what the client announced.
    first: u32,
    /// By side: what it announced before the first request.
    announced: [ClientSettings; 2],
    /// By side: whether it announced anything, if only what everybody begins with.
    has_settings: [bool; 2],
    /// The last stream that the server looked at, and why it left.
    farewell: Option<(u32, u32)>,
    begun: bool,
}

/// A request that came as HTTP/1 and is answered on stream 1 (RFC 7540 §3.2).
#[derive(Debug, Default)]
pub(in crate::wire) struct Upgraded {
    pub(in crate::wire) ordinal: u32,
    /// None where it was lost.
    pub(in crate::wire) request: Option<TimedRequest>,
    /// Bytes of it are missing.
    pub(in crate::wire) damaged: bool,
    /// What is odd about it.
    pub(in crate::wire) marks: Vec<String>,
}

/// A stream with the two messages on it.
#[derive(Debug, Default)]
struct Stream {
    ordinal: Option<u32>,
    request: Half,
    response: Half,
    /// A request that came as HTTP/1 (RFC 7540 §3.2).
    upgraded: Option<Box<TimedRequest>>,
    interim: Vec<TimedResponse>,
    more_interim: u64,
    pushed_by: Option<u32>,
    closing: bool,
    notes: Vec<String>,
}

impl Stream {
    fn has_request(&self) -> bool {
        self.upgraded.is_some() || self.request.has_head()
    }

    fn is_over(&self) -> bool {
        self.request.is_over() && self.response.is_over()
    }

    /// An interim answer.
    fn interim(&mut self, half: Half) {
        if self.interim.len() < limits::INTERIM_RESPONSES {
            let start = self.request.first.at;
            let start = Some(start).filter(|_| self.request.has_head());
            self.interim.extend(timed_response(half, start));
        } else {
            self.more_interim += 1;
        }
    }

    fn weight(&self) -> usize {
        self.request.weight + self.response.weight + 512 * self.interim.len()
    }
}

impl Streams {
    /// Inside of records (TLS): a frame can be read when its last record has come, and that is its
    /// time.
    #[must_use]
    pub fn in_records(mut self, inside: bool) -> Self {
        if inside {
            self.sides.iter_mut().for_each(H2Side::tell_by_last);
        }
        self
    }

    /// For a connection that begins now, or in the middle.
    pub fn new(origin: Origin, limits: ParserLimits) -> Self {
        let side = || H2Side::new(origin.joined, limits.head_bytes, limits.header_fields);
        Self {
            sides: [side(), side()],
            ended: [false; 2],
            table: StreamTable {
                origin,
                limits,
                handshake_ns: None,
                streams: FxHashMap::default(),
                order: VecDeque::new(),
                closing: VecDeque::new(),
                closed: FxHashSet::default(),
                closed_order: VecDeque::new(),
                ordinal: 0,
                requests: REQUESTS,
                settled: false,
                kept: 0,
                skipped: 0,
                unkept_interim: 0,
                lossy: [false; 2],
                asked: 0,
                first: 0,
                announced: Default::default(),
                has_settings: Default::default(),
                farewell: None,
                begun: false,
            },
        }
    }

    /// For the rest of a connection that began as HTTP/1.
    pub(in crate::wire) fn upgraded(origin: Origin, limits: ParserLimits, asked: Upgraded) -> Self {
        let mut streams = Self::new(origin, limits);
        let Upgraded { ordinal, request, damaged, marks } = asked;
        let mut half = Half::of_ended();
        if damaged {
            half.fault("damaged");
        }
        let stream = Stream {
            ordinal: Some(ordinal),
            request: half,
            upgraded: request.map(Box::new),
            notes: marks,
            ..Stream::default()
        };
        let table = &mut streams.table;
        table.ordinal = ordinal + 1;
        table.first = ordinal;
        table.settled = true;
        table.streams.insert(1, stream);
        table.order.push_back(1);
        streams
    }

    fn settle(&mut self, out: ExchangeOut<'_>) {
        let Self { sides, table, .. } = self;
        if !table.settled
            && let Some(client) = sides.iter().position(H2Side::is_client)
        {
            table.settle_on(client);
        }
        table.asked = sides[table.requests].position();
        table.give_up(out);
    }
}

impl StreamTable {
    fn take(&mut self, side: usize, event: Event<'_>, mark: PacketMark) {
        match event {
            Event::Block { stream, promised, block, ends, first } => {
                let last = mark;
                match promised {
                    Some(promised) => {
                        self.settle_on(1 - side);
                        self.promise(stream, promised, block, first, last);
                    }
                    None => self.block(side, stream, block, ends, first, last),
                }
                if ends {
                    self.end(side, stream, mark);
                }
            }
            Event::BadBlock { stream, why, ends, .. } => {
                if let Some(half) = self.half(side, stream) {
                    half.fault(why);
                }
                if ends {
                    self.end(side, stream, mark);
                }
            }
            Event::Data { stream, content } => self.data(side, stream, content, mark),
            Event::Hole { stream, bytes } => {
                if let Some(half) = self.half(side, stream) {
                    half.skip(bytes, mark);
                }
            }
            Event::End { stream } => self.end(side, stream, mark),
            Event::Reset { stream, code } => self.reset(side, stream, code, mark),
            Event::GoAway { last, code } => self.go_away(side, last, code),
            Event::Settings { payload } => {
                if let Some(announced) = self.announcing(side) {
                    let room = limits::CLIENT_SETTINGS.saturating_sub(announced.values.len());
                    announced.values.extend(settings(payload).take(room));
                    self.has_settings[side] = true;
                }
            }
            Event::Window { more } => {
                if let Some(announced) = self.announcing(side) {
                    announced.window = announced.window.saturating_add(more);
                }
            }
            Event::Unannounced => {
                if let Some(announced) = self.announcing(side) {
                    *announced = ClientSettings::default();
                    self.has_settings[side] = false;
                    self.begun = true;
                }
            }
            Event::Lost => self.lose(side),
        }
    }

    /// What a side announces, while there is no request and everything from the start was seen.
    fn announcing(&mut self, side: usize) -> Option<&mut ClientSettings> {
        let is_start = !self.begun && !self.origin.joined && !self.lossy[side];
        is_start.then(|| &mut self.announced[side])
    }

    /// The message of a stream that a side sends.
    fn half(&mut self, side: usize, stream: u32) -> Option<&mut Half> {
        let stream = self.streams.get_mut(&stream)?;
        Some(if side == self.requests { &mut stream.request } else { &mut stream.response })
    }

    /// The stream with a number, begun where it is new; none where it was given out.
    fn open(&mut self, number: u32) -> Option<&mut Stream> {
        if self.closed.contains(&number) {
            return None;
        }
        let order = &mut self.order;
        Some(self.streams.entry(number).or_insert_with(|| {
            order.push_back(number);
            Stream::default()
        }))
    }

    /// A header block on a stream.
    fn block(
        &mut self,
        side: usize,
        number: u32,
        block: HeaderBlock,
        ends: bool,
        first: PacketMark,
        last: PacketMark,
    ) {
        let is = kind_of(&block.fields);
        if !self.settled {
            let whose = if matches!(is, Is::Request | Is::Response) {
                Some(is)
            } else {
                leaning_of(&block.fields)
            };
            if let Some(whose) = whose {
                self.settle_on(if whose == Is::Request { side } else { 1 - side });
            }
        }
        if side == self.requests {
            self.request(number, is, block, first, last);
        } else {
            self.response(number, is, block, ends, first, last);
        }
    }

    /// This side sends requests, where nothing said so before. What came until then told nothing:
    /// where the other side was taken for the client's, it is let go of.
    fn settle_on(&mut self, client: usize) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        if std::mem::replace(&mut self.requests, client) != client {
            self.streams.clear();
            (self.kept, self.ordinal) = (0, 0);
        }
    }

    fn request(
        &mut self,
        number: u32,
        is: Is,
        block: HeaderBlock,
        first: PacketMark,
        last: PacketMark,
    ) {
        let limits = self.limits;
        let ordinal = self.ordinal;
        let is_known = self.streams.get(&number).is_some_and(Stream::has_request);
        // Each head has a scheme, whose values are in the static table: what may be trailers is.
        if !is_known && is != Is::Request || is == Is::Response {
            return;
        }
        let Some(stream) = self.open(number) else { return };
        if stream.request.is_over() {
            return;
        }
        let before = stream.weight();
        if is_known {
            stream.request.close_with(block);
        } else {
            stream.ordinal = Some(ordinal);
            stream.request.open(block, first, last, &limits);
        }
        let after = stream.weight();
        self.kept += after - before;
        self.ordinal += u32::from(!is_known);
        self.begun = true;
    }

    fn response(
        &mut self,
        number: u32,
        is: Is,
        block: HeaderBlock,
        ends: bool,
        first: PacketMark,
        last: PacketMark,
    ) {
        let limits = self.limits;
        let stream = self.streams.get(&number);
        let has_head = stream.is_some_and(|stream| stream.response.has_head());
        let has_request = stream.is_some_and(Stream::has_request);
        let lossy = self.lossy[1 - self.requests]
            || stream.is_some_and(|stream| stream.response.has_lost_head());
        // Trailers of an answer whose head nobody saw, or what may be such.
        let may_trail = if !has_request || stream.is_some_and(|one| one.response.is_doubtful()) {
            ends && !must_lead(&block.fields)
        } else {
            lossy && ends && may_trail(&block.fields)
        };
        let headless = is == Is::Trailers || is == Is::Unsure && may_trail;
        if !has_head && headless || is == Is::Request {
            return;
        }
        let Some(stream) = self.open(number) else { return };
        if stream.response.is_over() {
            return;
        }
        let before = stream.weight();
        let status = status_of(&block.fields);
        // Trailers end their stream and have no status (RFC 9113 §8.1).
        let leads = is == Is::Response || !ends;
        let has_head = if leads && stream.response.may_be_interim() {
            let half = stream.response.take_interim();
            stream.interim(half);
            false
        } else {
            has_head
        };
        if has_head {
            stream.response.close_with(block);
        } else if status.is_some_and(|status| status < 200) {
            let mut half = Half::of_ended();
            half.open(block, first, last, &limits);
            stream.interim(half);
        } else {
            stream.response.open(block, first, last, &limits);
            if stream.request.field(":protocol").is_some() {
                stream.response.keep_pace();
            }
        }
        let after = stream.weight();
        self.kept = (self.kept + after).saturating_sub(before);
    }

    /// The server promises an answer to a request that it makes up (RFC 9113 §8.4).
    fn promise(
        &mut self,
        by: u32,
        number: u32,
        block: HeaderBlock,
        first: PacketMark,
        last: PacketMark,
    ) {
        let (limits, ordinal) = (self.limits, self.ordinal);
        let Some(stream) = self.open(number) else { return };
        if stream.has_request() {
            return;
        }
        stream.pushed_by = Some(by);
        stream.ordinal = Some(ordinal);
        stream.request.open(block, first, last, &limits);
        stream.request.end(last);
        self.kept += stream.request.weight;
        self.ordinal += 1;
    }

    fn data(&mut self, side: usize, number: u32, content: &[u8], mark: PacketMark) {
        let requests = self.requests;
        let half = self.streams.get_mut(&number).map(|stream| {
            if side == requests { &mut stream.request } else { &mut stream.response }
        });
        match half {
            Some(half) if !half.is_over() && half.has_head() => {
                let before = half.weight;
                half.push(content, mark);
                self.kept += half.weight - before;
            }
            half => {
                if let Some(half) = half {
                    half.miss_head();
                }
                self.skipped += content.len() as u64;
            }
        }
    }

    /// A side has ended its part of a stream.
    fn end(&mut self, side: usize, number: u32, mark: PacketMark) {
        let Some(half) = self.half(side, number) else { return };
        if !half.is_over() {
            half.end(mark);
        }
        self.close_if_over(side, number, mark);
    }

    fn close_if_over(&mut self, side: usize, number: u32, mark: PacketMark) {
        let requests = self.requests;
        let asked = self.asked;
        let lossy = self.lossy[requests] || self.origin.joined;
        let Some(stream) = self.streams.get_mut(&number) else { return };
        // Without a request it is over with its answer, unless its sender had received more of the
        // requests than was given: the capture is out of order.
        let comes = !lossy && mark.ack.is_none_or(|ack| ack > asked);
        let orphan = side != requests && !stream.has_request() && !comes;
        let over = stream.is_over() || orphan && stream.response.is_over();
        if over && !stream.closing {
            stream.closing = true;
            self.closing.push_back((number, mark.at));
        }
    }

    fn reset(&mut self, side: usize, number: u32, code: u32, mark: PacketMark) {
        let is_request = side == self.requests;
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let half = if is_request { &mut stream.request } else { &mut stream.response };
        if half.reset.is_none() {
            half.reset = Some(code);
            if !half.ended {
                half.last = mark;
            }
        }
        if !stream.closing && stream.has_request() | stream.response.has_head() {
            stream.closing = true;
            self.closing.push_back((number, mark.at));
        }
    }

    fn go_away(&mut self, side: usize, last: u32, code: u32) {
        if side != self.requests && self.farewell.is_none_or(|(before, _)| last <= before) {
            self.farewell = Some((last, code));
        }
    }

    /// Why the server did not look at a stream, which may have been under way to it when it said
    /// farewell.
    fn not_looked_at(&self, number: u32, stream: &Stream) -> Option<String> {
        let has_none = stream.has_request() && !stream.response.has_head();
        if stream.response.reset == Some(REFUSED_STREAM) && has_none {
            return Some(format!("{NOT_LOOKED_AT}{}", error_name(REFUSED_STREAM)));
        }
        let (last, code) = self.farewell?;
        let beyond = has_none && number % 2 == 1 && number > last;
        beyond.then(|| format!("{NOT_LOOKED_AT}GOAWAY {} ({code})", error_name(code)))
    }

    /// Frames of a side are missing: any stream that is not over may have lost some.
    fn lose(&mut self, side: usize) {
        self.lossy[side] = true;
        for stream in self.streams.values_mut() {
            if side == self.requests {
                stream.request.doubt();
                continue;
            }
            stream.response.doubt();
            if stream.response.may_be_interim() {
                // The answer's own head may be among what is lost.
                let before = stream.weight();
                let half = stream.response.take_interim();
                stream.interim(half);
                self.kept = (self.kept + stream.weight()).saturating_sub(before);
            }
        }
    }

    /// Gives the streams that are over and waited long enough for a reset, and the oldest where
    /// there are too many.
    fn give_closing(&mut self, now: Timestamp, out: ExchangeOut<'_>) {
        while let Some(&(number, since)) = self.closing.front() {
            let waited = now.since(since) >= limits::CLOSING_NS;
            if !waited && self.closing.len() <= limits::CLOSING_STREAMS {
                return;
            }
            self.closing.pop_front();
            self.emit(number, None, out);
        }
    }

    fn give_up(&mut self, out: ExchangeOut<'_>) {
        while self.streams.len() > limits::OUTSTANDING_REQUESTS
            || self.kept > limits::OUTSTANDING_BYTES
        {
            let Some(number) = self.order.pop_front() else { return };
            self.emit(number, Some("given up: too much waits for an answer"), out);
        }
        // Numbers of streams that are gone are let go of from time to time.
        if self.order.len() > 2 * self.streams.len() + limits::CLOSED_STREAMS {
            let streams = &self.streams;
            self.order.retain(|number| streams.contains_key(number));
        }
    }

    /// Gives all streams, those that are over first.
    fn give_all(&mut self, out: ExchangeOut<'_>) {
        while let Some((number, _)) = self.closing.pop_front() {
            self.emit(number, None, out);
        }
        while let Some(number) = self.order.pop_front() {
            self.emit(number, None, out);
        }
    }

    fn emit(&mut self, number: u32, note: Option<&str>, out: ExchangeOut<'_>) {
        let Some(mut stream) = self.streams.remove(&number) else { return };
        self.kept = self.kept.saturating_sub(stream.weight());
        self.remember(number);
        if !stream.has_request() && !stream.response.has_head() && stream.interim.is_empty() {
            return;
        }
        stream.notes.extend(note.filter(|_| !stream.is_over()).map(str::to_owned));
        let ordinal = stream.ordinal.unwrap_or_else(|| {
            self.ordinal += 1;
            self.ordinal - 1
        });
        self.unkept_interim += stream.more_interim;
        out(self.exchange(number, ordinal, stream));
    }

    fn remember(&mut self, number: u32) {
        self.closed.insert(number);
        self.closed_order.push_back(number);
        if self.closed_order.len() > limits::CLOSED_STREAMS
            && let Some(oldest) = self.closed_order.pop_front()
        {
            self.closed.remove(&oldest);
        }
    }

    fn exchange(&mut self, number: u32, ordinal: u32, mut stream: Stream) -> Exchange {
        let lossy = self.lossy[1 - self.requests];
        let completeness = completeness(&stream, lossy);
        let mut marks = std::mem::take(&mut stream.notes);
        marks.extend(self.not_looked_at(number, &stream));
        if stream.request.has_head() {
            stream.request.note("request", &mut marks);
        } else if let Some(code) = stream.request.reset {
            marks.push(format!("request: reset with {} ({code})", error_name(code)));
        }
        if stream.response.has_head() || stream.response.reset.is_some() {
            stream.response.note("response", &mut marks);
        }
        if stream.more_interim > 0 {
            marks.push(format!("interim: {} more were not kept", stream.more_interim));
        }
        let at = match &stream.upgraded {
            Some(request) => Some(request.at),
            None => stream.request.has_head().then_some(stream.request.first.at),
        };
        let reset = stream.response.reset.filter(|_| !stream.response.has_head());
        if let Some(code) = reset {
            marks.push(format!("response: none, reset with {} ({code})", error_name(code)));
            marks.retain(|mark| !mark.starts_with("response: reset"));
        }
        let request = match stream.upgraded {
            Some(request) => Some(*request),
            None => timed_request(stream.request),
        };
        let (client, server) = self.roles();
        let announced = &mut self.announced[self.requests];
        let tells = ordinal == self.first && self.has_settings[self.requests];
        let settings = tells.then(|| Box::new(std::mem::take(announced)));
        let response = timed_response(stream.response, at);
        let said = socket_messages(request.as_ref(), response.as_ref());
        let messages = said.map_or_else(Vec::new, |said| {
            marks.extend(said.marks);
            said.messages
        });
        Exchange {
            id: ExchangeId { connection: self.origin.connection, ordinal },
            client,
            server,
            protocol: "http/2".to_owned(),
            completeness,
            request,
            response,
            interim: stream.interim,
            opened_at: self.origin.opened_at,
            handshake_ns: self.handshake_ns,
            marks,
            carriage: Some(Box::new(Carriage {
                stream: Some(number),
                pushed_by: stream.pushed_by,
                tls: None,
                settings,
                messages,
            })),
            closed: Vec::new(),
        }
    }

    fn roles(&self) -> (Endpoint, Endpoint) {
        let Origin { client, server, .. } = self.origin;
        if self.requests == REQUESTS { (client, server) } else { (server, client) }
    }
}

/// What is whole of a stream. A message that its sender reset is as whole as v1 made it; what the
/// other side cut short is not.
fn completeness(stream: &Stream, lossy: bool) -> Completeness {
    let Stream { request, response, .. } = stream;
    if !stream.has_request() {
        return Completeness::OrphanResponse;
    }
    let asked = request.ended && !request.is_damaged();
    match response.has_head() {
        _ if !asked => Completeness::RequestDamaged,
        true if response.is_damaged() => Completeness::ResponseDamaged,
        true => Completeness::Complete,
        false if response.is_doubtful() && lossy && response.reset.is_none() => {
            Completeness::ResponseDamaged
        }
        false => Completeness::NoResponse,
    }
}

/// What was said on a WebSocket whose frames are the two bodies of a stream (RFC 8441 §5).
fn socket_messages(
    request: Option<&TimedRequest>,
    response: Option<&TimedResponse>,
) -> Option<Said> {
    let (asked, answered) = (&request?.message, &response?.message);
    let is_socket = asked.headers.get(":protocol")? == b"websocket" && answered.status == 200;
    if !is_socket || asked.body.is_cut() || answered.body.is_cut() {
        return None;
    }
    let start = request?.at;
    let extensions = answered.headers.get("sec-websocket-extensions");
    let mut socket = WebSocket::new(extensions, limits::BODY_BYTES);
    let mut parts = Vec::new();
    for (direction, body, extras) in [
        (Direction::ToServer, &asked.body, &asked.extras),
        (Direction::ToClient, &answered.body, &answered.extras),
    ] {
        let mut rest = &body.bytes[..];
        for &(bytes, nanos) in extras.iter().flat_map(|extras| &extras.pieces) {
            let (part, after) = rest.split_at((bytes as usize).min(rest.len()));
            parts.push((nanos, direction, part));
            rest = after;
        }
    }
    parts.sort_by_key(|(nanos, ..)| *nanos);
    for (nanos, direction, part) in parts {
        socket.bytes(direction, part, start.plus(nanos));
    }
    Some(socket.finish(start))
}

fn timed_request(half: Half) -> Option<TimedRequest> {
    let (first, last) = (half.first.at, half.last.at);
    let message: Request = half.into_request(first)?;
    Some(TimedRequest { at: first, duration_ns: last.since(first), message })
}

fn timed_response(half: Half, start: Option<Timestamp>) -> Option<TimedResponse> {
    let (first, last) = (half.first.at, half.last.at);
    let whole = !half.is_damaged() || half.ended;
    let message = half.into_response(start.unwrap_or(first))?;
    Some(TimedResponse {
        at: first,
        first_byte_ns: start.map(|start| first.since(start)),
        last_byte_ns: start.filter(|_| whole).map(|start| last.since(start)),
        message,
    })
}

impl Conversation for Streams {
    fn set_handshake(&mut self, nanos: i64) {
        self.table.handshake_ns = Some(nanos);
    }

    fn wants(&self, _direction: Direction) -> bool {
        true
    }

    fn protocol(&self) -> &'static str {
        "http/2"
    }

    fn roles(&self) -> (Endpoint, Endpoint) {
        self.table.roles()
    }

    fn held(&self) -> usize {
        self.table.kept + self.sides.iter().map(H2Side::held).sum::<usize>()
    }

    fn relieve(&mut self, out: ExchangeOut<'_>) {
        let table = &mut self.table;
        while let Some((number, _)) = table.closing.pop_front() {
            table.emit(number, None, out);
        }
        for stream in table.streams.values_mut() {
            let before = stream.weight();
            stream.request.let_go();
            stream.response.let_go();
            table.kept = table.kept.saturating_sub(before - stream.weight());
        }
    }

    fn under_way(&self) -> u64 {
        self.table.streams.len() as u64
    }

    fn skipped(&self) -> u64 {
        self.table.skipped + self.sides.iter().map(H2Side::skipped).sum::<u64>()
    }

    fn tunnelled(&self) -> u64 {
        0
    }

    fn unkept_interim(&self) -> u64 {
        self.table.unkept_interim
    }

    fn bytes(
        &mut self,
        direction: Direction,
        payload: &[u8],
        mark: PacketMark,
        out: ExchangeOut<'_>,
    ) {
        let side = direction as usize;
        let Self { sides, table, .. } = self;
        table.give_closing(mark.at, out);
        sides[side].feed(payload, mark, &mut |event, mark| table.take(side, event, mark));
        self.settle(out);
    }

    fn gap(&mut self, direction: Direction, n: u64, mark: PacketMark, out: ExchangeOut<'_>) {
        let side = direction as usize;
        let Self { sides, table, .. } = self;
        sides[side].gap(n, mark, &mut |event, mark| table.take(side, event, mark));
        self.settle(out);
    }

    fn close(&mut self, direction: Direction, _ending: Ending, out: ExchangeOut<'_>) {
        self.ended[direction as usize] = true;
        if self.ended == [true; 2] {
            self.table.give_all(out);
        }
    }

    fn finish(&mut self, out: ExchangeOut<'_>) {
        self.table.give_all(out);
    }
}

#[cfg(test)]
mod tests;
