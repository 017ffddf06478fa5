//! Numbers of variable length (LEB128) in records that a stage keeps for itself, in memory or on
//! disk, and in messages of Protocol Buffers: seven bits a byte, the lowest first, the top bit
//! where more follow.

use std::io::{self, Read, Write};

/// Most bytes of a number.
pub(crate) const MOST_BYTES: usize = 10;

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes the number at the start of `bytes`, which goes on behind it; none where it has no end
/// there, or does not fit.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes the first bytes, which a number of fixed length is; none where there are fewer.
pub(crate) fn fixed<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Writes a number.
pub(crate) fn write(out: &mut impl Write, mut number: u64) -> io::Result<()> {
    let (mut bytes, mut length) = ([0; MOST_BYTES], 0);
    while number >= 0x80 {
        bytes[length] = number as u8 | 0x80;
        number >>= 7;
        length += 1;
    }
    bytes[length] = number as u8;
    out.write_all(&bytes[..=length])
}

/// Reads a number; at the end of the input, and within a number, that ends too early.
pub(crate) fn read(input: &mut impl Read) -> io::Result<u64> {
    let (mut bytes, mut length) = ([0; MOST_BYTES], 0);
    while length < MOST_BYTES {
        input.read_exact(&mut bytes[length..=length])?;
        length += 1;
        if bytes[length - 1] & 0x80 == 0 {
            let number = take(&mut &bytes[..length]);
            return number.ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Takes the number at the start of `bytes` as a length.
pub(crate) fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(take(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_end_or_does_not_fit_is_none() {
        assert_eq!(take(&mut &b""[..]), None);
        assert_eq!(take(&mut &b"\x80\x80"[..]), None);
        let most = [&[0xff; 9][..], &[1]].concat();
        assert_eq!(take(&mut &most[..]), Some(u64::MAX));
        let more = [&[0xff; 9][..], &[2]].concat();
        assert_eq!(take(&mut &more[..]), None);
        assert_eq!(take(&mut &[0x80; 11][..]), None);
        let kind = |bytes: &[u8]| read(&mut &bytes[..]).map_err(|error| error.kind());
        assert_eq!(kind(b""), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(kind(b"\x80\x80"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(kind(&most), Ok(u64::MAX));
        assert_eq!(kind(&more), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind(&[0x80; 11]), Err(io::ErrorKind::InvalidData));
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: u64, behind: Vec<u8>) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            let mut written = Vec::new();
            write(&mut written, number).unwrap();
            prop_assert_eq!(&written, &bytes);
            bytes.extend(&behind);
            let mut input = &bytes[..];
            prop_assert_eq!(read(&mut input).unwrap(), number);
            prop_assert_eq!(input, &behind[..]);
            let mut rest = &bytes[..];
            prop_assert_eq!(take(&mut rest), Some(number));
            prop_assert_eq!(rest, &behind[..]);
        }
    }
}
