//! The ClientHello in a client's first packets. Their keys follow from the connection id that the
//! client drew (RFC 9001 §5.2): they keep nobody from reading, and tell which server is asked for.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::wire::tls::initial::{client_hello_name, expand, extract};

/// Most bytes of a ClientHello that are put together.
const MAX_HELLO: usize = 16 << 10;
/// Packets of a connection that are tried.
const MAX_TRIES: u8 = 16;

/// A version of QUIC: its salt, its labels and how it numbers an Initial packet.
struct QuicVersion {
    number: u32,
    salt: [u8; 20],
    labels: [&'static str; 3],
    initial: u8,
}

const LABELS: [&str; 3] = ["quic key", "quic iv", "quic hp"];

/// RFC 9001 §5.2, RFC 9369 §3, draft-ietf-quic-tls-29 §5.2.
const VERSIONS: [QuicVersion; 3] = [
    QuicVersion {
        number: 1,
        salt: *b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
        labels: LABELS,
        initial: 0,
    },
    QuicVersion {
        number: 0x6b33_43cf,
        salt: *b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
        labels: ["quicv2 key", "quicv2 iv", "quicv2 hp"],
        initial: 1,
    },
    QuicVersion {
        number: 0xff00_001d,
        salt: *b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99",
        labels: LABELS,
        initial: 0,
    },
];

/// A ClientHello that is being put together.
#[derive(Debug, Default)]
pub(super) struct Hello {
    /// The connection id that the client drew.
    id: Option<Vec<u8>>,
    /// Pieces with where they belong; let go of once the name is known.
    pieces: Vec<(usize, Vec<u8>)>,
    held: usize,
    tries: u8,
    /// The server's name; empty where the client named none.
    name: Option<String>,
}

impl Hello {
    /// The server that the client asked for.
    pub(super) fn server(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !name.is_empty())
    }

    /// Reads a datagram of either side.
    pub(super) fn read(&mut self, datagram: &[u8]) {
        if self.name.is_some() || self.tries >= MAX_TRIES {
            return;
        }
        self.tries += 1;
        let Some(packet) = Packet::parse(datagram) else { return };
        let id = self.id.clone().unwrap_or_else(|| packet.destination.to_vec());
        let Some(plain) = packet.open(&id) else { return };
        self.id = Some(id);
        for (at, piece) in pieces(&plain) {
            if self.held + piece.len() <= MAX_HELLO {
                self.held += piece.len();
                self.pieces.push((at, piece.to_vec()));
            }
        }
        self.name = self.named();
        if self.name.is_some() {
            self.pieces = Vec::new();
        }
    }

    /// What the message says, once all of it is there.
    fn named(&mut self) -> Option<String> {
        self.pieces.sort_by_key(|(at, _)| *at);
        let mut message = Vec::with_capacity(self.held);
        for (at, piece) in &self.pieces {
            let known = message.len().checked_sub(*at)?;
            message.extend_from_slice(piece.get(known..).unwrap_or_default());
        }
        let (&[1, a, b, c], body) = message.split_first_chunk::<4>()? else { return None };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        client_hello_name(body.get(..length)?)
    }
}

/// An Initial packet (RFC 9000 §17.2.2) as it came.
struct Packet<'d> {
    version: &'static QuicVersion,
    destination: &'d [u8],
    /// The packet up to its packet number, and all of it.
    header: usize,
    bytes: &'d [u8],
}

impl<'d> Packet<'d> {
    fn parse(datagram: &'d [u8]) -> Option<Self> {
        let mut rest = OctetReader(datagram);
        let first = rest.take(1)?[0];
        let number = u32::from_be_bytes(rest.take(4)?.try_into().ok()?);
        let version = VERSIONS.iter().find(|version| version.number == number)?;
        if first & 0x80 == 0 || first >> 4 & 3 != version.initial {
            return None;
        }
        let destination = rest.short()?;
        rest.short()?;
        let token = usize::try_from(rest.varint()?).ok()?;
        rest.take(token)?;
        let length = usize::try_from(rest.varint()?).ok()?;
        let header = datagram.len() - rest.0.len();
        rest.take(length)?;
        Some(Self { version, destination, header, bytes: &datagram[..header + length] })
    }

    /// The frames in it (RFC 9001 §5.3, §5.4), as a client sealed them.
    fn open(&self, id: &[u8]) -> Option<Vec<u8>> {
        let secret = expand(&extract(&self.version.salt, id), "client in", 32);
        let [key, iv, mask] = [(0, 16), (1, 12), (2, 16)]
            .map(|(label, length)| expand(&secret, self.version.labels[label], length));
        let mut packet = self.bytes.to_vec();
        let sample = packet.get(self.header + 4..self.header + 20)?;
        let mut block: aes::Block = <[u8; 16]>::try_from(sample).ok()?.into();
        aes::Aes128::new_from_slice(&mask).ok()?.encrypt_block(&mut block);
        packet[0] ^= block[0] & 0x0f;
        let length = usize::from(packet[0] & 3) + 1;
        let mut number = 0_u64;
        for (byte, mask) in packet[self.header..self.header + length].iter_mut().zip(&block[1..]) {
            *byte ^= mask;
            number = number << 8 | u64::from(*byte);
        }
        let mut nonce: [u8; 12] = iv.try_into().ok()?;
        nonce[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, part)| *byte ^= part);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?);
        let mut sealed = packet.split_off(self.header + length);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = key.open_in_place(nonce, Aad::from(&packet), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

/// What CRYPTO frames hold, with where it belongs (RFC 9000 §19.6).
fn pieces(frames: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut rest, mut found) = (OctetReader(frames), Vec::new());
    while frame(&mut rest, &mut found).is_some() {}
    found
}

fn frame<'f>(rest: &mut OctetReader<'f>, found: &mut Vec<(usize, &'f [u8])>) -> Option<()> {
    match rest.varint()? {
        // PADDING and PING.
        0 | 1 => {}
        kind @ (2 | 3) => {
            for _ in 0..2 {
                rest.varint()?;
            }
            let ranges = rest.varint()?;
            rest.varint()?;
            for _ in 0..ranges {
                rest.varint()?;
                rest.varint()?;
            }
            for _ in 0..if kind == 3 { 3 } else { 0 } {
                rest.varint()?;
            }
        }
        6 => {
            let (at, length) = (rest.varint()?, rest.varint()?);
            let piece = rest.take(usize::try_from(length).ok()?)?;
            found.push((usize::try_from(at).ok()?, piece));
        }
        _ => return None,
    }
    Some(())
}

/// Reads octets; none where there are too few.
struct OctetReader<'o>(&'o [u8]);

impl<'o> OctetReader<'o> {
    fn take(&mut self, length: usize) -> Option<&'o [u8]> {
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    /// A connection id behind its length.
    fn short(&mut self) -> Option<&'o [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    /// A number whose first two bits tell its length (RFC 9000 §16).
    fn varint(&mut self) -> Option<u64> {
        let first = self.take(1)?[0];
        let more = self.take((1 << (first >> 6)) - 1)?;
        Some(more.iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9001 appendix A.2: the client's first packet, and what it is made of.
    const ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    fn hello(name: &str) -> Vec<u8> {
        let name = name.as_bytes();
        let length = |n: usize| (n as u16).to_be_bytes();
        let list = [&[0][..], &length(name.len()), name].concat();
        let value = [&length(list.len())[..], &list].concat();
        let extension = [&[0, 0][..], &length(value.len()), &value].concat();
        let body = [
            &[3, 3][..],
            &[7; 32],
            &[0],
            &[0, 2, 0x13, 1],
            &[1, 0],
            &length(extension.len()),
            &extension,
        ]
        .concat();
        [&[1, 0][..], &length(body.len()), &body].concat()
    }

    /// A client's packet with these frames, sealed.
    fn packet(version: &QuicVersion, number: u8, frames: &[u8]) -> Vec<u8> {
        let secret = expand(&extract(&version.salt, &ID), "client in", 32);
        let [key, iv, mask] = [(0, 16), (1, 12), (2, 16)]
            .map(|(label, length)| expand(&secret, version.labels[label], length));
        let length = frames.len() + 16 + 1;
        let mut packet = vec![0xc0 | version.initial << 4];
        packet.extend_from_slice(&version.number.to_be_bytes());
        packet.extend_from_slice(&[8]);
        packet.extend_from_slice(&ID);
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(&(0x4000 | length as u16).to_be_bytes());
        let header = packet.len();
        packet.push(number);
        let mut nonce: [u8; 12] = iv.try_into().unwrap();
        nonce[11] ^= number;
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        let (mut sealed, nonce) = (frames.to_vec(), Nonce::assume_unique_for_key(nonce));
        key.seal_in_place_append_tag(nonce, Aad::from(&packet), &mut sealed).unwrap();
        packet.extend_from_slice(&sealed);
        let sample: [u8; 16] = packet[header + 4..header + 20].try_into().unwrap();
        let mut block: aes::Block = sample.into();
        aes::Aes128::new_from_slice(&mask).unwrap().encrypt_block(&mut block);
        packet[0] ^= block[0] & 0x0f;
        packet[header] ^= block[1];
        packet
    }

    fn crypto(at: u16, piece: &[u8]) -> Vec<u8> {
        let (at, length) =
            ((0x4000 | at).to_be_bytes(), (0x4000 | piece.len() as u16).to_be_bytes());
        [&[6][..], &at, &length, piece].concat()
    }

    #[test]
    fn keys_are_those_of_the_appendix() {
        let secret = expand(&extract(&VERSIONS[0].salt, &ID), "client in", 32);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&expand(&secret, "quic key", 16)), "1f369613dd76d5467730efcbe3b1a22d");
        assert_eq!(hex(&expand(&secret, "quic iv", 12)), "fa044b2f42a3fd3b46fb255c");
        assert_eq!(hex(&expand(&secret, "quic hp", 16)), "9f50449e04a0e810283a1e9933adedd2");
    }

    #[test]
    fn a_name_is_read_from_packets_in_any_order_and_of_every_version() {
        let hello = hello("shop.test");
        let (one, other) = hello.split_at(30);
        for version in &VERSIONS {
            let mut read = Hello::default();
            let first = [crypto(30, other), vec![0; 20]].concat();
            read.read(&packet(version, 1, &first));
            assert_eq!(read.server(), None);
            let acknowledged = [&[2, 0, 0, 0, 0, 1][..], &crypto(0, one)].concat();
            read.read(&packet(version, 0, &acknowledged));
            assert_eq!(read.server(), Some("shop.test"), "{:x}", version.number);
        }
    }

    #[test]
    fn what_is_cut_or_changed_tells_nothing_and_costs_little() {
        let whole = packet(&VERSIONS[0], 0, &crypto(0, &hello("shop.test")));
        for cut in 0..whole.len() {
            let mut read = Hello::default();
            read.read(&whole[..cut]);
            assert_eq!(read.server(), None);
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            let mut read = Hello::default();
            read.read(&changed);
            assert_eq!(read.server(), None, "at {at}");
        }
    }
}
