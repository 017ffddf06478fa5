//! The connections of one shard: found by their ends and virtual network, told apart when ports are
//! used again, ended when they are over, quiet for too long, or too many, and let go of where a
//! live capture says so ([`ConnectionTable::shed_share`]). Everything here depends on the segments
//! and on that share alone, so that the same capture gives the same events however many threads
//! there are.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::bounds::TableLimits;
use super::connection::{Connection, NotFollowed};
use super::notes::Notes;
use super::{DirectionEnd, EventStreams, FinishedConnection, Mark};
use crate::capture::overload::Share;
use crate::decode::{Pair, Segment};
use crate::ledger::{Ledger, Seen, Traffic};
use crate::time::Timestamp;

/// What was let go of since the capture could not keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Connections that are not followed, or not to their end.
    pub connections: u64,
    /// Packets of them that were not used.
    pub packets: u64,
    /// Exchanges that were under way in them, and are not told.
    pub exchanges: u64,
}

impl std::iter::Sum for Shed {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            connections: sum.connections + one.connections,
            packets: sum.packets + one.packets,
            exchanges: sum.exchanges + one.exchanges,
        })
    }
}

/// Packets, bytes and connections of one protocol.
#[derive(Clone, Copy, Debug, Default)]
struct ProtocolCount {
    connections: u64,
    packets: u64,
    bytes: u64,
}

/// A pair with its hash, which was computed where it was decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct HashedPair {
    pub(super) pair: Pair,
    hash: u64,
}

impl HashedPair {
    pub(super) const fn of(segment: &Segment) -> Self {
        Self { pair: segment.pair, hash: segment.hash }
    }
}

impl Hash for HashedPair {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Passes a hash on that is one already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only write_u64 is called, by Place");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(super) struct ConnectionSlot<S> {
    pub(super) connection: Connection<S>,
    /// Another connection between the same ends: in another virtual network, or the one that this
    /// one may be about to replace.
    pub(super) sibling: Option<u32>,
    /// Tells a later connection in the same slot.
    serial: u64,
    /// Bytes that the connection and its stream hold.
    held: usize,
}

/// The connections of one shard.
pub struct ConnectionTable<T: EventStreams> {
    streams: T,
    limits: TableLimits,
    /// Ports of servers that were asked for; all where there is none.
    ports: Vec<u16>,
    /// Connections that are let go of when they are seen.
    share: Share,
    shed: Shed,
    pub(super) places: HashMap<HashedPair, u32, BuildHasherDefault<Hashed>>,
    pub(super) slots: Vec<Option<ConnectionSlot<T::Stream>>>,
    free: Vec<u32>,
    serial: u64,
    /// Connections without a rank: slot, serial, first packet.
    started: Vec<(u32, u64, u64)>,
    /// Slots by when they may be idle, and by when a closed one may go.
    idle: VecDeque<(u32, u64, Timestamp)>,
    closing: VecDeque<(u32, u64, Timestamp)>,
    /// Slots of closed ones that may go at the end of the round: they wait for something.
    overdue: Vec<(u32, u64)>,
    now: Mark,
    latest: Timestamp,
    held: usize,
    notes: Notes,
    counts: BTreeMap<&'static str, ProtocolCount>,
    rejected: BTreeMap<&'static str, u64>,
    used: u64,
    evicted: [u64; 2],
    given_up: u64,
    pub(super) replaced: u64,
    skipped: u64,
    tunnelled: u64,
    unkept_interim: u64,
    seen: Seen,
}

impl<T: EventStreams> ConnectionTable<T> {
    /// A table that gives its events to `streams`.
    pub fn new(streams: T, limits: TableLimits, ports: Vec<u16>) -> Self {
        Self {
            streams,
            limits,
            ports,
            share: Share::NONE,
            shed: Shed::default(),
            places: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            serial: 0,
            started: Vec::new(),
            idle: VecDeque::new(),
            closing: VecDeque::new(),
            overdue: Vec::new(),
            now: Mark::default(),
            latest: Timestamp::from_nanos(i64::MIN),
            held: 0,
            notes: Notes::default(),
            counts: BTreeMap::new(),
            rejected: BTreeMap::new(),
            used: 0,
            evicted: [0; 2],
            given_up: 0,
            replaced: 0,
            skipped: 0,
            tunnelled: 0,
            unkept_interim: 0,
            seen: Seen::default(),
        }
    }

    /// Where the events go.
    pub fn streams(&mut self) -> &mut T {
        &mut self.streams
    }

    /// From now on, connections of this share are let go of when a packet of them comes. One that
    /// was let go of stays so, also where the share sinks: the rest of it would begin with half an
    /// exchange.
    pub fn shed_share(&mut self, share: Share) {
        self.share = share;
    }

    /// What was let go of until now.
    pub const fn shed_so_far(&self) -> Shed {
        self.shed
    }

    /// First packets of the connections that were started since [`Self::rank_started`].
    pub fn started(&self) -> impl Iterator<Item = u64> {
        self.started.iter().map(|&(_, _, first_packet)| first_packet)
    }

    /// Gives their ranks to the connections that were started.
    pub fn rank_started(&mut self, rank: impl Fn(u64) -> Option<u64>) {
        for (index, serial, first_packet) in self.started.drain(..) {
            let Some(slot) =
                self.slots[index as usize].as_mut().filter(|slot| slot.serial == serial)
            else {
                continue;
            };
            slot.connection.rank = rank(first_packet);
            if let (Some(stream), Some(rank)) = (&mut slot.connection.stream, slot.connection.rank)
            {
                self.streams.rank(stream, rank);
            }
        }
    }

    /// Takes the next segment of the shard.
    pub fn segment(&mut self, segment: &Segment, payload: &[u8]) {
        self.now = Mark { packet: segment.number, at: segment.at };
        self.streams.now(self.now);
        self.latest = self.latest.max(segment.at);
        self.expire();
        let index = self.find(segment);
        let slot = self.slots[index as usize].as_mut().expect("find answers a slot that is taken");
        let connection = &mut slot.connection;
        connection.last_seen = self.latest;
        if self.share.takes(segment.hash) && connection.left_out.is_none() && !connection.over {
            self.shed.connections += 1;
            self.shed.exchanges += connection.let_go(&mut self.streams);
        }
        let was_ending = connection.reset.is_some() || connection.over;
        if !connection.segment(segment, payload, &mut self.streams, &self.limits, &mut self.notes) {
            *self.rejected.entry("duplicate").or_default() += 1;
        } else if let Some(NotFollowed::Shed { .. }) = connection.left_out {
            self.shed.packets += 1;
        }
        if !connection.over && connection.is_complete() {
            connection.end(DirectionEnd::Fin, self.now, &mut self.streams, &mut self.notes);
        }
        let held = connection.held()
            + connection.stream.as_ref().map_or(0, |stream| self.streams.held(stream));
        self.held = self.held + held - std::mem::replace(&mut slot.held, held);
        if !was_ending && (connection.over || connection.reset.is_some()) {
            self.closing.push_back((index, slot.serial, self.latest));
        }
    }

    pub(super) fn insert(&mut self, place: HashedPair, segment: &Segment) -> u32 {
        if self.slots.len() - self.free.len() >= self.limits.connections {
            self.evict_one();
        }
        let asked_for = |port| self.ports.contains(&port);
        let ignored = !self.ports.is_empty()
            && !asked_for(place.pair.low.port)
            && !asked_for(place.pair.high.port);
        self.serial += 1;
        let connection = Connection::new(segment, ignored.then_some(NotFollowed::OtherPort));
        let sibling = self.places.get(&place).copied();
        let slot = Some(ConnectionSlot { connection, sibling, serial: self.serial, held: 0 });
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.places.insert(place, index);
        self.started.push((index, self.serial, segment.number));
        self.idle.push_back((index, self.serial, self.latest));
        index
    }

    pub(super) fn remove(&mut self, index: u32, how: DirectionEnd) {
        let Some(mut slot) = self.slots[index as usize].take() else { return };
        let connection = &mut slot.connection;
        connection.end(how, self.now, &mut self.streams, &mut self.notes);
        connection.finish(&mut self.streams);
        self.held -= slot.held;
        let place = HashedPair { pair: connection.pair, hash: connection.hash };
        if self.places.get(&place) == Some(&index) {
            match slot.sibling {
                Some(sibling) => self.places.insert(place, sibling),
                None => self.places.remove(&place),
            };
        } else {
            let mut at = self.places.get(&place).copied();
            while let Some(before) = at {
                let before =
                    self.slots[before as usize].as_mut().expect("siblings are taken slots");
                if before.sibling == Some(index) {
                    before.sibling = slot.sibling;
                    break;
                }
                at = before.sibling;
            }
        }
        self.free.push(index);
        self.account(&slot.connection);
    }

    fn account(&mut self, connection: &Connection<T::Stream>) {
        self.account_seen(connection);
        let followed = match connection.left_out {
            Some(NotFollowed::Shed { followed }) => followed,
            _ => connection.packets,
        };
        let name = match connection.left_out {
            // Nothing came of the packets before either.
            Some(NotFollowed::Shed { .. }) if !connection.finished.used => {
                self.shed.packets += followed;
                return;
            }
            Some(NotFollowed::OtherPort) => "other-port",
            _ => connection.finished.protocol,
        };
        let count = self.counts.entry(name).or_default();
        count.connections += 1;
        count.packets += followed;
        count.bytes += connection.bytes;
        self.skipped += connection.finished.skipped;
        self.tunnelled += connection.finished.tunnelled;
        self.unkept_interim += connection.finished.unkept_interim;
        if connection.finished.used {
            self.tunnelled += connection.unread_bytes;
        }
        if connection.finished.used {
            self.used += followed;
        } else {
            *self.rejected.entry(name).or_default() += followed;
        }
    }

    /// Tells what was readable of a connection, and why the rest was not.
    fn account_seen(&mut self, connection: &Connection<T::Stream>) {
        let Connection { packets, bytes, finished, .. } = connection;
        let FinishedConnection { protocol, used, skipped, tunnelled, .. } = *finished;
        let mut all = Traffic { connections: 1, packets: *packets, bytes: *bytes };
        let of = |bytes| Traffic { bytes, ..Traffic::default() };
        match connection.left_out {
            Some(NotFollowed::OtherPort) => return,
            Some(NotFollowed::Shed { followed }) if used => {
                all.packets = followed;
                let packets = packets - followed;
                self.seen.leave("shed", Traffic { packets, ..Traffic::default() });
            }
            Some(NotFollowed::Shed { .. }) => return self.seen.leave("shed", all),
            None if *bytes == 0 => return,
            None if !used => return self.seen.leave(protocol, all),
            None => {}
        }
        let tunnelled = (tunnelled + connection.unread_bytes).min(all.bytes);
        // Gaps between messages count as skipped, and were no bytes of a packet.
        let skipped = skipped.saturating_sub(connection.missing_bytes).min(all.bytes - tunnelled);
        all.bytes -= tunnelled + skipped;
        self.seen.readable.add(all);
        let is_http = protocol.starts_with("http/");
        self.seen.leave(if is_http { "switched-protocol" } else { protocol }, of(tunnelled));
        self.seen.leave("no-message", of(skipped));
    }

    /// Ends what was quiet for too long and forgets what was closed.
    fn expire(&mut self) {
        while let Some(&(index, serial, since)) = self.closing.front() {
            if self.latest.since(since) <= self.limits.linger_ns {
                break;
            }
            self.closing.pop_front();
            if !self.is_current(index, serial) {
                continue;
            }
            if self.waits(index) {
                self.overdue.push((index, serial));
            } else {
                self.remove(index, DirectionEnd::Reset);
            }
        }
        while let Some(&(index, serial, since)) = self.idle.front() {
            if self.latest.since(since) <= self.limits.idle_ns {
                break;
            }
            self.idle.pop_front();
            let Some(last_seen) = self.last_seen(index, serial) else { continue };
            if self.latest.since(last_seen) > self.limits.idle_ns {
                self.evicted[0] += 1;
                self.remove(index, DirectionEnd::Evicted);
            } else {
                self.idle.push_back((index, serial, last_seen));
            }
        }
    }

    /// Makes room: of the connections that have been here longest, one that was not seen since it
    /// was last looked at.
    fn evict_one(&mut self) {
        for _ in 0..self.idle.len() {
            let Some((index, serial, since)) = self.idle.pop_front() else { return };
            let Some(last_seen) = self.last_seen(index, serial) else { continue };
            if last_seen > since {
                self.idle.push_back((index, serial, last_seen));
                continue;
            }
            self.evicted[1] += 1;
            self.remove(index, DirectionEnd::Evicted);
            return;
        }
        // All were active in turn: the one that is next goes.
        while let Some((index, serial, _)) = self.idle.pop_front() {
            if self.is_current(index, serial) {
                self.evicted[1] += 1;
                self.remove(index, DirectionEnd::Evicted);
                return;
            }
        }
    }

    fn is_current(&self, index: u32, serial: u64) -> bool {
        self.slots[index as usize].as_ref().is_some_and(|slot| slot.serial == serial)
    }

    fn last_seen(&self, index: u32, serial: u64) -> Option<Timestamp> {
        self.slots[index as usize]
            .as_ref()
            .filter(|slot| slot.serial == serial)
            .map(|slot| slot.connection.last_seen)
    }

    /// Bytes held by all connections and their streams.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Who holds bytes, and how many: bytes, first packet, slot.
    pub fn holders(&self) -> impl Iterator<Item = (usize, u64, u32)> {
        let slots = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((index as u32, slot.as_ref()?)));
        slots
            .filter(|(_, slot)| slot.held > 0)
            .map(|(index, slot)| (slot.held, slot.connection.first_packet, index))
    }

    /// There is no room for what the connection in a slot holds: it lets go of that; or it ends,
    /// where that was not enough. Answers how many bytes that gave.
    pub fn shed(&mut self, index: u32, end: bool) -> usize {
        let Some(slot) = self.slots[index as usize].as_mut() else { return 0 };
        let before = slot.held;
        self.given_up += 1;
        if end {
            self.remove(index, DirectionEnd::Evicted);
            return before;
        }
        let connection = &mut slot.connection;
        connection.give_up_held(&mut self.streams, &mut self.notes);
        if let Some(stream) = &mut connection.stream {
            self.streams.shed(stream);
        }
        let held = connection.held()
            + connection.stream.as_ref().map_or(0, |stream| self.streams.held(stream));
        self.held = self.held + held - before;
        slot.held = held;
        before.saturating_sub(held)
    }

    fn waits(&self, index: u32) -> bool {
        let stream =
            self.slots[index as usize].as_ref().and_then(|slot| slot.connection.stream.as_ref());
        stream.is_some_and(|stream| self.streams.waits(stream))
    }

    /// Connections whose streams wait for something: first packet, slot.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, u32)> {
        self.holders()
            .map(|(_, first_packet, index)| (first_packet, index))
            .filter(|&(_, index)| self.waits(index))
    }

    /// More may be known of what the stream in a slot waits for.
    pub fn retry(&mut self, index: u32) {
        let Some(slot) = self.slots[index as usize].as_mut() else { return };
        let Some(stream) = &mut slot.connection.stream else { return };
        self.streams.retry(stream);
        let held = self.streams.held(stream) + slot.connection.held();
        self.held = self.held + held - std::mem::replace(&mut slot.held, held);
    }

    /// Nothing more is told in this round: forgets the closed connections that waited.
    pub fn end_round(&mut self) {
        for (index, serial) in std::mem::take(&mut self.overdue) {
            if self.is_current(index, serial) {
                self.remove(index, DirectionEnd::Reset);
            }
        }
    }

    /// The capture is over: ends every connection.
    pub fn finish(&mut self) {
        for index in 0..self.slots.len() {
            self.remove(index as u32, DirectionEnd::Capture);
        }
    }

    /// The account of the packets of this shard, once it is finished.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.take(self.used);
        for (reason, &packets) in &self.rejected {
            ledger.reject(reason, packets);
        }
        ledger.reject("shed", self.shed.packets);
        ledger.note("shed-connections", self.shed.connections);
        ledger.note("shed-exchanges-under-way", self.shed.exchanges);
        for (name, count) in &self.counts {
            ledger.note(&format!("{name}-connections"), count.connections);
            ledger.note(&format!("{name}-packets"), count.packets);
            ledger.note(&format!("{name}-bytes"), count.bytes);
        }
        self.notes.write(&mut ledger);
        ledger.seen = self.seen.clone();
        self.notes.write_unseen(&mut ledger.seen);
        ledger.note("bytes-that-belong-to-no-message", self.skipped);
        ledger.note("bytes-behind-a-switch-of-protocol", self.tunnelled);
        ledger.note("interim-answers-not-kept", self.unkept_interim);
        ledger.note("connections-evicted-idle", self.evicted[0]);
        ledger.note("connections-evicted-by-number", self.evicted[1]);
        ledger.note("connections-replaced-by-port-reuse", self.replaced);
        ledger.note("connections-that-held-too-much", self.given_up);
        ledger
    }
}
