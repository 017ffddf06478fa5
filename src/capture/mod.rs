//! Packets as they were captured: from live devices, from files, and into files.
//!
//! In: devices (`live`, the only user of libpcap), pcap and pcapng files, compressed or not
//! (`file`), several of them merged by time (`merge`). Out: [`Batch`]es of [`Frame`]s for `decode`;
//! or pcap and pcapng (`writer`) as a row of files (`rotate`), by two threads (`record`), counted
//! as it goes (`counts`) until it is told to end (`stop`). `config` is its section of the
//! configuration. `routing` finds the device that leads to an address. `overload` says what to let
//! go of where exchanges are made live and that is too slow. `filter` builds what the kernel is
//! asked for, `privilege` knows what that needs.
//!
//! A frame does not own its bytes; it points into one of the batch's blocks, which are large,
//! filled by `read` and used again.

pub mod classic;
pub mod config;
pub mod counts;
pub mod file;
pub mod filter;
pub mod growing;
pub mod keylog;
pub mod known;
#[cfg(target_os = "linux")]
pub mod live;
pub mod merge;
mod order;
pub mod overload;
pub mod pcapng;
#[cfg(target_os = "linux")]
pub mod privilege;
#[cfg(target_os = "linux")]
pub mod record;
#[cfg(target_os = "linux")]
pub mod rotate;
#[cfg(target_os = "linux")]
pub mod routing;
pub mod writer;

use std::sync::Arc;

use self::overload::Share;
use crate::ledger::Ledger;
use crate::time::Timestamp;

/// The kind of a packet's outermost header, as the number that capture files use
/// (tcpdump.org/linktypes.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: the address family in the byte order of the capturing machine.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without the address and control bytes (RFC 1661, RFC 1662).
    pub const PPP: Self = Self(9);
    /// PPP in HDLC-like framing.
    pub const PPP_HDLC: Self = Self(50);
    /// PPP over Ethernet, the session header first.
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IP as BSD systems number it.
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP as OpenBSD numbers it.
    pub const RAW_OPENBSD: Self = Self(14);
    /// Raw IP.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// OpenBSD loopback: the address family in network order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
    /// Token Ring.
    pub const TOKEN_RING: Self = Self(6);
    /// FDDI.
    pub const FDDI: Self = Self(10);
    /// ATM with IEEE 802.2 (RFC 2684).
    pub const ATM: Self = Self(11);
    /// IEEE 802.11.
    pub const WLAN: Self = Self(105);
    /// Frame Relay.
    pub const FRAME_RELAY: Self = Self(107);
    /// OpenBSD's IPsec device: family, number and flags first.
    pub const ENC: Self = Self(109);
    /// OpenBSD's log of its packet filter.
    pub const PFLOG: Self = Self(117);
    /// IEEE 802.11 behind what a Prism receiver says.
    pub const PRISM: Self = Self(119);
    /// IEEE 802.11 behind a radiotap header.
    pub const RADIOTAP: Self = Self(127);
    /// IP over FireWire, as Apple captures it.
    pub const IP_OVER_1394: Self = Self(138);
    /// IEEE 802.11 behind what an AVS receiver says.
    pub const AVS: Self = Self(163);
    /// PPP as Linux' daemon captures it: a direction where its address would be.
    pub const PPP_PPPD: Self = Self(166);
    /// Per-packet information, which names the link type behind it.
    pub const PPI: Self = Self(192);
    /// PPP behind a direction.
    pub const PPP_WITH_DIRECTION: Self = Self(204);
    /// Cisco HDLC behind a direction.
    pub const C_HDLC_WITH_DIRECTION: Self = Self(205);
    /// Ethernet behind the four bytes of a netANALYZER.
    pub const NET_ANALYZER: Self = Self(240);
    /// The same with the preamble of the frame.
    pub const NET_ANALYZER_RAW: Self = Self(241);
    /// Ethernet with its preamble, perhaps cut into parts (IEEE 802.3br).
    pub const MPACKET: Self = Self(274);
}

/// One captured packet: when, how long, and where its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Capture time.
    pub at: Timestamp,
    /// Index of the batch's block that holds the bytes.
    pub block: u32,
    /// Where they start in it.
    pub start: u32,
    /// How many bytes were captured.
    pub captured: u32,
    /// How long the packet was on the wire.
    pub length: u32,
    /// The kind of its outermost header.
    pub link: LinkType,
}

/// Packets in capture order with the blocks that hold their bytes. Batches are handed back to their
/// source to be used again.
#[derive(Debug, Default)]
pub struct Batch {
    /// Number of the first frame, counted from 1 over the whole (merged) input.
    pub first: u64,
    /// The packets.
    pub frames: Vec<Frame>,
    /// The bytes; a block may be shared with the batch before or after where inputs are merged.
    pub blocks: Vec<Arc<Vec<u8>>>,
}

impl Batch {
    /// The captured bytes of a frame of this batch.
    pub fn bytes(&self, frame: &Frame) -> &[u8] {
        let start = frame.start as usize;
        &self.blocks[frame.block as usize][start..start + frame.captured as usize]
    }

    /// Adds a packet, copying its bytes into the first block: for sources that are handed their
    /// packets one by one.
    pub fn push(&mut self, at: Timestamp, link: LinkType, length: u32, bytes: &[u8]) {
        if self.blocks.is_empty() {
            self.blocks.push(Arc::default());
        }
        let block = Arc::make_mut(&mut self.blocks[0]);
        let (Ok(start), Ok(captured)) = (u32::try_from(block.len()), u32::try_from(bytes.len()))
        else {
            return;
        };
        block.extend_from_slice(bytes);
        self.frames.push(Frame {
            at,
            block: 0,
            start,
            captured,
            length: length.max(captured),
            link,
        });
    }

    /// Empties the batch; the first block keeps its room where nobody else holds it.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.blocks.truncate(1);
        if let Some(block) = self.blocks.first_mut() {
            match Arc::get_mut(block) {
                Some(bytes) => bytes.clear(),
                None => self.blocks.clear(),
            }
        }
    }
}

/// Where packets come from, batch by batch.
pub trait PacketSource: Send {
    /// Replaces the contents of `batch` by the next packets (it may be empty although more will
    /// come, as of a quiet live device). Answers `false` once there are no more, ever. Damage of an
    /// input is not an error: it ends that input and is in the ledger.
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, CaptureError>;

    /// Bytes of the input read so far, and how many there are in all where that is known.
    fn progress(&self) -> (u64, Option<u64>);

    /// What the source itself has to say when it has ended: drops, damage. Packets are not counted
    /// here.
    fn ledger(&self) -> Ledger;

    /// Lines for people about damaged inputs: file, packet, offset, reason.
    fn warnings(&self) -> Vec<String>;

    /// Appends the TLS secrets that stood beside the packets since the last call, as lines of key
    /// logs.
    fn take_secrets(&mut self, _into: &mut Vec<u8>) {}

    /// Which share of the connections is to be let go of, from the batch that was filled last on.
    /// Only live sources ever fall behind: what is made of a file does not depend on how fast that
    /// goes.
    fn share_to_shed(&self) -> Share {
        Share::NONE
    }
}

/// Why an input cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It could not be opened or read.
    #[error("cannot read {name}")]
    Unreadable {
        /// The input.
        name: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It holds nothing.
    #[error("{name} is empty: name a capture or a recording")]
    Empty {
        /// The input.
        name: String,
    },
    /// It is empty, or ends inside its header, because it is still being written.
    #[error(
        "{name} is still being written, and its first bytes are not there yet: try again in a \
         moment"
    )]
    NotYet {
        /// The input.
        name: String,
    },
    /// It is no capture and no recording.
    #[error("{name} is neither a pcap, a pcapng nor a JSONL file: it {start}")]
    UnknownKind {
        /// The input.
        name: String,
        /// What it is, or how it starts.
        start: String,
    },
    /// The header of the file makes no sense.
    #[error("{name}: {what} at byte {offset}")]
    Malformed {
        /// The input.
        name: String,
        /// What is wrong.
        what: String,
        /// Where.
        offset: u64,
    },
    /// The live device failed.
    #[error("{0}")]
    Device(String),
}

#[cfg(test)]
mod tests;
