//! What a handshake of TLS 1.2 or before said, until the client sent its part of the key: its hash
//! binds the master secret to it (RFC 7627 §3). Needed only where somebody logged the premaster
//! secret, which may be told later than the handshake; so the hash is kept, and nothing else.

use md5::{Digest as _, Md5};
use ring::digest;

use super::handshake::kind;
use super::schedule::Prf;
use super::suite::Hash;
use crate::limits;

/// The messages of a handshake, or their hash.
#[derive(Debug, Default)]
pub(super) enum Transcript {
    /// None has begun, a part of it is missing, or it is too long.
    #[default]
    Unknown,
    /// Its messages so far.
    Messages(Vec<u8>),
    /// The hash of the messages from the ClientHello to the ClientKeyExchange.
    Hash(Vec<u8>),
}

impl Transcript {
    /// A handshake begins with the body of its ClientHello.
    pub(super) fn begin(&mut self, hello: &[u8]) {
        *self = Self::Messages(Vec::new());
        self.message(kind::CLIENT_HELLO, hello);
    }

    /// The next message, in either direction.
    pub(super) fn message(&mut self, kind: u8, body: &[u8]) {
        let length = (body.len() as u32).to_be_bytes();
        self.add(&[kind, length[1], length[2], length[3]]);
        self.add(body);
    }

    /// The next octets.
    pub(super) fn add(&mut self, octets: &[u8]) {
        let Self::Messages(all) = self else { return };
        if all.len() + octets.len() > limits::HANDSHAKE_BYTES {
            *self = Self::Unknown;
        } else {
            all.extend_from_slice(octets);
        }
    }

    /// Octets are missing.
    pub(super) fn lose(&mut self) {
        if let Self::Messages(_) = self {
            *self = Self::Unknown;
        }
    }

    /// The ClientKeyExchange was the last one.
    pub(super) fn end(&mut self, prf: Prf) {
        let Self::Messages(all) = self else { return };
        let of = |algorithm| digest::digest(algorithm, all).as_ref().to_vec();
        *self = Self::Hash(match prf {
            Prf::Of(Hash::Sha384) => of(&digest::SHA384),
            Prf::Of(_) => of(&digest::SHA256),
            Prf::Split => {
                let sha1 = of(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                [Md5::digest(&*all).as_slice(), &sha1].concat()
            }
        });
    }

    /// The hash, where the whole handshake was seen.
    pub(super) fn hash(&self) -> Option<&[u8]> {
        if let Self::Hash(hash) = self { Some(hash) } else { None }
    }

    /// Octets that it holds.
    pub(super) fn held(&self) -> usize {
        if let Self::Messages(all) = self { all.len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(transcript: &mut Transcript, prf: Prf) -> Option<Vec<u8>> {
        transcript.end(prf);
        transcript.hash().map(<[u8]>::to_vec)
    }

    #[test]
    fn a_handshake_is_hashed_as_its_version_does() {
        let spoken = || {
            let mut transcript = Transcript::default();
            transcript.add(b"before");
            transcript.begin(b"hello");
            transcript.add(b"certificate");
            transcript.message(kind::CLIENT_KEY_EXCHANGE, b"key");
            transcript
        };
        let text = b"\x01\0\0\x05hellocertificate\x10\0\0\x03key";
        assert_eq!(spoken().held(), text.len());
        let of = |algorithm| digest::digest(algorithm, text).as_ref().to_vec();
        let old = [Md5::digest(text).to_vec(), of(&digest::SHA1_FOR_LEGACY_USE_ONLY)].concat();
        for (prf, expected) in [
            (Prf::Of(Hash::Sha256), of(&digest::SHA256)),
            (Prf::Of(Hash::Sha384), of(&digest::SHA384)),
            (Prf::Split, old),
        ] {
            let mut transcript = spoken();
            assert_eq!(hash(&mut transcript, prf), Some(expected));
            assert_eq!(transcript.held(), 0);
            // What follows does not change it, nor does what is lost.
            transcript.add(b"finished");
            transcript.lose();
            assert!(transcript.hash().is_some());
        }
    }

    #[test]
    fn a_handshake_that_was_not_seen_whole_has_no_hash() {
        let mut transcript = Transcript::default();
        assert_eq!(hash(&mut transcript, Prf::Split), None);
        transcript.begin(b"hello");
        transcript.lose();
        transcript.add(b"certificate");
        assert_eq!(hash(&mut transcript, Prf::Split), None);
        transcript.begin(b"hello");
        transcript.add(&vec![1; limits::HANDSHAKE_BYTES]);
        assert_eq!((hash(&mut transcript, Prf::Split), transcript.held()), (None, 0));
    }
}
