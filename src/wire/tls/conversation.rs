//! A TLS connection as a conversation: its plaintext goes to another one, which its first bytes
//! choose, and the exchanges of that one leave with what the connection shows of itself.

use super::account::{Shown, TlsStanding};
use super::session::{Plaintext, TlsConnection};
use crate::exchange::TlsSession;
use crate::flow::{Direction, Endpoint};
use crate::time::Timestamp;
use crate::wire::conversation::{Conversation, Ending, ExchangeOut, Origin, PacketMark};
use crate::wire::setup::{Inner, Setup};

/// Reads one TLS connection and what it carries.
#[derive(Debug)]
pub(in crate::wire) struct Tls {
    session: TlsConnection,
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
    shown: TlsSession,
    early_until: Option<Timestamp>,
}

impl Carried {
    /// Lets `step` move the inner conversation on; its exchanges leave with what the session shows.
    fn drive(
        &mut self,
        out: ExchangeOut<'_>,
        step: impl FnOnce(&mut dyn Conversation, ExchangeOut<'_>),
    ) {
        let Self { inner: Some(inner), shown, early_until, .. } = self else { return };
        step(&mut **inner, &mut |mut exchange| {
            let at = exchange.request.as_ref().map(|request| request.at);
            let early = at.zip(*early_until).is_some_and(|(at, until)| at <= until);
            let carriage = exchange.carriage.get_or_insert_default();
            carriage.tls = Some(TlsSession { early, ..shown.clone() });
            out(exchange);
        });
    }
}

/// Hands plaintext to what reads it, with where its exchanges go.
struct Given<'a> {
    carried: &'a mut Carried,
    origin: Origin,
    setup: &'a Setup,
    out: ExchangeOut<'a>,
}

impl Given<'_> {
    fn begin(&mut self) {
        let Carried { begin, inner, handshake_ns, shown, .. } = &mut *self.carried;
        if inner.is_none() {
            let joined = self.origin.joined && shown.joined;
            let mut begun = begin(Origin { joined, ..self.origin }, self.setup);
            if let Some(nanos) = *handshake_ns {
                begun.set_handshake(nanos);
            }
            *inner = Some(begun);
        }
    }
}

impl Plaintext for Given<'_> {
    fn shows(&mut self, shown: Shown, early_until: Option<Timestamp>) {
        self.carried.early_until = early_until;
        self.carried.shown = TlsSession {
            version: shown.version.unwrap_or_default().to_owned(),
            suite: shown.suite.unwrap_or_default().to_owned(),
            sni: shown.sni,
            alpn: shown.alpn,
            resumed: shown.resumed,
            early: false,
            joined: shown.joined,
        };
    }

    fn bytes(&mut self, direction: Direction, text: &[u8], mark: PacketMark) {
        self.begin();
        self.carried.drive(self.out, |inner, out| inner.bytes(direction, text, mark, out));
    }

    fn gap(&mut self, direction: Direction, bytes: u64, mark: PacketMark) {
        self.begin();
        self.carried.drive(self.out, |inner, out| inner.gap(direction, bytes, mark, out));
    }

    fn close(&mut self, direction: Direction, ending: Ending) {
        self.carried.drive(self.out, |inner, out| inner.close(direction, ending, out));
    }
}

impl Tls {
    /// For a connection that begins now; `begin` starts what reads its plaintext.
    pub(in crate::wire) fn new(origin: Origin, setup: &Setup, begin: Inner) -> Self {
        let session = TlsConnection::new(setup.tls.clone(), origin.joined);
        let carried = Carried {
            begin,
            inner: None,
            handshake_ns: None,
            shown: TlsSession::default(),
            early_until: None,
        };
        let setup = Setup { in_records: true, ..setup.clone() };
        Self { session, carried, origin, setup }
    }

    /// Moves the session on, with a place for its plaintext.
    fn drive(
        &mut self,
        out: ExchangeOut<'_>,
        step: impl FnOnce(&mut TlsConnection, &mut Given<'_>),
    ) {
        let Self { session, carried, origin, setup } = self;
        step(session, &mut Given { carried, origin: *origin, setup, out });
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
            TlsStanding::Read => self.inner().map_or("tls", Conversation::protocol),
            TlsStanding::Empty => "tls",
            TlsStanding::NoKey => "tls-no-key",
            TlsStanding::Joined => "tls-joined",
            TlsStanding::WrongKey => "tls-wrong-key",
            TlsStanding::Unsupported => "tls-unsupported",
        }
    }

    fn roles(&self) -> (Endpoint, Endpoint) {
        self.inner().map_or((self.origin.client, self.origin.server), Conversation::roles)
    }

    fn held(&self) -> usize {
        self.session.held() + self.inner().map_or(0, Conversation::held)
    }

    fn relieve(&mut self, out: ExchangeOut<'_>) {
        self.session.relieve();
        self.carried.drive(out, |inner, out| inner.relieve(out));
    }

    fn waits(&self) -> bool {
        self.session.waits_for_session()
    }

    fn retry(&mut self, out: ExchangeOut<'_>) {
        self.drive(out, |session, given| session.retry(given));
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

    fn bytes(
        &mut self,
        direction: Direction,
        payload: &[u8],
        mark: PacketMark,
        out: ExchangeOut<'_>,
    ) {
        self.drive(out, |session, given| session.bytes(direction, payload, mark, given));
    }

    fn gap(&mut self, direction: Direction, n: u64, mark: PacketMark, out: ExchangeOut<'_>) {
        self.drive(out, |session, given| session.gap(direction, n, mark, given));
    }

    fn close(&mut self, direction: Direction, ending: Ending, out: ExchangeOut<'_>) {
        self.drive(out, |session, given| session.close(direction, ending, given));
    }

    fn finish(&mut self, out: ExchangeOut<'_>) {
        self.drive(out, |session, given| session.finish(given));
        self.carried.drive(out, |inner, out| inner.finish(out));
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.setup.tls.count(self.session.standing(), &self.session.shown());
    }
}
