//! A secret of a TLS connection. It can be used, and not shown: no text form, no serialisation.

use std::fmt;

/// Bytes of the longest secret: SHA-384's output, and a master secret.
const LONGEST: usize = 48;

/// A traffic secret, a master secret or a premaster secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret {
    bytes: [u8; LONGEST],
    length: u8,
}

impl Secret {
    /// None where it is empty or longer than any secret.
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..secret.len())?.copy_from_slice(secret);
        (!secret.is_empty()).then_some(Self { bytes, length: secret.len() as u8 })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret of {} bytes", self.length)
    }
}

/// The bytes that pairs of hexadecimal digits say; none where they say none.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8);
    if text.is_empty() || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(pair).collect()
}
