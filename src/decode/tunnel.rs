//! Tunnels: GRE with ERSPAN, and those in UDP: VXLAN, VXLAN-GPE, GENEVE, GTP-U, MPLS, TZSP, L2TP,
//! Teredo, AYIYA, CAPWAP. Nested ones just recur.

use super::link::VNI;
use super::{Datagram, Decoded, IpFacts, PacketWalk, Pair, Reject};
use crate::flow::Endpoint;

impl PacketWalk<'_> {
    /// Flags, protocol, then what the flags announce (RFC 2784, RFC 2890, RFC 2637 for version 1).
    pub(super) fn gre(&mut self, at: usize) -> Result<Decoded, Reject> {
        self.deeper()?;
        let (flags, protocol) = (self.u16(at, "gre")?, self.u16(at + 2, "gre")?);
        let has = |bit: u16| usize::from(flags & bit != 0);
        let mut body = at + 4 + 4 * (has(0x8000) | has(0x4000)) + 4 * has(0x2000) + 4 * has(0x1000);
        if flags & 7 == 1 {
            body += 4 * has(0x0080);
        }
        if flags & 0x4000 != 0 {
            // Source routes: family, offset, length; one of length zero ends them (RFC 1701).
            loop {
                self.deeper()?;
                let length = usize::from(self.take(body, 4, "gre")?[3]);
                body += 4 + length;
                if length == 0 {
                    break;
                }
            }
        }
        match protocol {
            // ERSPAN II has a header where GRE has a sequence number; ERSPAN I has neither.
            0x88be => self.ethernet(body + 8 * has(0x1000)),
            0x22eb => {
                let optional = self.take(body + 11, 1, "erspan")?[0] & 1;
                self.ethernet(body + 12 + 8 * usize::from(optional))
            }
            other => self.ether_type(other, body),
        }
    }

    /// UDP matters as the carrier of a tunnel, which its destination port tells, and of QUIC, which
    /// is named.
    pub(super) fn udp(&mut self, at: usize, ip: IpFacts) -> Result<Decoded, Reject> {
        let (source, destination) = (self.u16(at, "udp")?, self.u16(at + 2, "udp")?);
        let body = at + 8;
        match destination {
            4789 | 8472 => {
                let (flags, vni) =
                    (self.take(body, 8, "vxlan")?[0], self.u32(body + 4, "vxlan")? >> 8);
                if flags & 0x08 == 0 {
                    return Err(Reject::Protocol(17));
                }
                self.enter(VNI, vni);
                self.ethernet(body + 8)
            }
            4790 => {
                let (next, vni) =
                    (self.take(body, 8, "vxlan-gpe")?[3], self.u32(body + 4, "vxlan-gpe")? >> 8);
                self.enter(VNI, vni);
                match next {
                    1 | 2 => self.ip(body + 8),
                    4 => self.nsh(body + 8),
                    5 => self.mpls(body + 8),
                    _ => self.ethernet(body + 8),
                }
            }
            6081 => {
                let (header, vni) =
                    (self.take(body, 8, "geneve")?, self.u32(body + 4, "geneve")? >> 8);
                let options = usize::from(header[0] & 0x3f) * 4;
                let protocol = u16::from_be_bytes([header[2], header[3]]);
                self.enter(VNI, vni);
                self.ether_type(protocol, body + 8 + options)
            }
            6635 => self.mpls(body),
            37008 => self.tzsp(body),
            _ if source == 2152 || destination == 2152 => self.gtp(body),
            _ => {
                let known = |port| source == port || destination == port;
                let inner = match () {
                    () if known(1701) => self.l2tp(body),
                    () if known(3544) => self.teredo(body),
                    () if known(5072) => self.ayiya(body),
                    () if known(5247) => self.capwap(body),
                    () => Ok(None),
                };
                match inner {
                    Ok(Some(TunnelPayload::Ip(at))) => self.ip(at),
                    Ok(Some(TunnelPayload::Ppp(at))) => self.ppp(at),
                    Ok(Some(TunnelPayload::Ethernet(at))) => self.ethernet(at),
                    Ok(Some(TunnelPayload::Wireless(at))) => self.wireless(at, false),
                    // Other protocols use these ports as well.
                    Ok(None) | Err(Reject::Malformed(_)) => {
                        self.datagram(body, [source, destination], ip)
                    }
                    Err(reject) => Err(reject),
                }
            }
        }
    }

    /// L2TP version 2: no control message, and what its flags announce (RFC 2661 §3.1).
    fn l2tp(&self, at: usize) -> Result<Option<TunnelPayload>, Reject> {
        let flags = self.u16(at, "l2tp")?;
        let has = |bit: u16| usize::from(flags & bit != 0);
        if flags & 0x800f != 2 {
            return Ok(None);
        }
        let at = at + 6 + 2 * has(0x4000) + 4 * has(0x0800);
        let skipped = if has(0x0200) == 1 { 2 + usize::from(self.u16(at, "l2tp")?) } else { 0 };
        Ok(Some(TunnelPayload::Ppp(at + skipped)))
    }

    /// IPv6 behind what relays say of its sender (RFC 4380 §5.1.1).
    fn teredo(&self, mut at: usize) -> Result<Option<TunnelPayload>, Reject> {
        if let [0, 1, client, value] = *self.take(at, 4, "teredo")? {
            at += 13 + usize::from(client) + usize::from(value);
        }
        if let [0, 0] = *self.take(at, 2, "teredo")? {
            at += 8;
        }
        let first = self.take(at, 1, "teredo")?[0];
        if first >> 4 != 6 {
            return Ok(None);
        }
        self.take(at, 40, "teredo")?;
        Ok(Some(TunnelPayload::Ip(at)))
    }

    /// Anything in anything: who it is from and a signature stand before IP.
    fn ayiya(&self, at: usize) -> Result<Option<TunnelPayload>, Reject> {
        let &[identity, signature, operation, next, ..] = self.take(at, 8, "ayiya")? else {
            return Ok(None);
        };
        let inner = at + 8 + (1 << (identity >> 4)) + usize::from(signature >> 4) * 4;
        Ok((operation & 0x0f == 1 && matches!(next, 4 | 41)).then_some(TunnelPayload::Ip(inner)))
    }

    /// What access points hand to their controller (RFC 5415 §4.3): whole frames of one kind or
    /// the other, which nobody encrypted.
    fn capwap(&self, at: usize) -> Result<Option<TunnelPayload>, Reject> {
        let &[0, length, kind, flags, ..] = self.take(at, 8, "capwap")? else { return Ok(None) };
        let inner = at + usize::from(length >> 3) * 4;
        Ok(match (flags >> 7, kind & 1, kind >> 1 & 0x1f) {
            (0, 0, _) => Some(TunnelPayload::Ethernet(inner)),
            (0, 1, 1) => Some(TunnelPayload::Wireless(inner)),
            _ => None,
        })
    }

    /// A datagram with QUIC's fixed bit; short headers tell nothing else (RFC 8999 §5.2).
    fn datagram(&self, body: usize, ports: [u16; 2], ip: IpFacts) -> Result<Decoded, Reject> {
        let is_long = self.take(body, 5, "udp").is_ok_and(is_quic);
        let is_short = self.take(body, 1, "udp").is_ok_and(|first| first[0] & 0xc0 == 0x40);
        if !is_long && !is_short {
            return Err(Reject::Protocol(17));
        }
        let ends = (Endpoint::new(ip.source, ports[0]), Endpoint::new(ip.destination, ports[1]));
        Ok(Decoded::Datagram(Datagram {
            pair: Pair::new(ends.0, ends.1).0,
            is_long,
            block: self.block,
            start: self.start + body as u32,
            captured: (self.end - body) as u32,
            length: (self.wire - body) as u32,
        }))
    }

    /// GTP-U version 1 (3GPP TS 29.281 §5): only user packets are of interest. Its tunnel differs
    /// by direction, so it is no part of the connection's key.
    fn gtp(&mut self, at: usize) -> Result<Decoded, Reject> {
        let header = self.take(at, 8, "gtp")?;
        let (flags, kind) = (header[0], header[1]);
        if flags & 0xf0 != 0x30 || kind != 0xff {
            return Err(Reject::Protocol(17));
        }
        let mut body = at + 8;
        if flags & 0x07 != 0 {
            let mut next = self.take(body, 4, "gtp")?[3];
            body += 4;
            if flags & 0x04 == 0 {
                next = 0;
            }
            while next != 0 {
                self.deeper()?;
                let length = usize::from(self.take(body, 1, "gtp")?[0]) * 4;
                if length == 0 {
                    return Err(Reject::Malformed("gtp"));
                }
                next = self.take(body + length - 1, 1, "gtp")?[0];
                body += length;
            }
        }
        self.ip(body)
    }

    /// Sniffers' own tunnel: version, type, protocol, tags up to the one that ends them.
    fn tzsp(&mut self, at: usize) -> Result<Decoded, Reject> {
        let header = self.take(at, 4, "tzsp")?;
        if header[0] != 1 || header[1] > 1 || header[2..4] != [0, 1] {
            return Err(Reject::Protocol(17));
        }
        let mut at = at + 4;
        loop {
            self.deeper()?;
            match self.take(at, 1, "tzsp")?[0] {
                0 => at += 1,
                1 => return self.ethernet(at + 1),
                _ => at += 2 + usize::from(self.take(at + 1, 1, "tzsp")?[0]),
            }
        }
    }
}

/// What a datagram of a tunnel carries, and where that begins.
enum TunnelPayload {
    Ip(usize),
    Ppp(usize),
    Ethernet(usize),
    Wireless(usize),
}

/// Whether a datagram starts with a long header of QUIC (RFC 8999 §5.1) of version 1, 2 or a draft:
/// the packets of a handshake.
fn is_quic(start: &[u8]) -> bool {
    let &[first, a, b, c, d] = start else { return false };
    let version = u32::from_be_bytes([a, b, c, d]);
    first & 0xc0 == 0xc0 && matches!(version, 1 | 0x6b33_43cf | 0xff00_0000..=0xff00_00ff)
}
