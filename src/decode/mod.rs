//! From a packet's bytes to the TCP segment inside it: link layers, tunnels, IP, TCP. Stateless, so
//! that any number of threads may decode; only IP fragments, which belong together, are handed on
//! as what they are (`fragment` joins them).
//!
//! Out: a [`Segment`], a [`Fragment`], or a [`Reject`] with its reason. Lengths come before
//! checksums: offloading leaves both checksums and, in frames that the kernel will cut later,
//! length fields wrong or zero; padding is cut by the IP length.

pub mod fragment;
mod ip;
mod link;
mod tcp;
mod tunnel;
mod wireless;

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use crate::capture::{Frame, LinkType};
use crate::flow::Endpoint;
use crate::limits;
use crate::time::Timestamp;

pub use fragment::{Fragment, Fragments};

/// A TCP segment, its payload still in the block that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Number of the packet that carried it (of the packet that completed it, where it came in IP
    /// fragments).
    pub number: u64,
    /// Capture time of that packet.
    pub at: Timestamp,
    /// The two ends, the lower one first.
    pub pair: Pair,
    /// Whether the lower end sent it.
    pub from_low: bool,
    /// The virtual networks it travelled in (VLAN and VNI), folded; 0 for none.
    pub network: u32,
    /// Keyed hash of the pair, for tables.
    pub hash: u64,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; without meaning where the ACK flag is not set.
    pub ack: u32,
    /// Flags of the TCP header.
    pub flags: TcpFlags,
    /// What tells this packet from a retransmission of the same bytes: identification, window,
    /// options, numbers.
    pub fingerprint: u32,
    /// Whether the sender gave each packet its own identification, so that equal fingerprints mean
    /// one packet seen twice.
    pub identified: bool,
    /// Block of the batch that holds the payload.
    pub block: u32,
    /// Where the payload starts in it.
    pub start: u32,
    /// How many bytes of the payload were captured.
    pub captured: u32,
    /// How many bytes it had on the wire.
    pub length: u32,
}

/// The two ends of a connection in an order that does not depend on who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The lower one.
    pub low: Endpoint,
    /// The higher one.
    pub high: Endpoint,
}

impl Pair {
    /// Puts `source` and `destination` in order; answers whether the source is the lower one.
    pub fn new(source: Endpoint, destination: Endpoint) -> (Self, bool) {
        if source <= destination {
            (Self { low: source, high: destination }, true)
        } else {
            (Self { low: destination, high: source }, false)
        }
    }
}

/// TCP flags (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(1);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(2);
    /// Reset the connection.
    pub const RST: Self = Self(4);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(16);

    /// Whether `flag` is set.
    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}

/// Why a packet holds no segment that can be used. Stable names, in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// A link type that is not decoded.
    Link(LinkType),
    /// Not IP: the EtherType or PPP protocol.
    EtherType(u16),
    /// An IEEE 802.2 frame of another protocol than IP.
    Llc,
    /// IP with another protocol than TCP, and no tunnel that is known.
    Protocol(u8),
    /// A datagram of QUIC, which carries HTTP/3 and is not read.
    Quic,
    /// A frame of a wireless network without anything that can be read; why.
    Wireless(&'static str),
    /// A header that contradicts itself; the name of its layer.
    Malformed(&'static str),
    /// The capture length ended inside a header; the name of its layer.
    Cut(&'static str),
    /// More headers inside each other than [`limits::LAYERS`].
    TooDeep,
    /// A fragment of an IP packet that was itself carried in fragments.
    NestedFragment,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Link(LinkType(number)) => write!(f, "link-type-{number}"),
            Self::EtherType(0x0806) => f.write_str("arp"),
            Self::EtherType(0x88cc) => f.write_str("lldp"),
            Self::EtherType(0x8863) => f.write_str("pppoe-discovery"),
            Self::EtherType(0x88e5) => f.write_str("macsec"),
            Self::EtherType(number) => write!(f, "ether-type-{number:#06x}"),
            Self::Llc => f.write_str("llc"),
            Self::Protocol(1) => f.write_str("icmp"),
            Self::Protocol(2) => f.write_str("igmp"),
            Self::Protocol(17) => f.write_str("udp"),
            Self::Protocol(50) => f.write_str("esp"),
            Self::Protocol(58) => f.write_str("icmpv6"),
            Self::Protocol(132) => f.write_str("sctp"),
            Self::Protocol(number) => write!(f, "ip-protocol-{number}"),
            Self::Quic => f.write_str("quic"),
            Self::Wireless(why) => f.write_str(why),
            Self::Malformed(layer) => write!(f, "malformed-{layer}"),
            Self::Cut(layer) => write!(f, "cut-{layer}"),
            Self::TooDeep => f.write_str("too-many-layers"),
            Self::NestedFragment => f.write_str("fragment-in-fragments"),
        }
    }
}

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A TCP segment.
    Segment(Segment),
    /// A part of an IP packet.
    Fragment(Fragment),
    /// A datagram that may be one of QUIC.
    Datagram(Datagram),
}

/// A UDP datagram, its payload still in the block that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The two ends, the lower one first.
    pub pair: Pair,
    /// Whether it starts with a long header of QUIC: a packet of a handshake.
    pub is_long: bool,
    /// Block of the batch that holds the payload.
    pub block: u32,
    /// Where the payload starts in it.
    pub start: u32,
    /// How many bytes of the payload were captured.
    pub captured: u32,
    /// How many bytes it had on the wire.
    pub length: u32,
}

impl Datagram {
    /// What it is where it belongs to no connection that is known.
    pub const fn reject(&self) -> Reject {
        if self.is_long { Reject::Quic } else { Reject::Protocol(17) }
    }
}

/// Keys the hashes of this process, so that nobody can write a capture whose connections all
/// collide. The hash decides places in tables only, never an output.
#[derive(Clone, Copy, Debug)]
pub struct HashKey([u64; 2]);

impl Default for HashKey {
    fn default() -> Self {
        let state = std::collections::hash_map::RandomState::new();
        let word = |n: u64| {
            let mut hasher = state.build_hasher();
            hasher.write_u64(n);
            hasher.finish()
        };
        Self([word(1), word(2)])
    }
}

/// Decodes one packet.
pub fn decode(frame: &Frame, bytes: &[u8], number: u64, key: HashKey) -> Result<Decoded, Reject> {
    let mut walk = PacketWalk {
        bytes,
        end: bytes.len(),
        wire: (frame.length as usize).max(bytes.len()),
        network: 0,
        layers: 0,
        key,
        number,
        at: frame.at,
        block: frame.block,
        start: frame.start,
    };
    walk.link(frame.link)
}

/// What upper layers need of the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IpFacts {
    source: IpAddr,
    destination: IpAddr,
    /// IPv4's identification; 0 where there is none.
    identification: u16,
}

/// One packet being decoded: offsets are into `bytes`.
#[derive(Clone, Copy)]
struct PacketWalk<'a> {
    bytes: &'a [u8],
    /// Where the captured bytes of the current layer end.
    end: usize,
    /// Where they ended on the wire.
    wire: usize,
    network: u32,
    layers: u32,
    key: HashKey,
    number: u64,
    at: Timestamp,
    /// Where `bytes` lies: block and offset in it.
    block: u32,
    start: u32,
}

impl<'a> PacketWalk<'a> {
    /// `length` bytes at `at`, or why they are not there.
    fn take(&self, at: usize, length: usize, layer: &'static str) -> Result<&'a [u8], Reject> {
        self.bytes
            .get(at..at + length)
            .filter(|_| at + length <= self.end)
            .ok_or_else(|| self.short(at + length, layer))
    }

    /// Bytes up to `needed` are not there: cut by the capture, or never sent.
    fn short(&self, needed: usize, layer: &'static str) -> Reject {
        if needed <= self.wire { Reject::Cut(layer) } else { Reject::Malformed(layer) }
    }

    fn u16(&self, at: usize, layer: &'static str) -> Result<u16, Reject> {
        self.take(at, 2, layer).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&self, at: usize, layer: &'static str) -> Result<u32, Reject> {
        self.take(at, 4, layer)
            .map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Counts a layer: headers can be nested without end in a packet that was made to do so.
    fn deeper(&mut self) -> Result<(), Reject> {
        self.layers += 1;
        if self.layers > limits::LAYERS { Err(Reject::TooDeep) } else { Ok(()) }
    }

    /// Enters a virtual network.
    fn enter(&mut self, kind: u32, id: u32) {
        self.network = (self.network ^ (kind << 24 | id)).wrapping_mul(0x9e37_79b1) | 1;
    }
}

impl HashKey {
    /// Hash of a pair, equal for both directions.
    fn pair(self, pair: &Pair) -> u64 {
        let ports = u64::from(pair.low.port) << 16 | u64::from(pair.high.port);
        let (a, b) = match (pair.low.address, pair.high.address) {
            (IpAddr::V4(low), IpAddr::V4(high)) => {
                (u64::from(low.to_bits()) << 32 | u64::from(high.to_bits()), ports)
            }
            (low, high) => {
                let words = |address: IpAddr| match address {
                    IpAddr::V4(address) => (0, u64::from(address.to_bits())),
                    IpAddr::V6(address) => {
                        ((address.to_bits() >> 64) as u64, address.to_bits() as u64)
                    }
                };
                let ((a, b), (c, d)) = (words(low), words(high));
                (fold(a ^ self.0[0], b ^ self.0[1]) ^ ports, fold(c ^ self.0[1], d ^ self.0[0]))
            }
        };
        self.two(a, b)
    }

    /// Hash of two numbers of a segment.
    pub(crate) fn numbers(self, a: u32, b: u32) -> u64 {
        self.two(u64::from(a), u64::from(b))
    }

    fn two(self, a: u64, b: u64) -> u64 {
        fold(a ^ self.0[0], fold(b ^ self.0[1], 0x9e37_79b9_7f4a_7c15))
    }
}

const fn fold(a: u64, b: u64) -> u64 {
    let wide = a as u128 * b as u128;
    wide as u64 ^ (wide >> 64) as u64
}

impl Pair {
    /// The shard of `of` that owns the connection: the same in every run, as limits are per shard.
    pub fn shard(&self, of: usize) -> usize {
        (HashKey([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344]).pair(self) >> 32) as usize % of
    }
}

#[cfg(test)]
mod tests;
