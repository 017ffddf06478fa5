//! Finds the next record behind a loss, and keys and numbers of a connection that the capture
//! joined in the middle. Nothing is assumed: a record counts where a key opens it under a number.
//!
//! AES-GCM of TLS 1.3 needs no trial of numbers: the tag is the hash of the ciphertext, hidden by
//! the encrypted nonce, so decrypting that block tells the nonce, and with it the number. The other
//! ciphers are tried number by number, within bounds that count guesses and know no clock.

use std::ops::Range;

use super::keylog::{ClientRandom, Secrets, TrafficSecret};
use super::keys::epoch_of;
use super::opener::{HEADER, Opener, Sealing, TlsVersion};
use super::schedule;
use super::secret::Secret;
use super::session::{Plaintext, TlsConnection};
use super::side::{Cut, Epoch, HeldPiece, KeyPhase, Lost, content, record_length};
use super::suite::{Cipher, Hash, OF_13, Suite, suite};
use crate::limits;
use crate::wire::PacketMark;

/// A record that was found behind a loss.
struct FoundRecord {
    /// The key that opened it, where it is another one than before.
    epoch: Option<Epoch>,
    phase: KeyPhase,
    number: u64,
}

/// Generations of keys that a loss or a join may have passed over.
const GENERATIONS: usize = 3;
/// Records of a joined direction that all keys are tried on before it waits for more keys.
const TRIES: u32 = 4;
/// Connections of a key log that are tried on a joined one, the newest.
const CONNECTIONS: usize = 4096;
/// Fewest bytes that a record of TLS 1.3 with data takes.
const SMALLEST: u64 = 22;

/// One way through the keys of a log, cheap ones first.
struct KeyRound {
    /// Which ciphers.
    of: fn(&Cipher) -> bool,
    numbers: Range<u64>,
    /// Generations behind the first one; with them also the keys of the handshake.
    generations: usize,
    /// Connections of the log, the newest.
    connections: usize,
    /// As the end that it seems to be, or as both.
    roles: usize,
}

const ROUNDS: [KeyRound; 5] = [
    // A record of AES-GCM tells its number.
    KeyRound { of: is_gcm, numbers: 0..1, generations: 0, connections: CONNECTIONS, roles: 2 },
    KeyRound { of: is_gcm, numbers: 0..1, generations: GENERATIONS, connections: 256, roles: 2 },
    KeyRound {
        of: is_tried,
        numbers: 0..1 << 12,
        generations: GENERATIONS,
        connections: 16,
        roles: 2,
    },
    KeyRound { of: is_tried, numbers: 0..1 << 16, generations: 0, connections: 16, roles: 2 },
    KeyRound {
        of: is_chacha,
        numbers: 1 << 16..limits::TLS_NUMBERS,
        generations: 0,
        connections: 4,
        roles: 1,
    },
];

const fn is_gcm(cipher: &Cipher) -> bool {
    matches!(cipher, Cipher::Gcm(_))
}

const fn is_tried(cipher: &Cipher) -> bool {
    !is_gcm(cipher)
}

const fn is_chacha(cipher: &Cipher) -> bool {
    matches!(cipher, Cipher::ChaCha20)
}

impl TlsConnection {
    /// Goes on searching in a direction, once bytes were added.
    pub(super) fn search(
        &mut self,
        side: usize,
        order: u64,
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        self.search_until(side, order, mark, false, out);
    }

    /// Searches what is left of a direction to which nothing is added.
    pub(super) fn search_to_the_end(&mut self, side: usize, out: &mut impl Plaintext) {
        if let Cut::Lost(lost) = &self.sides[side].cut {
            let mark = lost.mark;
            self.search_until(side, 0, mark, true, out);
        }
    }

    /// Lets directions search again that had no key that fits.
    pub(super) fn unstick(&mut self, out: &mut impl Plaintext) {
        for side in 0..self.sides.len() {
            let Cut::Lost(lost) = &mut self.sides[side].cut else { continue };
            if std::mem::take(&mut lost.stuck) {
                lost.tries = 0;
                let mark = lost.mark;
                self.search(side, 0, mark, out);
            }
        }
    }

    fn search_until(
        &mut self,
        side: usize,
        order: u64,
        mark: PacketMark,
        last: bool,
        out: &mut impl Plaintext,
    ) {
        loop {
            let state = &mut self.sides[side];
            let Cut::Lost(lost) = &mut state.cut else { return };
            lost.mark = mark;
            if lost.stuck {
                return;
            }
            let Some((at, length)) = next_header(&state.buffer, lost.scan) else {
                let kept = state.buffer.len().min(HEADER - 1 + 16);
                let passed = state.buffer.len() - kept;
                state.buffer.drain(..passed);
                lost.bytes += passed as u64;
                lost.scan = kept.saturating_sub(HEADER - 1);
                return;
            };
            lost.scan = at;
            if at + length > state.buffer.len() {
                if !last {
                    return;
                }
                lost.scan += 1;
            } else if let Some(found) = self.prove(side, at..at + length) {
                return self.found(side, at..at + length, found, order, mark, out);
            } else {
                self.pass_over(side);
            }
        }
    }

    /// No key opens the record that stands where the search is.
    fn pass_over(&mut self, side: usize) {
        let waits = self.sides[side].phase < KeyPhase::Handshake;
        let Cut::Lost(lost) = &mut self.sides[side].cut else { return };
        lost.tries += 1;
        if waits && lost.tries >= TRIES {
            (lost.stuck, lost.tries) = (true, 0);
        } else {
            lost.scan += 1;
        }
    }

    /// Opens a record of the buffer under any key that may hold there.
    fn prove(&mut self, side: usize, range: Range<usize>) -> Option<FoundRecord> {
        let state = &mut self.sides[side];
        let record = state.buffer[range.clone()].to_vec();
        let phase = state.phase;
        if phase == KeyPhase::Clear && is_clear(&record) {
            return Some(FoundRecord { epoch: None, phase, number: 0 });
        }
        let Cut::Lost(Lost { bytes, joined, .. }) = state.cut else { return None };
        let most = ((bytes + range.start as u64) / SMALLEST + 2).min(limits::TLS_NUMBERS);
        let before = state.number;
        if let Some(mut epoch) = state.epoch.take() {
            epoch.opener.set_vector(&state.buffer[..range.start]);
            let found = self.open_as(&mut epoch, phase, before..before + most, &record);
            self.sides[side].epoch = Some(epoch);
            if let Some(found) = found {
                return Some(found);
            }
        }
        if let Some((version, keys)) = self.version.zip(self.next_keys.as_ref()) {
            let keys = keys[usize::from(side != self.client)].clone();
            return self.prove_old(version, keys, most, &record);
        }
        match self.secrets().zip(self.suite) {
            Some((secrets, suite)) if !joined => {
                self.prove_later(side, &secrets, suite, most, &record)
            }
            _ => self.prove_joined(side, &record),
        }
    }

    /// Under the keys of TLS 1.2 and before, whose start was lost.
    fn prove_old(
        &mut self,
        version: TlsVersion,
        keys: schedule::DirectionKeys,
        numbers: u64,
        record: &[u8],
    ) -> Option<FoundRecord> {
        let cipher = self.suite?.cipher?;
        let encrypt_then_mac = self.server_hello.as_ref()?.encrypt_then_mac;
        let sealing = Sealing { version, cipher, encrypt_then_mac };
        let opener = Opener::new(sealing, &keys)?;
        let epoch = Epoch { opener, keys, secret: None, tentative: false };
        self.open_under(epoch, KeyPhase::Data, 0..numbers, record)
    }

    /// Under the keys of TLS 1.3 that come behind the one that holds.
    fn prove_later(
        &mut self,
        side: usize,
        secrets: &Secrets,
        suite: Suite,
        numbers: u64,
        record: &[u8],
    ) -> Option<FoundRecord> {
        let (cipher, phase) = (suite.cipher?, self.sides[side].phase);
        let current = self.sides[side].epoch.as_ref().and_then(|epoch| epoch.secret);
        let first = match current.filter(|_| phase == KeyPhase::Data) {
            Some(secret) => schedule::next_generation(suite.hash, &secret),
            None => {
                let handshake = secrets.traffic(self.traffic(side, KeyPhase::Handshake)).copied();
                let epoch = handshake.and_then(|secret| epoch_of(suite.hash, cipher, secret));
                let found = epoch.and_then(|epoch| {
                    self.open_under(epoch, KeyPhase::Handshake, 0..numbers, record)
                });
                if found.is_some() {
                    return found;
                }
                secrets.traffic(self.traffic(side, KeyPhase::Data)).copied()
            }
        };
        self.prove_generations(first?, (suite.hash, cipher), GENERATIONS, 0..numbers, record)
    }

    /// Under a traffic secret and those that follow it.
    fn prove_generations(
        &mut self,
        first: Secret,
        (hash, cipher): (Hash, Cipher),
        generations: usize,
        numbers: Range<u64>,
        record: &[u8],
    ) -> Option<FoundRecord> {
        let mut secret = first;
        for generation in 0..=generations {
            if generation > 0 {
                secret = schedule::next_generation(hash, &secret)?;
            }
            let epoch = self.epoch_at_a_price(hash, cipher, secret)?;
            let found = self.open_under(epoch, KeyPhase::Data, numbers.clone(), record);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Under any key of the log, of a connection whose hellos are missing.
    fn prove_joined(&mut self, side: usize, record: &[u8]) -> Option<FoundRecord> {
        let known = self.client_hello.as_ref().map(|hello| hello.random);
        let connections = match known {
            Some(random) => vec![(random, self.secrets()?)],
            None => self.shared.ring().newest(CONNECTIONS),
        };
        let client_first = side == self.client;
        for round in ROUNDS {
            for (random, secrets) in connections.iter().take(round.connections) {
                for number in OF_13 {
                    let of = suite(number);
                    let Some(cipher) = of.cipher.filter(|cipher| (round.of)(cipher)) else {
                        continue;
                    };
                    if self.suite.is_some_and(|chosen| chosen != of) {
                        continue;
                    }
                    for as_client in [client_first, !client_first].into_iter().take(round.roles) {
                        let client = if as_client { side } else { 1 - side };
                        if known.is_some() && client != self.client {
                            continue;
                        }
                        let found =
                            self.prove_use(&round, secrets, as_client, (of, cipher), record);
                        if found.is_some() {
                            self.join(*random, client, number);
                            return found;
                        }
                    }
                }
            }
        }
        None
    }

    /// Under the secrets of one connection, as one of its ends.
    fn prove_use(
        &mut self,
        round: &KeyRound,
        secrets: &Secrets,
        as_client: bool,
        (of, cipher): (Suite, Cipher),
        record: &[u8],
    ) -> Option<FoundRecord> {
        let (data, handshake) = if as_client {
            (TrafficSecret::Client, TrafficSecret::ClientHandshake)
        } else {
            (TrafficSecret::Server, TrafficSecret::ServerHandshake)
        };
        let fits = |secret: &&Secret| secret.bytes().len() == of.hash.length();
        if let Some(secret) = secrets.traffic(data).filter(fits) {
            let found = self.prove_generations(
                *secret,
                (of.hash, cipher),
                round.generations,
                round.numbers.clone(),
                record,
            );
            if found.is_some() {
                return found;
            }
        }
        let secret = secrets.traffic(handshake).filter(fits).filter(|_| round.generations > 0)?;
        let epoch = self.epoch_at_a_price(of.hash, cipher, *secret)?;
        self.open_under(epoch, KeyPhase::Handshake, round.numbers.clone(), record)
    }

    /// Keys of a secret, where there are guesses left: deriving them costs as much as some.
    fn epoch_at_a_price(&mut self, hash: Hash, cipher: Cipher, secret: Secret) -> Option<Epoch> {
        const PRICE: u64 = 16;
        if !self.may_guess(PRICE) {
            return None;
        }
        epoch_of(hash, cipher, secret)
    }

    /// The connection is known by one of its records.
    fn join(&mut self, random: ClientRandom, client: usize, number: u16) {
        let hello = self.client_hello.get_or_insert_default();
        hello.random = random;
        (self.client, self.suite) = (client, Some(suite(number)));
        (self.version, self.joined_later) = (Some(TlsVersion::Tls13), true);
        self.news = true;
        self.early = self.early.or(Some(false));
    }

    fn open_under(
        &mut self,
        mut epoch: Epoch,
        phase: KeyPhase,
        numbers: Range<u64>,
        record: &[u8],
    ) -> Option<FoundRecord> {
        let found = self.open_as(&mut epoch, phase, numbers, record)?;
        Some(FoundRecord { epoch: Some(epoch), ..found })
    }

    fn open_as(
        &mut self,
        epoch: &mut Epoch,
        phase: KeyPhase,
        numbers: Range<u64>,
        record: &[u8],
    ) -> Option<FoundRecord> {
        let Epoch { opener, keys, .. } = epoch;
        let numbers = if opener.can_number(keys) {
            let number = opener.number(record)?;
            number..number.checked_add(1)?
        } else {
            numbers
        };
        // What does not tell its number is decrypted for each, a long record as many times as dear;
        // where its last byte tells most that are wrong, few are decrypted whole.
        let bytes = limits::TLS_GUESS_BYTES * if opener.can_reject() { 8 } else { 1 };
        let price = 1 + (record.len() / bytes) as u64;
        for number in numbers {
            if !self.may_guess(price) {
                return None;
            }
            if !opener.may_open(number, record) {
                continue;
            }
            self.scratch.clear();
            self.scratch.extend_from_slice(record);
            if opener.open(number, &mut self.scratch).is_some() {
                return Some(FoundRecord { epoch: None, phase, number });
            }
        }
        None
    }

    /// Counts guesses, where there are that many left.
    fn may_guess(&mut self, n: u64) -> bool {
        if self.guesses + n > limits::TLS_GUESSES || !self.shared.may_guess(n) {
            return false;
        }
        self.guesses += n;
        true
    }

    /// Goes on from a record that was found: it is read again in its turn, since what the other
    /// direction sent before may have waited to know how much was lost.
    fn found(
        &mut self,
        side: usize,
        range: Range<usize>,
        found: FoundRecord,
        order: u64,
        mark: PacketMark,
        out: &mut impl Plaintext,
    ) {
        let state = &mut self.sides[side];
        let Cut::Lost(Lost { bytes, joined, .. }) = std::mem::replace(&mut state.cut, Cut::Records)
        else {
            return;
        };
        let lost = bytes + range.start as u64;
        let skipped = match &found.epoch {
            Some(_) => found.number,
            None => found.number.saturating_sub(state.number),
        };
        if let Some(epoch) = found.epoch {
            state.start(found.phase, epoch);
        }
        state.number = found.number;
        let mut overhead = 0;
        if let Some(epoch) = &mut state.epoch {
            overhead = epoch.opener.overhead() as u64;
            epoch.opener.set_vector(&state.buffer[..range.start]);
        }
        let rest = state.buffer.split_off(range.start);
        state.buffer.clear();
        state.position -= rest.len() as u64;
        state.hold(order, HeldPiece::Bytes(rest, mark), true);
        self.let_other_side_go_on(side);
        if found.phase == KeyPhase::Data && skipped > 0 && !(joined && self.joined) {
            let text = lost.saturating_sub(skipped.saturating_mul(overhead)).max(1);
            self.missing(side, text, mark, out);
        }
        self.changed = true;
    }

    /// Keys that one direction proved are those of the connection: the other one may wait for them.
    fn let_other_side_go_on(&mut self, side: usize) {
        let other = &mut self.sides[1 - side];
        if let Cut::Lost(lost) = &mut other.cut {
            lost.tries = 0;
            self.retry_other |= lost.stuck;
        } else if self.joined_later && other.phase <= KeyPhase::Wait && other.begun {
            if other.phase == KeyPhase::Clear {
                other.wait();
            }
            self.find_keys();
        }
    }
}

/// The next place from `scan` where a record may stand whose header is whole, and its length.
fn next_header(buffer: &[u8], scan: usize) -> Option<(usize, usize)> {
    let last = buffer.len().checked_sub(HEADER)?;
    // The second byte of every header is 3.
    let mut at = scan;
    while at <= last {
        at += memchr::memchr(3, buffer.get(at + 1..last + 2)?)?;
        if let Some(length) = record_length(&buffer[at..]) {
            return Some((at, length));
        }
        at += 1;
    }
    None
}

/// Whether a whole record is one that is not sealed, by what it says.
fn is_clear(record: &[u8]) -> bool {
    match (record[0], &record[HEADER..]) {
        (content::CHANGE_CIPHER_SPEC, body) => body == [1],
        (content::ALERT, body) => matches!(body, [1 | 2, _]),
        (content::HANDSHAKE, [0, 0, 0, 0] | [1 | 2 | 4 | 11..=16 | 22, 0, ..]) => true,
        _ => false,
    }
}
