//! Blocks of pcapng files (draft-ietf-opsawg-pcapng): several sections of either byte order,
//! several interfaces with their own link type, resolution and offset; enhanced, simple and
//! obsolete packet blocks; interface statistics; decryption secrets. Finds block boundaries in a
//! buffer; reads nothing itself.

use std::collections::BTreeMap;

use super::LinkType;
use super::classic::ClassicRecord;
use crate::limits;
use crate::time::Timestamp;

/// Type of the block that starts a section; the same in both byte orders.
pub const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;

/// An interface of the current section.
#[derive(Clone, Copy, Debug)]
struct SectionInterface {
    link: LinkType,
    snap_length: u32,
    /// Units of its time stamps in a second: a power of ten or of two.
    resolution: Resolution,
    /// Seconds that are added to its time stamps.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    /// 10^-n seconds.
    Decimal(u8),
    /// 2^-n seconds.
    Binary(u8),
}

impl Resolution {
    fn stamp(self, units: u64, offset: i64) -> Timestamp {
        let units = u128::from(units);
        let nanos = match self {
            Self::Decimal(n @ 0..=9) => units * 10u128.pow(9 - u32::from(n)),
            Self::Decimal(n) => units / 10u128.saturating_pow(u32::from(n) - 9),
            Self::Binary(n) => (units * 1_000_000_000).checked_shr(u32::from(n)).unwrap_or(0),
        };
        Timestamp::from_parts(offset, 0).plus(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// A block that is no packet, or one with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// A packet: the record, its link type, and the length of the whole block.
    Packet(ClassicRecord, LinkType, usize),
    /// Anything else that was understood or may be passed over: its length.
    Other(usize),
    /// This many bytes must be there to go on.
    Need(usize),
    /// Not a block; what is wrong with it.
    Damaged(&'static str),
}

/// The state that blocks share: byte order and interfaces of the current section, and what was
/// learned beside packets.
#[derive(Debug, Default)]
pub struct Sections {
    big_endian: bool,
    interfaces: Vec<SectionInterface>,
    last: Timestamp,
    /// Drops by the latest statistics of each interface: (section, interface) → (by interface, by
    /// system).
    drops: BTreeMap<(u32, u32), (u64, u64)>,
    section: u32,
    /// TLS key log lines found in the file (NSS format) and not taken yet, bounded by
    /// [`limits::SECRETS_BYTES`].
    pub secrets: Vec<u8>,
    /// Bytes of all such lines.
    pub secret_bytes: u64,
    /// Blocks of types that are not packets and not known.
    pub unknown_blocks: u64,
}

impl Sections {
    /// Packets that the capturing interfaces and systems say they dropped.
    pub fn drops(&self) -> (u64, u64) {
        self.drops
            .values()
            .fold((0, 0), |(a, b), &(x, y)| (a.saturating_add(x), b.saturating_add(y)))
    }

    fn u16(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk::<2>()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk::<4>()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(&self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = *bytes.get(at..)?.first_chunk::<8>()?;
        Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// What stands at the start of `bytes`.
    pub fn next(&mut self, bytes: &[u8]) -> Block {
        if bytes.len() < 12 {
            return Block::Need(12);
        }
        if bytes.starts_with(&SECTION_HEADER) {
            match [bytes[8], bytes[9], bytes[10], bytes[11]] {
                [0x4d, 0x3c, 0x2b, 0x1a] => self.big_endian = false,
                [0x1a, 0x2b, 0x3c, 0x4d] => self.big_endian = true,
                _ => return Block::Damaged("a section header without its byte-order magic"),
            }
        }
        let (Some(kind), Some(total)) = (self.u32(bytes, 0), self.u32(bytes, 4)) else {
            return Block::Need(12);
        };
        if total < 12 || total % 4 != 0 {
            return Block::Damaged("a block length that is no multiple of four or too small");
        }
        let secrets = kind == DECRYPTION_SECRETS && total as usize <= limits::SECRETS_BYTES;
        if total > limits::PACKET_BYTES + 4096 && !secrets {
            return Block::Damaged("a block longer than any packet");
        }
        let total = total as usize;
        if bytes.len() < total {
            return Block::Need(total);
        }
        if self.u32(bytes, total - 4) != Some(total as u32) {
            return Block::Damaged("a block whose two lengths differ");
        }
        let body = &bytes[8..total - 4];
        if bytes.starts_with(&SECTION_HEADER) {
            self.interfaces.clear();
            self.section += 1;
            return Block::Other(total);
        }
        let done = match kind {
            ENHANCED_PACKET => return self.enhanced(body, total),
            SIMPLE_PACKET => return self.simple(body, total),
            OBSOLETE_PACKET => return self.obsolete(body, total),
            INTERFACE => self.interface(body),
            STATISTICS => self.statistics(body),
            DECRYPTION_SECRETS => self.secrets(body),
            _ => {
                self.unknown_blocks += 1;
                Some(())
            }
        };
        match done {
            Some(()) => Block::Other(total),
            None => Block::Damaged("a block that is shorter than its contents"),
        }
    }

    fn enhanced(&mut self, body: &[u8], total: usize) -> Block {
        let fields = (
            self.u32(body, 0),
            self.u32(body, 4),
            self.u32(body, 8),
            self.u32(body, 12),
            self.u32(body, 16),
        );
        let (Some(interface), Some(high), Some(low), Some(captured), Some(length)) = fields else {
            return Block::Damaged("a packet block without its header");
        };
        self.packet(
            interface,
            (u64::from(high) << 32) | u64::from(low),
            captured,
            length,
            20,
            body,
            total,
        )
    }

    fn obsolete(&mut self, body: &[u8], total: usize) -> Block {
        let fields = (
            self.u16(body, 0),
            self.u32(body, 4),
            self.u32(body, 8),
            self.u32(body, 12),
            self.u32(body, 16),
        );
        let (Some(interface), Some(high), Some(low), Some(captured), Some(length)) = fields else {
            return Block::Damaged("a packet block without its header");
        };
        self.packet(
            u32::from(interface),
            (u64::from(high) << 32) | u64::from(low),
            captured,
            length,
            20,
            body,
            total,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a block, in its order")]
    fn packet(
        &mut self,
        at: u32,
        units: u64,
        captured: u32,
        length: u32,
        header: usize,
        body: &[u8],
        total: usize,
    ) -> Block {
        let Some(interface) = self.interfaces.get(at as usize) else {
            return Block::Damaged("a packet of an interface that the section does not describe");
        };
        if captured as usize > body.len() - header {
            return Block::Damaged("a packet that is longer than its block");
        }
        self.last = interface.resolution.stamp(units, interface.offset);
        let record = ClassicRecord {
            at: self.last,
            header: 8 + header,
            captured,
            length: length.max(captured),
        };
        Block::Packet(record, interface.link, total)
    }

    /// A simple packet has no time; it gets that of the packet before it.
    fn simple(&mut self, body: &[u8], total: usize) -> Block {
        let (Some(length), Some(interface)) = (self.u32(body, 0), self.interfaces.first()) else {
            return Block::Damaged("a simple packet without an interface");
        };
        let snap = if interface.snap_length == 0 { u32::MAX } else { interface.snap_length };
        let captured = length.min(snap).min((body.len() - 4) as u32);
        Block::Packet(
            ClassicRecord { at: self.last, header: 12, captured, length },
            interface.link,
            total,
        )
    }

    fn interface(&mut self, body: &[u8]) -> Option<()> {
        let mut interface = SectionInterface {
            link: LinkType(self.u16(body, 0)?),
            snap_length: self.u32(body, 4)?,
            resolution: Resolution::Decimal(6),
            offset: 0,
        };
        for (code, value) in self.options(body.get(8..)?) {
            match (code, value) {
                (9, [resolution, ..]) => {
                    let power = resolution & 0x7f;
                    interface.resolution = if resolution & 0x80 == 0 {
                        Resolution::Decimal(power)
                    } else {
                        Resolution::Binary(power)
                    };
                }
                (14, value) if value.len() == 8 => interface.offset = self.u64(value, 0)? as i64,
                _ => {}
            }
        }
        if self.interfaces.len() < limits::INTERFACES {
            self.interfaces.push(interface);
        }
        Some(())
    }

    fn statistics(&mut self, body: &[u8]) -> Option<()> {
        let interface = self.u32(body, 0)?;
        let mut drops = (0, 0);
        for (code, value) in self.options(body.get(12..)?) {
            match code {
                5 => drops.0 = self.u64(value, 0).unwrap_or(0),
                7 => drops.1 = self.u64(value, 0).unwrap_or(0),
                _ => {}
            }
        }
        if (interface as usize) < limits::INTERFACES && self.drops.len() < limits::INTERFACES {
            self.drops.insert((self.section, interface), drops);
        }
        Some(())
    }

    fn secrets(&mut self, body: &[u8]) -> Option<()> {
        const TLS_KEY_LOG: u32 = 0x544c_534b;
        let (kind, length) = (self.u32(body, 0)?, self.u32(body, 4)? as usize);
        let secrets = body.get(8..8usize.checked_add(length)?)?;
        if kind == TLS_KEY_LOG && self.secrets.len() + secrets.len() < limits::SECRETS_BYTES {
            self.secrets.extend_from_slice(secrets);
            self.secrets.push(b'\n');
            self.secret_bytes += secrets.len() as u64;
        }
        Some(())
    }

    /// Options: code, length, value padded to four bytes; a cut list just ends.
    fn options<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let big = self.big_endian;
        let u16_at = move |bytes: &[u8], at: usize| {
            let pair = [bytes[at], bytes[at + 1]];
            if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        let mut rest = bytes;
        std::iter::from_fn(move || {
            if rest.len() < 4 {
                return None;
            }
            let (code, length) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
            let value = rest.get(4..4 + length)?;
            rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
            (code != 0).then_some((code, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with both lengths, in either byte order.
    fn block(kind: u32, body: &[u8], big: bool) -> Vec<u8> {
        let put = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let padded = body.len().next_multiple_of(4);
        let total = (12 + padded) as u32;
        let mut out = Vec::new();
        out.extend_from_slice(&put(kind));
        out.extend_from_slice(&put(total));
        out.extend_from_slice(body);
        out.resize(8 + padded, 0);
        out.extend_from_slice(&put(total));
        out
    }

    fn section(big: bool) -> Vec<u8> {
        let mut body =
            if big { vec![0x1a, 0x2b, 0x3c, 0x4d] } else { vec![0x4d, 0x3c, 0x2b, 0x1a] };
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&[0xff; 8]);
        block(0x0a0d_0d0a, &body, big)
    }

    fn words(values: &[u32], big: bool) -> Vec<u8> {
        values.iter().flat_map(|v| if big { v.to_be_bytes() } else { v.to_le_bytes() }).collect()
    }

    #[test]
    fn sections_of_both_byte_orders_and_resolutions() {
        for big in [false, true] {
            let mut sections = Sections::default();
            let head = section(big);
            assert_eq!(sections.next(&head), Block::Other(head.len()));
            // Link type 113, no snap length, resolution 2^-10 s, offset 5 s.
            let pair = |a: u16, b: u16| {
                if big {
                    [a.to_be_bytes(), b.to_be_bytes()].concat()
                } else {
                    [a.to_le_bytes(), b.to_le_bytes()].concat()
                }
            };
            let mut body = pair(113, 0);
            body.extend_from_slice(&[0; 4]);
            body.extend_from_slice(&pair(9, 1));
            body.extend_from_slice(&[0x8a, 0, 0, 0]);
            body.extend_from_slice(&pair(14, 8));
            body.extend_from_slice(&if big { 5i64.to_be_bytes() } else { 5i64.to_le_bytes() });
            let interface = block(INTERFACE, &body, big);
            assert_eq!(sections.next(&interface), Block::Other(interface.len()));
            let mut body = words(&[0, 0, 1024 + 512, 3, 90], big);
            body.extend_from_slice(b"abc");
            let packet = block(ENHANCED_PACKET, &body, big);
            let record = ClassicRecord {
                at: Timestamp::from_nanos(6_500_000_000),
                header: 28,
                captured: 3,
                length: 90,
            };
            assert_eq!(
                sections.next(&packet),
                Block::Packet(record, LinkType::LINUX_SLL, packet.len())
            );
            let mut body = words(&[4], big);
            body.extend_from_slice(b"abcd");
            let simple = block(SIMPLE_PACKET, &body, big);
            let record = ClassicRecord {
                at: Timestamp::from_nanos(6_500_000_000),
                header: 12,
                captured: 4,
                length: 4,
            };
            assert_eq!(
                sections.next(&simple),
                Block::Packet(record, LinkType::LINUX_SLL, simple.len())
            );
        }
    }

    #[test]
    fn statistics_and_secrets_are_kept() {
        let mut sections = Sections::default();
        sections.next(&section(false));
        let mut body = words(&[0, 0, 0], false);
        for (code, value) in [(5u16, 3u64), (7, 4)] {
            body.extend_from_slice(&[code.to_le_bytes(), 8u16.to_le_bytes()].concat());
            body.extend_from_slice(&value.to_le_bytes());
        }
        sections.next(&block(STATISTICS, &body, false));
        sections.next(&block(STATISTICS, &body, false));
        assert_eq!(sections.drops(), (3, 4), "a later statistic replaces the earlier one");
        let mut body = words(&[0x544c_534b, 5], false);
        body.extend_from_slice(b"CLIEN");
        sections.next(&block(DECRYPTION_SECRETS, &body, false));
        assert_eq!(sections.secrets, b"CLIEN\n");
    }

    #[test]
    fn damage_is_named() {
        let mut sections = Sections::default();
        sections.next(&section(false));
        for (bytes, what) in [
            (words(&[ENHANCED_PACKET, 7, 0], false), "multiple of four"),
            (words(&[ENHANCED_PACKET, u32::MAX - 3, 0], false), "longer than any packet"),
            (block(ENHANCED_PACKET, &words(&[9, 0, 0, 0, 0], false), false), "does not describe"),
            (words(&[4, 12, 16], false), "lengths differ"),
        ] {
            assert!(
                matches!(sections.next(&bytes), Block::Damaged(text) if text.contains(what)),
                "{what}"
            );
        }
        assert_eq!(sections.next(&[0; 5]), Block::Need(12));
    }
}
