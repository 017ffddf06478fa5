//! The secrets that are known: of key logs and of captures, found by what connections show of
//! themselves.
//!
//! Read are lines of the NSS format (`CLIENT_RANDOM`, `…_TRAFFIC_SECRET_…`, `RSA`,
//! `PMS_CLIENT_RANDOM`), and `RSA Session-ID:… Master-Key:…`. Comments and what is not known are
//! passed over; a later line beats an earlier one. The store changes between the rounds of the
//! driver only, so that what is found does not depend on the number of threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};

use rustc_hash::FxHashMap;

use super::secret::{Secret, from_hex};
use crate::limits;

/// A traffic secret's use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TrafficSecret {
    ClientEarly,
    ClientHandshake,
    ServerHandshake,
    Client,
    Server,
}

impl TrafficSecret {
    fn of(label: &str) -> Option<Self> {
        match label {
            "CLIENT_EARLY_TRAFFIC_SECRET" => Some(Self::ClientEarly),
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Some(Self::ClientHandshake),
            "SERVER_HANDSHAKE_TRAFFIC_SECRET" => Some(Self::ServerHandshake),
            "CLIENT_TRAFFIC_SECRET_0" => Some(Self::Client),
            "SERVER_TRAFFIC_SECRET_0" => Some(Self::Server),
            _ => None,
        }
    }
}

/// What is known of the connection of one client random.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// By [`TrafficSecret`].
    traffic: [Option<Secret>; 5],
    pub(super) master: Option<Secret>,
    pub(super) premaster: Option<Secret>,
}

impl Secrets {
    pub(super) fn traffic(&self, of: TrafficSecret) -> Option<&Secret> {
        self.traffic[of as usize].as_ref()
    }
}

/// A client random.
pub(super) type ClientRandom = [u8; 32];

#[derive(Debug, Default)]
struct Store {
    by_random: FxHashMap<ClientRandom, Secrets>,
    /// Session ids and hashes of tickets, with their master secrets.
    by_session: FxHashMap<Vec<u8>, Secret>,
    /// The first bytes of an encrypted premaster secret, with the secret.
    premasters: FxHashMap<[u8; 8], Secret>,
    /// Client randoms in the order of their first lines.
    order: VecDeque<ClientRandom>,
}

/// The secrets that are known, shared by all connections.
#[derive(Debug, Default)]
pub struct KeyRing {
    store: RwLock<Store>,
    generation: AtomicU64,
    /// Sessions whose secrets connections know, for those that resume them.
    learned: Mutex<Vec<(Vec<u8>, Secret)>>,
    /// Lines that were read.
    lines: AtomicU64,
}

const UNPOISONED: &str = "no holder of this lock panics";

impl KeyRing {
    /// Takes the lines of a key log, and says how many held a secret.
    pub fn add(&self, text: &[u8]) -> u64 {
        let mut store = self.store.write().expect(UNPOISONED);
        let lines =
            text.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        let added = lines.filter(|line| store.line(line).is_some()).count() as u64;
        if added > 0 {
            self.generation.fetch_add(1, Ordering::Release);
            self.lines.fetch_add(added, Ordering::Relaxed);
        }
        added
    }

    /// Changes whenever there are more secrets; zero while there is none.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes in what connections learned since the last call; whether that was anything.
    pub fn settle(&self) -> bool {
        let mut learned = std::mem::take(&mut *self.learned.lock().expect(UNPOISONED));
        if learned.is_empty() {
            return false;
        }
        learned.sort_unstable_by(|a, b| (&a.0, a.1.bytes()).cmp(&(&b.0, b.1.bytes())));
        let mut store = self.store.write().expect(UNPOISONED);
        for (session, master) in learned {
            store.session(session, master);
        }
        self.generation.fetch_add(1, Ordering::Release);
        true
    }

    /// Tells the master secret of a session that may be resumed.
    pub(super) fn learn(&self, session: Vec<u8>, master: Secret) {
        self.learned.lock().expect(UNPOISONED).push((session, master));
    }

    pub(super) fn of_random(&self, random: &ClientRandom) -> Option<Secrets> {
        self.store.read().expect(UNPOISONED).by_random.get(random).cloned()
    }

    pub(super) fn of_session(&self, session: &[u8]) -> Option<Secret> {
        self.store.read().expect(UNPOISONED).by_session.get(session).copied()
    }

    pub(super) fn of_premaster(&self, encrypted: &[u8]) -> Option<Secret> {
        let first = encrypted.first_chunk()?;
        self.store.read().expect(UNPOISONED).premasters.get(first).copied()
    }

    /// The connections of TLS 1.3 whose lines came last.
    pub(super) fn newest(&self, most: usize) -> Vec<(ClientRandom, Secrets)> {
        let store = self.store.read().expect(UNPOISONED);
        let of = |random: &ClientRandom| Some((*random, store.by_random.get(random)?.clone()));
        let fits =
            |(_, secrets): &(ClientRandom, Secrets)| secrets.traffic.iter().any(Option::is_some);
        store.order.iter().rev().filter_map(of).filter(fits).take(most).collect()
    }
}

impl Store {
    /// Reads a line; none where it holds no secret.
    fn line(&mut self, line: &str) -> Option<()> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let mut words = line.split_ascii_whitespace();
        let (label, id, secret) = (words.next()?, words.next()?, words.next()?);
        if let (Some(session), Some(master)) =
            (id.strip_prefix("Session-ID:"), secret.strip_prefix("Master-Key:"))
        {
            return self.session(from_hex(session)?, Secret::new(&from_hex(master)?)?);
        }
        let (id, secret) = (from_hex(id)?, Secret::new(&from_hex(secret)?)?);
        let length = secret.bytes().len();
        match (label, TrafficSecret::of(label)) {
            (_, Some(traffic)) if length == 32 || length == 48 => {
                self.of(&id)?.traffic[traffic as usize] = Some(secret)
            }
            ("CLIENT_RANDOM", _) if length == 48 => self.of(&id)?.master = Some(secret),
            ("PMS_CLIENT_RANDOM", _) => self.of(&id)?.premaster = Some(secret),
            ("RSA", _) if self.premasters.len() < limits::KEYLOG_CONNECTIONS => {
                self.premasters.insert(*id.first_chunk()?, secret);
            }
            _ => return None,
        }
        Some(())
    }

    fn session(&mut self, session: Vec<u8>, master: Secret) -> Option<()> {
        let room = self.by_session.len() < limits::KEYLOG_CONNECTIONS && session.len() <= 64;
        let fits = room && master.bytes().len() == 48;
        fits.then(|| self.by_session.insert(session, master)).map(drop)
    }

    fn of(&mut self, random: &[u8]) -> Option<&mut Secrets> {
        let random: ClientRandom = random.try_into().ok()?;
        if !self.by_random.contains_key(&random) {
            if self.order.len() >= limits::KEYLOG_CONNECTIONS {
                let oldest = self.order.pop_front()?;
                self.by_random.remove(&oldest);
            }
            self.order.push_back(random);
        }
        Some(self.by_random.entry(random).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(byte: u8, length: usize) -> String {
        format!("{byte:02x}").repeat(length)
    }

    #[test]
    fn lines_of_every_kind_are_found_by_what_a_connection_shows() {
        let ring = KeyRing::default();
        let text = format!(
            "# comment\r\n\nCLIENT_RANDOM {} {}\r\nSERVER_TRAFFIC_SECRET_0 {} {}\n\
             RSA Session-ID:{} Master-Key:{}\n  RSA {} {}  \nCLIENT_TRAFFIC_SECRET_1 {} {}\n\
             CLIENT_RANDOM zz zz\nCLIENT_RANDOM {} {}",
            hex(1, 32),
            hex(0xA1, 48).to_uppercase(),
            hex(2, 32),
            hex(0xa2, 32),
            hex(3, 32),
            hex(0xa3, 48),
            hex(4, 8),
            hex(0xa4, 48),
            hex(2, 32),
            hex(0xa5, 32),
            hex(6, 32),
            hex(0xa6, 47),
        );
        assert_eq!(ring.generation(), 0);
        assert_eq!(ring.add(text.as_bytes()), 4);
        assert_eq!(ring.generation(), 1);
        let master = ring.of_random(&[1; 32]).unwrap().master.unwrap();
        assert_eq!(master.bytes(), [0xa1; 48]);
        let secrets = ring.of_random(&[2; 32]).unwrap();
        assert_eq!(secrets.traffic(TrafficSecret::Server).unwrap().bytes(), [0xa2; 32]);
        assert!(secrets.traffic(TrafficSecret::Client).is_none());
        assert_eq!(ring.of_session(&[3; 32]).unwrap().bytes(), [0xa3; 48]);
        assert_eq!(ring.of_premaster(&[4; 128]).unwrap().bytes(), [0xa4; 48]);
        assert!(ring.of_random(&[6; 32]).is_none_or(|secrets| secrets.master.is_none()));
        assert!(!format!("{ring:?}").contains("161, 161"), "secrets are not shown");
    }

    #[test]
    fn what_connections_learned_counts_from_the_next_round() {
        let ring = KeyRing::default();
        ring.learn(b"session".to_vec(), Secret::new(&[9; 48]).unwrap());
        assert!(ring.of_session(b"session").is_none());
        ring.settle();
        assert_eq!(ring.of_session(b"session").unwrap().bytes(), [9; 48]);
        assert_eq!(ring.generation(), 1);
        ring.settle();
        assert_eq!(ring.generation(), 1);
    }

    #[test]
    fn connections_of_1_3_are_told_newest_first() {
        let ring = KeyRing::default();
        let line = |byte| format!("CLIENT_TRAFFIC_SECRET_0 {} {}\n", hex(byte, 32), hex(7, 32));
        ring.add([line(1), line(2), line(1)].concat().as_bytes());
        ring.add(format!("CLIENT_RANDOM {} {}\n", hex(4, 32), hex(7, 48)).as_bytes());
        let newest =
            |most| -> Vec<u8> { ring.newest(most).iter().map(|(random, _)| random[0]).collect() };
        assert_eq!(newest(10), [2, 1]);
        assert_eq!(newest(1), [2]);
    }
}
