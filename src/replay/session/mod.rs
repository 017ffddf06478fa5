//! Connections to v2: sockets and TLS, the sessions that speak on them, the negotiating client, and
//! what is asked of a target before the first request.
//!
//! A [`Session`] is one protocol on one connection. It is given bytes and times, and says what
//! became of its requests; it knows no lane, no clock and no poll.

pub mod client;
pub(super) mod connection;
pub mod forward;
pub(super) mod h1;
pub mod h2;
pub mod probe;
pub mod ready;
pub(super) mod seat;
pub(super) mod socket;
pub(super) mod sources;
pub mod target;
pub mod tls;
mod websocket;

use std::collections::VecDeque;
use std::io;

use crate::replay::plan::spool::Spool;
use crate::replay::session::socket::Socket;
pub use crate::replay::spoken::Spoken;
use crate::replay::task::{Answer, Task};
use crate::wire::h1::parser::Ending;

/// A request that was sent and is not answered.
pub(in crate::replay) struct InFlight {
    pub(in crate::replay) task: Task,
    pub(in crate::replay) sent: i64,
    pub(in crate::replay) waited: i64,
    pub(in crate::replay) connect_ns: Option<i64>,
    /// When it is given up where its answer is not whole.
    pub(in crate::replay) until: i64,
    /// For how long its content waited for v2's windows.
    pub(in crate::replay) held_ns: i64,
}

impl InFlight {
    /// When to leave the answer, where v1's client had left v1's: not before the head has come that
    /// it had. `headed`: some of it has.
    pub(in crate::replay) fn leaves_at(&self, headed: bool) -> Option<i64> {
        let load = &self.task.load;
        let reads = load.reads_ns().filter(|_| headed || !load.had_head())?;
        Some(self.sent.saturating_add(reads))
    }
}

/// How writing went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) enum Written {
    /// All of it, or all that may go for now.
    All,
    /// The socket takes no more now.
    Blocked,
}

/// What v2 said.
pub(in crate::replay) enum Heard {
    /// A request has its answer, or has come to the want of one. `early`: before it was sent whole.
    Answer { request: InFlight, answer: Answer, early: bool },
    /// v2 did not look at them: they go again, if they did not go so many times before.
    Refused { requests: Vec<InFlight>, times: u8 },
    /// v2 speaks HTTP/1 where HTTP/2 was spoken to it.
    SpeaksOne,
    /// There may be more to write now.
    Go,
    /// Something that no request asked for; by the name of its note.
    Unasked(&'static str),
    /// What is no answer, and never becomes one: the connection is of no use.
    Garbage(String),
}

/// What the time does to a request.
pub(in crate::replay) enum Late {
    /// Nothing.
    None,
    /// v2 took too long.
    TimedOut(InFlight, Answer),
    /// v1's client had left by then: what came is the answer.
    Left(InFlight, Answer),
    /// Nothing is under way, and v2 takes no more of what it answered early.
    Stuck,
}

/// What the time does to a body that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) enum GoesOn {
    /// It waits on, or none does.
    No,
    /// A piece of it is due.
    Piece,
    /// Its `100 Continue` did not come in time, and it goes without (RFC 9110 §10.1.1).
    Without100,
}

/// One protocol on one connection.
pub(in crate::replay) trait Session: Send {
    /// How many requests were sent and have no answer.
    fn under_way(&self) -> usize;

    /// How many answers came.
    fn served(&self) -> u32;

    /// Several requests are under way at a time, each by itself (HTTP/2); where not, one is written
    /// behind the other, and nothing follows one that was given up.
    fn is_shared(&self) -> bool;

    /// Whether another request can begin once nothing else is being written.
    fn has_room(&self) -> bool;

    /// Since when it has room, where v2's own bounds had kept requests from it.
    fn room_since(&self) -> i64;

    /// Why no request can begin though none is under way, whose end would make room.
    fn barred(&self) -> Option<&'static str> {
        None
    }

    /// It takes no further request, ever.
    fn is_closing(&self) -> bool;

    /// No further request shall go on it, and of what is being written nothing more.
    fn drop_rest(&mut self);

    /// Begins a request; [`Self::write`] does the work.
    fn begin(&mut self, request: InFlight);

    /// Whether something could be written that is not.
    fn is_writing(&self) -> bool;

    /// Writes as much as goes. `more`: the next request follows at once, and they may share a
    /// packet, as they did where the client sent both before it had an answer.
    fn write(
        &mut self,
        socket: &mut Socket,
        spool: &Spool,
        more: bool,
        now: i64,
    ) -> io::Result<Written>;

    /// Takes bytes from the front of `input`, up to the next thing that v2 said.
    fn hear(&mut self, input: &mut &[u8], now: i64) -> Option<Heard>;

    /// Whether the time lets more be written.
    fn goes_on(&mut self, now: i64) -> GoesOn;

    /// When the time changes something for a request, [`i64::MAX`] for never.
    fn wakes_at(&self) -> i64;

    /// What the time did to one request: asked until it is nothing.
    fn wake(&mut self, now: i64) -> Late;

    /// The requests that fail where v2 sends what is no answer.
    fn blamed(&mut self) -> Vec<InFlight>;

    /// The connection ended: the requests whose answers had begun, and what they came to.
    fn end(&mut self, ending: Ending, detail: &str) -> Vec<(InFlight, Answer)>;

    /// All requests that have no answer, in the order in which they were sent.
    fn take_unanswered(&mut self) -> VecDeque<InFlight>;
}
