//! The two file formats that packets are recorded in: pcap and pcapng, as bytes appended to a
//! buffer.
//!
//! Pure: no file, no clock. The reader of packets encodes straight into the blocks that are written
//! to disk, so a packet is copied once. pcap:
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>, pcapng:
//! <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>; both in the machine's byte
//! order, as both allow.

/// A capture file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// One link type for the file, no room for drops.
    Pcap,
    /// Several interfaces, drops in the file.
    Pcapng,
}

/// Where packets came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The device's name.
    pub name: String,
    /// Its link type (LINKTYPE_…, as files have it).
    pub link_type: u16,
    /// Longest packet that is kept whole, in bytes.
    pub snaplen: u32,
    /// The filter, empty where there was none.
    pub filter: String,
}

/// When a packet was seen, in the parts that the kernel gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Seconds since the epoch; 32 bits as pcap has them, good until 2106.
    pub seconds: u32,
    /// Nanoseconds, or microseconds where [`PacketEncoder::nanos`] is not set.
    pub fraction: u32,
}

/// What an interface lost until now, for pcapng's statistics block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that passed the filter.
    pub seen: u64,
    /// Packets that the kernel had no room for.
    pub dropped_by_kernel: u64,
    /// Packets that the device lost before the kernel saw them.
    pub dropped_by_interface: u64,
}

/// Encodes packets of one capture.
#[derive(Clone, Debug)]
pub struct PacketEncoder {
    format: FileFormat,
    nanos: bool,
}

const PCAP_MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const PCAP_MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;
/// Kind of secrets: lines of a TLS key log.
const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Bytes of secrets in a block: less than what readers take a block to be.
const SECRETS_IN_A_BLOCK: usize = 128 << 10;
/// Bytes before a packet's data in pcap.
const RECORD_HEAD: usize = 16;

impl PacketEncoder {
    /// An encoder for stamps in nanoseconds, or in microseconds.
    pub const fn new(format: FileFormat, nanos: bool) -> Self {
        Self { format, nanos }
    }

    /// The format.
    pub const fn format(&self) -> FileFormat {
        self.format
    }

    /// Whether fractions are nanoseconds.
    pub const fn nanos(&self) -> bool {
        self.nanos
    }

    /// Appends what stands at the start of a file. pcap holds the first interface only.
    pub fn start(&self, out: &mut Vec<u8>, interfaces: &[Interface]) {
        match self.format {
            FileFormat::Pcap => {
                let Some(interface) = interfaces.first() else { return };
                let magic = if self.nanos { PCAP_MAGIC_NANOS } else { PCAP_MAGIC_MICROS };
                let version = (2u16, 4u16);
                put(out, &magic.to_ne_bytes());
                put(out, &version.0.to_ne_bytes());
                put(out, &version.1.to_ne_bytes());
                put(out, &[0; 8]);
                put(out, &interface.snaplen.to_ne_bytes());
                put(out, &u32::from(interface.link_type).to_ne_bytes());
            }
            FileFormat::Pcapng => {
                block(out, SECTION_HEADER, |out| {
                    put(out, &BYTE_ORDER.to_ne_bytes());
                    put(out, &1u16.to_ne_bytes());
                    put(out, &0u16.to_ne_bytes());
                    put(out, &(-1i64).to_ne_bytes());
                    option(out, 4, concat!("shadowtap ", env!("CARGO_PKG_VERSION")).as_bytes());
                    option(out, 0, &[]);
                });
                for interface in interfaces {
                    self.interface(out, interface);
                }
            }
        }
    }

    fn interface(&self, out: &mut Vec<u8>, interface: &Interface) {
        block(out, INTERFACE_DESCRIPTION, |out| {
            put(out, &interface.link_type.to_ne_bytes());
            put(out, &[0; 2]);
            put(out, &interface.snaplen.to_ne_bytes());
            option(out, 2, interface.name.as_bytes());
            option(out, 9, &[if self.nanos { 9 } else { 6 }]);
            if !interface.filter.is_empty() {
                // The first octet says how the filter is written: 0 is a text for libpcap.
                let text: Vec<u8> = std::iter::once(0)
                    .chain(interface.filter.bytes())
                    .take(usize::from(u16::MAX))
                    .collect();
                option(out, 11, &text);
            }
            option(out, 0, &[]);
        });
    }

    /// Appends a packet of `length` bytes on the wire, of which `data` was kept.
    pub fn packet(
        &self,
        out: &mut Vec<u8>,
        interface: u32,
        stamp: Stamp,
        length: u32,
        data: &[u8],
    ) {
        let kept = data.len() as u32;
        match self.format {
            FileFormat::Pcap => {
                let mut head = [0; RECORD_HEAD];
                head[0..4].copy_from_slice(&stamp.seconds.to_ne_bytes());
                head[4..8].copy_from_slice(&stamp.fraction.to_ne_bytes());
                head[8..12].copy_from_slice(&kept.to_ne_bytes());
                head[12..16].copy_from_slice(&length.to_ne_bytes());
                out.reserve(RECORD_HEAD + data.len());
                out.extend_from_slice(&head);
                out.extend_from_slice(data);
            }
            FileFormat::Pcapng => {
                let units = self.units(stamp);
                let pad = data.len().wrapping_neg() % 4;
                let total = (32 + data.len() + pad) as u32;
                let mut head = [0; 28];
                for (place, value) in [
                    ENHANCED_PACKET,
                    total,
                    interface,
                    (units >> 32) as u32,
                    units as u32,
                    kept,
                    length,
                ]
                .into_iter()
                .enumerate()
                {
                    head[place * 4..place * 4 + 4].copy_from_slice(&value.to_ne_bytes());
                }
                out.reserve(total as usize);
                out.extend_from_slice(&head);
                out.extend_from_slice(data);
                out.extend_from_slice(&[0; 3][..pad]);
                out.extend_from_slice(&total.to_ne_bytes());
            }
        }
    }

    /// Appends what an interface lost until `now`; nothing in pcap, which has no place for it.
    pub fn statistics(
        &self,
        out: &mut Vec<u8>,
        interface: u32,
        now: Stamp,
        statistics: Statistics,
    ) {
        if self.format == FileFormat::Pcap {
            return;
        }
        let units = self.units(now);
        block(out, INTERFACE_STATISTICS, |out| {
            put(out, &interface.to_ne_bytes());
            put(out, &((units >> 32) as u32).to_ne_bytes());
            put(out, &(units as u32).to_ne_bytes());
            option(out, 5, &statistics.dropped_by_interface.to_ne_bytes());
            option(out, 6, &statistics.seen.to_ne_bytes());
            option(out, 7, &statistics.dropped_by_kernel.to_ne_bytes());
            option(out, 0, &[]);
        });
    }

    /// Appends TLS secrets, lines of a key log; nothing in pcap, which has no place for them.
    pub fn secrets(&self, out: &mut Vec<u8>, lines: &[u8]) {
        let mut rest = if self.format == FileFormat::Pcapng { lines } else { &[] };
        while !rest.is_empty() {
            let most = &rest[..rest.len().min(SECRETS_IN_A_BLOCK)];
            // Whole lines, where there are any.
            let end = match memchr::memrchr(b'\n', most) {
                Some(at) if most.len() < rest.len() => at + 1,
                _ => most.len(),
            };
            block(out, DECRYPTION_SECRETS, |out| {
                put(out, &TLS_KEY_LOG.to_ne_bytes());
                put(out, &(end as u32).to_ne_bytes());
                put(out, &rest[..end]);
                put(out, &[0; 3][..end.wrapping_neg() % 4]);
            });
            rest = &rest[end..];
        }
    }

    fn units(&self, stamp: Stamp) -> u64 {
        let per_second = if self.nanos { 1_000_000_000 } else { 1_000_000 };
        u64::from(stamp.seconds) * per_second + u64::from(stamp.fraction)
    }

    /// How much of `bytes` (whole records, as this encoder appended them) a cut after `length`
    /// leaves readable: the length of the whole records and how many packets they hold.
    pub fn whole(&self, bytes: &[u8], length: usize) -> (usize, u64) {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (mut at, mut packets) = (0, 0);
        loop {
            let (size, is_packet) = match self.format {
                FileFormat::Pcap => (word(at + 8).map(|kept| RECORD_HEAD + kept as usize), true),
                FileFormat::Pcapng => {
                    (word(at + 4).map(|total| total as usize), word(at) == Some(ENHANCED_PACKET))
                }
            };
            match size {
                Some(size) if size > 0 && at + size <= length => {
                    at += size;
                    packets += u64::from(is_packet);
                }
                _ => return (at, packets),
            }
        }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

/// A pcapng block: its kind, its length on both sides of the body.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    put(out, &kind.to_ne_bytes());
    let length_at = out.len();
    put(out, &[0; 4]);
    body(out);
    let total = ((out.len() - length_at) + 8) as u32;
    out[length_at..length_at + 4].copy_from_slice(&total.to_ne_bytes());
    put(out, &total.to_ne_bytes());
}

/// A pcapng option, padded to 32 bits.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    put(out, &code.to_ne_bytes());
    put(out, &(value.len() as u16).to_ne_bytes());
    put(out, value);
    put(out, &[0; 3][..value.len().wrapping_neg() % 4]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface() -> Interface {
        Interface {
            name: "eth0".to_owned(),
            link_type: 1,
            snaplen: 262_144,
            filter: "tcp port 80".to_owned(),
        }
    }

    #[test]
    fn a_cut_leaves_whole_records() {
        for format in [FileFormat::Pcap, FileFormat::Pcapng] {
            let encoder = PacketEncoder::new(format, true);
            let mut out = Vec::new();
            let mut ends = vec![0];
            for size in [0usize, 1, 60, 1500] {
                encoder.packet(
                    &mut out,
                    0,
                    Stamp { seconds: 1, fraction: 2 },
                    size as u32,
                    &vec![7; size],
                );
                ends.push(out.len());
            }
            for cut in 0..=out.len() {
                let packets = ends.iter().filter(|&&end| end <= cut).count() - 1;
                assert_eq!(
                    encoder.whole(&out, cut),
                    (ends[packets], packets as u64),
                    "{format:?} {cut}"
                );
            }
        }
    }

    #[test]
    fn secrets_are_read_as_they_were_given_and_stand_in_blocks_of_whole_lines() {
        let encoder = PacketEncoder::new(FileFormat::Pcapng, true);
        let line = "CLIENT_RANDOM 00 11\n";
        for lines in [1, 3, 20_000] {
            let (text, mut out) = (line.repeat(lines), Vec::new());
            encoder.start(&mut out, &[interface()]);
            encoder.secrets(&mut out, text.as_bytes());
            let (mut sections, mut at) = (crate::capture::pcapng::Sections::default(), 0);
            while at < out.len() {
                let crate::capture::pcapng::Block::Other(length) = sections.next(&out[at..]) else {
                    panic!("a block at {at}")
                };
                at += length;
            }
            let read = String::from_utf8(sections.secrets).unwrap();
            let read: Vec<&str> = read.lines().filter(|line| !line.is_empty()).collect();
            assert_eq!(read, vec![line.trim_end(); lines]);
        }
        let mut out = Vec::new();
        PacketEncoder::new(FileFormat::Pcap, true).secrets(&mut out, line.as_bytes());
        assert!(out.is_empty());
    }

    #[test]
    fn blocks_of_pcapng_are_padded_and_say_their_length_twice() {
        let encoder = PacketEncoder::new(FileFormat::Pcapng, true);
        let mut out = Vec::new();
        encoder.start(&mut out, &[interface(), interface()]);
        encoder.packet(
            &mut out,
            1,
            Stamp { seconds: 1_795_341_600, fraction: 123_456_789 },
            9,
            b"hello",
        );
        encoder.statistics(
            &mut out,
            1,
            Stamp { seconds: 1_795_341_601, fraction: 0 },
            Statistics::default(),
        );
        let mut kinds = Vec::new();
        let mut at = 0;
        while at < out.len() {
            let word = |at: usize| u32::from_ne_bytes(out[at..at + 4].try_into().unwrap());
            let length = word(at + 4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(at + length - 4) as usize, length);
            kinds.push(word(at));
            at += length;
        }
        assert_eq!(
            kinds,
            [
                SECTION_HEADER,
                INTERFACE_DESCRIPTION,
                INTERFACE_DESCRIPTION,
                ENHANCED_PACKET,
                INTERFACE_STATISTICS
            ]
        );
        assert_eq!(at, out.len());
    }
}
