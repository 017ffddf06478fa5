//! Reading: bytes become answers, and a connection's end becomes what it means for the requests on
//! it.

use std::io;

use super::super::session::tls;
use super::super::task::Task;
use super::{Answer, Failure, FailureKind, READ_AT_ONCE, Worker};
use crate::limits;
use crate::wire::h1::parser::{Damage, Ending, Message, Parsed};

const NOT_HTTP: &str = "what came is not an HTTP response";

/// Why an answer whose head was read is none.
fn not_whole(damage: Damage) -> Failure {
    let kind = match damage {
        Damage::BadChunk | Damage::HeadLimit | Damage::BadLength => FailureKind::Protocol,
        Damage::Gap | Damage::Ended => FailureKind::Closed,
    };
    Failure::new(kind, format!("the answer is not whole: {}", damage.name()))
}

/// Why a whole answer is none to its request.
fn lie(what: &str) -> Failure {
    Failure::new(FailureKind::Protocol, what)
}

impl Worker<'_> {
    /// Reads on where more was there than is read at once, a part of each.
    pub(super) fn read_on(&mut self) {
        for _ in 0..self.unread.len() {
            let Some((at, generation)) = self.unread.pop_front() else { return };
            if !self.connections.holds(at, generation) {
                continue;
            }
            let ends = self.connections.get(at).unread.take().unwrap_or_default();
            self.read(at, ends);
            if self.connections.holds(at, generation) && self.connections.get(at).unread.is_none() {
                // What v2 said before it closed is read now, and says more than the failed write
                // does.
                if let Some(detail) = self.connections.get(at).broken.take() {
                    self.lost(at, Ending::Cut, &detail);
                }
            }
            self.run_due_between();
        }
    }

    /// Puts a connection in line to be read on.
    pub(super) fn read_later(&mut self, at: usize, ends: bool) {
        let generation = self.connections.generation(at);
        match &mut self.connections.get(at).unread {
            Some(to_the_end) => *to_the_end |= ends,
            unread => {
                *unread = Some(ends);
                self.unread.push_back((at, generation));
            }
        }
    }

    /// Reads what is there, or a first part of it: who answers much or without end must not keep
    /// others waiting. `ends`: the peer has closed, so read to the end.
    pub(super) fn read(&mut self, at: usize, ends: bool) {
        let generation = self.connections.generation(at);
        let mut buffer = std::mem::take(&mut self.buffer);
        debug_assert!(
            !buffer.is_empty(),
            "no connection is read while another one is: what ends one waits in line"
        );
        let mut read = 0;
        while self.connections.holds(at, generation) {
            if read >= READ_AT_ONCE {
                self.read_later(at, ends);
                break;
            }
            let connection = self.connections.get(at);
            let tls = connection.socket.is_tls();
            match connection.socket.read(&mut buffer) {
                Ok(0) => self.lost(at, Ending::Closed, "closed by v2"),
                Ok(n) => {
                    self.figures.bytes_received += n as u64;
                    read += n;
                    self.parse(at, generation, &buffer[..n]);
                    if n < buffer.len() && !tls && !ends {
                        break;
                    }
                    // A long answer must not delay what is due. Lanes are not touched while one is
                    // being read, except by their own due times, and the connection is looked up
                    // anew.
                    if self.upcoming.front().is_some_and(|task| task.due <= self.shared.clock.now())
                    {
                        self.run_due();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.lost(at, Ending::Cut, "closed by v2 without the end of the TLS session");
                }
                Err(error) => {
                    // Who refuses the client says so only when the session is there (TLS 1.3).
                    connection.refusal = tls::refusal(&error);
                    self.lost(at, Ending::Cut, &error.to_string());
                }
            }
        }
        self.buffer = buffer;
    }

    fn parse(&mut self, at: usize, generation: u32, mut input: &[u8]) {
        let now = self.now();
        while !input.is_empty() {
            let connection = self.connections.get(at);
            let parsed = connection.parser.step(&mut input, now);
            let Some(parsed) = parsed else {
                if connection.parser.is_lost() {
                    return self.garbage(at, NOT_HTTP, now);
                }
                break;
            };
            self.message(at, parsed, input, now);
            if !self.connections.holds(at, generation) {
                return;
            }
        }
        let connection = self.connections.get(at);
        if connection.in_flight.is_empty() && !connection.parser.is_between_messages() {
            // The beginning of an answer that nobody asked for.
            self.unasked(at, "unexpected-bytes", now);
        }
    }

    /// v2 said something while no request was under way. Where it did so before any was, it would
    /// answer each request before it was asked: the lane's next one fails for it.
    fn unasked(&mut self, at: usize, note: &'static str, now: i64) {
        self.figures.note(note);
        let connection = self.connections.get(at);
        let (lane, upstream) = (connection.lane, usize::from(connection.upstream));
        if connection.served == 0 {
            self.lanes.get(lane).accused = true;
            self.speaks_first[upstream] = true;
        }
        self.close(at);
        self.pump(lane, now);
    }

    /// An interim answer (RFC 9110 §15.2): a 100 lets the body go.
    fn interim(&mut self, at: usize, status: u16, now: i64) {
        let connection = self.connections.get(at);
        connection.interims += 1;
        if connection.in_flight.is_empty() {
            return self.unasked(at, "unexpected-answers", now);
        }
        if connection.interims > limits::INTERIM_ANSWERS {
            return self.garbage(at, "interim answers without end", now);
        }
        if status == 100 && connection.holds_body() {
            connection.let_body_go();
            self.write(at);
        }
    }

    /// `behind`: what came with the message's last byte and stands behind it.
    fn message(&mut self, at: usize, parsed: Parsed<i64>, behind: &[u8], now: i64) {
        let interim = parsed.message.is_interim();
        let Message::Response(response) = parsed.message else { return };
        if interim {
            return self.interim(at, response.status, now);
        }
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let Some(request) = connection.in_flight.pop_front() else {
            return self.unasked(at, "unexpected-answers", now);
        };
        connection.served += 1;
        connection.interims = 0;
        let is_early = request.sent >= parsed.first;
        // An empty line more is a slip that all clients pass over.
        let is_surplus = connection.in_flight.is_empty()
            && !parsed.tunnel
            && behind.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        let failure = match parsed.damage {
            Some(damage) => Some(not_whole(damage)),
            None if is_early => Some(lie("the answer came before its request was sent")),
            None if is_surplus => Some(lie("bytes that no request asked for stand behind it")),
            None => None,
        };
        connection.closing |= !parsed.persists || parsed.tunnel || failure.is_some();
        let answer = Answer {
            first: (!is_early).then_some(parsed.first),
            last: failure.is_none().then_some(parsed.last),
            response: Some(response),
            failure,
        };
        if connection.in_flight.is_empty() && connection.is_writing() {
            // It answered before it had the whole request (RFC 9112 §9.3). A body that still waits
            // for its 100 is not sent; of another the rest goes as long as v2 takes it, as a real
            // client's would.
            if connection.holds_body() {
                connection.drop_rest();
            } else {
                self.figures.note("early-answers");
            }
        }
        self.record_sent(lane, request, answer, now);
        let connection = self.connections.get(at);
        if connection.closing && !connection.is_writing() {
            // Requests behind it on this connection get no answer any more.
            self.lost(at, Ending::Closed, "v2 closed after the answer before");
            return;
        }
        self.pump(lane, now);
    }

    /// What came is not HTTP, or never becomes an answer.
    fn garbage(&mut self, at: usize, what: &str, now: i64) {
        let connection = self.connections.get(at);
        let lane = connection.lane;
        connection.closing = true;
        match connection.in_flight.pop_front() {
            Some(request) => {
                let answer =
                    Answer { first: Some(now), ..Answer::failed(FailureKind::Protocol, what) };
                self.record_sent(lane, request, answer, now);
            }
            None => return self.unasked(at, "unexpected-bytes", now),
        }
        self.give_up(at, "v2 sent something else than HTTP before", now);
    }

    /// The connection ended.
    pub(super) fn lost(&mut self, at: usize, ending: Ending, detail: &str) {
        let now = self.now();
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let parsed = connection.parser.finish(ending);
        if let Some(parsed) = parsed
            && let Some(request) = connection.in_flight.pop_front()
        {
            let failure = parsed
                .damage
                .map(|_| Failure::new(FailureKind::Closed, format!("{detail}, inside the answer")));
            let response = match parsed.message {
                Message::Response(response) => Some(response),
                Message::Request(_) => None,
            };
            let last = failure.is_none().then_some(parsed.last);
            let answer = Answer { first: Some(parsed.first), last, response, failure };
            self.record_sent(lane, request, answer, now);
        } else if connection.in_flight.is_empty() && connection.served > 0 && !connection.closing {
            self.figures.note("closed-while-idle");
        }
        self.give_up(at, detail, now);
    }

    /// Closes a connection; what was sent on it and not answered goes again or fails.
    pub(super) fn give_up(&mut self, at: usize, detail: &str, now: i64) {
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let served = connection.served;
        let mut unanswered = std::mem::take(&mut connection.in_flight);
        let refusal = connection.refusal.take();
        self.close(at);
        let mut again = Vec::new();
        let mut behind = false;
        while let Some(request) = unanswered.pop_front() {
            // A kept connection may be closed by v2 at any moment, also at the one of sending. A
            // safe request of which no answer came goes again (RFC 9110 §9.2.2, RFC 9112 §9.3.2):
            // as often as v2 answered another one on the connection before, but once where it was
            // the first in line: it may be what v2 closes at.
            let blamed = request.task.blamed;
            let may_go_again = request.task.load.traits.is_safe() && refusal.is_none();
            if may_go_again && (behind || (served > 0 && !blamed)) {
                self.figures.note("sent-again");
                self.under_way -= 1;
                again.push(Task { again: true, blamed: blamed || !behind, ..request.task });
            } else {
                let answer = match &refusal {
                    Some(refusal) => refusal.clone().into(),
                    None => Answer::failed(FailureKind::Closed, detail),
                };
                self.record_sent(lane, request, answer, now);
            }
            behind = true;
        }
        for task in again.into_iter().rev() {
            self.waiting += 1;
            self.lanes.get(lane).put_back(task);
        }
        self.pump(lane, now);
    }
}
