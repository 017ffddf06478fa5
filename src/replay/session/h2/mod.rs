//! HTTP/2 on a connection (RFC 9113): streams under way, frames out and in, flow control both ways.
//!
//! Fields go out exactly as they were recorded, in their order, with the marks of those that must
//! never be indexed; none goes into the dynamic table, so that a block depends on nothing before
//! it. Whatever v2 sends is bounded: a connection that breaks the protocol, or says much and
//! nothing, is given up with the reason.

mod heard;
mod out;
pub(in crate::replay) mod rules;
mod stream;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;

use self::heard::Incoming;
use self::out::StreamOut;
use self::rules::H2Rules;
pub use self::rules::Windows;
use self::stream::BegunStream;
use self::streams::{CANCEL, Core};
use crate::outcome::{Failure, FailureKind};
use crate::replay::plan::spool::Spool;
use crate::replay::session::socket::Socket;
use crate::replay::session::{GoesOn, Heard, InFlight, Late, Session, Written};
use crate::replay::task::Answer;
use crate::wire::h1::parser::Ending;
use crate::wire::h2::frame;

/// HTTP/2 on a connection.
pub(in crate::replay) struct Two {
    incoming: Incoming,
    core: Core,
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
        Self { incoming: Incoming::new(rules.frame), core: Core::new(rules, out) }
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

    fn barred(&self) -> Option<&'static str> {
        let core = &self.core;
        let is_barred = !core.closing && core.streams.is_empty() && !core.has_room();
        let allows_none = core.peer.streams == 0;
        is_barred.then_some(if allows_none { "v2 allows no streams" } else { "v2 reads nothing" })
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
