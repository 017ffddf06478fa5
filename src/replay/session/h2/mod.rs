//! HTTP/2 on a connection (RFC 9113): streams under way, frames out and in, flow control both ways.
//!
//! Fields go out exactly as they were recorded, in their order, with the marks of those that must
//! never be indexed; none goes into the dynamic table, so that a block depends on nothing before
//! it. Whatever v2 sends is bounded: a connection that breaks the protocol, or says much and
//! nothing, is given up with the reason.

mod heard;
mod out;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use self::heard::Incoming;
use self::out::StreamOut;
use self::stream::{BegunStream, PartGate, SendPart, deadline};
use crate::exchange::ClientSettings;
use crate::limits;
use crate::outcome::{Failure, FailureKind};
use crate::replay::plan::script;
use crate::replay::plan::spool::Spool;
use crate::replay::session::socket::Socket;
use crate::replay::session::{GoesOn, Heard, InFlight, Late, Session, Written};
use crate::replay::task::Answer;
use crate::schedule::pacing::Pacing;
use crate::wire::h1::parser::Ending;
use crate::wire::h2::frame;
use crate::wire::h2::hpack::{Encoder, Indexing};

/// Streams that are begun before v2 says how many it takes (RFC 9113 §5.1.2 asks for 100 at least).
const STREAMS: u32 = 100;
/// Content that is written at once, before answers are looked at.
const OUT_BYTES: usize = 64 << 10;
/// The window that everybody begins with (RFC 9113 §6.9.2).
const WINDOW: i64 = 65_535;
const CANCEL: u32 = 8;
const LARGEST_STREAM: u32 = u32::MAX >> 1;

/// How much v2 may send before it is allowed more (RFC 9113 §6.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Windows {
    /// What the client of the captured connection announced; where that is not known, as
    /// [`Self::Large`].
    #[default]
    Captured,
    /// What every client begins with: 64 KiB on a stream, and on the connection.
    Initial,
    /// So much that they never keep v2 waiting: 16 MiB on a stream, 64 MiB on the connection.
    Large,
}

impl Windows {
    /// What connections with these announce.
    pub(in crate::replay) fn rules(self, pacing: Pacing, max_body: usize) -> H2Rules {
        let (window, more) = match self {
            Self::Initial => (WINDOW as u32, 0),
            Self::Large | Self::Captured => (16 << 20, (64 << 20) - WINDOW as u32),
        };
        // No pushes: nobody asked for what they hold.
        let settings = vec![(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, window)];
        let (as_captured, frame) = (self == Self::Captured, frame::PAYLOAD);
        H2Rules { settings, window, topped_up: 0, more, frame, pacing, max_body, as_captured }
    }
}

/// Settings (RFC 9113 §6.5.2).
const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
/// What these can be at most (RFC 9113 §6.5.2).
const LARGEST_WINDOW: i64 = i32::MAX as i64;
const LARGEST_FRAME: u32 = (1 << 24) - 1;
/// With it gRPC's C core says that it takes binary metadata as it is, and not in base64 ("True
/// Binary Metadata", gRFC G1).
const TRUE_BINARY: u16 = 0xfe03;

/// What holds for all connections of a kind.
#[derive(Clone, Debug)]
pub(in crate::replay) struct H2Rules {
    /// The settings that are announced.
    pub(in crate::replay) settings: Vec<(u16, u32)>,
    /// The window of each stream, as these announce it, and by how much each is enlarged at once
    /// where they announce less than everybody begins with.
    pub(in crate::replay) window: u32,
    pub(in crate::replay) topped_up: u32,
    /// By how much the window of the connection is larger than what everybody begins with.
    pub(in crate::replay) more: u32,
    /// Largest payload of a frame.
    pub(in crate::replay) frame: usize,
    /// When parts of a request are due.
    pub(in crate::replay) pacing: Pacing,
    /// Most bytes that are kept of an answer's body.
    pub(in crate::replay) max_body: usize,
    /// What the captured client announced is announced again.
    pub(in crate::replay) as_captured: bool,
}

impl H2Rules {
    /// The same for a connection whose client `announced` this, as far as that is known; `as_core`:
    /// it was gRPC's C core.
    pub(in crate::replay) fn speaking(
        &self,
        announced: Option<&ClientSettings>,
        as_core: bool,
    ) -> Self {
        let mut rules = self.clone();
        match announced.filter(|_| self.as_captured) {
            Some(announced) => rules.announce(announced),
            None if as_core => rules.settings.push((TRUE_BINARY, 1)),
            None => {}
        }
        rules
    }

    /// Announces the same, but for pushes: nobody asked for what they hold.
    fn announce(&mut self, announced: &ClientSettings) {
        let (mut window, mut frame) = (WINDOW as u32, frame::PAYLOAD as u32);
        self.settings.clear();
        for &(name, value) in &announced.values {
            let value = match name {
                HEADER_TABLE_SIZE => value.min(limits::HPACK_TABLE_BYTES as u32),
                ENABLE_PUSH => 0,
                INITIAL_WINDOW_SIZE => value.min(LARGEST_WINDOW as u32),
                MAX_FRAME_SIZE => value.clamp(frame::PAYLOAD as u32, LARGEST_FRAME),
                _ => value,
            };
            match name {
                INITIAL_WINDOW_SIZE => window = value,
                MAX_FRAME_SIZE => frame = value,
                _ => {}
            }
            self.settings.push((name, value));
        }
        if self.settings.iter().all(|&(name, _)| name != ENABLE_PUSH) {
            self.settings.push((ENABLE_PUSH, 0));
        }
        // A client that announces less enlarges the windows of streams as it goes, which nobody
        // could do for it: v2 would wait for us.
        self.topped_up = (WINDOW as u32).saturating_sub(window);
        self.window = window + self.topped_up;
        self.more = announced.window.min((LARGEST_WINDOW - WINDOW) as u32);
        self.frame = frame as usize;
    }
}

/// What v2 allows.
#[derive(Clone, Copy, Debug)]
struct Peer {
    /// Content on the connection, and on a stream that begins.
    window: i64,
    initial: i64,
    streams: u32,
    frame: usize,
}

/// HTTP/2 on a connection.
pub(in crate::replay) struct Two {
    incoming: Incoming,
    core: Core,
}

/// All of it but the reader of its frames, which lends what it reads.
struct Core {
    rules: H2Rules,
    encoder: Encoder,
    block: Vec<u8>,
    streams: BTreeMap<u32, BegunStream>,
    /// Streams of which a part may go.
    queue: VecDeque<u32>,
    wakes: BTreeSet<(i64, u32)>,
    next: u32,
    out: StreamOut,
    peer: Peer,
    /// What v2 may still send on the connection, and what came that it was not given back.
    allowed: i64,
    unreturned: u32,
    closing: bool,
    served: u32,
    /// v2's own bounds keep requests from it.
    is_full: bool,
    /// When what is heard now was read.
    read_at: i64,
    /// The last streams that v2 ended.
    over: VecDeque<u32>,
    room_since: i64,
    heard: VecDeque<Heard>,
    /// There may be more to write.
    goes: bool,
    /// Content went since it was asked last.
    moves: bool,
    now: i64,
}

impl Two {
    /// On a new connection: the preface is to be written.
    pub(in crate::replay) fn new(rules: H2Rules) -> Self {
        let mut out = StreamOut::default();
        out.bytes().extend_from_slice(frame::PREFACE);
        frame::write_settings(out.bytes(), &rules.settings);
        if rules.more > 0 {
            out.window_update(0, rules.more);
        }
        let allowed = WINDOW + i64::from(rules.more);
        Self {
            incoming: Incoming::new(rules.frame),
            core: Core {
                rules,
                encoder: Encoder::default(),
                block: Vec::new(),
                streams: BTreeMap::new(),
                queue: VecDeque::new(),
                wakes: BTreeSet::new(),
                next: 1,
                out,
                peer: Peer {
                    window: WINDOW,
                    initial: WINDOW,
                    streams: STREAMS,
                    frame: frame::PAYLOAD,
                },
                allowed,
                unreturned: 0,
                closing: false,
                served: 0,
                is_full: false,
                room_since: i64::MIN,
                read_at: i64::MIN,
                over: VecDeque::new(),
                heard: VecDeque::new(),
                goes: false,
                moves: false,
                now: i64::MIN,
            },
        }
    }
}

impl Core {
    fn has_room(&self) -> bool {
        !self.closing
            && (self.streams.len() as u64) < u64::from(self.peer.streams)
            && self.next <= LARGEST_STREAM
            && self.out.left() < OUT_BYTES
    }

    /// Looks whether v2's bounds still keep requests from it.
    fn mind_room(&mut self) {
        let full = self.streams.len() as u64 >= u64::from(self.peer.streams);
        if std::mem::replace(&mut self.is_full, full) && !full {
            self.room_since = self.now;
            self.goes = true;
        }
    }

    fn begin(&mut self, request: InFlight) {
        let bytes = request.task.bytes.clone();
        let head = bytes.get(..request.task.load.head as usize).unwrap_or_default();
        let script = script::read(head).expect("the plan wrote it for HTTP/2");
        let number = self.next;
        self.next += 2;
        let timeout = |(name, value, _): (&[u8], &[u8], bool)| {
            (name == b"grpc-timeout").then(|| deadline(value)).flatten()
        };
        let deadline = script.fields().find_map(timeout);
        self.write_block(number, script.fields(), script.is_bare);
        if self.rules.topped_up > 0 {
            self.out.window_update(number, self.rules.topped_up);
        }
        let mut stream = BegunStream::new(request, script.story.clone(), deadline, &self.rules);
        stream.ended = script.is_bare;
        stream.trailers = script.trailers().next().is_some();
        stream.window = self.peer.initial;
        stream.is_queued = !stream.ended;
        if stream.is_queued {
            self.queue.push_back(number);
        }
        self.now = self.now.max(stream.request.sent);
        self.streams.insert(number, stream);
        self.register(number);
        self.mind_room();
    }

    /// Appends a header block (RFC 9113 §4.3).
    fn write_block(&mut self, number: u32, fields: script::SectionFields<'_>, ends: bool) {
        self.block.clear();
        self.encoder.begin(&mut self.block);
        for (name, value, never) in fields {
            let indexing = if never { Indexing::Never } else { Indexing::Without };
            self.encoder.field(name, value, indexing, &mut self.block);
        }
        frame::write_block(self.out.bytes(), number, &self.block, ends, self.peer.frame);
    }

    /// Sets anew when the time changes something for a stream.
    fn register(&mut self, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let wakes_at = stream.next_wake(self.now, &self.rules);
        if wakes_at != stream.wakes_at {
            self.wakes.remove(&(stream.wakes_at, number));
            stream.wakes_at = wakes_at;
            self.wakes.insert((wakes_at, number));
        }
    }

    /// A part of a stream may go: looks at it when there is room.
    fn enqueue(&mut self, number: u32) {
        if let Some(stream) = self.streams.get_mut(&number)
            && !stream.is_queued
            && !stream.ended
        {
            stream.is_queued = true;
            self.queue.push_back(number);
            self.goes = true;
        }
    }

    fn remove(&mut self, number: u32) -> Option<BegunStream> {
        let stream = self.streams.remove(&number)?;
        self.wakes.remove(&(stream.wakes_at, number));
        self.mind_room();
        Some(stream)
    }

    /// Gives a stream up towards v2.
    fn reset(&mut self, number: u32, code: u32) -> Option<BegunStream> {
        self.out.reset(number, code);
        self.goes = true;
        self.remove(number)
    }

    /// Puts content into what is to be written, in turns, as far as v2 takes it.
    fn fill(&mut self, spool: &Spool, now: i64) -> io::Result<()> {
        self.now = self.now.max(now);
        while self.out.left() < OUT_BYTES
            && let Some(number) = self.queue.pop_front()
        {
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            let goes_on = match stream.gate(now, &self.rules) {
                PartGate::Open => self.part(number, spool, now)?,
                PartGate::At(_) | PartGate::Answer => false,
            };
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            if !goes_on {
                stream.is_queued = false;
                self.register(number);
            } else if self.peer.window <= 0 && matches!(stream.next(), SendPart::Content(_)) {
                // The connection takes no more from anybody.
                self.queue.push_front(number);
                return Ok(());
            } else {
                self.queue.push_back(number);
            }
        }
        Ok(())
    }

    /// Writes the next part of a stream; whether another one may follow.
    fn part(&mut self, number: u32, spool: &Spool, now: i64) -> io::Result<bool> {
        let Self { streams, rules, peer, out, moves, .. } = self;
        let Some(stream) = streams.get_mut(&number) else { return Ok(false) };
        let content = match stream.next() {
            SendPart::None => return Ok(false),
            SendPart::End => 0,
            SendPart::Content(n) => {
                let window = stream.window.min(peer.window).max(0) as u64;
                let n = n.min(window).min(peer.frame as u64);
                if n == 0 {
                    stream.closed_since.get_or_insert(now);
                    return Ok(stream.window > 0);
                }
                n
            }
        };
        if let Some(since) = stream.closed_since.take() {
            stream.request.held_ns += (now - since).max(0);
        }
        let at = out.begin_data(number, content as usize);
        stream.content(content as usize, spool, out.bytes())?;
        stream.sent(content);
        peer.window -= content as i64;
        *moves |= content > 0;
        let ends = stream.may_end(now, rules);
        if ends && !stream.trailers {
            out.end_stream(at);
        } else if ends && content == 0 {
            // The trailers stand for the end.
            out.take_back(at);
        }
        if !ends {
            return Ok(true);
        }
        stream.ended = true;
        if stream.trailers {
            let bytes = stream.request.task.bytes.clone();
            let head = bytes.get(..stream.request.task.load.head as usize).unwrap_or_default();
            if let Some(script) = script::read(head) {
                self.write_block(number, script.trailers(), true);
            }
        }
        Ok(false)
    }

    /// A request has come to its answer, or to the want of one.
    fn answer(&mut self, (request, answer): (InFlight, Answer), early: bool) {
        self.heard.push_back(Heard::Answer { request, answer, early });
    }
}

impl Session for Two {
    fn under_way(&self) -> usize {
        self.core.streams.len()
    }

    fn served(&self) -> u32 {
        self.core.served
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn has_room(&self) -> bool {
        self.core.has_room()
    }

    fn room_since(&self) -> i64 {
        self.core.room_since
    }

    fn is_closing(&self) -> bool {
        self.core.closing
    }

    fn drop_rest(&mut self) {
        self.core.out.clear();
        self.core.queue.clear();
        self.core.closing = true;
    }

    fn begin(&mut self, request: InFlight) {
        self.core.begin(request);
    }

    fn is_writing(&self) -> bool {
        self.core.out.left() > 0
    }

    fn write(
        &mut self,
        socket: &mut Socket,
        spool: &Spool,
        more: bool,
        now: i64,
    ) -> io::Result<Written> {
        loop {
            self.core.fill(spool, now)?;
            if self.core.out.left() == 0 {
                break;
            }
            while self.core.out.left() > 0 {
                match socket.write(self.core.out.rest(), more && self.core.queue.is_empty()) {
                    Ok(n) => self.core.out.wrote(n),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Written::Blocked);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        socket.flush()?;
        Ok(if socket.wants_write() { Written::Blocked } else { Written::All })
    }

    fn hear(&mut self, input: &mut &[u8], now: i64) -> Option<Heard> {
        self.core.now = self.core.now.max(now);
        self.core.read_at = now;
        while self.core.heard.is_empty() {
            match self.incoming.take(input, &mut self.core) {
                Ok(true) => {}
                Ok(false) => break,
                Err(why) => {
                    *input = &[];
                    return Some(Heard::Garbage(why));
                }
            }
        }
        if let Some(heard) = self.core.heard.pop_front() {
            return Some(heard);
        }
        std::mem::take(&mut self.core.goes).then_some(Heard::Go)
    }

    fn goes_on(&mut self, _: i64) -> GoesOn {
        if self.core.queue.is_empty() { GoesOn::No } else { GoesOn::Piece }
    }

    fn wakes_at(&self) -> i64 {
        self.core.wakes.first().map_or(i64::MAX, |(at, _)| *at)
    }

    fn wake(&mut self, now: i64) -> Late {
        let core = &mut self.core;
        core.now = core.now.max(now);
        while let Some(&(at, number)) = core.wakes.first()
            && at <= now
        {
            let Some(stream) = core.streams.get(&number) else {
                core.wakes.remove(&(at, number));
                continue;
            };
            let code = stream.left_with().unwrap_or(CANCEL);
            if stream.leaves_at().is_some_and(|leaves| leaves <= now) {
                let left = core.reset(number, code).map(|stream| stream.cut(None));
                return left.map_or(Late::None, |(request, answer)| Late::Left(request, answer));
            }
            if stream.request.until <= now {
                let late = core.reset(number, CANCEL).map(BegunStream::timed_out);
                return late.map_or(Late::None, |(request, why)| Late::TimedOut(request, why));
            }
            core.enqueue(number);
            core.register(number);
        }
        Late::None
    }

    fn blamed(&mut self) -> Vec<InFlight> {
        self.core.closing = true;
        self.take_unanswered().into()
    }

    fn end(&mut self, _: Ending, detail: &str) -> Vec<(InFlight, Answer)> {
        self.core.closing |= !self.core.streams.is_empty();
        let begun: Vec<u32> =
            self.core.streams.iter().filter(|(_, s)| s.is_headed()).map(|(n, _)| *n).collect();
        let cut = |number| {
            let detail = format!("{detail}, inside the answer");
            let stream = self.core.remove(number)?;
            Some(stream.failed(Failure::new(FailureKind::Closed, detail), None))
        };
        begun.into_iter().filter_map(cut).collect()
    }

    fn take_unanswered(&mut self) -> VecDeque<InFlight> {
        self.core.wakes.clear();
        self.core.queue.clear();
        std::mem::take(&mut self.core.streams).into_values().map(|stream| stream.request).collect()
    }
}
