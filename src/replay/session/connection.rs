//! A connection of a worker: its socket, how far it is, and the session that speaks on it. It
//! belongs to one lane: connection reuse is the captured client's, and there is no connection pool.

use crate::outcome::Failure;
use crate::replay::session::socket::Socket;
use crate::replay::session::{Session, Spoken};

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) enum Phase {
    Connecting,
    Handshaking,
    Open,
}

/// A connection.
pub(in crate::replay) struct TargetConnection {
    pub(in crate::replay) lane: usize,
    pub(in crate::replay) upstream: u16,
    pub(in crate::replay) phase: Phase,
    pub(in crate::replay) socket: Socket,
    pub(in crate::replay) session: Box<dyn Session>,
    pub(in crate::replay) spoken: Spoken,
    /// When it was asked for, and when it was ready.
    pub(in crate::replay) started: i64,
    pub(in crate::replay) ready: i64,
    /// The first request on it tells how long it took to open.
    pub(in crate::replay) connect_ns: Option<i64>,
    /// Why the TLS session was refused, where it was after the handshake.
    pub(in crate::replay) refusal: Option<Failure>,
    /// Not used before: v2 may say something that nobody asked for.
    pub(in crate::replay) listens_until: i64,
    /// When the earliest of its timers wakes the worker; [`i64::MAX`] where it has none.
    pub(in crate::replay) armed: i64,
    /// It waits for its turn to be read on; `true`: to its end, as the peer has closed.
    pub(in crate::replay) unread: Option<bool>,
    /// What came first on it is of HTTP/2, where HTTP/1 is spoken.
    pub(in crate::replay) speaks_two: bool,
    /// Writing on it failed: it is over once all that came is read.
    pub(in crate::replay) broken: Option<String>,
}

impl TargetConnection {
    pub(in crate::replay) fn new(
        lane: usize,
        upstream: u16,
        socket: Socket,
        (spoken, session): (Spoken, Box<dyn Session>),
        started: i64,
    ) -> Self {
        Self {
            lane,
            upstream,
            phase: Phase::Connecting,
            socket,
            session,
            spoken,
            started,
            ready: i64::MIN,
            connect_ns: None,
            refusal: None,
            listens_until: i64::MIN,
            armed: i64::MAX,
            unread: None,
            speaks_two: false,
            broken: None,
        }
    }

    /// Whether something is still to be written.
    pub(in crate::replay) fn is_writing(&self) -> bool {
        self.session.is_writing() || (self.socket.is_tls() && self.socket.wants_write())
    }

    /// Whether no request is under way on it.
    pub(in crate::replay) fn is_idle(&self) -> bool {
        self.session.under_way() == 0
    }
}
