//! The TCP header, and the segment that it makes.

use etherparse::TcpHeaderSlice;

use super::{Decoded, IpFacts, PacketWalk, Pair, Reject, Segment, TcpFlags};
use crate::flow::Endpoint;

impl PacketWalk<'_> {
    pub(super) fn tcp(&self, at: usize, ip: IpFacts) -> Result<Decoded, Reject> {
        let fixed = self.take(at, 20, "tcp")?;
        let length = usize::from(fixed[12] >> 4) * 4;
        if length < 20 || at + length > self.wire {
            return Err(Reject::Malformed("tcp"));
        }
        // Options may be cut by the capture; nothing in them is needed to use the segment.
        let header = TcpHeaderSlice::from_slice(&self.bytes[at..self.end]).ok();
        let options = header.as_ref().map_or(&[][..], |header| header.options());
        let word = |at: usize| {
            u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let port = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let source = Endpoint::new(ip.source, port(0));
        let destination = Endpoint::new(ip.destination, port(2));
        let (pair, from_low) = Pair::new(source, destination);
        let body = at + length;
        let (seq, ack) = (word(4), word(8));
        let wire = (self.wire - body) as u32;

        let mut mixed = u64::from(seq) << 32 | u64::from(ack);
        let mut mix =
            |value: u64| mixed = (mixed.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
        mix(u64::from(ip.identification) << 48 | u64::from(word(12)) << 16 | u64::from(wire));
        for chunk in options.chunks(4) {
            mix(chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }

        Ok(Decoded::Segment(Segment {
            number: self.number,
            at: self.at,
            hash: self.key.pair(&pair),
            pair,
            from_low,
            network: self.network,
            seq,
            ack,
            flags: TcpFlags(fixed[13]),
            fingerprint: ((mixed >> 32) as u32 ^ mixed as u32).max(1),
            identified: ip.identification != 0,
            block: self.block,
            start: self.start + body.min(self.bytes.len()) as u32,
            captured: self.end.saturating_sub(body) as u32,
            length: wire,
        }))
    }
}
