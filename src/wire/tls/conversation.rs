//! A TLS connection as a conversation: its plaintext goes to another one, which its first bytes
//! choose, and the exchanges of that one leave with what the connection shows of itself.

use super::account::Standing;
use super::session::{Plaintext, Session};
use crate::flow::{Direction, Endpoint};
use crate::wire::conversation::{Conversation, Ending, Mark, Origin, Out};
use crate::wire::setup::{Inner, Setup};

/// Reads one TLS connection and what it carries.
#[derive(Debug)]
pub(in crate::wire) struct Tls {
    session: Session,
    carried: Carried,
    origin: Origin,
    setup: Setup,
}

/// What the plaintext goes to.
#[derive(Debug)]
struct Carried {
    begin: Inner,
    inner: Option<Box<dyn Conversation>>,
    handshake_ns: Option<i64>,
}

/// Hands plaintext to what reads it, with where its exchanges go.
struct Given<'a> {
    carried: &'a mut Carried,
    origin: Origin,
    setup: &'a Setup,
    out: Out<'a>,
}

impl Given<'_> {
    fn inner(&mut self) -> (&mut dyn Conversation, Out<'_>) {
        let Carried { begin, inner, handshake_ns } = &mut *self.carried;
        let inner = inner.get_or_insert_with(|| {
            let mut inner = begin(self.origin, self.setup);
            if let Some(nanos) = *handshake_ns {
                inner.set_handshake(nanos);
            }
            inner
        });
        (&mut **inner, &mut *self.out)
    }
}

impl Plaintext for Given<'_> {
    fn bytes(&mut self, direction: Direction, text: &[u8], mark: Mark) {
        let (inner, out) = self.inner();
        inner.bytes(direction, text, mark, out);
    }

    fn gap(&mut self, direction: Direction, bytes: u64, mark: Mark) {
        let (inner, out) = self.inner();
        inner.gap(direction, bytes, mark, out);
    }

    fn close(&mut self, direction: Direction, ending: Ending) {
        if self.carried.inner.is_some() {
            let (inner, out) = self.inner();
            inner.close(direction, ending, out);
        }
    }
}

impl Tls {
    /// For a connection that begins now; `begin` starts what reads its plaintext.
    pub(in crate::wire) fn new(origin: Origin, setup: &Setup, begin: Inner) -> Self {
        let session = Session::new(setup.tls.clone(), origin.joined);
        let carried = Carried { begin, inner: None, handshake_ns: None };
        Self { session, carried, origin, setup: setup.clone() }
    }

    /// Moves the session on, with a place for its plaintext.
    fn drive(&mut self, out: Out<'_>, step: impl FnOnce(&mut Session, &mut Given<'_>)) {
        let Self { session, carried, origin, setup } = self;
        let origin = Origin { joined: origin.joined && !session.is_whole(), ..*origin };
        let mut given = Given { carried, origin, setup, out };
        step(session, &mut given);
    }

    fn inner(&self) -> Option<&dyn Conversation> {
        self.carried.inner.as_deref()
    }
}

impl Conversation for Tls {
    fn set_handshake(&mut self, nanos: i64) {
        self.carried.handshake_ns = Some(nanos);
        if let Some(inner) = &mut self.carried.inner {
            inner.set_handshake(nanos);
        }
    }

    fn wants(&self, direction: Direction) -> bool {
        self.session.wants() && self.inner().is_none_or(|inner| inner.wants(direction))
    }

    fn protocol(&self) -> &'static str {
        match self.session.standing() {
            Standing::Read => self.inner().map_or("tls", Conversation::protocol),
            Standing::Empty => "tls",
            Standing::NoKey => "tls-no-key",
            Standing::Joined => "tls-joined",
            Standing::WrongKey => "tls-wrong-key",
            Standing::Unsupported => "tls-unsupported",
        }
    }

    fn roles(&self) -> (Endpoint, Endpoint) {
        self.inner().map_or((self.origin.client, self.origin.server), Conversation::roles)
    }

    fn held(&self) -> usize {
        self.session.held() + self.inner().map_or(0, Conversation::held)
    }

    fn relieve(&mut self, out: Out<'_>) {
        self.session.relieve();
        if let Some(inner) = &mut self.carried.inner {
            inner.relieve(out);
        }
    }

    fn under_way(&self) -> u64 {
        self.inner().map_or(0, Conversation::under_way)
    }

    fn skipped(&self) -> u64 {
        self.inner().map_or(0, Conversation::skipped)
    }

    fn unkept_interim(&self) -> u64 {
        self.inner().map_or(0, Conversation::unkept_interim)
    }

    fn tunnelled(&self) -> u64 {
        self.inner().map_or(0, Conversation::tunnelled)
    }

    fn bytes(&mut self, direction: Direction, payload: &[u8], mark: Mark, out: Out<'_>) {
        self.drive(out, |session, given| session.bytes(direction, payload, mark, given));
    }

    fn gap(&mut self, direction: Direction, n: u64, mark: Mark, out: Out<'_>) {
        self.drive(out, |session, given| session.gap(direction, n, mark, given));
    }

    fn close(&mut self, direction: Direction, ending: Ending, out: Out<'_>) {
        self.drive(out, |session, given| session.close(direction, ending, given));
    }

    fn finish(&mut self, out: Out<'_>) {
        self.drive(out, |session, given| session.finish(given));
        if let Some(inner) = &mut self.carried.inner {
            inner.finish(out);
        }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.setup.tls.count(self.session.standing(), &self.session.shown());
    }
}
