//! The streams of a connection and what is written on it: all but the reader of v2's frames.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use super::out::StreamOut;
use super::rules::{H2Rules, WINDOW};
use super::stream::{BegunStream, PartGate, SendPart, deadline};
use crate::replay::plan::script;
use crate::replay::plan::spool::Spool;
use crate::replay::session::{Heard, InFlight};
use crate::replay::task::Answer;
use crate::wire::h2::frame;
use crate::wire::h2::hpack::{Encoder, Indexing};

/// Streams that are begun before v2 says how many it takes (RFC 9113 §5.1.2 asks for 100 at least).
const STREAMS: u32 = 100;
/// Content that is written at once, before answers are looked at.
const OUT_BYTES: usize = 64 << 10;
/// The error code of a stream that is given up (RFC 9113 §7).
pub(super) const CANCEL: u32 = 8;
/// The last number of a stream.
const LARGEST_STREAM: u32 = u32::MAX >> 1;

/// What v2 allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Content on the connection, and on a stream that begins.
    pub(super) window: i64,
    pub(super) initial: i64,
    pub(super) streams: u32,
    pub(super) frame: usize,
}

/// All of it but the reader of its frames, which lends what it reads.
pub(super) struct Core {
    pub(super) rules: H2Rules,
    pub(super) encoder: Encoder,
    pub(super) block: Vec<u8>,
    pub(super) streams: BTreeMap<u32, BegunStream>,
    /// Streams of which a part may go.
    pub(super) queue: VecDeque<u32>,
    pub(super) wakes: BTreeSet<(i64, u32)>,
    pub(super) next: u32,
    pub(super) out: StreamOut,
    pub(super) peer: Peer,
    /// What v2 may still send on the connection, and what came that it was not given back.
    pub(super) allowed: i64,
    pub(super) unreturned: u32,
    pub(super) closing: bool,
    pub(super) served: u32,
    /// v2's own bounds keep requests from it.
    pub(super) is_full: bool,
    /// When what is heard now was read.
    pub(super) read_at: i64,
    /// The last streams that v2 ended.
    pub(super) over: VecDeque<u32>,
    pub(super) room_since: i64,
    pub(super) heard: VecDeque<Heard>,
    /// There may be more to write.
    pub(super) goes: bool,
    /// Content went since it was asked last.
    pub(super) moves: bool,
    pub(super) now: i64,
}

impl Core {
    /// Of a new connection, with what is to be written on it first.
    pub(super) fn new(rules: H2Rules, out: StreamOut) -> Self {
        let allowed = WINDOW + i64::from(rules.more);
        Self {
            rules,
            encoder: Encoder::default(),
            block: Vec::new(),
            streams: BTreeMap::new(),
            queue: VecDeque::new(),
            wakes: BTreeSet::new(),
            next: 1,
            out,
            peer: Peer { window: WINDOW, initial: WINDOW, streams: STREAMS, frame: frame::PAYLOAD },
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
        }
    }

    pub(super) fn has_room(&self) -> bool {
        !self.closing
            && (self.streams.len() as u64) < u64::from(self.peer.streams)
            && self.next <= LARGEST_STREAM
            && self.out.left() < OUT_BYTES
    }

    /// Looks whether v2's bounds still keep requests from it.
    pub(super) fn mind_room(&mut self) {
        let full = self.streams.len() as u64 >= u64::from(self.peer.streams);
        if std::mem::replace(&mut self.is_full, full) && !full {
            self.room_since = self.now;
            self.goes = true;
        }
    }

    pub(super) fn begin(&mut self, request: InFlight) {
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
    pub(super) fn write_block(
        &mut self,
        number: u32,
        fields: script::SectionFields<'_>,
        ends: bool,
    ) {
        self.block.clear();
        self.encoder.begin(&mut self.block);
        for (name, value, never) in fields {
            let indexing = if never { Indexing::Never } else { Indexing::Without };
            self.encoder.field(name, value, indexing, &mut self.block);
        }
        frame::write_block(self.out.bytes(), number, &self.block, ends, self.peer.frame);
    }

    /// Sets anew when the time changes something for a stream.
    pub(super) fn register(&mut self, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let wakes_at = stream.next_wake(self.now, &self.rules);
        if wakes_at != stream.wakes_at {
            self.wakes.remove(&(stream.wakes_at, number));
            stream.wakes_at = wakes_at;
            self.wakes.insert((wakes_at, number));
        }
    }

    /// A part of a stream may go: looks at it when there is room.
    pub(super) fn enqueue(&mut self, number: u32) {
        if let Some(stream) = self.streams.get_mut(&number)
            && !stream.is_queued
            && !stream.ended
        {
            stream.is_queued = true;
            self.queue.push_back(number);
            self.goes = true;
        }
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<BegunStream> {
        let stream = self.streams.remove(&number)?;
        self.wakes.remove(&(stream.wakes_at, number));
        self.mind_room();
        Some(stream)
    }

    /// Gives a stream up towards v2.
    pub(super) fn reset(&mut self, number: u32, code: u32) -> Option<BegunStream> {
        self.out.reset(number, code);
        self.goes = true;
        self.remove(number)
    }

    /// Puts content into what is to be written, in turns, as far as v2 takes it.
    pub(super) fn fill(&mut self, spool: &Spool, now: i64) -> io::Result<()> {
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
    pub(super) fn part(&mut self, number: u32, spool: &Spool, now: i64) -> io::Result<bool> {
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
    pub(super) fn answer(&mut self, (request, answer): (InFlight, Answer), early: bool) {
        self.heard.push_back(Heard::Answer { request, answer, early });
    }
}
