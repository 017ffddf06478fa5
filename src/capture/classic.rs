//! Records of classic pcap files: microseconds and nanoseconds, both byte orders, and the modified
//! variants that libpcap reads too (Kuznetzov's patch, with its longer record headers). Finds
//! record boundaries in a buffer; reads nothing itself.

use super::LinkType;
use crate::limits;
use crate::time::Timestamp;

/// Length of the file header.
pub const FILE_HEADER: usize = 24;

/// What the file header says about its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassicFormat {
    /// Whether integers have the other byte order than little-endian.
    big_endian: bool,
    /// Nanoseconds per unit of the second stamp field.
    unit: i64,
    /// Length of a record's header.
    record_header: usize,
    /// Whether captured and wire length may have changed places (files of version 2.3 and older).
    swapped_lengths: SwappedLengths,
    link: LinkType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SwappedLengths {
    Never,
    /// Version 2.3: writers disagreed, so the smaller one is the captured length.
    Smaller,
    /// Before 2.3 and version 543.0: always.
    Always,
}

/// A record: its header's facts; the bytes follow the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassicRecord {
    /// Capture time.
    pub at: Timestamp,
    /// Length of the record's header.
    pub header: usize,
    /// How many bytes were captured.
    pub captured: u32,
    /// How long the packet was.
    pub length: u32,
}

/// What stands at a place of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRecord {
    /// A whole record.
    Record(ClassicRecord),
    /// This many bytes must be there to go on.
    Need(usize),
    /// A length that no writer would write.
    Damaged(&'static str),
}

impl ClassicFormat {
    /// Reads the file header; none where it is not one of classic pcap.
    pub fn parse(header: &[u8; FILE_HEADER]) -> Option<Self> {
        let magic = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let known = |magic: u32| match magic {
            0xa1b2_c3d4 => Some((1_000, 16)), // standard: microseconds
            0xa1b2_3c4d => Some((1, 16)),     // nanoseconds
            // Kuznetzov: interface, protocol and type behind the lengths.
            0xa1b2_cd34 => Some((1_000, 24)),
            _ => None,
        };
        let (big_endian, (unit, record_header)) = match known(magic) {
            Some(found) => (false, found),
            None => (true, known(magic.swap_bytes())?),
        };
        let u16_at = |at: usize| {
            let bytes = [header[at], header[at + 1]];
            if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
        };
        let version = (u16_at(4), u16_at(6));
        // The link type has 28 bits; the upper four tell the length of a frame check sequence,
        // which the IP length cuts off.
        let link = if big_endian { u16_at(22) } else { u16_at(20) };
        let swapped_lengths = match version {
            (2, 3) => SwappedLengths::Smaller,
            (2, minor) if minor < 3 => SwappedLengths::Always,
            (543, 0) => SwappedLengths::Always,
            _ => SwappedLengths::Never,
        };
        Some(Self { big_endian, unit, record_header, swapped_lengths, link: LinkType(link) })
    }

    /// The link type of all packets.
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// What stands at the start of `bytes`.
    #[inline]
    pub fn next(&self, bytes: &[u8]) -> NextRecord {
        let Some(header) = bytes.first_chunk::<16>() else {
            return NextRecord::Need(self.record_header);
        };
        let field = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let (mut captured, mut length) = (field(8), field(12));
        match self.swapped_lengths {
            SwappedLengths::Never => {}
            SwappedLengths::Smaller if captured <= length => {}
            SwappedLengths::Smaller | SwappedLengths::Always => {
                (captured, length) = (length, captured)
            }
        }
        if captured > limits::PACKET_BYTES {
            return NextRecord::Damaged("a record longer than any packet");
        }
        let whole = self.record_header + captured as usize;
        if bytes.len() < whole {
            return NextRecord::Need(whole);
        }
        let at = Timestamp::from_parts(i64::from(field(0)), i64::from(field(4)) * self.unit);
        NextRecord::Record(ClassicRecord {
            at,
            header: self.record_header,
            captured,
            length: length.max(captured),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(magic: [u8; 4], version: (u16, u16), link: u32, big: bool) -> [u8; FILE_HEADER] {
        let mut out = [0; FILE_HEADER];
        out[..4].copy_from_slice(&magic);
        let put16 = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let put32 = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        out[4..6].copy_from_slice(&put16(version.0));
        out[6..8].copy_from_slice(&put16(version.1));
        out[20..].copy_from_slice(&put32(link));
        out
    }

    fn record(fields: [u32; 4], big: bool, extra: usize, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for field in fields {
            out.extend_from_slice(&if big { field.to_be_bytes() } else { field.to_le_bytes() });
        }
        out.resize(16 + extra, 0);
        out.extend_from_slice(data);
        out
    }

    #[test]
    fn magics_give_byte_order_unit_and_header_length() {
        for (magic, big, nanos, extra) in [
            ([0xd4, 0xc3, 0xb2, 0xa1], false, 7_000, 0),
            ([0xa1, 0xb2, 0xc3, 0xd4], true, 7_000, 0),
            ([0x4d, 0x3c, 0xb2, 0xa1], false, 7, 0),
            ([0xa1, 0xb2, 0x3c, 0x4d], true, 7, 0),
            ([0x34, 0xcd, 0xb2, 0xa1], false, 7_000, 8),
            ([0xa1, 0xb2, 0xcd, 0x34], true, 7_000, 8),
        ] {
            let format = ClassicFormat::parse(&header(magic, (2, 4), 0xf400_0071, big))
                .expect("a known magic");
            assert_eq!(format.link(), LinkType::LINUX_SLL, "{magic:x?}");
            let bytes = record([3, 7, 2, 9], big, extra, b"ab");
            let want = ClassicRecord {
                at: Timestamp::from_parts(3, nanos),
                header: 16 + extra,
                captured: 2,
                length: 9,
            };
            assert_eq!(format.next(&bytes), NextRecord::Record(want), "{magic:x?}");
            assert_eq!(format.next(&bytes[..bytes.len() - 1]), NextRecord::Need(bytes.len()));
            assert_eq!(format.next(&bytes[..15]), NextRecord::Need(16 + extra));
        }
        assert_eq!(ClassicFormat::parse(&header(*b"GET ", (2, 4), 1, false)), None);
    }

    #[test]
    fn lengths_of_old_files_change_places() {
        let old =
            ClassicFormat::parse(&header([0xd4, 0xc3, 0xb2, 0xa1], (2, 2), 1, false)).unwrap();
        let lengths =
            |format: &ClassicFormat, fields| match format.next(&record(fields, false, 0, b"ab")) {
                NextRecord::Record(record) => Some((record.captured, record.length)),
                _ => None,
            };
        assert_eq!(lengths(&old, [0, 0, 9, 2]), Some((2, 9)));
        let between =
            ClassicFormat::parse(&header([0xd4, 0xc3, 0xb2, 0xa1], (2, 3), 1, false)).unwrap();
        for fields in [[0, 0, 9, 2], [0, 0, 2, 9]] {
            assert_eq!(lengths(&between, fields), Some((2, 9)));
        }
    }

    #[test]
    fn an_absurd_length_is_damage_and_allocates_nothing() {
        let format =
            ClassicFormat::parse(&header([0xd4, 0xc3, 0xb2, 0xa1], (2, 4), 1, false)).unwrap();
        assert!(matches!(
            format.next(&record([0, 0, u32::MAX, 1], false, 0, b"")),
            NextRecord::Damaged(_)
        ));
    }
}
