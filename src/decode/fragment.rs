//! IP fragments, joined again (RFC 791 §3.2, RFC 8200 §4.5): out of order, overlapping (the first
//! copy wins), twice. What is incomplete is bounded in number, bytes and capture time; a packet
//! that never became whole is counted fragment by fragment.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::{Decoded, HashKey, IpFacts, PacketWalk, Reject};
use crate::limits;
use crate::time::Timestamp;

/// A part of an IP packet; its bytes are still in the block that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Number of the packet.
    pub number: u64,
    /// Its capture time.
    pub at: Timestamp,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) id: u32,
    pub(super) protocol: u8,
    pub(super) network: u32,
    pub(super) layers: u32,
    pub(super) offset: u32,
    pub(super) more: bool,
    /// Block that holds its bytes, where they start, and how many there are.
    pub block: u32,
    /// Where the bytes start.
    pub start: u32,
    /// How many there are.
    pub length: u32,
}

/// Fragments of one packet have these in common. IPv6 leaves out the protocol, as only the first
/// fragment's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FragmentKey {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    network: u32,
    protocol: u8,
}

#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    /// The parts that are there: start and end, in order, never touching.
    have: Vec<(u32, u32)>,
    /// Where the packet ends, once its last fragment was seen.
    end: Option<u32>,
    /// Next header as the first fragment says it.
    protocol: u8,
    packets: u64,
    first: Timestamp,
    serial: u64,
}

/// What became of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub enum Joined {
    /// The packet is not whole yet.
    Waiting,
    /// The packet is whole: what it holds. A segment's payload is in the joined bytes, whose block
    /// index the caller gave. The number is that of the fragments before this one.
    Whole(Result<Decoded, Reject>, Vec<u8>, u64),
}

/// The packets that are not whole yet.
#[derive(Default)]
pub struct Fragments {
    partial: HashMap<FragmentKey, Partial>,
    /// In the order of their first fragment, with the serial that tells a later packet of the same
    /// key.
    order: VecDeque<(FragmentKey, u64)>,
    bytes: usize,
    serial: u64,
    /// Fragments of packets that were given up.
    pub given_up: u64,
    /// Fragments that overlapped another one.
    pub overlapping: u64,
}

impl Fragments {
    /// Adds a fragment and its bytes. `block` is where the caller will put the joined bytes.
    pub fn add(&mut self, fragment: &Fragment, bytes: &[u8], block: u32, key: HashKey) -> Joined {
        self.expire(fragment.at);
        let place = FragmentKey {
            source: fragment.source,
            destination: fragment.destination,
            id: fragment.id,
            network: fragment.network,
            protocol: if fragment.source.is_ipv4() { fragment.protocol } else { 0 },
        };
        let serial = &mut self.serial;
        let order = &mut self.order;
        let partial = self.partial.entry(place).or_insert_with(|| {
            *serial += 1;
            order.push_back((place, *serial));
            Partial { first: fragment.at, serial: *serial, ..Partial::default() }
        });
        partial.packets += 1;
        if fragment.offset == 0 {
            partial.protocol = fragment.protocol;
        }
        let before = partial.bytes.len();
        let overlapped = partial.insert(fragment.offset, bytes);
        self.bytes += partial.bytes.len() - before;
        self.overlapping += u64::from(overlapped);
        if !fragment.more {
            // A second last fragment that disagrees is not believed.
            partial.end.get_or_insert(fragment.offset + bytes.len() as u32);
        }
        let whole = partial.end.is_some_and(|end| {
            partial.have.first().is_some_and(|&(from, to)| from == 0 && to >= end)
        });
        if !whole {
            return Joined::Waiting;
        }
        let mut partial = self.partial.remove(&place).expect("it was there a moment ago");
        self.bytes -= partial.bytes.len();
        partial.bytes.truncate(partial.end.unwrap_or_default() as usize);
        let facts = IpFacts {
            source: fragment.source,
            destination: fragment.destination,
            identification: 0,
        };
        let mut walk = PacketWalk {
            bytes: &partial.bytes,
            end: partial.bytes.len(),
            wire: partial.bytes.len(),
            network: fragment.network,
            layers: fragment.layers,
            key,
            number: fragment.number,
            at: fragment.at,
            block,
            start: 0,
        };
        let decoded = walk.transport(partial.protocol, 0, facts);
        Joined::Whole(decoded, partial.bytes, partial.packets - 1)
    }

    /// Gives up what is too old or too much.
    fn expire(&mut self, now: Timestamp) {
        // Packets that became whole leave their place in the order behind.
        if self.order.len() > 2 * limits::FRAGMENTED_PACKETS {
            let partial = &self.partial;
            self.order.retain(|(key, serial)| {
                partial.get(key).is_some_and(|partial| partial.serial == *serial)
            });
        }
        while let Some(&(key, serial)) = self.order.front() {
            let Some(partial) = self.partial.get(&key).filter(|partial| partial.serial == serial)
            else {
                self.order.pop_front();
                continue;
            };
            let old = now.since(partial.first) > limits::FRAGMENT_AGE_NS;
            if !old
                && self.bytes <= limits::FRAGMENT_BYTES
                && self.partial.len() < limits::FRAGMENTED_PACKETS
            {
                return;
            }
            self.bytes -= partial.bytes.len();
            self.given_up += partial.packets;
            self.partial.remove(&key);
            self.order.pop_front();
        }
    }

    /// At the end of the input: what never became whole.
    pub fn finish(&mut self) {
        self.given_up += self.partial.drain().map(|(_, partial)| partial.packets).sum::<u64>();
        self.order.clear();
        self.bytes = 0;
    }
}

impl Partial {
    /// Copies what is not there yet; answers whether some of it was.
    fn insert(&mut self, offset: u32, bytes: &[u8]) -> bool {
        let (from, to) = (offset, offset + bytes.len() as u32);
        if self.bytes.len() < to as usize {
            self.bytes.resize(to as usize, 0);
        }
        let mut overlapped = false;
        let mut at = from;
        for &(have_from, have_to) in self.have.iter().filter(|&&(a, b)| b > from && a < to) {
            overlapped = true;
            if at < have_from {
                self.bytes[at as usize..have_from as usize]
                    .copy_from_slice(&bytes[(at - from) as usize..(have_from - from) as usize]);
            }
            at = at.max(have_to);
        }
        if at < to {
            self.bytes[at as usize..to as usize].copy_from_slice(&bytes[(at - from) as usize..]);
        }
        // A packet has at most 8,192 fragments; joining touching parts keeps the list at one entry
        // in the common case.
        let first = self.have.partition_point(|&(_, b)| b < from);
        let last = self.have.partition_point(|&(a, _)| a <= to);
        let joined =
            self.have[first..last].iter().fold((from, to), |(a, b), &(x, y)| (a.min(x), b.max(y)));
        self.have.splice(first..last, [joined]);
        overlapped
    }
}
