//! What handshake messages say about keys, and which keys hold from where on.

use ring::digest;

use super::handshake::{self, kind};
use super::keylog::{Secrets, TrafficSecret};
use super::opener::{Opener, Sealing, TlsVersion};
use super::schedule::{self, Prf};
use super::secret::Secret;
use super::session::TlsConnection;
use super::side::{Epoch, KeyPhase, TlsSide};
use super::suite::{Cipher, suite};
use super::transcript::Transcript;

impl TlsConnection {
    /// A handshake message of a direction.
    pub(super) fn message(&mut self, side: usize, message: u8, body: &[u8]) {
        match message {
            kind::CLIENT_HELLO => {
                self.transcript.begin(body);
                self.client_hello(side, body);
            }
            kind::SERVER_HELLO => {
                self.transcript.message(message, body);
                self.server_hello(side, body);
            }
            kind::NEW_SESSION_TICKET if !self.is_13() => self.ticket(body),
            // Whoever resumes a session needs no certificate and no new key.
            kind::CERTIFICATE | kind::SERVER_HELLO_DONE if !self.is_13() => {
                (self.full, self.resumed) = (Some(true), false);
            }
            kind::CLIENT_KEY_EXCHANGE => {
                // A vector with its length, but in SSL 3.
                self.encrypted = body.get(2..10).unwrap_or_default().to_vec();
                self.transcript.message(message, body);
                if let Some(prf) = self.prf().filter(|_| !self.is_13()) {
                    self.transcript.end(prf);
                }
            }
            kind::END_OF_EARLY_DATA if self.sides[side].phase == KeyPhase::Early => {
                self.open_13(side, KeyPhase::Handshake, false);
            }
            kind::ENCRYPTED_EXTENSIONS if self.is_13() => {
                let said = handshake::encrypted_extensions(body);
                self.alpn = said.alpn.or(self.alpn.take());
                (self.early, self.news) = (Some(said.early), true);
                self.find_keys();
                self.changed = true;
            }
            kind::FINISHED if self.is_13() && self.sides[side].phase == KeyPhase::Handshake => {
                self.open_13(side, KeyPhase::Data, false);
            }
            kind::KEY_UPDATE if self.is_13() => self.update(side),
            _ => {}
        }
    }

    fn client_hello(&mut self, side: usize, body: &[u8]) {
        let Some(hello) = handshake::client_hello(body) else { return };
        if self.server_hello.take().is_none() {
            self.client = side;
        }
        // Of a second one after a HelloRetryRequest, the random is the same.
        self.client_hello = Some(hello);
        (self.next_keys, self.encrypted, self.issued) = (None, Vec::new(), None);
        self.changed = true;
    }

    fn server_hello(&mut self, side: usize, body: &[u8]) {
        let Some(hello) = handshake::server_hello(body) else { return };
        (self.version, self.suite) = (Some(hello.version), Some(suite(hello.suite)));
        self.changed = true;
        self.news = true;
        if hello.retry {
            self.retry = true;
            return;
        }
        if self.client_hello.is_none() {
            self.client = 1 - side;
        }
        let offered = self.client_hello.as_ref().map(|hello| hello.session.as_slice());
        let same = !hello.session.is_empty() && offered == Some(&hello.session);
        (self.full, self.resumed) = (None, if self.is_13() { hello.psk } else { same });
        self.alpn = hello.alpn.clone().or(self.alpn.take());
        self.server_hello = Some(hello);
        if self.is_13() {
            self.transcript = Transcript::default();
            self.sides.iter_mut().for_each(TlsSide::wait);
        }
        self.find_keys();
        if self.is_13() && self.client_hello.is_none() {
            self.sides.iter_mut().for_each(TlsSide::hunt);
            self.retry_other = true;
        }
    }

    /// Remembers what resumes this session.
    fn ticket(&mut self, body: &[u8]) {
        self.issued = handshake::ticket(body).map(ticket_name);
        if let (Some(ticket), Some(master)) = (&self.issued, self.master()) {
            self.shared.ring().learn(ticket.clone(), master);
        }
    }

    /// What follows in a direction is under the keys that were agreed: a ChangeCipherSpec of TLS
    /// 1.2 and before.
    pub(super) fn start_epoch(&mut self, side: usize) {
        if self.is_13() {
            return;
        }
        if self.full.is_none() && self.server_hello.is_some() {
            // With a ticket, no session's id need say so (RFC 5077 §3.4).
            (self.full, self.resumed, self.news) = (Some(false), true, true);
        }
        self.sides[side].wait();
        self.find_keys();
    }

    /// Looks for the keys that directions wait for.
    pub(super) fn find_keys(&mut self) {
        let Some(suite) = self.suite else { return };
        let (Some(version), Some(cipher)) = (self.version, suite.cipher) else { return };
        if version == TlsVersion::Ssl3 {
            return;
        }
        if version < TlsVersion::Tls13 {
            return self.find_old_keys(version, cipher);
        }
        let Some(secrets) = self.secrets() else { return };
        self.find_server_key(&secrets);
        self.find_client_key(&secrets);
    }

    /// The secrets of this connection's client random.
    pub(super) fn secrets(&self) -> Option<Secrets> {
        self.shared.ring().of_random(&self.client_hello.as_ref()?.random)
    }

    fn find_server_key(&mut self, secrets: &Secrets) {
        let server = 1 - self.client;
        if self.sides[server].phase != KeyPhase::Wait {
            return;
        }
        let has = |traffic| secrets.traffic(traffic).is_some();
        if has(TrafficSecret::ServerHandshake) {
            self.open_13(server, KeyPhase::Handshake, false);
        } else if has(TrafficSecret::Server) {
            // Its handshake is passed over, so nothing will tell whether it took the early data.
            self.early = self.early.or(Some(has(TrafficSecret::ClientEarly)));
            self.open_13(server, KeyPhase::Data, true);
        }
    }

    fn find_client_key(&mut self, secrets: &Secrets) {
        let client = self.client;
        if self.sides[client].phase != KeyPhase::Wait {
            return;
        }
        let offered = self.client_hello.as_ref().is_some_and(|hello| hello.early) && !self.retry;
        let has = |traffic| secrets.traffic(traffic).is_some();
        match self.early {
            // The server says whether it takes the early data.
            None if offered => {}
            Some(true) if offered && has(TrafficSecret::ClientEarly) => {
                self.open_13(client, KeyPhase::Early, false)
            }
            _ if has(TrafficSecret::ClientHandshake) => {
                self.open_13(client, KeyPhase::Handshake, offered)
            }
            _ if has(TrafficSecret::Client) => self.open_13(client, KeyPhase::Data, true),
            _ => {}
        }
    }

    /// The use of the secret that a direction has in a phase of TLS 1.3.
    pub(super) fn traffic(&self, side: usize, phase: KeyPhase) -> TrafficSecret {
        match (phase, side == self.client) {
            (KeyPhase::Early, _) => TrafficSecret::ClientEarly,
            (KeyPhase::Handshake, true) => TrafficSecret::ClientHandshake,
            (KeyPhase::Handshake, false) => TrafficSecret::ServerHandshake,
            (_, true) => TrafficSecret::Client,
            (_, false) => TrafficSecret::Server,
        }
    }

    /// Starts a phase of TLS 1.3 in a direction, or lets it wait for its secret.
    fn open_13(&mut self, side: usize, phase: KeyPhase, tentative: bool) {
        let traffic = self.traffic(side, phase);
        let secret = self.secrets().and_then(|secrets| secrets.traffic(traffic).copied());
        match secret.and_then(|secret| self.epoch_13(secret)) {
            Some(epoch) => self.sides[side].start(phase, Epoch { tentative, ..epoch }),
            None => {
                // Whatever the secret that comes, what is sealed with the one before is over.
                self.sides[side].wait();
            }
        }
        self.changed = true;
    }

    /// Keys of a traffic secret, under the suite that was chosen.
    pub(super) fn epoch_13(&self, secret: Secret) -> Option<Epoch> {
        let suite = self.suite?;
        epoch_of(suite.hash, suite.cipher?, secret)
    }

    /// The next generation of a direction's keys.
    fn update(&mut self, side: usize) {
        let hash = self.suite.map(|suite| suite.hash);
        let state = &self.sides[side];
        let secret = state.epoch.as_ref().and_then(|epoch| epoch.secret);
        let next = hash
            .zip(secret)
            .and_then(|(hash, secret)| self.epoch_13(schedule::next_generation(hash, &secret)?));
        if let (KeyPhase::Data, Some(epoch)) = (state.phase, next) {
            self.sides[side].start(KeyPhase::Data, epoch);
        }
    }

    fn prf(&self) -> Option<Prf> {
        Some(match self.version? {
            TlsVersion::Tls12 => Prf::Of(self.suite?.hash),
            _ => Prf::Split,
        })
    }

    /// The master secret of TLS 1.2 and before: by the client's random, by the session that is
    /// resumed or begun, or by the premaster secret.
    fn master(&self) -> Option<Secret> {
        let (client, server) = (self.client_hello.as_ref()?, self.server_hello.as_ref()?);
        let ring = self.shared.ring();
        let secrets = ring.of_random(&client.random).unwrap_or_default();
        let of_session = || ring.of_session(&server.session).filter(|_| !server.session.is_empty());
        let of_ticket = || {
            let resumes = self.resumed && !client.ticket.is_empty();
            if resumes { ring.of_session(&ticket_name(&client.ticket)) } else { None }
        };
        let of_premaster = || {
            let premaster = secrets.premaster.or_else(|| ring.of_premaster(&self.encrypted))?;
            let (prf, bytes) = (self.prf()?, premaster.bytes());
            Secret::new(&if server.extended_master {
                schedule::extended_master(prf, bytes, self.transcript.hash()?)
            } else {
                schedule::master(prf, bytes, &client.random, &server.random)
            })
        };
        secrets.master.or_else(of_session).or_else(of_ticket).or_else(of_premaster)
    }

    fn find_old_keys(&mut self, version: TlsVersion, cipher: Cipher) {
        if self.next_keys.is_none() {
            self.next_keys = self.derive(cipher);
        }
        let (Some(keys), Some(server)) = (&self.next_keys, &self.server_hello) else { return };
        let sealing = Sealing { version, cipher, encrypt_then_mac: server.encrypt_then_mac };
        for (side, state) in self.sides.iter_mut().enumerate() {
            let keys = &keys[usize::from(side != self.client)];
            if let (KeyPhase::Wait, Some(opener)) = (state.phase, Opener::new(sealing, keys)) {
                let keys = keys.clone();
                state.start(KeyPhase::Data, Epoch { opener, keys, secret: None, tentative: false });
                self.changed = true;
            }
        }
    }

    /// Keys of both directions, client first.
    fn derive(&self, cipher: Cipher) -> Option<[schedule::DirectionKeys; 2]> {
        let (client, server) = (self.client_hello.as_ref()?, self.server_hello.as_ref()?);
        let (master, prf) = (self.master()?, self.prf()?);
        if !server.session.is_empty() {
            self.shared.ring().learn(server.session.clone(), master);
        }
        if let Some(ticket) = &self.issued {
            self.shared.ring().learn(ticket.clone(), master);
        }
        let (client, server) = (&client.random, &server.random);
        Some(schedule::key_block(prf, cipher, master.bytes(), client, server))
    }
}

/// Keys of a traffic secret.
pub(super) fn epoch_of(hash: super::suite::Hash, cipher: Cipher, secret: Secret) -> Option<Epoch> {
    if secret.bytes().len() != hash.length() {
        return None;
    }
    let keys = schedule::of_traffic(hash, cipher, &secret);
    let sealing = Sealing { version: TlsVersion::Tls13, cipher, encrypt_then_mac: false };
    let opener = Opener::new(sealing, &keys)?;
    Some(Epoch { opener, keys, secret: Some(secret), tentative: false })
}

/// What a ticket is known by.
fn ticket_name(ticket: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, ticket).as_ref().to_vec()
}
