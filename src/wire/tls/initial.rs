//! What QUIC shares with TLS: HKDF of its first keys (RFC 9001 §5.2), and the ClientHello.

use hmac::{KeyInit as _, Mac as _};

use super::handshake;
use super::schedule::expand_label;
use super::suite::Hash;

/// HKDF-Extract with SHA-256 (RFC 5869 §2.2).
pub(in crate::wire) fn extract(salt: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(salt).expect("any length is a key");
    mac.update(secret);
    mac.finalize().into_bytes().to_vec()
}

/// HKDF-Expand-Label with SHA-256 (RFC 8446 §7.1).
pub(in crate::wire) fn expand(secret: &[u8], label: &str, length: usize) -> Vec<u8> {
    expand_label(Hash::Sha256, secret, label, length)
}

/// The server's name in a ClientHello, empty where it has none; none where it is no ClientHello.
pub(in crate::wire) fn client_hello_name(body: &[u8]) -> Option<String> {
    Some(handshake::client_hello(body)?.sni.unwrap_or_default())
}
