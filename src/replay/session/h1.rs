//! A connection of a worker: its socket, what is being written on it, which answers are awaited,
//! and the parser that reads them. It belongs to one lane.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use crate::outcome::Failure;
use crate::replay::plan::spool::Spool;
use crate::replay::session::socket::Socket;
use crate::replay::task::Task;
use crate::wire::h1::parser::{Expect, Limits, Parser, Side};

/// Bytes of a large body that are read from the spool at once.
const CHUNK_BYTES: u64 = 64 << 10;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) enum Phase {
    Connecting,
    Handshaking,
    Open,
}

/// A request that was sent and is not answered.
pub(in crate::replay) struct InFlight {
    pub(in crate::replay) task: Task,
    pub(in crate::replay) sent: i64,
    pub(in crate::replay) waited: i64,
    pub(in crate::replay) connect_ns: Option<i64>,
}

impl InFlight {
    /// When to leave the answer, where v1's client had left v1's: not before the head has come that
    /// it had. `headed`: some of it has.
    pub(in crate::replay) fn leaves_at(&self, headed: bool) -> Option<i64> {
        let load = &self.task.load;
        let reads = load.reads_ns().filter(|_| headed || !load.had_head)?;
        Some(self.sent.saturating_add(reads))
    }
}

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

/// A connection.
pub(in crate::replay) struct Connection {
    pub(in crate::replay) lane: usize,
    pub(in crate::replay) upstream: u16,
    pub(in crate::replay) phase: Phase,
    pub(in crate::replay) socket: Socket,
    pub(in crate::replay) in_flight: VecDeque<InFlight>,
    pub(in crate::replay) parser: Parser<i64>,
    /// When it was asked for, and when it was ready.
    pub(in crate::replay) started: i64,
    pub(in crate::replay) ready: i64,
    /// The first request on it tells how long it took to open.
    pub(in crate::replay) connect_ns: Option<i64>,
    /// Answers that came on it.
    pub(in crate::replay) served: u32,
    /// Interim answers to the request at the front.
    pub(in crate::replay) interims: u32,
    /// Why the TLS session was refused, where it was after the handshake.
    pub(in crate::replay) refusal: Option<Failure>,
    /// Not used before: v2 may say something that nobody asked for.
    pub(in crate::replay) listens_until: i64,
    /// Carries no further request.
    pub(in crate::replay) closing: bool,
    /// A deadline of it is among the timers.
    pub(in crate::replay) armed: bool,
    /// It waits for its turn to be read on; `true`: to its end, as the peer has closed.
    pub(in crate::replay) unread: Option<bool>,
    /// Writing on it failed: it is over once all that came is read.
    pub(in crate::replay) broken: Option<String>,
    out: Out,
    scratch: Vec<u8>,
}

/// How writing went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) enum Written {
    /// All of it, or all that may go before a 100.
    All,
    /// The socket takes no more now.
    Blocked,
}

impl Connection {
    pub(in crate::replay) fn new(
        lane: usize,
        upstream: u16,
        socket: Socket,
        started: i64,
        max_body: usize,
    ) -> Self {
        Self {
            lane,
            upstream,
            phase: Phase::Connecting,
            socket,
            in_flight: VecDeque::new(),
            parser: Parser::new(
                Side::Responses,
                Limits { body_bytes: max_body, strict: true, ..Limits::default() },
            ),
            started,
            ready: i64::MIN,
            connect_ns: None,
            served: 0,
            interims: 0,
            refusal: None,
            listens_until: i64::MIN,
            closing: false,
            armed: false,
            unread: None,
            broken: None,
            out: Out::default(),
            scratch: Vec::new(),
        }
    }

    /// Starts to write a request; [`Self::write`] does the work.
    pub(in crate::replay) fn begin(&mut self, request: InFlight) {
        let task = &request.task;
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

    /// Whether the body of the last request waits for a 100.
    pub(in crate::replay) fn holds_body(&self) -> bool {
        self.out.at == self.out.until && self.out.until < self.out.bytes.len()
    }

    /// The body need not wait any more.
    pub(in crate::replay) fn let_body_go(&mut self) {
        self.out.until = self.out.bytes.len();
    }

    /// The rest of the last request will not be written.
    pub(in crate::replay) fn drop_rest(&mut self) {
        self.out = Out::default();
        self.closing = true;
    }

    /// Whether a request is not written whole.
    pub(in crate::replay) fn is_writing(&self) -> bool {
        self.out.at < self.out.bytes.len()
            || self.out.rest > 0
            || (self.socket.is_tls() && self.socket.wants_write())
    }

    /// Writes as much as goes. `more`: the next request follows at once, and they may share a
    /// packet, as they did where the client sent both before it had an answer.
    pub(in crate::replay) fn write(&mut self, spool: &Spool, more: bool) -> io::Result<Written> {
        let more = more && self.out.until == self.out.bytes.len() && self.out.rest == 0;
        loop {
            while self.out.at < self.out.until {
                match self.socket.write(&self.out.bytes[self.out.at..self.out.until], more) {
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
            match self.socket.write(&self.scratch, false) {
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
        self.socket.flush()?;
        Ok(if self.socket.wants_write() { Written::Blocked } else { Written::All })
    }
}
