//! Escapes text into JSON strings, as many bytes at a time as the processor can: the writer of
//! exchanges spends most of its time here.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(super) mod ssse3;
mod words;

use words::{BLOCK, Block, ESCAPED, Escaped, HIGH, ONES, escape_words, is_special, special};

/// Appends the escaped form of `text` (UTF-8, or ASCII octets) without quotes (RFC 8259 §7). DEL is
/// legal in JSON but kept off terminals.
pub(crate) fn escape(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= SHORT && is_plain(text) {
        out.extend_from_slice(text);
        return;
    }
    escape_blocks(out, text, |_| true);
}

/// Appends the escaped form of `octets` without quotes where they are UTF-8; else appends nothing
/// and says so. ASCII is not looked at twice for that.
pub(crate) fn escape_utf8(out: &mut Vec<u8>, octets: &[u8]) -> bool {
    let (start, mut is_utf8) = (out.len(), None);
    // All before the first block that is not ASCII is, so characters begin where it does.
    escape_blocks(out, octets, |rest| {
        *is_utf8.get_or_insert_with(|| simdutf8::basic::from_utf8(rest).is_ok())
    });
    let is_utf8 = is_utf8.unwrap_or(true);
    if !is_utf8 {
        out.truncate(start);
    }
    is_utf8
}

/// Appends the escaped form of `text`, up to a block that is not ASCII where `go_on` says no of it
/// and what follows.
fn escape_blocks(out: &mut Vec<u8>, text: &[u8], mut go_on: impl FnMut(&[u8]) -> bool) {
    out.reserve(text.len() + text.len() / 8);
    let mut block = [0; ESCAPED];
    for (number, part) in text.chunks(BLOCK).enumerate() {
        let Block { length, is_ascii } = escape_block(&mut block, part);
        if !is_ascii && !go_on(&text[number * BLOCK..]) {
            return;
        }
        out.extend_from_slice(&block[..length]);
    }
}

/// Escapes at most [`BLOCK`] bytes to the front of `block`.
fn escape_block(block: &mut Escaped, text: &[u8]) -> Block {
    #[cfg(target_arch = "x86_64")]
    if let Some(escaped) =
        avx512::escape_block(block, text).or_else(|| ssse3::escape_block(block, text))
    {
        return escaped;
    }
    escape_words(block, 0, text)
}

/// Texts up to this length are mostly header fields, and those mostly plain.
const SHORT: usize = 96;
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
                if place % 2 == 0 {
                    text.retain(|byte| byte.is_ascii());
                    text.extend(b"\"\\");
                }
                text[place] = byte;
                let mut out = Vec::new();
                escape(&mut out, &text);
                assert_eq!(out, slow(&text), "{byte:#x} at {place}");
                for (engine, escaped) in engines() {
                    let mut block = [0; ESCAPED];
                    let Some(Block { length, is_ascii }) = escaped(&mut block, &text) else {
                        continue;
                    };
                    assert_eq!(block[..length], slow(&text), "{engine}: {byte:#x} at {place}");
                    assert_eq!(is_ascii, text.is_ascii(), "{engine}: {byte:#x} at {place}");
                }
                assert_eq!(is_plain(&[byte]), byte < 0x80 && !is_special(byte));
            }
        }
    }

    type Engine = fn(&mut Escaped, &[u8]) -> Option<Block>;

    /// All ways to escape a block; none of a block where this processor cannot.
    fn engines() -> Vec<(&'static str, Engine)> {
        vec![
            ("words", |block, text| Some(escape_words(block, 0, text))),
            #[cfg(target_arch = "x86_64")]
            ("ssse3", ssse3::escape_block),
            #[cfg(target_arch = "x86_64")]
            ("avx512", avx512::escape_block),
        ]
    }

    #[test]
    fn what_is_no_utf8_adds_nothing_wherever_it_stands() {
        for length in [0, 1, 31, 32, 33, 255, 256, 257, 600] {
            let plain = b"say \"a\"\n".repeat(80)[..length].to_vec();
            for (bytes, is_utf8) in [
                (&b""[..], true),
                ("ä€".as_bytes(), true),
                (b"\xc3", false),
                (b"\xff\"", false),
                ("\u{10ffff}\u{7f}".as_bytes(), true),
            ] {
                let text = [&plain[..], bytes, &plain[..length / 2]].concat();
                let mut out = b"before".to_vec();
                assert_eq!(escape_utf8(&mut out, &text), is_utf8, "{bytes:?} behind {length}");
                let escaped = if is_utf8 { slow(&text) } else { Vec::new() };
                assert_eq!(out, [b"before".to_vec(), escaped].concat(), "{bytes:?} {length}");
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
