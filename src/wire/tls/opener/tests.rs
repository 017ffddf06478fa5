//! Records of CBC, sealed here in every way that TLS has for them.

use aes::cipher::{Block as Octets, BlockModeEncrypt as _};

use super::super::suite::Hash;
use super::*;

/// Encrypts whole blocks in CBC mode.
fn chain<C>(key: &[u8], vector: &[u8], text: &mut [u8])
where
    C: BlockCipherEncrypt + KeyInit,
{
    let cipher = C::new_from_slice(key).unwrap();
    let mut chain = cbc::Encryptor::inner_iv_init(cipher, vector.try_into().unwrap());
    let (blocks, rest) = Octets::<C>::slice_as_chunks_mut(text);
    assert!(rest.is_empty());
    chain.encrypt_blocks(blocks);
}

fn encrypt(block: CipherBlock, key: &[u8], vector: &[u8], text: &mut [u8]) {
    match block {
        CipherBlock::TripleDes => chain::<des::TdesEde3>(key, vector, text),
        _ => chain::<aes::Aes128>(key, vector, text),
    }
}

/// A record of `plain` with its header, sealed behind one that ended with `vector`.
fn seal(
    sealing: Sealing,
    keys: &DirectionKeys,
    number: u64,
    vector: &[u8],
    plain: &[u8],
) -> Vec<u8> {
    let Cipher::Cbc(block, hash) = sealing.cipher else { panic!("CBC") };
    let explicit = if sealing.version >= TlsVersion::Tls11 { block.length() } else { 0 };
    let signed = |length: usize, text: &[u8]| {
        let key = ring::hmac::Key::new(hash.hmac(), &keys.mac);
        let mut mac = ring::hmac::Context::with_key(&key);
        mac.update(&number.to_be_bytes());
        mac.update(&[23, 3, 3]);
        mac.update(&(length as u16).to_be_bytes());
        mac.update(text);
        mac.sign().as_ref().to_vec()
    };
    let mut text = plain.to_vec();
    if !sealing.encrypt_then_mac {
        text.extend(signed(plain.len(), plain));
    }
    let padding = block.length() - 1 - text.len() % block.length();
    text.resize(text.len() + padding + 1, padding as u8);
    encrypt(block, &keys.key, vector, &mut text);
    let mut body = [&vector[..explicit], &text].concat();
    if sealing.encrypt_then_mac {
        let tag = signed(body.len(), &body);
        body.extend(tag);
    }
    [&[23, 3, 3][..], &(body.len() as u16).to_be_bytes(), &body].concat()
}

#[test]
fn records_of_cbc_open_with_blocks_of_either_length_and_nothing_else_does() {
    for block in [CipherBlock::TripleDes, CipherBlock::Aes128] {
        for (version, encrypt_then_mac) in
            [(TlsVersion::Tls10, false), (TlsVersion::Tls12, false), (TlsVersion::Tls12, true)]
        {
            let sealing =
                Sealing { version, cipher: Cipher::Cbc(block, Hash::Sha1), encrypt_then_mac };
            let keys = DirectionKeys {
                mac: vec![7; 20],
                key: (0..block.key() as u8).collect(),
                nonce: vec![9; block.length()],
            };
            let mut opener = Opener::new(sealing, &keys).unwrap();
            let mut vector = keys.nonce.clone();
            for (number, length) in [0, 1, 7, 8, 300].into_iter().enumerate() {
                let (number, plain) = (number as u64, vec![b'x'; length]);
                let record = seal(sealing, &keys, number, &vector, &plain);
                let (header, body) = record.split_at(HEADER);
                let what = format!("{block:?} {version:?} {encrypt_then_mac} {length}");
                let mut other = Opener::new(sealing, &keys).unwrap();
                assert_eq!(other.open_cbc(number + 9, header, &mut body.to_vec()), None, "{what}");
                let mut opened = body.to_vec();
                let OpenedRecord { start, end } =
                    opener.open_cbc(number, header, &mut opened).expect(&what);
                assert_eq!(opened[start..end], plain, "{what}");
                vector = body[body.len() - block.length()..].to_vec();
            }
        }
    }
}

/// A record of TLS 1.3 with `padding` zeros behind its type, and what opens it.
fn seal_13(cipher: Cipher, number: u64, plain: &[u8], padding: usize) -> (Vec<u8>, Opener) {
    let key = vec![0x42; if cipher == Cipher::ChaCha20 { 32 } else { 16 }];
    let keys = DirectionKeys { mac: Vec::new(), key, nonce: (1..=12).collect() };
    let sealing = Sealing { version: TlsVersion::Tls13, cipher, encrypt_then_mac: false };
    let opener = Opener::new(sealing, &keys).unwrap();
    let mut text = [plain, &[23], &vec![0; padding]].concat();
    let length = (text.len() + opener.overhead() - HEADER - 1) as u16;
    let header = [&[23, 3, 3][..], &length.to_be_bytes()].concat();
    let nonce = opener.numbered(number);
    fn with<A: AeadInOut<NonceSize = U12> + KeyInit>(
        key: &[u8],
        nonce: [u8; 12],
        header: &[u8],
        text: &mut [u8],
    ) -> Vec<u8> {
        let cipher = A::new_from_slice(key).unwrap();
        let tag = cipher.encrypt_inout_detached(&nonce.into(), header, text.into()).unwrap();
        tag.to_vec()
    }
    let tag = match cipher {
        Cipher::Ccm(_, 16) => {
            with::<ccm::Ccm<aes::Aes128, U16, U12>>(&keys.key, nonce, &header, &mut text)
        }
        Cipher::Ccm(..) => {
            with::<ccm::Ccm<aes::Aes128, U8, U12>>(&keys.key, nonce, &header, &mut text)
        }
        _ => {
            let key = UnboundKey::new(&aead::CHACHA20_POLY1305, &keys.key).unwrap();
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            let bound = aead::Aad::from(&header);
            let key = LessSafeKey::new(key);
            key.seal_in_place_separate_tag(nonce, bound, &mut text).unwrap().as_ref().to_vec()
        }
    };
    ([header, text, tag].concat(), opener)
}

#[test]
fn the_last_byte_of_a_record_rejects_wrong_numbers_and_never_its_own() {
    let aes = CipherBlock::Aes128;
    for cipher in [Cipher::ChaCha20, Cipher::Ccm(aes, 16), Cipher::Ccm(aes, 8)] {
        for length in [0, 1, 15, 16, 17, 63, 64, 65, 300, 16_384] {
            for (number, padding) in [(0, 0), (7, 1), (1 << 40, 70)] {
                let (record, mut opener) = seal_13(cipher, number, &vec![b'x'; length], padding);
                let what = format!("{cipher:?}, {length} bytes, number {number}");
                assert!(opener.can_reject(), "{what}");
                assert!(opener.may_open(number, &record), "{what}");
                let (kind, opened) = opener.open(number, &mut record.clone()).expect(&what);
                assert_eq!((kind, opened.end - opened.start), (23, length), "{what}");
                let others = (number + 1..=number + 1024).filter(|n| opener.may_open(*n, &record));
                assert!(others.count() < 100, "{what}: one in 32 is expected");
            }
        }
        let (record, opener) = seal_13(cipher, 0, b"", 0);
        for length in 0..opener.overhead() {
            assert!(!opener.may_open(0, &record[..length]), "{cipher:?}, {length} bytes");
        }
    }
}
