//! Escapes a block of text with nothing that not every processor has, eight bytes at a time; and
//! what the other ways to do so share with this one.

/// What came of a block.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Bytes that came out.
    pub(super) length: usize,
    /// Whether all that went in were ASCII.
    pub(super) is_ascii: bool,
}

/// How many bytes are escaped into a fixed buffer at once: long enough to make the appends cheap.
pub(super) const BLOCK: usize = 256;
/// Room for a block of which every byte takes six, and for what is written beyond before it is
/// known to be too much.
pub(super) const ESCAPED: usize = BLOCK * 6 + 64;

/// A block's escaped form, at its front.
pub(super) type Escaped = [u8; ESCAPED];

pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;
pub(super) const ONES: u64 = 0x0101_0101_0101_0101;

/// The high bit of every byte of `word` that must be escaped: below 0x20, a quote, a backslash,
/// DEL. Exact in every byte: with the high bits cleared no sum carries into the next byte.
pub(super) const fn special(word: u64) -> u64 {
    let low = word & !HIGH;
    let control = !(low + 0x60 * ONES);
    let quote = !((low ^ (0x22 * ONES)) + 0x7f * ONES);
    let backslash = !((low ^ (0x5c * ONES)) + 0x7f * ONES);
    let delete = low + ONES;
    (control | quote | backslash | delete) & !word & HIGH
}

pub(super) const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7f
}

/// Escapes `text` to `block` from `n` on, with nothing that not every processor has; where its form
/// ends.
pub(super) fn escape_words(block: &mut Escaped, mut n: usize, text: &[u8]) -> Block {
    let (words, rest) = text.as_chunks::<8>();
    let mut seen = 0;
    for bytes in words {
        let mut word = u64::from_le_bytes(*bytes);
        seen |= word;
        let mut mask = special(word);
        block[n..n + 8].copy_from_slice(bytes);
        let mut left = 8;
        while mask != 0 {
            let at = mask.trailing_zeros() as usize / 8;
            n = put_escape(block, n + at, (word >> (8 * at)) as u8);
            left -= at + 1;
            // Two shifts: the last byte's would be by the whole width.
            word = word >> (8 * at) >> 8;
            mask = mask >> (8 * at) >> 8;
            block[n..n + 8].copy_from_slice(&word.to_le_bytes());
        }
        n += left;
    }
    for &byte in rest {
        if is_special(byte) {
            n = put_escape(block, n, byte);
        } else {
            block[n] = byte;
            n += 1;
        }
    }
    Block { length: n, is_ascii: seen & HIGH == 0 && rest.is_ascii() }
}

/// The second character of the escapes that have two; 0 where the form is `\u00xx`.
pub(super) const SHORT_FORM: [u8; 256] = {
    let mut table = [0; 256];
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table
};

/// [`SHORT_FORM`] of the first sixteen bytes: all short forms of control characters are among them.
#[cfg(target_arch = "x86_64")]
pub(super) const SHORT_FORMS: (u64, u64) = {
    let (mut forms, mut at) = ([0u8; 16], 0);
    while at < 16 {
        forms[at] = SHORT_FORM[at];
        at += 1;
    }
    let forms = u128::from_le_bytes(forms);
    (forms as u64, (forms >> 64) as u64)
};

#[inline]
fn put_escape(block: &mut Escaped, n: usize, byte: u8) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = SHORT_FORM[byte as usize];
    if short != 0 {
        block[n..n + 2].copy_from_slice(&[b'\\', short]);
        return n + 2;
    }
    block[n..n + 6].copy_from_slice(&[
        b'\\',
        b'u',
        b'0',
        b'0',
        HEX[(byte >> 4) as usize],
        HEX[(byte & 15) as usize],
    ]);
    n + 6
}
