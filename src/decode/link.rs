//! Link layers: Ethernet with its tags, PPP, Linux cooked captures, loopback, raw IP, NFLOG, and
//! older ones.

use super::{Decoded, PacketWalk, Reject};
use crate::capture::LinkType;

const NFLOG: LinkType = LinkType(239);

/// Kinds of virtual networks, to tell VLAN 5 from VNI 5.
pub(super) const VLAN: u32 = 1;
pub(super) const VNI: u32 = 2;
pub(super) const SERVICE: u32 = 3;

impl PacketWalk<'_> {
    /// The outermost header.
    pub(super) fn link(&mut self, link: LinkType) -> Result<Decoded, Reject> {
        match link {
            LinkType::ETHERNET => self.ethernet(0),
            LinkType::RAW
            | LinkType::RAW_BSD
            | LinkType::RAW_OPENBSD
            | LinkType::IPV4
            | LinkType::IPV6 => self.ip(0),
            LinkType::NULL | LinkType::LOOP => self.loopback(),
            LinkType::LINUX_SLL => {
                let protocol = self.u16(14, "sll")?;
                self.cooked(protocol, 16)
            }
            LinkType::LINUX_SLL2 => {
                let protocol = self.u16(0, "sll2")?;
                self.cooked(protocol, 20)
            }
            LinkType::PPP | LinkType::PPP_HDLC => self.ppp(0),
            LinkType::PPP_ETHER => self.pppoe(0),
            LinkType::C_HDLC => {
                let protocol = self.u16(2, "hdlc")?;
                self.ether_type(protocol, 4)
            }
            NFLOG => self.nflog(),
            LinkType::WLAN
            | LinkType::RADIOTAP
            | LinkType::PRISM
            | LinkType::AVS
            | LinkType::PPI => self.monitored(link),
            LinkType::PPP_WITH_DIRECTION => self.ppp(1),
            LinkType::C_HDLC_WITH_DIRECTION => {
                let protocol = self.u16(3, "hdlc")?;
                self.ether_type(protocol, 5)
            }
            // The direction stands where PPP has its address.
            LinkType::PPP_PPPD => self.ppp(2),
            LinkType::ATM => self.llc(0),
            LinkType::FRAME_RELAY => self.frame_relay(),
            LinkType::TOKEN_RING => {
                // The highest bit of the source says that a route follows.
                let routed = self.take(8, 1, "token-ring")?[0] & 0x80 != 0;
                let route = if routed { self.take(14, 1, "token-ring")?[0] & 0x1f } else { 0 };
                self.llc(14 + usize::from(route))
            }
            LinkType::FDDI => self.llc(13),
            LinkType::ENC => self.ip(12),
            LinkType::PFLOG => {
                let length = usize::from(self.take(0, 1, "pflog")?[0]);
                self.ip(length.next_multiple_of(4))
            }
            LinkType::IP_OVER_1394 => {
                let protocol = self.u16(16, "firewire")?;
                self.ether_type(protocol, 18)
            }
            LinkType::NET_ANALYZER => self.ethernet(4),
            LinkType::NET_ANALYZER_RAW => self.ethernet(12),
            LinkType::MPACKET => self.ethernet(8),
            other => Err(Reject::Link(other)),
        }
    }

    pub(super) fn ethernet(&mut self, at: usize) -> Result<Decoded, Reject> {
        self.deeper()?;
        let ether_type = self.u16(at + 12, "ethernet")?;
        self.ether_type(ether_type, at + 14)
    }

    /// What follows an EtherType; below 1536 it is the length of an IEEE 802.3 frame.
    pub(super) fn ether_type(&mut self, ether_type: u16, at: usize) -> Result<Decoded, Reject> {
        self.deeper()?;
        match ether_type {
            0x0800 | 0x86dd => self.ip(at),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => {
                let id = self.u16(at, "vlan")? & 0x0fff;
                let inner = self.u16(at + 2, "vlan")?;
                // Tag 0 carries a priority and no network.
                if id != 0 {
                    self.enter(VLAN, u32::from(id));
                }
                self.ether_type(inner, at + 4)
            }
            0x8847 | 0x8848 => self.mpls(at),
            0x8864 => self.pppoe(at),
            // Provider backbone bridging: flags, 24 bits of service, then a whole frame (IEEE
            // 802.1ah).
            0x88e7 => {
                let tag = self.u32(at, "i-tag")?;
                self.enter(SERVICE, tag & 0x00ff_ffff);
                self.ethernet(at + 4)
            }
            0x8926 => self.behind_tag(at + 4, "vn-tag"),
            0x893f => self.behind_tag(at + 6, "e-tag"),
            0x6558 => self.ethernet(at),
            0x880b => self.ppp(at),
            0x894f => self.nsh(at),
            // A ring's sequence numbers (HSR), security groups of Cisco, tags of switches (DSA).
            0x892f => self.behind_tag(at + 4, "hsr"),
            0x8909 => self.behind_tag(at + 6, "cisco-metadata"),
            0xdada => self.behind_tag(at + 6, "dsa"),
            // Fabrics of switches: FabricPath, and TRILL with its options (RFC 6325 §3).
            0x8903 => self.ethernet(at + 2),
            0x22f3 => {
                let flags = self.u16(at, "trill")?;
                self.ethernet(at + 6 + usize::from(flags >> 6 & 0x1f) * 4)
            }
            0x88e5 => self.macsec(at),
            0..0x0600 => self.llc(at),
            other => Err(Reject::EtherType(other)),
        }
    }

    /// IEEE 802.2: IP by SNAP or by its own service access point.
    pub(super) fn llc(&mut self, at: usize) -> Result<Decoded, Reject> {
        match self.take(at, 3, "llc")? {
            [0xaa, 0xaa, 0x03] => match self.take(at + 3, 3, "snap")? {
                [0, 0, 0] => {
                    let ether_type = self.u16(at + 6, "snap")?;
                    if ether_type < 0x0600 {
                        Err(Reject::Llc)
                    } else {
                        self.ether_type(ether_type, at + 8)
                    }
                }
                _ => Err(Reject::Llc),
            },
            [0x06, 0x06, 0x03] => self.ip(at + 3),
            _ => Err(Reject::Llc),
        }
    }

    /// Linux cooked captures: 4 and below are not EtherTypes.
    fn cooked(&mut self, protocol: u16, at: usize) -> Result<Decoded, Reject> {
        match protocol {
            4 => self.llc(at),
            0..0x0600 => Err(Reject::EtherType(protocol)),
            other => self.ether_type(other, at),
        }
    }

    /// The address family, in either byte order; its number for IPv6 differs between systems.
    fn loopback(&mut self) -> Result<Decoded, Reject> {
        let family = self.u32(0, "loopback")?;
        let family = if family > 0xffff { family.swap_bytes() } else { family };
        match family {
            2 | 10 | 24 | 28 | 30 => self.ip(4),
            other => Err(Reject::EtherType(other as u16)),
        }
    }

    /// PPP with or without address and control, with or without compressed protocol number (RFC
    /// 1661 §2, §6.5).
    pub(super) fn ppp(&mut self, at: usize) -> Result<Decoded, Reject> {
        self.deeper()?;
        let at = if self.take(at, 2, "ppp")? == [0xff, 0x03] { at + 2 } else { at };
        let first = u16::from(self.take(at, 1, "ppp")?[0]);
        let (protocol, at) =
            if first & 1 == 1 { (first, at + 1) } else { (self.u16(at, "ppp")?, at + 2) };
        match protocol {
            0x0021 | 0x0057 => self.ip(at),
            0x0281 | 0x0283 => self.mpls(at),
            other => Err(Reject::EtherType(other)),
        }
    }

    /// Version and type, code, session, length (RFC 2516 §4).
    fn pppoe(&mut self, at: usize) -> Result<Decoded, Reject> {
        self.take(at, 6, "pppoe")?;
        self.ppp(at + 6)
    }

    /// Labels up to the bottom of the stack; what follows has no type, so its first nibble tells
    /// (RFC 4928 §3).
    pub(super) fn mpls(&mut self, at: usize) -> Result<Decoded, Reject> {
        let mut at = at;
        loop {
            self.deeper()?;
            let label = self.u32(at, "mpls")?;
            at += 4;
            if label & 0x100 != 0 {
                break;
            }
        }
        match self.take(at, 1, "mpls")?[0] >> 4 {
            4 | 6 => self.ip(at),
            // A control word, or an address that begins as one.
            0 => self.first_frame(&[at + 4, at]),
            _ => self.ethernet(at),
        }
    }

    /// What is of the EtherType that stands at `at`, and behind it.
    fn behind_tag(&mut self, at: usize, tag: &'static str) -> Result<Decoded, Reject> {
        let inner = self.u16(at, tag)?;
        self.ether_type(inner, at + 2)
    }

    /// The first place at which a frame with something known in it begins.
    pub(super) fn first_frame(&mut self, places: &[usize]) -> Result<Decoded, Reject> {
        let mut first = None;
        for &place in places {
            let mut walk = *self;
            let decoded = walk.ethernet(place);
            // Layers that were looked at in vain count: else nested ones would cost without bound.
            self.layers = walk.layers;
            match decoded {
                Ok(decoded) => return Ok(decoded),
                // What was cut off might have told.
                Err(reject @ Reject::Cut(_)) => first = Some(reject),
                Err(reject) => first = first.or(Some(reject)),
            }
        }
        Err(first.unwrap_or(Reject::Malformed("ethernet")))
    }

    /// Frames that MACsec signs and does not encrypt (IEEE 802.1AE §9.5): flags, a length, a
    /// number, perhaps who sent it.
    fn macsec(&mut self, at: usize) -> Result<Decoded, Reject> {
        let flags = self.take(at, 1, "macsec")?[0];
        if flags & 0x8c != 0 {
            return Err(Reject::EtherType(0x88e5));
        }
        self.behind_tag(at + if flags & 0x20 != 0 { 14 } else { 6 }, "macsec")
    }

    /// Addresses up to the one whose lowest bit is set, then what RFC 2427 puts behind them.
    fn frame_relay(&mut self) -> Result<Decoded, Reject> {
        let mut at = 0;
        while self.take(at, 1, "frame-relay")?[0] & 1 == 0 {
            at += 1;
        }
        match self.take(at + 1, 2, "frame-relay")? {
            [3, 0xcc | 0x8e] => self.ip(at + 3),
            [3, 0] if self.take(at + 3, 4, "frame-relay")? == [0x80, 0, 0, 0] => {
                let protocol = self.u16(at + 7, "frame-relay")?;
                self.ether_type(protocol, at + 9)
            }
            [3, 0x80] if self.take(at + 3, 3, "frame-relay")? == [0, 0, 0] => {
                let protocol = self.u16(at + 6, "frame-relay")?;
                self.ether_type(protocol, at + 8)
            }
            _ => {
                let protocol = self.u16(at + 1, "frame-relay")?;
                self.ether_type(protocol, at + 3)
            }
        }
    }

    /// Service chains: the length of the header, and what follows it (RFC 8300 §2.2).
    pub(super) fn nsh(&mut self, at: usize) -> Result<Decoded, Reject> {
        self.deeper()?;
        let (lengths, next) = (self.u16(at, "nsh")?, self.take(at + 3, 1, "nsh")?[0]);
        let at = at + usize::from(lengths & 0x3f) * 4;
        match next {
            1 | 2 => self.ip(at),
            3 => self.ethernet(at),
            5 => self.mpls(at),
            _ => Err(Reject::Malformed("nsh")),
        }
    }

    /// Netfilter's log: attributes of which one is the packet. Their lengths are in the byte order
    /// of the capturing machine.
    fn nflog(&mut self) -> Result<Decoded, Reject> {
        let mut at = 4;
        loop {
            let header = self.take(at, 4, "nflog")?;
            let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
            let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x7fff;
            if length < 4 {
                return Err(Reject::Malformed("nflog"));
            }
            if kind == 9 {
                return self.ip(at + 4);
            }
            at += length.next_multiple_of(4);
        }
    }
}
