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
