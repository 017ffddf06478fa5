//! What a cipher suite's number says: its name, how records are sealed, and which hash derives
//! keys. Suites whose names say RC4, DES (single), IDEA or SEED are named and not opened.

use super::names::NAMES;

/// A block cipher and the length of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CipherBlock {
    Aes128,
    Aes256,
    Aria128,
    Aria256,
    Camellia128,
    Camellia256,
    /// DES three times, with three keys.
    TripleDes,
}

impl CipherBlock {
    /// Bytes of a block.
    pub(super) const fn length(self) -> usize {
        if matches!(self, Self::TripleDes) { 8 } else { 16 }
    }

    /// Bytes of a key.
    pub(super) const fn key(self) -> usize {
        match self {
            Self::Aes128 | Self::Aria128 | Self::Camellia128 => 16,
            Self::Aes256 | Self::Aria256 | Self::Camellia256 => 32,
            Self::TripleDes => 24,
        }
    }
}

/// A hash of a MAC or a key schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
}

impl Hash {
    /// Bytes of its output.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// The HMAC made of it.
    pub(super) fn hmac(self) -> ring::hmac::Algorithm {
        match self {
            Self::Sha1 => ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => ring::hmac::HMAC_SHA256,
            Self::Sha384 => ring::hmac::HMAC_SHA384,
        }
    }
}

/// How records are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    Gcm(CipherBlock),
    /// CBC-MAC with a counter; the bytes of its tag.
    Ccm(CipherBlock, usize),
    ChaCha20,
    Cbc(CipherBlock, Hash),
    /// Nothing is hidden, only a MAC stands behind it.
    Null(Hash),
}

impl Cipher {
    /// Bytes of a key.
    pub(super) const fn key(self) -> usize {
        match self {
            Self::Gcm(block) | Self::Ccm(block, _) | Self::Cbc(block, _) => block.key(),
            Self::ChaCha20 => 32,
            Self::Null(_) => 0,
        }
    }

    /// Bytes of the MAC's key in a key block.
    pub(super) const fn mac_key(self) -> usize {
        if let Self::Cbc(_, hash) | Self::Null(hash) = self { hash.length() } else { 0 }
    }

    /// Bytes of the nonce or vector in a key block (RFC 5246 §6.3, RFC 5288 §3, RFC 7905 §2).
    pub(super) const fn fixed_nonce(self) -> usize {
        match self {
            Self::Gcm(_) | Self::Ccm(..) => 4,
            Self::ChaCha20 => 12,
            Self::Cbc(block, _) => block.length(),
            Self::Null(_) => 0,
        }
    }
}

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// As IANA registers it.
    pub(super) name: &'static str,
    /// None: it is named, and not opened.
    pub(super) cipher: Option<Cipher>,
    /// What derives keys in TLS 1.2 and 1.3.
    pub(super) hash: Hash,
}

/// Suites of TLS 1.3, those in use first.
pub(super) const OF_13: [u16; 5] = [0x1301, 0x1302, 0x1303, 0x1304, 0x1305];

/// What is known of the suite of a number.
pub(super) fn suite(number: u16) -> Suite {
    let found = NAMES.binary_search_by_key(&number, |&(number, _)| number);
    let name = found.map_or("unknown", |place| NAMES[place].1);
    let hash = if name.ends_with("_SHA384") { Hash::Sha384 } else { Hash::Sha256 };
    Suite { name, cipher: cipher(name), hash }
}

fn cipher(name: &str) -> Option<Cipher> {
    let sealed = name.split_once("_WITH_").map_or(name.strip_prefix("TLS_")?, |(_, after)| after);
    if sealed.starts_with("CHACHA20_POLY1305") {
        return Some(Cipher::ChaCha20);
    }
    match sealed {
        "NULL_SHA" => return Some(Cipher::Null(Hash::Sha1)),
        "NULL_SHA256" => return Some(Cipher::Null(Hash::Sha256)),
        "NULL_SHA384" => return Some(Cipher::Null(Hash::Sha384)),
        _ => {}
    }
    let blocks = [
        ("AES_128_", CipherBlock::Aes128),
        ("AES_256_", CipherBlock::Aes256),
        ("ARIA_128_", CipherBlock::Aria128),
        ("ARIA_256_", CipherBlock::Aria256),
        ("CAMELLIA_128_", CipherBlock::Camellia128),
        ("CAMELLIA_256_", CipherBlock::Camellia256),
        ("3DES_EDE_", CipherBlock::TripleDes),
    ];
    let (mode, block) =
        blocks.iter().find_map(|&(start, block)| Some((sealed.strip_prefix(start)?, block)))?;
    match mode {
        "CBC_SHA" => Some(Cipher::Cbc(block, Hash::Sha1)),
        "CBC_SHA256" => Some(Cipher::Cbc(block, Hash::Sha256)),
        "CBC_SHA384" => Some(Cipher::Cbc(block, Hash::Sha384)),
        _ if mode.starts_with("GCM") => Some(Cipher::Gcm(block)),
        _ if mode.starts_with("CCM_8") => Some(Cipher::Ccm(block, 8)),
        _ if mode.starts_with("CCM") => Some(Cipher::Ccm(block, 16)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_how_records_are_sealed() {
        assert!(NAMES.is_sorted_by_key(|&(number, _)| number));
        for (number, cipher, hash) in [
            (0x1301, Some(Cipher::Gcm(CipherBlock::Aes128)), Hash::Sha256),
            (0x1302, Some(Cipher::Gcm(CipherBlock::Aes256)), Hash::Sha384),
            (0x1305, Some(Cipher::Ccm(CipherBlock::Aes128, 8)), Hash::Sha256),
            (0xcca8, Some(Cipher::ChaCha20), Hash::Sha256),
            (0x002f, Some(Cipher::Cbc(CipherBlock::Aes128, Hash::Sha1)), Hash::Sha256),
            (0xc028, Some(Cipher::Cbc(CipherBlock::Aes256, Hash::Sha384)), Hash::Sha384),
            (0x0041, Some(Cipher::Cbc(CipherBlock::Camellia128, Hash::Sha1)), Hash::Sha256),
            (0xc051, Some(Cipher::Gcm(CipherBlock::Aria256)), Hash::Sha384),
            (0xc0a0, Some(Cipher::Ccm(CipherBlock::Aes128, 8)), Hash::Sha256),
            (0xc0ac, Some(Cipher::Ccm(CipherBlock::Aes128, 16)), Hash::Sha256),
            (0x0005, None, Hash::Sha256),
            (0x000a, Some(Cipher::Cbc(CipherBlock::TripleDes, Hash::Sha1)), Hash::Sha256),
            (0x0009, None, Hash::Sha256),
            (0x0023, None, Hash::Sha256),
            (0x0001, None, Hash::Sha256),
            (0x0002, Some(Cipher::Null(Hash::Sha1)), Hash::Sha256),
            (0x003b, Some(Cipher::Null(Hash::Sha256)), Hash::Sha256),
            (0xfafa, None, Hash::Sha256),
        ] {
            let suite = suite(number);
            assert_eq!((suite.cipher, suite.hash), (cipher, hash), "{number:04x}");
        }
    }
}
