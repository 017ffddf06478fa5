//! IEEE 802.11: data frames that are not encrypted, with what receivers put before them.

use super::{Decoded, PacketWalk, Reject};
use crate::capture::LinkType;

/// Bits of a frame's control field, the first byte lowest (IEEE 802.11 §9.2.4.1).
const TO_AND_FROM_DISTRIBUTION: u16 = 0x0300;
const PROTECTED: u16 = 0x4000;
const HIGH_THROUGHPUT: u16 = 0x8000;
const QUALITY_OF_SERVICE: u16 = 0x0080;
const NO_DATA: u16 = 0x0040;

impl PacketWalk<'_> {
    /// What the receiver says of a frame, then the frame.
    pub(super) fn monitored(&mut self, link: LinkType) -> Result<Decoded, Reject> {
        let little = |bytes: &[u8]| usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        match link {
            LinkType::RADIOTAP => {
                let length = little(&self.take(0, 4, "radiotap")?[2..]);
                let padded = self.is_padded()?;
                self.wireless(length, padded)
            }
            // Both know their length, in the byte order of the capturing machine or of the network.
            LinkType::PRISM | LinkType::AVS => {
                let length = match *self.take(4, 4, "prism")? {
                    [low, high, 0, 0] => u16::from_le_bytes([low, high]),
                    [.., high, low] => u16::from_be_bytes([high, low]),
                    _ => return Err(Reject::Malformed("prism")),
                };
                self.wireless(usize::from(length), false)
            }
            LinkType::PPI => {
                let header = self.take(0, 8, "ppi")?;
                match (little(&header[2..]), little(&header[4..])) {
                    (length, 1) => self.ethernet(length),
                    (length, 105) => self.wireless(length, false),
                    (_, other) => Err(Reject::Link(LinkType(other as u16))),
                }
            }
            _ => self.wireless(0, false),
        }
    }

    /// Whether a radiotap header says that the frame's own is padded to four bytes: a bit of its
    /// flags, which only a clock stands before.
    fn is_padded(&self) -> Result<bool, Reject> {
        let mut at = 4;
        let first = self.take(at, 4, "radiotap")?[0];
        // The highest bit of each word says that another one follows.
        while self.take(at, 4, "radiotap")?[3] & 0x80 != 0 {
            at += 4;
        }
        at += 4;
        if first & 1 != 0 {
            at = at.next_multiple_of(8) + 8;
        }
        Ok(first & 2 != 0 && self.take(at, 1, "radiotap")?[0] & 0x20 != 0)
    }

    /// A frame of IEEE 802.11.
    pub(super) fn wireless(&mut self, at: usize, padded: bool) -> Result<Decoded, Reject> {
        let control = self.take(at, 2, "wlan")?;
        let control = u16::from_le_bytes([control[0], control[1]]);
        match control & 0x0f {
            0x08 if control & NO_DATA == 0 => {}
            0x08 => return Err(Reject::Wireless("wlan-no-data")),
            0x00 => return Err(Reject::Wireless("wlan-management")),
            0x04 => return Err(Reject::Wireless("wlan-control")),
            _ => return Err(Reject::Malformed("wlan")),
        }
        if control & PROTECTED != 0 {
            return Err(Reject::Wireless("wlan-encrypted"));
        }
        let mut length = 24;
        if control & TO_AND_FROM_DISTRIBUTION == TO_AND_FROM_DISTRIBUTION {
            length += 6;
        }
        let mut aggregated = false;
        if control & QUALITY_OF_SERVICE != 0 {
            aggregated = self.take(at + length, 2, "wlan")?[0] & 0x80 != 0;
            length += if control & HIGH_THROUGHPUT != 0 { 6 } else { 2 };
        }
        if padded {
            length = length.next_multiple_of(4);
        }
        // Of several packets in a frame, the first: two addresses and a length stand before it.
        self.llc(at + length + if aggregated { 14 } else { 0 })
    }
}
