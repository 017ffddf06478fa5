//! HTTP/1 on a connection: what is being written, which answers are awaited in which order, and the
//! parser that reads them; and the WebSocket that a request may have opened.
//!
//! Answers come in the order of their requests, so a slow one keeps those behind it waiting
//! (head-of-line blocking). Requests are pipelined only where the captured client did so.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use crate::limits;
use crate::message::{Extras, Response, Version};
use crate::outcome::{Failure, FailureKind};
use crate::replay::plan::spool::Spool;
use crate::replay::session::socket::Socket;
use crate::replay::session::websocket::{SocketPlay, accepts};
use crate::replay::session::{GoesOn, Heard, InFlight, Late, Session, Written};
use crate::replay::task::{Answer, TargetSide, shown};
use crate::schedule::pacing::Pacing;
use crate::time::Timestamp;
use crate::wire::h1::parser::{
    Damage, Ending, Expect, Message, MessageSide, Parsed, Parser, ParserLimits,
};
use crate::wire::pace::Pieces;

/// Requests in flight on one connection.
const PIPELINE: usize = 1_024;
/// Bytes of a large body that are read from the spool at once.
const CHUNK_BYTES: u64 = 64 << 10;
/// How long a body waits for `100 Continue` (RFC 9110 §10.1.1 leaves the time to the client).
const CONTINUE_NS: i64 = 1_000_000_000;

/// What is still to be written of the last request.
#[derive(Default)]
struct Out {
    bytes: Bytes,
    /// How far `bytes` may be written for now: the head of a request that waits for a 100, else
    /// all.
    until: usize,
    at: usize,
    /// What follows from the spool.
    offset: u64,
    rest: u64,
}

/// HTTP/1 on a connection.
pub(in crate::replay) struct One {
    in_flight: VecDeque<InFlight>,
    parser: Parser<i64>,
    /// Answers that came on it.
    served: u32,
    /// Interim answers to the request at the front.
    interims: u32,
    /// Carries no further request.
    closing: bool,
    out: Out,
    scratch: Vec<u8>,
    /// The WebSocket that the last request is to open, and where its course stands until it is
    /// read.
    play: Option<Box<SocketPlay>>,
    course: Option<u64>,
    side: TargetSide,
    pacing: Pacing,
    max_body: usize,
}

impl One {
    /// On a new connection to `side`. Of an answer's body `max_body` bytes are kept; `pacing` says
    /// when the messages of WebSockets are due.
    pub(in crate::replay) fn new(side: TargetSide, max_body: usize, pacing: Pacing) -> Self {
        let limits = ParserLimits { body_bytes: max_body, strict: true, ..ParserLimits::default() };
        Self {
            in_flight: VecDeque::new(),
            parser: Parser::new(MessageSide::Responses, limits),
            served: 0,
            interims: 0,
            closing: false,
            out: Out::default(),
            scratch: Vec::new(),
            play: None,
            course: None,
            side,
            pacing,
            max_body,
        }
    }

    /// The session that v2 has opened.
    fn played(&mut self) -> Option<&mut SocketPlay> {
        self.play.as_deref_mut().filter(|play| play.is_open())
    }

    /// v2 switched protocols: the session begins, where this was to open one; else the answer.
    fn switched(&mut self, request: InFlight, answer: Answer, now: i64) -> Heard {
        let task = &request.task;
        let head = &task.bytes[..(task.load.head as usize).min(task.bytes.len())];
        let wrong = answer.response.as_ref().and_then(|answer| accepts(head, answer).err());
        let answer = match (&mut self.play, wrong) {
            (Some(play), None) if answer.failure.is_none() => {
                let ended = task.ended(self.side, &answer, now);
                if let (Some(ties), Some(ended)) = (&task.socket, ended) {
                    ties.opened(ended);
                }
                play.open(answer, task.due, request.until - request.sent, now);
                self.in_flight.push_front(request);
                return Heard::Go;
            }
            (Some(_), Some(what)) if answer.failure.is_none() => {
                Answer { failure: Some(lie(what)), last: None, ..answer }
            }
            _ => answer,
        };
        Heard::Answer { request, answer, early: false }
    }

    /// Whether the body of the last request waits for a 100.
    fn holds_body(&self) -> bool {
        self.out.at == self.out.until && self.out.until < self.out.bytes.len()
    }

    /// The body need not wait any more.
    fn let_body_go(&mut self) {
        self.out.until = self.out.bytes.len();
    }

    fn message(&mut self, parsed: Parsed<i64>, behind: &[u8]) -> Option<Heard> {
        if parsed.message.is_interim() {
            let Message::Response(response) = parsed.message else { return None };
            return self.interim(response.status);
        }
        let Message::Response(mut response) = parsed.message else { return None };
        let Some(request) = self.in_flight.pop_front() else {
            return Some(Heard::Unasked("unexpected-answers"));
        };
        response.extras = pace(parsed.pieces.as_ref(), request.sent);
        self.served += 1;
        self.interims = 0;
        let status = response.status;
        let is_early = request.sent >= parsed.first;
        // An empty line more is a slip that all clients pass over.
        let is_surplus = self.in_flight.is_empty()
            && !parsed.tunnel
            && behind.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        // HTTP/2 and HTTP/3 have frames: no client of HTTP/1 takes their name in a status line.
        let is_of_other_version = matches!(response.version, Version::Other(2.., _));
        let failure = match parsed.damage {
            Some(damage) => Some(not_whole(damage)),
            None if is_of_other_version => {
                Some(lie("its status line names a version that has no status lines"))
            }
            None if is_early => Some(lie("the answer came before its request was sent")),
            None if is_surplus => Some(lie("bytes that no request asked for stand behind it")),
            None => None,
        };
        self.closing |= !parsed.persists || parsed.tunnel || failure.is_some();
        let answer = Answer {
            first: (!is_early).then_some(parsed.first),
            last: failure.is_none().then_some(parsed.last),
            messages: Vec::new(),
            response: Some(response),
            failure,
        };
        if parsed.tunnel && status == 101 && self.play.is_some() {
            return Some(self.switched(request, answer, parsed.last));
        }
        // It answered before it had the whole request (RFC 9112 §9.3). A body that still waits for
        // its 100 is not sent; of another the rest goes as long as v2 takes it, as a real client's
        // would.
        let early = self.in_flight.is_empty() && self.is_writing();
        let early = if early && self.holds_body() {
            self.drop_rest();
            false
        } else {
            early
        };
        Some(Heard::Answer { request, answer, early })
    }

    /// An interim answer (RFC 9110 §15.2): a 100 lets the body go.
    fn interim(&mut self, status: u16) -> Option<Heard> {
        self.interims += 1;
        if self.in_flight.is_empty() {
            return Some(Heard::Unasked("unexpected-answers"));
        }
        if self.interims > limits::INTERIM_ANSWERS {
            return Some(Heard::Garbage("interim answers without end".to_owned()));
        }
        if status == 100 && self.holds_body() {
            self.let_body_go();
            return Some(Heard::Go);
        }
        None
    }

    /// What came of the answer at the front until now.
    fn cut(&mut self) -> Answer {
        let first = self.parser.first();
        let sent = self.in_flight.front().map_or(0, |request| request.sent);
        let part = self.parser.finish(Ending::Cut).and_then(|parsed| response(parsed, sent));
        Answer { first, response: part, ..Answer::none() }
    }
}

/// An answer to what was `sent` then.
fn response(parsed: Parsed<i64>, sent: i64) -> Option<Response> {
    let extras = pace(parsed.pieces.as_ref(), sent);
    match parsed.message {
        Message::Response(response) => Some(Response { extras, ..response }),
        Message::Request(_) => None,
    }
}

/// When the pieces of a body came, where its pace says something.
fn pace(pieces: Option<&Pieces<i64>>, sent: i64) -> Option<Box<Extras>> {
    let pieces = pieces?.since(Timestamp::from_nanos(sent), Timestamp::from_nanos);
    Extras { pieces, ..Extras::default() }.of()
}

/// Why an answer whose head was read is none.
fn not_whole(damage: Damage) -> Failure {
    let kind = match damage {
        Damage::BadChunk | Damage::HeadLimit | Damage::BadLength | Damage::NulInHead => {
            FailureKind::Protocol
        }
        Damage::Gap | Damage::Ended => FailureKind::Closed,
    };
    Failure::new(kind, format!("the answer is not whole: {}", damage.name()))
}

/// Why a whole answer is none to its request.
fn lie(what: &str) -> Failure {
    Failure::new(FailureKind::Protocol, what)
}

impl Session for One {
    fn under_way(&self) -> usize {
        self.in_flight.len()
    }

    fn served(&self) -> u32 {
        self.served
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn has_room(&self) -> bool {
        !self.closing && self.in_flight.len() < PIPELINE
    }

    fn room_since(&self) -> i64 {
        i64::MIN
    }

    fn is_closing(&self) -> bool {
        self.closing
    }

    fn drop_rest(&mut self) {
        self.out = Out::default();
        self.closing = true;
    }

    fn begin(&mut self, request: InFlight) {
        let task = &request.task;
        let place = task.load.place;
        self.play = None;
        self.course = task.load.traits.opens_socket().then_some(place.end());
        self.parser.expect(match () {
            () if task.load.traits.is_head() => Expect::Head,
            () if task.load.traits.is_simple() => Expect::Simple,
            () => Expect::Other,
        });
        let all = task.bytes.len();
        let until = if task.load.traits.expects_continue() {
            (task.load.head as usize).min(all)
        } else {
            all
        };
        let offset = task.load.place.offset + task.ahead;
        self.out = Out { bytes: task.bytes.clone(), until, at: 0, offset, rest: task.rest() };
        self.in_flight.push_back(request);
    }

    fn is_writing(&self) -> bool {
        let plays = self.play.as_ref().is_some_and(|play| play.is_writing());
        self.out.at < self.out.bytes.len() || self.out.rest > 0 || plays
    }

    fn write(
        &mut self,
        socket: &mut Socket,
        spool: &Spool,
        more: bool,
        now: i64,
    ) -> io::Result<Written> {
        if let Some(offset) = self.course.take() {
            let mut play = SocketPlay::read(spool, offset, self.pacing, self.max_body)?;
            if let Some(InFlight { task, .. }) = self.in_flight.back() {
                play.tie(task.socket.clone(), (self.side, task.id));
            }
            self.play = Some(Box::new(play));
        }
        if let Some(play) = self.played() {
            return play.write(socket, spool, now);
        }
        let more = more && self.out.until == self.out.bytes.len() && self.out.rest == 0;
        loop {
            while self.out.at < self.out.until {
                match socket.write(&self.out.bytes[self.out.at..self.out.until], more) {
                    Ok(n) => self.out.at += n,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Written::Blocked);
                    }
                    Err(error) => return Err(error),
                }
            }
            if self.holds_body() || self.out.rest == 0 {
                break;
            }
            let n = self.out.rest.min(CHUNK_BYTES);
            self.scratch.resize(n as usize, 0);
            spool.read_at(&mut self.scratch, self.out.offset)?;
            // A part that the socket does not take is read again; the page cache has it.
            match socket.write(&self.scratch, false) {
                Ok(written) => {
                    self.out.offset += written as u64;
                    self.out.rest -= written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Written::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
        if self.scratch.capacity() > 0 {
            self.scratch = Vec::new();
        }
        socket.flush()?;
        Ok(if socket.wants_write() { Written::Blocked } else { Written::All })
    }

    fn hear(&mut self, input: &mut &[u8], now: i64) -> Option<Heard> {
        while !input.is_empty() {
            if let Some(play) = self.played() {
                return play.hear(input, now).then_some(Heard::Go);
            }
            let Some(parsed) = self.parser.step(input, now) else {
                if self.parser.is_lost() {
                    return Some(Heard::Garbage("what came is not an HTTP response".to_owned()));
                }
                break;
            };
            if let Some(heard) = self.message(parsed, input) {
                return Some(heard);
            }
        }
        // The beginning of an answer that nobody asked for.
        let unasked = self.in_flight.is_empty() && !self.parser.is_between_messages();
        unasked.then_some(Heard::Unasked("unexpected-bytes"))
    }

    fn goes_on(&mut self, now: i64) -> GoesOn {
        if let Some(play) = self.played() {
            return if play.goes_on(now) { GoesOn::Piece } else { GoesOn::No };
        }
        let waited = self.in_flight.back().is_some_and(|last| now - last.sent >= CONTINUE_NS);
        if !waited || !self.holds_body() {
            return GoesOn::No;
        }
        self.let_body_go();
        GoesOn::Without100
    }

    fn wakes_at(&self) -> i64 {
        if let Some(play) = self.play.as_ref().filter(|play| play.is_open()) {
            return play.wakes_at();
        }
        let Some(front) = self.in_flight.front() else { return i64::MAX };
        let waits = self.in_flight.back().filter(|_| self.holds_body());
        let go = waits.map_or(i64::MAX, |last| last.sent.saturating_add(CONTINUE_NS));
        let leaves = front.leaves_at(self.parser.first().is_some()).unwrap_or(i64::MAX);
        front.until.min(leaves).min(go)
    }

    fn wake(&mut self, now: i64) -> Late {
        if let Some(play) = self.played() {
            let Some(answer) = play.wake(now) else { return Late::None };
            let request = self.in_flight.pop_front();
            return request.map_or(Late::None, |request| Late::Left(request, answer));
        }
        let first = self.parser.first();
        let Some(front) = self.in_flight.front() else {
            return if self.is_writing() { Late::Stuck } else { Late::None };
        };
        let leaves = front.leaves_at(first.is_some()).is_some_and(|leaves| leaves <= now);
        let limit = front.until - front.sent;
        if !leaves && now < front.until {
            return Late::None;
        }
        let answer = self.cut();
        let Some(request) = self.in_flight.pop_front() else { return Late::None };
        if leaves {
            return Late::Left(request, answer);
        }
        let what = if first.is_none() { "no answer" } else { "no whole answer" };
        let detail = format!("{what} within {}", shown(limit));
        let failure = Some(Failure::new(FailureKind::Timeout, detail));
        Late::TimedOut(request, Answer { failure, ..answer })
    }

    fn blamed(&mut self) -> Vec<InFlight> {
        self.closing = true;
        self.in_flight.pop_front().into_iter().collect()
    }

    fn end(&mut self, ending: Ending, detail: &str) -> Vec<(InFlight, Answer)> {
        if let Some(play) = self.played() {
            let Some(answer) = play.end(detail) else { return Vec::new() };
            return self
                .in_flight
                .pop_front()
                .map(|request| (request, answer))
                .into_iter()
                .collect();
        }
        let Some(parsed) = self.parser.finish(ending) else { return Vec::new() };
        let Some(request) = self.in_flight.pop_front() else { return Vec::new() };
        let inside = |_| Failure::new(FailureKind::Closed, format!("{detail}, inside the answer"));
        let failure = parsed.damage.map(inside);
        let last = failure.is_none().then_some(parsed.last);
        let (first, sent) = (Some(parsed.first), request.sent);
        let response = response(parsed, sent);
        let answer = Answer { first, last, response, failure, ..Answer::none() };
        vec![(request, answer)]
    }

    fn take_unanswered(&mut self) -> VecDeque<InFlight> {
        std::mem::take(&mut self.in_flight)
    }
}
