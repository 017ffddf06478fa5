//! Opens the records of one direction under one key. A record that opens is proved: its tag or MAC
//! covers its place in the sequence, so a wrong number does not open it.

use aes::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt as _, InnerIvInit as _,
    consts::{U8, U12, U16},
};
use aes_gcm::aead::{AeadInOut, KeyInit};
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _, StreamCipherSeek as _};
use ghash::GHash;
use ghash::universal_hash::UniversalHash as _;
use ring::aead::{self, LessSafeKey, UnboundKey};

use super::schedule::DirectionKeys;
use super::suite::{Cipher, CipherBlock};

/// Bytes of a record's header.
pub(super) const HEADER: usize = 5;

/// The versions that seal records in their own ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TlsVersion {
    Ssl3,
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl TlsVersion {
    /// As it stands in hellos.
    pub(super) const fn of(number: u16) -> Option<Self> {
        match number {
            0x0300 => Some(Self::Ssl3),
            0x0301 => Some(Self::Tls10),
            0x0302 => Some(Self::Tls11),
            0x0303 => Some(Self::Tls12),
            0x0304 => Some(Self::Tls13),
            _ => None,
        }
    }

    /// As records show it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ssl3 => "3.0",
            Self::Tls10 => "1.0",
            Self::Tls11 => "1.1",
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// How a direction's records are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealing {
    pub(super) version: TlsVersion,
    pub(super) cipher: Cipher,
    /// RFC 7366: the MAC stands outside.
    pub(super) encrypt_then_mac: bool,
}

/// Opens records of one direction and one key.
pub(super) struct Opener {
    sealing: Sealing,
    kind: SealKind,
    nonce: [u8; 12],
    /// Of AES-GCM, for [`Opener::number`].
    gcm: Option<Box<Gcm>>,
    /// Of other ciphers of TLS 1.3, for [`Opener::may_open`].
    keystream: Option<Keystream>,
}

enum SealKind {
    Ring(LessSafeKey),
    Other(Box<dyn Sealed + Send>),
    /// Of the vector as many bytes count as a block has.
    Cbc {
        cipher: Box<dyn Chained + Send>,
        mac: ring::hmac::Key,
        vector: [u8; 16],
    },
    /// Only a MAC.
    Mac(ring::hmac::Key),
}

/// An AEAD that ring does not have.
trait Sealed {
    /// Opens `text` in place.
    fn open(&self, nonce: &[u8; 12], bound: &[u8], text: &mut [u8], tag: &[u8]) -> Option<()>;
}

/// One of RustCrypto's.
struct Detached<A>(A);

impl<A: AeadInOut<NonceSize = U12>> Sealed for Detached<A> {
    fn open(&self, nonce: &[u8; 12], bound: &[u8], text: &mut [u8], tag: &[u8]) -> Option<()> {
        let tag = tag.try_into().ok()?;
        self.0.decrypt_inout_detached(&(*nonce).into(), bound, text.into(), tag).ok()
    }
}

fn sealed<A: AeadInOut<NonceSize = U12> + KeyInit + Send + 'static>(
    key: &[u8],
) -> Option<Box<dyn Sealed + Send>> {
    Some(Box::new(Detached(A::new_from_slice(key).ok()?)))
}

/// A block cipher in CBC mode.
trait Chained {
    /// `vector` is one block, `text` whole ones.
    fn decrypt(&self, vector: &[u8], text: &mut [u8]);
}

impl<C> Chained for C
where
    C: BlockCipherDecrypt<BlockSize = U16> + BlockCipherEncrypt + Clone,
{
    fn decrypt(&self, vector: &[u8], text: &mut [u8]) {
        let Ok(vector) = vector.try_into() else { return };
        let mut chain = cbc::Decryptor::inner_iv_init(self.clone(), vector);
        let (blocks, _) = Array::<u8, U16>::slice_as_chunks_mut(text);
        chain.decrypt_blocks(blocks);
    }
}

fn chained<C>(key: &[u8]) -> Option<Box<dyn Chained + Send>>
where
    C: BlockCipherDecrypt<BlockSize = U16> + BlockCipherEncrypt + KeyInit + Clone + Send + 'static,
{
    Some(Box::new(C::new_from_slice(key).ok()?))
}

/// DES three times, whose blocks are shorter.
struct TripleDes(des::TdesEde3);

impl Chained for TripleDes {
    fn decrypt(&self, vector: &[u8], text: &mut [u8]) {
        let Ok(vector) = vector.try_into() else { return };
        let mut chain = cbc::Decryptor::inner_iv_init(self.0.clone(), vector);
        let (blocks, _) = Array::<u8, U8>::slice_as_chunks_mut(text);
        chain.decrypt_blocks(blocks);
    }
}

/// What turns a tag of AES-GCM back into its nonce.
struct Gcm {
    cipher: Box<dyn Chained + Send>,
    hash: GHash,
}

impl Gcm {
    fn new(block: CipherBlock, key: &[u8]) -> Option<Self> {
        let mut zero = Array::<u8, U16>::default();
        let cipher = match block {
            CipherBlock::Aes128 => {
                aes::Aes128::new_from_slice(key).ok()?.encrypt_block(&mut zero);
                chained::<aes::Aes128>(key)
            }
            CipherBlock::Aes256 => {
                aes::Aes256::new_from_slice(key).ok()?.encrypt_block(&mut zero);
                chained::<aes::Aes256>(key)
            }
            _ => None,
        }?;
        Some(Self { cipher, hash: GHash::new(&zero) })
    }

    /// The block that was encrypted to hide the tag: nonce and a counter of one (NIST SP 800-38D
    /// §7.1).
    fn counter(&self, bound: &[u8], text: &[u8], tag: &[u8]) -> [u8; 16] {
        let mut hash = self.hash.clone();
        hash.update_padded(bound);
        hash.update_padded(text);
        let mut lengths = [0; 16];
        lengths[..8].copy_from_slice(&(bound.len() as u64 * 8).to_be_bytes());
        lengths[8..].copy_from_slice(&(text.len() as u64 * 8).to_be_bytes());
        hash.update(&[lengths.into()]);
        let mut counter: [u8; 16] = hash.finalize().into();
        counter.iter_mut().zip(tag).for_each(|(byte, tag)| *byte ^= tag);
        self.cipher.decrypt(&[0; 16], &mut counter);
        counter
    }
}

/// What single bytes of a record are deciphered with.
enum Keystream {
    ChaCha20(Box<[u8; 32]>),
    /// The block cipher of CCM.
    Ccm(Box<aes::Aes128>),
}

impl Keystream {
    fn new(cipher: Cipher, key: &[u8]) -> Option<Self> {
        match cipher {
            Cipher::ChaCha20 => Some(Self::ChaCha20(Box::new(key.try_into().ok()?))),
            Cipher::Ccm(CipherBlock::Aes128, _) => {
                Some(Self::Ccm(Box::new(aes::Aes128::new_from_slice(key).ok()?)))
            }
            _ => None,
        }
    }

    /// What hides the byte at `at` of a record's text (RFC 8439 §2.8, RFC 3610 §2.3).
    fn byte(&self, nonce: &[u8; 12], at: usize) -> u8 {
        match self {
            Self::ChaCha20(key) => {
                const BLOCK: usize = 64;
                let mut stream = chacha20::ChaCha20::new((&**key).into(), nonce.into());
                // The first block is the key of the tag.
                stream.seek(BLOCK + at);
                let mut byte = [0];
                stream.apply_keystream(&mut byte);
                byte[0]
            }
            Self::Ccm(cipher) => {
                const BLOCK: usize = 16;
                // How long the counter is, less one; the nonce; the counter, of which 0 hides the
                // tag.
                let mut block = [0; BLOCK];
                block[0] = 2;
                block[1..13].copy_from_slice(nonce);
                block[13..].copy_from_slice(&(1 + at / BLOCK).to_be_bytes()[5..]);
                let mut block = block.into();
                cipher.encrypt_block(&mut block);
                block[at % BLOCK]
            }
        }
    }
}

impl Opener {
    /// None where the keys do not fit the cipher.
    pub(super) fn new(sealing: Sealing, keys: &DirectionKeys) -> Option<Self> {
        let mut nonce = [0; 12];
        let fixed = keys.nonce.len().min(12);
        nonce[..fixed].copy_from_slice(&keys.nonce[..fixed]);
        let ring = |algorithm| {
            Some(SealKind::Ring(LessSafeKey::new(UnboundKey::new(algorithm, &keys.key).ok()?)))
        };
        let kind = match sealing.cipher {
            Cipher::Gcm(CipherBlock::Aes128) => ring(&aead::AES_128_GCM)?,
            Cipher::Gcm(CipherBlock::Aes256) => ring(&aead::AES_256_GCM)?,
            Cipher::ChaCha20 => ring(&aead::CHACHA20_POLY1305)?,
            Cipher::Gcm(block) => SealKind::Other(other_gcm(block, &keys.key)?),
            Cipher::Ccm(block, tag) => SealKind::Other(ccm(block, tag, &keys.key)?),
            Cipher::Cbc(block, hash) => {
                let mut vector = [0; 16];
                vector.get_mut(..keys.nonce.len())?.copy_from_slice(&keys.nonce);
                let mac = ring::hmac::Key::new(hash.hmac(), &keys.mac);
                SealKind::Cbc { cipher: cbc(block, &keys.key)?, mac, vector }
            }
            Cipher::Null(hash) => SealKind::Mac(ring::hmac::Key::new(hash.hmac(), &keys.mac)),
        };
        let is_13 = sealing.version == TlsVersion::Tls13;
        let keystream = is_13.then(|| Keystream::new(sealing.cipher, &keys.key)).flatten();
        Some(Self { sealing, kind, nonce, gcm: None, keystream })
    }

    /// Bytes that sealing adds to a record, its header among them; of CBC the fewest.
    pub(super) fn overhead(&self) -> usize {
        let explicit = if self.is_13() { 1 } else { 8 };
        HEADER
            + match self.sealing.cipher {
                Cipher::Gcm(_) => explicit + 16,
                Cipher::Ccm(_, tag) => explicit + tag,
                Cipher::ChaCha20 => explicit % 8 + 16,
                Cipher::Cbc(block, hash) if self.sealing.version >= TlsVersion::Tls11 => {
                    block.length() + 1 + hash.length()
                }
                Cipher::Cbc(_, hash) => 1 + hash.length(),
                Cipher::Null(hash) => hash.length(),
            }
    }

    fn is_13(&self) -> bool {
        self.sealing.version == TlsVersion::Tls13
    }

    /// Whether the vector of a record is the end of the one before it.
    pub(super) fn is_chained(&self) -> bool {
        matches!(self.sealing.cipher, Cipher::Cbc(..)) && self.sealing.version < TlsVersion::Tls11
    }

    /// Sets the vector of the next record, where it is chained.
    pub(super) fn set_vector(&mut self, before: &[u8]) {
        let Cipher::Cbc(block, _) = self.sealing.cipher else { return };
        let last = before.len().checked_sub(block.length()).map(|at| &before[at..]);
        if let (SealKind::Cbc { vector, .. }, Some(last)) = (&mut self.kind, last) {
            vector[..last.len()].copy_from_slice(last);
        }
    }

    /// The number that the sender gave a record, read from its tag: of AES-GCM in TLS 1.3, whose
    /// bound data does not hold the number, so that one block decrypted backwards tells it. None
    /// where the key does not fit, or another cipher seals.
    pub(super) fn number(&mut self, record: &[u8]) -> Option<u64> {
        let Cipher::Gcm(block @ (CipherBlock::Aes128 | CipherBlock::Aes256)) = self.sealing.cipher
        else {
            return None;
        };
        let (header, body) = record.split_at_checked(HEADER)?;
        let (text, tag) = body.split_at_checked(body.len().checked_sub(16)?)?;
        let counter = self.gcm.as_ref().filter(|_| self.is_13())?.counter(header, text, tag);
        debug_assert!(matches!(block, CipherBlock::Aes128 | CipherBlock::Aes256));
        let mut number = [0; 8];
        for (at, byte) in number.iter_mut().enumerate() {
            *byte = counter[4 + at] ^ self.nonce[4 + at];
        }
        let fits = counter[..4] == self.nonce[..4] && counter[12..] == [0, 0, 0, 1];
        fits.then_some(u64::from_be_bytes(number))
    }

    /// Whether [`Self::number`] can tell numbers; makes it ready.
    pub(super) fn can_number(&mut self, key: &DirectionKeys) -> bool {
        if let (Cipher::Gcm(block), true, true) =
            (self.sealing.cipher, self.is_13(), self.gcm.is_none())
        {
            self.gcm = Gcm::new(block, &key.key).map(Box::new);
        }
        self.gcm.is_some()
    }

    /// Whether [`Self::may_open`] tells most numbers that do not open a record.
    pub(super) const fn can_reject(&self) -> bool {
        self.keystream.is_some()
    }

    /// Whether a record ends as plaintext of TLS 1.3 does, were this its number: in a type of
    /// content or in padding (RFC 8446 §5.2). Of wrong numbers one in 32 may. One byte is
    /// deciphered, however long the record is.
    pub(super) fn may_open(&self, number: u64, record: &[u8]) -> bool {
        let Some(keystream) = &self.keystream else { return true };
        let text = record.len().checked_sub(self.overhead()).and_then(|at| record.get(HEADER + at));
        let Some(last) = text else { return false };
        let at = record.len() - self.overhead();
        matches!(last ^ keystream.byte(&self.numbered(number), at), 0 | 20..=26)
    }

    /// The nonce of a record that does not tell it (RFC 8446 §5.3, RFC 7905 §2).
    fn numbered(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.nonce;
        nonce[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, n)| *byte ^= n);
        nonce
    }

    /// Opens a whole record in place: its type and where its plaintext stands. The bytes are
    /// undefined where it does not open.
    pub(super) fn open(&mut self, number: u64, record: &mut [u8]) -> Option<(u8, OpenedRecord)> {
        let (header, body) = record.split_at_mut_checked(HEADER)?;
        let kind = header[0];
        let mut opened = match &self.kind {
            SealKind::Cbc { .. } => self.open_cbc(number, header, body)?,
            SealKind::Mac(mac) => {
                let Cipher::Null(hash) = self.sealing.cipher else { return None };
                let (text, tag) = body.split_at_checked(body.len().checked_sub(hash.length())?)?;
                verify(mac, &self.bound(number, header, text.len()).0, text, tag)?;
                OpenedRecord { start: 0, end: text.len() }
            }
            _ => self.open_aead(number, header, body)?,
        };
        opened.start += HEADER;
        opened.end += HEADER;
        if !self.is_13() {
            return Some((kind, opened));
        }
        // RFC 8446 §5.2: the type is the last byte that is not zero.
        while opened.end > opened.start {
            opened.end -= 1;
            if record[opened.end] != 0 {
                return Some((record[opened.end], opened));
            }
        }
        None
    }

    fn open_aead(&self, number: u64, header: &[u8], body: &mut [u8]) -> Option<OpenedRecord> {
        let (explicit, tag) = match (self.sealing.cipher, self.is_13()) {
            (Cipher::Ccm(_, tag), false) => (8, tag),
            (Cipher::Ccm(_, tag), true) => (0, tag),
            (Cipher::Gcm(_), false) => (8, 16),
            _ => (0, 16),
        };
        let plain = body.len().checked_sub(explicit + tag)?;
        let mut nonce = self.numbered(number);
        if explicit > 0 {
            nonce[..4].copy_from_slice(&self.nonce[..4]);
            nonce[4..].copy_from_slice(&body[..8]);
        }
        let (bound, length) = self.bound(number, header, plain);
        let bound = &bound[..length];
        let body = &mut body[explicit..];
        match &self.kind {
            SealKind::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                key.open_in_place(nonce, aead::Aad::from(bound), body).ok()?;
            }
            SealKind::Other(cipher) => {
                let (text, tag) = body.split_at_mut(plain);
                cipher.open(&nonce, bound, text, tag)?;
            }
            SealKind::Cbc { .. } | SealKind::Mac(_) => return None,
        }
        Some(OpenedRecord { start: explicit, end: explicit + plain })
    }

    /// What a tag covers beside the text: number, type, version, length (RFC 5246 §6.2.3.3); in
    /// TLS 1.3 the header as it stands (RFC 8446 §5.2).
    fn bound(&self, number: u64, header: &[u8], length: usize) -> ([u8; 13], usize) {
        let mut bound = [0; 13];
        if self.is_13() {
            bound[..HEADER].copy_from_slice(header);
            return (bound, HEADER);
        }
        bound[..8].copy_from_slice(&number.to_be_bytes());
        bound[8..11].copy_from_slice(&header[..3]);
        bound[11..].copy_from_slice(&(length as u16).to_be_bytes());
        (bound, 13)
    }

    fn open_cbc(&mut self, number: u64, header: &[u8], body: &mut [u8]) -> Option<OpenedRecord> {
        let Sealing { version, cipher, encrypt_then_mac } = self.sealing;
        let Cipher::Cbc(block, hash) = cipher else { return None };
        let block = block.length();
        let explicit = if version >= TlsVersion::Tls11 { block } else { 0 };
        let outside = if encrypt_then_mac { hash.length() } else { 0 };
        let sealed = body.len().checked_sub(outside)?;
        if !sealed.is_multiple_of(block) || sealed < explicit + block {
            return None;
        }
        let bound = |length| self.bound(number, header, length).0;
        let SealKind::Cbc { cipher, mac, vector } = &self.kind else { return None };
        if encrypt_then_mac {
            let (text, tag) = body.split_at(sealed);
            verify(mac, &bound(sealed), text, tag)?;
        }
        let (first, text) = body[..sealed].split_at_mut(explicit);
        let first = if explicit > 0 { &*first } else { &vector[..block] };
        let mut last = [0; 16];
        last[..block].copy_from_slice(&text[text.len() - block..]);
        cipher.decrypt(first, text);
        let padding = usize::from(*text.last()?);
        let padded = text.len().checked_sub(padding + 1)?;
        if text[padded..].iter().any(|&byte| usize::from(byte) != padding) {
            return None;
        }
        let plain = padded.checked_sub(hash.length() - outside)?;
        if !encrypt_then_mac {
            verify(mac, &bound(plain), &text[..plain], &text[plain..padded])?;
        }
        if let SealKind::Cbc { vector, .. } = &mut self.kind {
            *vector = last;
        }
        Some(OpenedRecord { start: explicit, end: explicit + plain })
    }
}

/// Where the plaintext of a record stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenedRecord {
    pub(super) start: usize,
    pub(super) end: usize,
}

fn verify(key: &ring::hmac::Key, bound: &[u8], text: &[u8], tag: &[u8]) -> Option<()> {
    let mut mac = ring::hmac::Context::with_key(key);
    mac.update(bound);
    mac.update(text);
    (mac.sign().as_ref() == tag).then_some(())
}

fn other_gcm(block: CipherBlock, key: &[u8]) -> Option<Box<dyn Sealed + Send>> {
    match block {
        CipherBlock::Aria128 => sealed::<aes_gcm::AesGcm<aria::Aria128, U12>>(key),
        CipherBlock::Aria256 => sealed::<aes_gcm::AesGcm<aria::Aria256, U12>>(key),
        CipherBlock::Camellia128 => sealed::<aes_gcm::AesGcm<camellia::Camellia128, U12>>(key),
        CipherBlock::Camellia256 => sealed::<aes_gcm::AesGcm<camellia::Camellia256, U12>>(key),
        CipherBlock::Aes128 | CipherBlock::Aes256 | CipherBlock::TripleDes => None,
    }
}

fn ccm(block: CipherBlock, tag: usize, key: &[u8]) -> Option<Box<dyn Sealed + Send>> {
    use ccm::Ccm;
    match (block, tag) {
        (CipherBlock::Aes128, 16) => sealed::<Ccm<aes::Aes128, U16, U12>>(key),
        (CipherBlock::Aes128, 8) => sealed::<Ccm<aes::Aes128, U8, U12>>(key),
        (CipherBlock::Aes256, 16) => sealed::<Ccm<aes::Aes256, U16, U12>>(key),
        (CipherBlock::Aes256, 8) => sealed::<Ccm<aes::Aes256, U8, U12>>(key),
        (CipherBlock::Aria128, 16) => sealed::<Ccm<aria::Aria128, U16, U12>>(key),
        (CipherBlock::Aria128, 8) => sealed::<Ccm<aria::Aria128, U8, U12>>(key),
        (CipherBlock::Aria256, 16) => sealed::<Ccm<aria::Aria256, U16, U12>>(key),
        (CipherBlock::Aria256, 8) => sealed::<Ccm<aria::Aria256, U8, U12>>(key),
        _ => None,
    }
}

fn cbc(block: CipherBlock, key: &[u8]) -> Option<Box<dyn Chained + Send>> {
    match block {
        CipherBlock::Aes128 => chained::<aes::Aes128>(key),
        CipherBlock::Aes256 => chained::<aes::Aes256>(key),
        CipherBlock::Aria128 => chained::<aria::Aria128>(key),
        CipherBlock::Aria256 => chained::<aria::Aria256>(key),
        CipherBlock::Camellia128 => chained::<camellia::Camellia128>(key),
        CipherBlock::Camellia256 => chained::<camellia::Camellia256>(key),
        CipherBlock::TripleDes => {
            Some(Box::new(TripleDes(des::TdesEde3::new_from_slice(key).ok()?)))
        }
    }
}

#[cfg(test)]
mod tests;
