//! Finds the next record behind a loss, and keys and numbers of a connection that the capture
//! joined in the middle. Nothing is assumed: a record counts where a key opens it under a number.
//!
//! AES-GCM of TLS 1.3 needs no trial of numbers: the tag is the hash of the ciphertext, hidden by
//! the encrypted nonce, so decrypting that block tells the nonce, and with it the number. The other
//! ciphers are tried number by number, within bounds that count guesses and know no clock.

use std::ops::Range;

use super::keylog::{Random, Secrets, Traffic};
use super::keys::epoch_of;
use super::opener::{HEADER, Opener, Sealing, Version};
use super::schedule;
use super::session::{Plaintext, Session};
use super::side::{Cut, Epoch, Lost, Phase, content, record_length};
use super::suite::{Cipher, Hash, OF_13, Suite, suite};
use crate::limits;
use crate::wire::Mark;

/// A record that was found behind a loss.
struct Found {
    /// The key that opened it, where it is another one than before.
    epoch: Option<Epoch>,
    phase: Phase,
    number: u64,
    kind: u8,
    text: Vec<u8>,
}

/// Generations of keys that a loss or a join may have passed over.
const GENERATIONS: usize = 3;
/// Records of a joined direction that all keys are tried on before it waits for more keys.
const TRIES: u32 = 4;
/// Connections of a key log that are tried on a joined one, the newest.
const CONNECTIONS: usize = 4096;
/// Fewest bytes that a record of TLS 1.3 with data takes.
const SMALLEST: u64 = 22;
/// Where numbers are tried one by one: first the low ones under all keys.
const WINDOWS: [Range<u64>; 3] = [0..1 << 12, 1 << 12..1 << 16, 1 << 16..limits::TLS_NUMBERS];

impl Session {
    /// Goes on searching in a direction, once bytes were added.
    pub(super) fn search(&mut self, side: usize, order: u64, mark: Mark, out: &mut impl Plaintext) {
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
        mark: Mark,
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
        let waits = self.sides[side].phase < Phase::Handshake;
        let Cut::Lost(lost) = &mut self.sides[side].cut else { return };
        lost.tries += 1;
        if waits && lost.tries >= TRIES {
            (lost.stuck, lost.tries) = (true, 0);
        } else {
            lost.scan += 1;
        }
    }

    /// Opens a record of the buffer under any key that may hold there.
    fn prove(&mut self, side: usize, range: Range<usize>) -> Option<Found> {
        let state = &mut self.sides[side];
        let record = state.buffer[range.clone()].to_vec();
        let phase = state.phase;
        if phase == Phase::Clear && is_clear(&record) {
            let (kind, text) = (record[0], record[HEADER..].to_vec());
            return Some(Found { epoch: None, phase, number: 0, kind, text });
        }
        let Cut::Lost(Lost { bytes, .. }) = state.cut else { return None };
        let numbers = ((bytes + range.start as u64) / SMALLEST + 2).min(limits::TLS_NUMBERS);
        let before = state.number;
        if let Some(mut epoch) = state.epoch.take() {
            if range.start >= 16 {
                epoch.opener.set_vector(&state.buffer[..range.start]);
            }
            let found = self.open_as(&mut epoch, phase, before..before + numbers, &record);
            self.sides[side].epoch = Some(epoch);
            if let Some(found) = found {
                return Some(found);
            }
        }
        if let Some((version, keys)) = self.version.zip(self.next_keys.as_ref()) {
            let keys = keys[usize::from(side != self.client)].clone();
            return self.prove_old(version, keys, numbers, &record);
        }
        match self.secrets().zip(self.suite) {
            Some((secrets, suite)) => self.prove_later(side, &secrets, suite, numbers, &record),
            None => self.prove_joined(side, &record),
        }
    }

    /// Under the keys of TLS 1.2 and before, whose start was lost.
    fn prove_old(
        &mut self,
        version: Version,
        keys: schedule::Keys,
        numbers: u64,
        record: &[u8],
    ) -> Option<Found> {
        let cipher = self.suite?.cipher?;
        let encrypt_then_mac = self.server_hello.as_ref()?.encrypt_then_mac;
        let sealing = Sealing { version, cipher, encrypt_then_mac };
        let opener = Opener::new(sealing, &keys)?;
        let epoch = Epoch { opener, keys, secret: None, tentative: false };
        self.open_under(epoch, Phase::Data, 0..numbers, record)
    }

    /// Under the keys of TLS 1.3 that come behind the one that holds.
    fn prove_later(
        &mut self,
        side: usize,
        secrets: &Secrets,
        suite: Suite,
        numbers: u64,
        record: &[u8],
    ) -> Option<Found> {
        let (cipher, phase) = (suite.cipher?, self.sides[side].phase);
        let current = self.sides[side].epoch.as_ref().and_then(|epoch| epoch.secret);
        let first = match current.filter(|_| phase == Phase::Data) {
            Some(secret) => schedule::next_generation(suite.hash, &secret),
            None => {
                let handshake = secrets.traffic(self.traffic(side, Phase::Handshake)).copied();
                let epoch = handshake.and_then(|secret| epoch_of(suite.hash, cipher, secret));
                let found = epoch
                    .and_then(|epoch| self.open_under(epoch, Phase::Handshake, 0..numbers, record));
                if found.is_some() {
                    return found;
                }
                secrets.traffic(self.traffic(side, Phase::Data)).copied()
            }
        };
        self.prove_generations(first?, suite.hash, cipher, 0..numbers, record)
    }

    /// Under a traffic secret and those that follow it.
    fn prove_generations(
        &mut self,
        first: super::secret::Secret,
        hash: Hash,
        cipher: Cipher,
        numbers: Range<u64>,
        record: &[u8],
    ) -> Option<Found> {
        let mut secret = first;
        for _ in 0..=GENERATIONS {
            let epoch = epoch_of(hash, cipher, secret)?;
            let found = self.open_under(epoch, Phase::Data, numbers.clone(), record);
            if found.is_some() {
                return found;
            }
            secret = schedule::next_generation(hash, &secret)?;
        }
        None
    }

    /// Under any key of the log, of a connection whose hellos are missing.
    fn prove_joined(&mut self, side: usize, record: &[u8]) -> Option<Found> {
        let direct = |cipher| matches!(cipher, Cipher::Gcm(_));
        let known = self.client_hello.as_ref().map(|hello| hello.random);
        let suites: Vec<(u16, Suite)> = OF_13
            .into_iter()
            .map(|number| (number, suite(number)))
            .filter(|(_, of)| self.suite.is_none_or(|chosen| chosen == *of))
            .collect();
        let connections = match known {
            Some(random) => vec![(random, self.secrets()?)],
            None => self.shared.ring().newest(CONNECTIONS),
        };
        // Numbers that cost one block each first.
        for numbers in std::iter::once(None).chain(WINDOWS.into_iter().map(Some)) {
            for (random, secrets) in &connections {
                for &(number, of) in &suites {
                    let Some(cipher) = of.cipher else { continue };
                    if direct(cipher) != numbers.is_none() {
                        continue;
                    }
                    let range = numbers.clone().unwrap_or(0..1);
                    for (client, traffic) in self.uses(side, known.is_some()) {
                        let Some(secret) = secrets.traffic(traffic).copied() else { continue };
                        if secret.bytes().len() != of.hash.length() {
                            continue;
                        }
                        let found =
                            self.prove_use(traffic, secret, of, cipher, range.clone(), record);
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

    /// Under one secret of one use.
    fn prove_use(
        &mut self,
        traffic: Traffic,
        secret: super::secret::Secret,
        of: Suite,
        cipher: Cipher,
        numbers: Range<u64>,
        record: &[u8],
    ) -> Option<Found> {
        if matches!(traffic, Traffic::Client | Traffic::Server) {
            return self.prove_generations(secret, of.hash, cipher, numbers, record);
        }
        let epoch = epoch_of(of.hash, cipher, secret)?;
        self.open_under(epoch, Phase::Handshake, numbers, record)
    }

    /// What secrets a direction may be under, and which side the client's would be then.
    fn uses(&self, side: usize, known: bool) -> Vec<(usize, Traffic)> {
        let of_client = [Traffic::Client, Traffic::ClientHandshake].map(|of| (side, of));
        let of_server = [Traffic::Server, Traffic::ServerHandshake].map(|of| (1 - side, of));
        let uses = if side == self.client {
            [of_client[0], of_server[0], of_client[1], of_server[1]]
        } else {
            [of_server[0], of_client[0], of_server[1], of_client[1]]
        };
        let fits = |&(client, _): &(usize, Traffic)| !known || client == self.client;
        uses.into_iter().filter(fits).collect()
    }

    /// The connection is known by one of its records.
    fn join(&mut self, random: Random, client: usize, number: u16) {
        let hello = self.client_hello.get_or_insert_default();
        hello.random = random;
        (self.client, self.suite) = (client, Some(suite(number)));
        (self.version, self.joined_later) = (Some(Version::Tls13), true);
        self.early = self.early.or(Some(false));
    }

    fn open_under(
        &mut self,
        mut epoch: Epoch,
        phase: Phase,
        numbers: Range<u64>,
        record: &[u8],
    ) -> Option<Found> {
        let found = self.open_as(&mut epoch, phase, numbers, record)?;
        Some(Found { epoch: Some(epoch), ..found })
    }

    fn open_as(
        &mut self,
        epoch: &mut Epoch,
        phase: Phase,
        numbers: Range<u64>,
        record: &[u8],
    ) -> Option<Found> {
        let Epoch { opener, keys, .. } = epoch;
        let numbers = if opener.can_number(keys) {
            let number = opener.number(record)?;
            number..number.checked_add(1)?
        } else {
            numbers
        };
        for number in numbers {
            if !self.may_guess() {
                return None;
            }
            self.scratch.clear();
            self.scratch.extend_from_slice(record);
            if let Some((kind, opened)) = opener.open(number, &mut self.scratch) {
                let text = self.scratch[opened.start..opened.end].to_vec();
                return Some(Found { epoch: None, phase, number, kind, text });
            }
        }
        None
    }

    /// Counts a guess, where there is one left.
    fn may_guess(&mut self) -> bool {
        if self.guesses >= limits::TLS_GUESSES || !self.shared.may_guess() {
            return false;
        }
        self.guesses += 1;
        true
    }

    /// Goes on from a record that was found.
    fn found(
        &mut self,
        side: usize,
        range: Range<usize>,
        found: Found,
        order: u64,
        mark: Mark,
        out: &mut impl Plaintext,
    ) {
        let state = &mut self.sides[side];
        let Cut::Lost(Lost { bytes, joined, .. }) = std::mem::replace(&mut state.cut, Cut::Records)
        else {
            return;
        };
        let rest = state.buffer.split_off(range.end);
        let lost = bytes + range.start as u64;
        state.buffer.clear();
        state.position -= rest.len() as u64;
        let skipped = match &found.epoch {
            Some(_) => found.number,
            None => found.number.saturating_sub(state.number),
        };
        if let Some(epoch) = found.epoch {
            state.start(found.phase, epoch);
        }
        let clear = found.phase == Phase::Clear;
        state.number = if clear { 0 } else { found.number + 1 };
        let overhead = state.epoch.as_ref().map_or(0, |epoch| epoch.opener.overhead()) as u64;
        self.opened += u64::from(!clear);
        self.let_other_side_go_on(side);
        if found.phase == Phase::Data && skipped > 0 && !joined {
            let text = lost.saturating_sub(skipped.saturating_mul(overhead)).max(1);
            self.missing_before(side, range.len() as u64, text, mark, out);
        }
        self.content(side, found.kind, &found.text, mark, out);
        self.read(side, order, &rest, mark, out);
        self.changed = true;
    }

    /// Tells what is missing before the record that ends at the position of a direction.
    fn missing_before(
        &mut self,
        side: usize,
        record: u64,
        text: u64,
        mark: Mark,
        out: &mut impl Plaintext,
    ) {
        self.sides[side].position -= record;
        self.missing(side, text, mark, out);
        self.sides[side].position += record;
    }

    /// Keys that one direction proved are those of the connection: the other one may wait for them.
    fn let_other_side_go_on(&mut self, side: usize) {
        let other = &mut self.sides[1 - side];
        if let Cut::Lost(lost) = &mut other.cut {
            lost.tries = 0;
            self.retry_other |= lost.stuck;
        } else if self.joined_later && other.phase == Phase::Clear && other.begun {
            other.wait();
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
