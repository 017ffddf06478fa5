//! Keys from secrets: HKDF-Expand-Label of TLS 1.3 (RFC 8446 §7.1), the PRF of TLS 1.2 (RFC 5246
//! §5) and the older one of MD5 and SHA-1 (RFC 2246 §5).

use hmac::{KeyInit as _, Mac as _};
use ring::hkdf;

use super::secret::Secret;
use super::suite::{Cipher, Hash};

/// Keys of one direction.
#[derive(Clone)]
pub(super) struct DirectionKeys {
    pub(super) mac: Vec<u8>,
    pub(super) key: Vec<u8>,
    /// The fixed part of nonces, or the first vector.
    pub(super) nonce: Vec<u8>,
}

/// How many bytes an expansion gives.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

pub(super) fn expand_label(hash: Hash, secret: &[u8], label: &str, length: usize) -> Vec<u8> {
    let algorithm = if hash == Hash::Sha384 { hkdf::HKDF_SHA384 } else { hkdf::HKDF_SHA256 };
    let prk = hkdf::Prk::new_less_safe(algorithm, secret);
    let (wanted, label_length) = ((length as u16).to_be_bytes(), [(6 + label.len()) as u8]);
    let info = [&wanted[..], &label_length, b"tls13 ", label.as_bytes(), &[0]];
    let mut out = vec![0; length];
    let filled = prk.expand(&info, Length(length)).and_then(|expanded| expanded.fill(&mut out));
    debug_assert!(filled.is_ok(), "keys are shorter than what HKDF gives");
    out
}

/// Keys of a traffic secret of TLS 1.3 (RFC 8446 §7.3).
pub(super) fn of_traffic(hash: Hash, cipher: Cipher, secret: &Secret) -> DirectionKeys {
    DirectionKeys {
        mac: Vec::new(),
        key: expand_label(hash, secret.bytes(), "key", cipher.key()),
        nonce: expand_label(hash, secret.bytes(), "iv", 12),
    }
}

/// The traffic secret behind a KeyUpdate (RFC 8446 §7.2).
pub(super) fn next_generation(hash: Hash, secret: &Secret) -> Option<Secret> {
    Secret::new(&expand_label(hash, secret.bytes(), "traffic upd", hash.length()))
}

/// Which PRF a version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prf {
    /// TLS 1.0 and 1.1: MD5 and SHA-1, each on half of the secret.
    Split,
    /// TLS 1.2.
    Of(Hash),
}

impl Prf {
    fn run(self, secret: &[u8], label: &str, seed: &[&[u8]], length: usize) -> Vec<u8> {
        let seed = [&[label.as_bytes()], seed].concat().concat();
        match self {
            Self::Of(hash) => {
                let key = ring::hmac::Key::new(hash.hmac(), secret);
                expand(&seed, length, |data| ring::hmac::sign(&key, data).as_ref().to_vec())
            }
            Self::Split => {
                let half = secret.len().div_ceil(2);
                let (first, second) = (&secret[..half], &secret[secret.len() - half..]);
                let mut out = expand(&seed, length, |data| md5(first, data));
                let key = ring::hmac::Key::new(Hash::Sha1.hmac(), second);
                let other =
                    expand(&seed, length, |data| ring::hmac::sign(&key, data).as_ref().to_vec());
                out.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
                out
            }
        }
    }
}

fn md5(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::Hmac::<md5::Md5>::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

/// `P_hash` (RFC 5246 §5).
fn expand(seed: &[u8], length: usize, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (mut out, mut a) = (Vec::with_capacity(length + 64), sign(seed));
    while out.len() < length {
        out.extend_from_slice(&sign(&[&a[..], seed].concat()));
        a = sign(&a);
    }
    out.truncate(length);
    out
}

/// The master secret of a premaster secret, without the extension that binds it to the handshake
/// (RFC 5246 §8.1).
pub(super) fn master(prf: Prf, premaster: &[u8], client: &[u8; 32], server: &[u8; 32]) -> Vec<u8> {
    prf.run(premaster, "master secret", &[client, server], 48)
}

/// The master secret of a premaster secret and the hash of the handshake (RFC 7627 §4).
pub(super) fn extended_master(prf: Prf, premaster: &[u8], session: &[u8]) -> Vec<u8> {
    prf.run(premaster, "extended master secret", &[session], 48)
}

/// Keys of the client and of the server (RFC 5246 §6.3).
pub(super) fn key_block(
    prf: Prf,
    cipher: Cipher,
    master: &[u8],
    client: &[u8; 32],
    server: &[u8; 32],
) -> [DirectionKeys; 2] {
    let lengths = [cipher.mac_key(), cipher.key(), cipher.fixed_nonce()];
    let total = 2 * lengths.iter().sum::<usize>();
    let block = prf.run(master, "key expansion", &[server, client], total);
    let mut rest = &block[..];
    let mut parts = lengths.iter().flat_map(|&length| [length; 2]).map(|length| {
        let (part, after) = rest.split_at(length);
        rest = after;
        part.to_vec()
    });
    let mut next = || parts.next().unwrap_or_default();
    let (macs, keys, nonces) = ([next(), next()], [next(), next()], [next(), next()]);
    let [client_mac, server_mac] = macs;
    let [client_key, server_key] = keys;
    let [client_nonce, server_nonce] = nonces;
    [
        DirectionKeys { mac: client_mac, key: client_key, nonce: client_nonce },
        DirectionKeys { mac: server_mac, key: server_key, nonce: server_nonce },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::suite::CipherBlock;
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        super::super::secret::from_hex(text).unwrap()
    }

    /// RFC 8448 §3: the server's handshake keys, and what its secret becomes.
    #[test]
    fn keys_of_a_published_trace() {
        let secret =
            Secret::new(&hex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"))
                .unwrap();
        let keys = of_traffic(Hash::Sha256, Cipher::Gcm(CipherBlock::Aes128), &secret);
        assert_eq!(keys.key, hex("3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(keys.nonce, hex("5d313eb2671276ee13000b30"));
        let next = next_generation(Hash::Sha256, &secret).unwrap();
        assert_ne!(next.bytes(), secret.bytes());
        assert_eq!(next.bytes().len(), 32);
    }

    /// The vectors for the PRF that the TLS working group's list knows (P_SHA256, P_SHA384).
    #[test]
    fn the_prf_of_known_vectors() {
        let secret = hex("9bbe436ba940f017b17652849a71db35");
        let seed = hex("a0ba9f936cda311827a6f796ffd5198c");
        let wanted = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a";
        let got = Prf::Of(Hash::Sha256).run(&secret, "test label", &[&seed], 32);
        assert_eq!(got, hex(wanted));
        let secret = hex("b80b733d6ceefcdc71566ea48e5567df");
        let seed = hex("cd665cf6a8447dd6ff8b27555edb7465");
        let wanted = "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cd";
        let got = Prf::Of(Hash::Sha384).run(&secret, "test label", &[&seed], 32);
        assert_eq!(got, hex(wanted));
    }

    #[test]
    fn a_key_block_is_cut_in_the_order_of_the_rfc() {
        let cipher = Cipher::Cbc(CipherBlock::Aes256, Hash::Sha1);
        let [client, server] = key_block(Prf::Split, cipher, &[7; 48], &[1; 32], &[2; 32]);
        for keys in [&client, &server] {
            let lengths = (keys.mac.len(), keys.key.len(), keys.nonce.len());
            assert_eq!(lengths, (20, 32, 16));
        }
        assert_ne!(client.key, server.key);
    }
}
