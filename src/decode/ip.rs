//! IPv4 and IPv6 with all extension headers. Both ends of the packet come from here: what was
//! captured and what was sent.

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::{Decoded, Fragment, IpFacts, PacketWalk, Reject};

impl PacketWalk<'_> {
    /// IP of the version that its first nibble tells.
    pub(super) fn ip(&mut self, at: usize) -> Result<Decoded, Reject> {
        self.deeper()?;
        match self.take(at, 1, "ip")?[0] >> 4 {
            4 => self.ipv4(at),
            6 => self.ipv6(at),
            _ => Err(Reject::Malformed("ip")),
        }
    }

    fn ipv4(&mut self, at: usize) -> Result<Decoded, Reject> {
        // A frame that ends inside the header was cut by the capture or never was one.
        self.take(at, 20, "ipv4")?;
        let header =
            Ipv4HeaderSlice::from_slice(&self.bytes[at..self.end]).map_err(
                |error| match error {
                    etherparse::err::ipv4::HeaderSliceError::Len(_) => self.short(at + 60, "ipv4"),
                    etherparse::err::ipv4::HeaderSliceError::Content(_) => {
                        Reject::Malformed("ipv4")
                    }
                },
            )?;
        let length = header.slice().len();
        match usize::from(header.total_len()) {
            // Segmentation offload leaves zero: the packet is as long as the frame.
            0 => {}
            total if total < length => return Err(Reject::Malformed("ipv4")),
            total => self.limit(at + total),
        }
        let facts = IpFacts {
            source: header.source_addr().into(),
            destination: header.destination_addr().into(),
            identification: header.identification(),
        };
        let protocol = header.protocol().0;
        if header.is_fragmenting_payload() {
            let offset = usize::from(header.fragments_offset().value()) * 8;
            return self.fragment(
                at + length,
                offset,
                header.more_fragments(),
                u32::from(facts.identification),
                protocol,
                facts,
            );
        }
        self.transport(protocol, at + length, facts)
    }

    fn ipv6(&mut self, at: usize) -> Result<Decoded, Reject> {
        self.take(at, 40, "ipv6")?;
        let header = Ipv6HeaderSlice::from_slice(&self.bytes[at..self.end])
            .map_err(|_| Reject::Malformed("ipv6"))?;
        match usize::from(header.payload_length()) {
            // A jumbogram (RFC 2675), or segmentation offload.
            0 => {}
            payload => self.limit(at + 40 + payload),
        }
        let facts = IpFacts {
            source: header.source_addr().into(),
            destination: header.destination_addr().into(),
            identification: 0,
        };
        self.transport(header.next_header().0, at + 40, facts)
    }

    /// The packet ends at `end` (padding is behind it).
    fn limit(&mut self, end: usize) {
        self.wire = end;
        self.end = self.end.min(end);
    }

    /// What an IP header (or extension header) says comes next.
    pub(super) fn transport(
        &mut self,
        protocol: u8,
        at: usize,
        facts: IpFacts,
    ) -> Result<Decoded, Reject> {
        self.deeper()?;
        match protocol {
            6 => self.tcp(at, facts),
            17 => self.udp(at, facts),
            4 | 41 | 94 => self.ip(at),
            47 => self.gre(at),
            // EtherIP: two bytes of version, then a frame (RFC 3378).
            97 => self.ethernet(at + 2),
            137 => self.mpls(at),
            // L2TP version 3: a session, a cookie whose length only its ends know, perhaps a
            // sublayer of four bytes (RFC 3931 §4.1.1).
            115 if self.u32(at, "l2tp")? != 0 => {
                let places = [at + 4, at + 8, at + 12, at + 16];
                self.first_frame(&places).map_err(|reject| match reject {
                    // No frame of Ethernet: what was taken for its type is anything.
                    Reject::EtherType(_) => Reject::Protocol(115),
                    reject => reject,
                })
            }
            // Authentication header: its length in words, less two (RFC 4302 §2.2).
            51 => {
                let header = self.take(at, 2, "ah")?;
                self.transport(header[0], at + (usize::from(header[1]) + 2) * 4, facts)
            }
            // Hop-by-hop, routing, destination, mobility, HIP, shim6: length in eight bytes, less
            // one (RFC 8200 §4).
            0 | 43 | 60 | 135 | 139 | 140 if facts.source.is_ipv6() => {
                let header = self.take(at, 2, "ipv6-extension")?;
                self.transport(header[0], at + (usize::from(header[1]) + 1) * 8, facts)
            }
            44 if facts.source.is_ipv6() => {
                let header = self.take(at, 8, "ipv6-fragment")?;
                let (next, place) = (header[0], u16::from_be_bytes([header[2], header[3]]));
                let (offset, more) = (usize::from(place & 0xfff8), place & 1 == 1);
                let id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                // An atomic fragment is the whole packet (RFC 6946).
                if offset == 0 && !more {
                    return self.transport(next, at + 8, facts);
                }
                self.fragment(at + 8, offset, more, id, next, facts)
            }
            other => Err(Reject::Protocol(other)),
        }
    }

    fn fragment(
        &self,
        at: usize,
        offset: usize,
        more: bool,
        id: u32,
        protocol: u8,
        ip: IpFacts,
    ) -> Result<Decoded, Reject> {
        // Half a fragment completes nothing.
        if self.end < self.wire {
            return Err(Reject::Cut("fragment"));
        }
        if at >= self.end
            || offset + (self.end - at) > 65_535
            || (more && !(self.end - at).is_multiple_of(8))
        {
            return Err(Reject::Malformed("fragment"));
        }
        Ok(Decoded::Fragment(Fragment {
            number: self.number,
            at: self.at,
            source: ip.source,
            destination: ip.destination,
            id,
            protocol,
            network: self.network,
            layers: self.layers,
            offset: offset as u32,
            more,
            block: self.block,
            start: self.start + at as u32,
            length: (self.end - at) as u32,
        }))
    }
}
