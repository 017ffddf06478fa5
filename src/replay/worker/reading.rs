//! Reading: bytes become answers, and a connection's end becomes what it means for the requests on
//! it.

use std::io;

use super::super::task::Task;
use super::opening::{NOT_ONE, NOT_TWO};
use super::{Answer, Failure, FailureKind, READ_AT_ONCE, Worker};
use crate::replay::session::Spoken;
use crate::replay::session::{Heard, InFlight, tls};
use crate::wire::h1::parser::Ending;
use crate::wire::h2::frame::begins_with_settings;

const SPOKE_FIRST: &str = "v2 spoke before it was asked";

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
        let connection = self.connections.get(at);
        connection.speaks_two |= connection.spoken == Spoken::One
            && connection.session.served() == 0
            && begins_with_settings(input);
        while let Some(heard) = self.connections.get(at).session.hear(&mut input, now) {
            self.heard(at, heard, now);
            if !self.connections.holds(at, generation) {
                return;
            }
        }
        self.rearm(at, generation);
    }

    fn heard(&mut self, at: usize, heard: Heard, now: i64) {
        let lane = self.connections.get(at).lane;
        match heard {
            Heard::Answer { request, answer, early } => {
                if early {
                    self.figures.note("early-answers");
                }
                self.record_sent(lane, request, answer, now);
                self.answered(at, now);
            }
            Heard::Refused { requests, times } => {
                self.refused(lane, requests, times, now);
                self.pump(lane, now);
            }
            Heard::SpeaksOne => self.speaks_one(at, now),
            Heard::Go => self.write(at),
            Heard::Unasked(note) => self.unasked(at, note, now),
            Heard::Garbage(what) => self.garbage(at, &what, now),
        }
    }

    /// A request has its answer: the connection ends where it carries no further one, and the lane
    /// goes on.
    fn answered(&mut self, at: usize, now: i64) {
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let ends = connection.session.is_closing() && !connection.is_writing();
        if ends && (connection.is_idle() || !connection.session.is_shared()) {
            // Requests behind it on this connection get no answer any more.
            return self.lost(at, Ending::Closed, "v2 closed after the answer before");
        }
        self.pump(lane, now);
    }

    /// v2 did not look at these (RFC 9113 §8.7): they go again, whatever they do, but not for ever.
    fn refused(&mut self, lane: usize, requests: Vec<InFlight>, times: u8, now: i64) {
        for request in requests.into_iter().rev() {
            let Task { again, blamed, .. } = request.task;
            if u8::from(again) + u8::from(again && blamed) >= times {
                let detail = "v2 refused it each time it was sent, without a look at it";
                self.record_sent(lane, request, Answer::failed(FailureKind::Closed, detail), now);
            } else {
                let task = Task { blamed: again, ..request.task };
                self.again(lane, InFlight { task, ..request });
            }
        }
    }

    /// v2 answers in HTTP/1 to HTTP/2: its requests go in HTTP/1 where that is allowed, else they
    /// fail.
    fn speaks_one(&mut self, at: usize, now: i64) {
        let connection = self.connections.get(at);
        let (lane, upstream) = (connection.lane, connection.upstream);
        if !self.shared.downgrade(upstream) {
            if self.connections.get(at).is_idle() {
                self.fail_front(lane, Failure::new(FailureKind::Protocol, NOT_TWO), now);
            }
            return self.garbage(at, NOT_TWO, now);
        }
        self.figures.note("downgraded-to-http-1");
        let requests = self.connections.get(at).session.take_unanswered();
        self.close(at);
        requests.into_iter().rev().for_each(|request| self.again(lane, request));
        self.pump(lane, now);
    }

    /// A request that was sent waits to be sent again.
    fn again(&mut self, lane: usize, request: InFlight) {
        self.figures.note("sent-again");
        self.under_way -= 1;
        self.waiting += 1;
        self.lanes.get(lane).put_back(Task { again: true, ..request.task });
    }

    /// v2 said something while no request was under way. Where it did so before any was, it would
    /// answer each request before it was asked: the lane's next one fails for it.
    fn unasked(&mut self, at: usize, note: &'static str, now: i64) {
        self.figures.note(note);
        let connection = self.connections.get(at);
        let (lane, upstream) = (connection.lane, usize::from(connection.upstream));
        if connection.session.served() == 0 {
            let why = if connection.speaks_two { NOT_ONE } else { SPOKE_FIRST };
            self.lanes.get(lane).accused = Some(why);
            self.speaks_first[upstream] = true;
        }
        self.close(at);
        self.pump(lane, now);
    }

    /// What came is no answer, or never becomes one.
    fn garbage(&mut self, at: usize, what: &str, now: i64) {
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let what = if connection.speaks_two { NOT_ONE } else { what };
        let blamed = connection.session.blamed();
        if blamed.is_empty() && !connection.session.is_shared() {
            return self.unasked(at, "unexpected-bytes", now);
        }
        for request in blamed {
            let answer = Answer { first: Some(now), ..Answer::failed(FailureKind::Protocol, what) };
            self.record_sent(lane, request, answer, now);
        }
        self.give_up(at, "v2 sent something else than HTTP before", now);
    }

    /// The connection ended.
    pub(super) fn lost(&mut self, at: usize, ending: Ending, detail: &str) {
        let now = self.now();
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let ended = connection.session.end(ending, detail);
        let session = &connection.session;
        if ended.is_empty()
            && session.under_way() == 0
            && session.served() > 0
            && !session.is_closing()
        {
            self.figures.note("closed-while-idle");
        }
        for (request, answer) in ended {
            self.record_sent(lane, request, answer, now);
        }
        self.give_up(at, detail, now);
    }

    /// Closes a connection; what was sent on it and not answered goes again or fails.
    pub(super) fn give_up(&mut self, at: usize, detail: &str, now: i64) {
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let served = connection.session.served();
        let mut unanswered = connection.session.take_unanswered();
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
                let task = Task { blamed: blamed || !behind, ..request.task };
                again.push(InFlight { task, ..request });
            } else {
                let answer = match &refusal {
                    Some(refusal) => refusal.clone().into(),
                    None => Answer::failed(FailureKind::Closed, detail),
                };
                self.record_sent(lane, request, answer, now);
            }
            behind = true;
        }
        again.into_iter().rev().for_each(|request| self.again(lane, request));
        self.pump(lane, now);
    }
}
