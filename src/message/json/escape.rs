//! Escapes text into JSON strings, eight or sixteen bytes at a time: the writer of exchanges spends
//! most of its time here.

#[cfg(target_arch = "x86_64")]
mod ssse3;

/// Appends the escaped form of `text` (UTF-8, or ASCII octets) without quotes (RFC 8259 §7). DEL is
/// legal in JSON but kept off terminals.
pub(crate) fn escape(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= SHORT && is_plain(text) {
        out.extend_from_slice(text);
        return;
    }
    out.reserve(text.len() + text.len() / 8);
    let mut block = [0; ESCAPED];
    for part in text.chunks(BLOCK) {
        let n = escape_block(&mut block, part);
        out.extend_from_slice(&block[..n]);
    }
}

/// Escapes at most [`BLOCK`] bytes to the front of `block`; how many bytes came out.
fn escape_block(block: &mut Escaped, text: &[u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let Some(n) = ssse3::escape_block(block, text) {
        return n;
    }
    escape_words(block, 0, text)
}

/// Texts up to this length are mostly header fields, and those mostly plain.
const SHORT: usize = 96;
/// How many bytes are escaped into a fixed buffer at once: long enough to make the appends cheap.
const BLOCK: usize = 256;
/// Room for a block of which every byte takes six, and for what is written beyond before it is
/// known to be too much.
const ESCAPED: usize = BLOCK * 6 + 16;

/// A block's escaped form, at its front.
type Escaped = [u8; ESCAPED];

/// Whether every byte is printable ASCII that a JSON string holds as it is.
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    words
        .iter()
        .all(|word| special(u64::from_le_bytes(*word)) | (u64::from_le_bytes(*word) & HIGH) == 0)
        && rest.iter().all(|&byte| byte < 0x80 && !is_special(byte))
}

/// Marks the bytes of `word` that end a run of plain ones in a JSON string: a quote, a backslash, a
/// control character. Exact up to the first of them (the lowest byte), which is all that is asked
/// for.
pub(crate) const fn special_in_json(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let quote = quote.wrapping_sub(ONES) & !quote & HIGH;
    let slash = slash.wrapping_sub(ONES) & !slash & HIGH;
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    quote | slash | control
}

const HIGH: u64 = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The high bit of every byte of `word` that must be escaped: below 0x20, a quote, a backslash,
/// DEL. Exact in every byte: with the high bits cleared no sum carries into the next byte.
const fn special(word: u64) -> u64 {
    let low = word & !HIGH;
    let control = !(low + 0x60 * ONES);
    let quote = !((low ^ (0x22 * ONES)) + 0x7f * ONES);
    let backslash = !((low ^ (0x5c * ONES)) + 0x7f * ONES);
    let delete = low + ONES;
    (control | quote | backslash | delete) & !word & HIGH
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7f
}

/// Escapes `text` to `block` from `n` on, with nothing that not every processor has; where its form
/// ends.
fn escape_words(block: &mut Escaped, mut n: usize, text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for bytes in words {
        let mut word = u64::from_le_bytes(*bytes);
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
    n
}

/// The second character of the escapes that have two; 0 where the form is `\u00xx`.
const SHORT_FORM: [u8; 256] = {
    let mut table = [0; 256];
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table
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

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(text: &[u8]) -> Vec<u8> {
        text.iter()
            .flat_map(|&byte| match byte {
                b'"' => b"\\\"".to_vec(),
                b'\\' => b"\\\\".to_vec(),
                b'\n' => b"\\n".to_vec(),
                b'\r' => b"\\r".to_vec(),
                b'\t' => b"\\t".to_vec(),
                0..0x20 | 0x7f => format!("\\u{byte:04x}").into_bytes(),
                _ => vec![byte],
            })
            .collect()
    }

    #[test]
    fn every_byte_in_every_place_is_escaped_as_one_by_one() {
        for byte in 0..=255u8 {
            for place in 0..38 {
                let mut text = b"abcdefgh\xc3\xa4~ !]^xyz{|}\"\\\n\r\t\x08\x0c0123456789".to_vec();
                text[place] = byte;
                let mut out = Vec::new();
                escape(&mut out, &text);
                assert_eq!(out, slow(&text), "{byte:#x} at {place}");
                let mut block = [0; ESCAPED];
                let n = escape_words(&mut block, 0, &text);
                assert_eq!(block[..n], slow(&text), "{byte:#x} at {place}");
                assert_eq!(is_plain(&[byte]), byte < 0x80 && !is_special(byte));
            }
        }
    }

    #[test]
    fn long_texts_also_where_every_byte_is_escaped() {
        for text in [
            vec![1u8; 1000],
            vec![b'"'; 1001],
            b"{\"a\": \"b\\n\"}\n".repeat(100),
            vec![b'x'; 4096],
        ] {
            let mut out = b"before".to_vec();
            escape(&mut out, &text);
            assert_eq!(&out[6..], slow(&text));
        }
    }
}
