//! Connections that a tap sees under several addresses, because these are rewritten on their way: a
//! Service's address and a pod's, a published port and a container's, a redirect to a sidecar.
//!
//! In: the segments that may tell something, in capture order. Out: which pair of ends stands for
//! which other one from which packet on. A copy is known by its numbers, its time and its bytes; a
//! half that came under other addresses by the numbers that each half has from the other. Both are
//! 64 bits that nobody else has, where first numbers are drawn at random; where they look made,
//! packets must be much closer in time. What several connections share proves nothing.
//!
//! Only the first payloads of a connection are looked at, so its segments are cheap once it is
//! settled; all memory is bounded, and what is decided depends on the packets alone.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

use super::table::Hashed;
use crate::decode::{HashKey, Pair, Segment, TcpFlags};
use crate::flow::Endpoint;
use crate::limits;
use crate::time::Timestamp;

/// Payloads of a connection that are looked at.
const LOOKED_AT: u8 = 4;

/// Bytes at the start of a payload that two copies must share.
const COMPARED: usize = 32;

/// How far apart the copies of a packet are seen, in nanoseconds, where its numbers look random:
/// queues on a busy node, captures of two nodes with clocks that are kept by NTP.
const COPY_NS: i64 = 250_000_000;

/// The same where a number is small, as generators of traffic make them.
const MADE_COPY_NS: i64 = 2_000_000;

/// Numbers below this look made: of random ones, one in four thousand is.
const SMALL_NUMBER: u32 = 1 << 20;

/// How long an answer under other addresses may take, in nanoseconds.
const ANSWER_NS: i64 = 60_000_000_000;

/// How many bytes of a request may come behind the payload that was looked at, before its answer.
const REQUEST_BYTES: u32 = 8 << 20;

/// Slots that say which pairs are settled: a power of two.
const SETTLED: usize = 1 << 15;

/// What is known of the ends of a connection since its last SYN.
#[derive(Clone, Copy)]
struct KnownEnds {
    pair: Pair,
    /// Number of the SYN, and whether the lower end sent it.
    syn: Option<(u32, bool)>,
    payloads: u8,
    /// Ends that sent a payload: the higher, the lower one.
    spoke: [bool; 2],
}

/// A payload that was looked at, for its copies and its answer to be found by.
#[derive(Clone, Copy)]
struct Sighting {
    pair: Pair,
    hash: u64,
    network: u32,
    from_low: bool,
    seq: u32,
    length: u32,
    at: Timestamp,
    start: [u8; COMPARED],
    captured: u8,
}

impl Sighting {
    fn of(segment: &Segment, payload: &[u8]) -> Self {
        let captured = payload.len().min(COMPARED);
        let mut start = [0; COMPARED];
        start[..captured].copy_from_slice(&payload[..captured]);
        Self {
            pair: segment.pair,
            hash: segment.hash,
            network: segment.network,
            from_low: segment.from_low,
            seq: segment.seq,
            length: segment.length,
            at: segment.at,
            start,
            captured: captured as u8,
        }
    }

    /// Who sent it, and to whom.
    fn ends(&self) -> (Endpoint, Endpoint) {
        directed(&self.pair, self.from_low)
    }

    fn starts_like(&self, other: &Self) -> bool {
        let both = usize::from(self.captured.min(other.captured));
        self.start[..both] == other.start[..both]
    }
}

/// The payloads that were looked at last, each once; others name them by their serial numbers.
#[derive(Default)]
struct Looked {
    ring: Vec<Sighting>,
    next: u32,
}

impl Looked {
    const MOST: u32 = 2 * limits::SIGHTINGS as u32;

    fn push(&mut self, sighting: Sighting) -> u32 {
        let serial = self.next;
        match self.ring.get_mut((serial % Self::MOST) as usize) {
            Some(oldest) => *oldest = sighting,
            None => self.ring.push(sighting),
        }
        self.next = serial.wrapping_add(1);
        serial
    }

    fn get(&self, serial: u32) -> Option<&Sighting> {
        let is_kept = (1..=Self::MOST).contains(&self.next.wrapping_sub(serial));
        self.ring.get((serial % Self::MOST) as usize).filter(|_| is_kept)
    }
}

/// A payload that is looked for by its sequence and acknowledgement number.
#[derive(Clone, Copy)]
struct Copied {
    serial: u32,
    /// Several connections share these numbers.
    ambiguous: bool,
}

/// Payloads that are looked for by the number at which their answer begins.
#[derive(Clone, Copy)]
struct Asked {
    /// The first of them.
    serial: u32,
    /// From its start to the end of the last one, in bytes.
    length: u32,
    /// Several connections share this number.
    ambiguous: bool,
}

/// Numbers out of packets with their keyed hash, so that nobody can write a capture whose numbers
/// all collide.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Numbers {
    seq: u32,
    ack: u32,
    hash: u64,
}

impl Hash for Numbers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

fn directed(pair: &Pair, from_low: bool) -> (Endpoint, Endpoint) {
    if from_low { (pair.low, pair.high) } else { (pair.high, pair.low) }
}

/// A pair of ends that stands for another one.
#[derive(Clone, Copy)]
struct Alias {
    pair: Pair,
    /// Packets for which it does: from the first on, and before the other.
    from: u64,
    until: u64,
    to: Pair,
    hash: u64,
    network: u32,
    /// The lower end of one is the higher end of the other.
    flip: bool,
}

/// What was used last, of which there may be any number: two maps, of which the older one is
/// forgotten when the newer one is full.
struct Recent<K, V, S> {
    new: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
}

impl<K, V, S: Default> Default for Recent<K, V, S> {
    fn default() -> Self {
        Self { new: HashMap::default(), old: HashMap::default() }
    }
}

impl<K: Copy + Eq + Hash, V, S: BuildHasher + Default> Recent<K, V, S> {
    fn get(&self, key: &K) -> Option<&V> {
        self.new.get(key).or_else(|| self.old.get(key))
    }

    fn is_empty(&self) -> bool {
        self.new.is_empty() && self.old.is_empty()
    }

    fn insert(&mut self, key: K, value: V) {
        if self.new.len() >= limits::SIGHTINGS {
            std::mem::swap(&mut self.old, &mut self.new);
            self.new.clear();
        }
        self.old.remove(&key);
        self.new.insert(key, value);
    }

    /// As [`Self::get`], and keeps it for longer.
    fn touch(&mut self, key: K) -> Option<&V> {
        if let Some(value) = self.old.remove(&key) {
            self.insert(key, value);
        }
        self.new.get(&key)
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        self.new.remove(key).or_else(|| self.old.remove(key))
    }
}

/// By the hash of a pair, which is keyed.
type ByPair<V> = Recent<u64, V, BuildHasherDefault<Hashed>>;
/// By numbers out of packets.
type ByNumbers<V> = Recent<Numbers, V, BuildHasherDefault<Hashed>>;

/// Finds the connections that a tap sees under several addresses.
pub struct Sightings {
    /// Ports of servers that were asked for; all where there is none.
    ports: Vec<u16>,
    key: HashKey,
    known: ByPair<KnownEnds>,
    looked: Looked,
    /// By sequence and acknowledgement number.
    copies: ByNumbers<Copied>,
    /// By the number at which their answer begins; the other number is 0.
    asked: ByNumbers<Asked>,
    aliases: ByPair<Alias>,
    /// Aliases that ended in this round.
    ended: Vec<Alias>,
    settled: Box<[u64]>,
    seen_again: u64,
    joined: u64,
    servers: BTreeSet<Endpoint>,
}

impl Sightings {
    /// For connections with these ports of servers; all where there is none. `key` keys the tables.
    pub fn new(ports: Vec<u16>, key: HashKey) -> Self {
        Self {
            ports,
            key,
            known: Recent::default(),
            looked: Looked::default(),
            copies: Recent::default(),
            asked: Recent::default(),
            aliases: Recent::default(),
            ended: Vec::new(),
            settled: vec![0; SETTLED].into(),
            seen_again: 0,
            joined: 0,
            servers: BTreeSet::new(),
        }
    }

    /// Whether a segment may tell something. It may also where this says no later on.
    pub fn wants(&self, segment: &Segment) -> bool {
        let opens = segment.flags.0 & (TcpFlags::SYN.0 | TcpFlags::ACK.0) == TcpFlags::SYN.0;
        opens || (segment.length > 0 && self.settled[slot(segment.hash)] != segment.hash)
    }

    /// Connections that were seen under other addresses as well.
    pub const fn seen_again(&self) -> u64 {
        self.seen_again
    }

    /// Connections of which a half was seen under other addresses.
    pub const fn joined(&self) -> u64 {
        self.joined
    }

    /// Servers of connections that are told under another address.
    pub const fn servers(&self) -> &BTreeSet<Endpoint> {
        &self.servers
    }

    /// Looks at a segment that it wants.
    pub fn look(&mut self, segment: &Segment, payload: &[u8]) {
        if segment.flags.has(TcpFlags::SYN) {
            if !segment.flags.has(TcpFlags::ACK) {
                self.open(segment);
            }
        } else if segment.length > 0 {
            self.look_at_payload(segment, payload);
        }
    }

    /// A SYN: what was known of its ends is about another connection, unless it was sent again.
    fn open(&mut self, segment: &Segment) {
        let syn = Some((segment.seq, segment.from_low));
        let before = self.known.get(&segment.hash);
        if before.is_some_and(|known| known.pair == segment.pair && known.syn == syn) {
            return;
        }
        if let Some(alias) = self.aliases.remove(&segment.hash) {
            self.ended.push(Alias { until: segment.number, ..alias });
        }
        let settled = &mut self.settled[slot(segment.hash)];
        if *settled == segment.hash {
            *settled = 0;
        }
        let known = KnownEnds { pair: segment.pair, syn, payloads: 0, spoke: [false; 2] };
        self.known.insert(segment.hash, known);
    }

    fn look_at_payload(&mut self, segment: &Segment, payload: &[u8]) {
        let fresh = KnownEnds { pair: segment.pair, syn: None, payloads: 0, spoke: [false; 2] };
        let known = self.known.get(&segment.hash).filter(|known| known.pair == segment.pair);
        let mut known = known.copied().unwrap_or(fresh);
        let aliased = self.aliases.get(&segment.hash).is_some();
        if known.payloads >= LOOKED_AT || aliased {
            self.settled[slot(segment.hash)] = segment.hash;
            return;
        }
        known.payloads += 1;
        let here = Sighting::of(segment, payload);
        let copied = self.copy_of(segment, &here, &known);
        if let Some(to) = copied.or_else(|| self.half_of(segment, &here, &known)) {
            *(if copied.is_some() { &mut self.seen_again } else { &mut self.joined }) += 1;
            let (from, until) = (segment.number, u64::MAX);
            let flip = (segment.from_low == to.from_low) == copied.is_none();
            let Sighting { pair, hash, network, .. } = to;
            let alias = Alias { pair: segment.pair, from, until, to: pair, hash, network, flip };
            self.aliases.insert(segment.hash, alias);
            if self.servers.len() < limits::CAPTURED_SERVERS {
                self.servers.insert(server_of(&known));
            }
            self.settled[slot(segment.hash)] = segment.hash;
        } else if self.is_asked_for(&segment.pair) {
            self.remember(segment, here);
        }
        known.spoke[usize::from(segment.from_low)] = true;
        self.known.insert(segment.hash, known);
    }

    fn is_asked_for(&self, pair: &Pair) -> bool {
        let asked = |port| self.ports.contains(&port);
        self.ports.is_empty() || asked(pair.low.port) || asked(pair.high.port)
    }

    fn numbers(&self, seq: u32, ack: u32) -> Numbers {
        Numbers { seq, ack, hash: self.key.numbers(seq, ack) }
    }

    /// The payload that this one is a copy of.
    fn copy_of(&self, segment: &Segment, here: &Sighting, known: &KnownEnds) -> Option<Sighting> {
        let copied = self.copies.get(&self.numbers(segment.seq, segment.ack))?;
        let there = self.looked.get(copied.serial)?;
        let made = segment.seq.min(segment.ack) < SMALL_NUMBER;
        let apart = here.at.since(there.at).saturating_abs();
        let near = apart <= if made { MADE_COPY_NS } else { COPY_NS };
        let is_copy = near
            && !copied.ambiguous
            && there.pair != here.pair
            && there.starts_like(here)
            && self.may_be_rewritten(here, there, known)
            && self.is_asked_for(&here.pair);
        is_copy.then_some(*there)
    }

    /// Whether a rewriter may have made one of these pairs from the other. None gives a client
    /// another port and leaves its address and the server: those are two connections.
    fn may_be_rewritten(&self, here: &Sighting, there: &Sighting, known: &KnownEnds) -> bool {
        let (a, b) = (here.ends(), there.ends());
        let (other_source, other_target) = (a.0.address != b.0.address, a.1.address != b.1.address);
        if other_source || other_target {
            return true;
        }
        let other = self.known.get(&there.hash).filter(|known| known.pair == there.pair);
        let client_is_source = |known: &KnownEnds, sighting: &Sighting| {
            known.syn.map(|(_, by_low)| by_low == sighting.from_low)
        };
        let ours = client_is_source(known, here);
        match (ours, other.and_then(|known| client_is_source(known, there))) {
            (Some(true), Some(true)) => a.0 == b.0,
            (Some(false), Some(false)) => a.1 == b.1,
            _ => false,
        }
    }

    /// The payload that this one answers, where its own connection shows no other half.
    fn half_of(&self, segment: &Segment, here: &Sighting, known: &KnownEnds) -> Option<Sighting> {
        let question = self.asked.get(&self.numbers(segment.seq, 0))?;
        let there = self.looked.get(question.serial)?;
        let other = self.known.get(&there.hash).filter(|known| known.pair == there.pair)?;
        let alone = !known.spoke[usize::from(!segment.from_low)]
            && !other.spoke[usize::from(!there.from_low)]
            && segment.flags.has(TcpFlags::ACK);
        let took = here.at.since(there.at);
        let received = segment.ack.wrapping_sub(there.seq);
        let ((asker, asked), (answering, receiver)) = (there.ends(), here.ends());
        let (exact, some) = (received == question.length, (1..=REQUEST_BYTES).contains(&received));
        let others = (asker.address != receiver.address, asked.address != answering.address);
        let opened = other.syn.is_some_and(|(_, by_low)| by_low == there.from_low);
        let proved = if segment.seq.min(segment.ack) < SMALL_NUMBER {
            // Its client has no other port or address beside the same server.
            (opened && asker == receiver && some) || (exact && others == (true, true))
        } else {
            exact || (asker == receiver && others.1 && some)
        };
        let is_answer = alone
            && proved
            && !question.ambiguous
            && there.pair != here.pair
            && (-COPY_NS..=ANSWER_NS).contains(&took);
        is_answer.then_some(*there)
    }

    /// For what comes later.
    fn remember(&mut self, segment: &Segment, here: Sighting) {
        let shared = |before: Option<&Sighting>, for_ns: i64| {
            before.is_some_and(|before| {
                before.pair != here.pair && here.at.since(before.at).saturating_abs() <= for_ns
            })
        };
        let numbers = self.numbers(segment.seq, segment.ack);
        let before = self.copies.get(&numbers).and_then(|before| self.looked.get(before.serial));
        let copied = Copied { serial: self.looked.next, ambiguous: shared(before, COPY_NS) };
        self.copies.insert(numbers, copied);
        if segment.flags.has(TcpFlags::ACK) {
            let number = self.numbers(segment.ack, 0);
            let question = self.asked.get(&number);
            let question =
                question.and_then(|&question| Some((question, self.looked.get(question.serial)?)));
            let kept = match question {
                // Of a request in several payloads the first one tells where it begins.
                Some((question, first))
                    if first.pair == here.pair
                        && here.seq.wrapping_sub(first.seq) <= REQUEST_BYTES =>
                {
                    let length = here.seq.wrapping_sub(first.seq).wrapping_add(here.length);
                    Asked { length, ..question }
                }
                _ => Asked {
                    serial: copied.serial,
                    length: here.length,
                    ambiguous: shared(question.map(|(_, first)| first), ANSWER_NS),
                },
            };
            self.asked.insert(number, kept);
        }
        self.looked.push(here);
    }

    /// Whether any segment is rewritten.
    pub fn has_aliases(&self) -> bool {
        !self.aliases.is_empty() || !self.ended.is_empty()
    }

    /// The segment as one of the connection that its own stands for; none where that is itself.
    pub fn rewritten(&mut self, segment: &Segment) -> Option<Segment> {
        let holds = |alias: &&Alias| {
            alias.pair == segment.pair && (alias.from..alias.until).contains(&segment.number)
        };
        let alias = self.aliases.touch(segment.hash).filter(holds);
        let alias = alias.or_else(|| self.ended.iter().find(holds))?;
        Some(Segment {
            pair: alias.to,
            hash: alias.hash,
            network: alias.network,
            from_low: segment.from_low != alias.flip,
            ..*segment
        })
    }

    /// All segments of a round were rewritten.
    pub fn end_round(&mut self) {
        self.ended.clear();
    }
}

/// The end that a SYN was sent to; where none was seen, the one with the lower port.
fn server_of(known: &KnownEnds) -> Endpoint {
    let Pair { low, high } = known.pair;
    let high_is_server = known.syn.map_or(high.port < low.port, |(_, by_low)| by_low);
    if high_is_server { high } else { low }
}

const fn slot(hash: u64) -> usize {
    hash as usize & (SETTLED - 1)
}
