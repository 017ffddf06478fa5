//! Undoes the escapes of JSON strings, as many bytes at a time as the processor can: bodies of JSON
//! have one every few bytes, and who reads records spends much of the time on them.

#[cfg(target_arch = "x86_64")]
mod ssse3;
mod words;

pub(super) use words::said;
use words::words;

/// Appends what the rest of a JSON string says, whose opening quote was passed; how long that rest
/// is, with its closing quote. None where it has none, is no JSON (RFC 8259 §7) or holds half of a
/// surrogate pair.
pub(crate) fn unescape(out: &mut Vec<u8>, text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += run(out, &text[at..]);
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            b'"' => return Some(at),
            b'\\' if text.get(at) == Some(&b'u') => {
                let digits = text.get(at + 1..at + 5)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                let digits = std::str::from_utf8(digits).ok()?;
                let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                at += 5;
            }
            b'\\' => {
                out.push(said(*text.get(at)?)?);
                at += 1;
            }
            0x20.. => out.push(byte),
            _ => return None,
        }
    }
}

/// Appends what the start of a string's rest says, as far as many bytes can be told at once; how
/// many were. Stops where it likes: before a character or an escape, never within one that it has
/// begun.
fn run(out: &mut Vec<u8>, text: &[u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let Some(read) = ssse3::run(out, text) {
        return read;
    }
    words(out, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unescaped(text: &[u8]) -> Option<(Vec<u8>, usize)> {
        let mut out = b"before ".to_vec();
        let read = unescape(&mut out, text)?;
        Some((out.split_off(7), read))
    }

    /// What serde makes of the string; the offset is where it ends.
    fn by_serde(text: &[u8]) -> Option<(Vec<u8>, usize)> {
        let quoted = [b"\"", text].concat();
        let mut all = serde_json::Deserializer::from_slice(&quoted).into_iter::<String>();
        let said = all.next()?.ok()?;
        Some((said.into_bytes(), all.byte_offset() - 1))
    }

    #[test]
    fn every_escape_in_every_place_is_undone() {
        for escape in [
            "\\\"",
            "\\\\",
            "\\/",
            "\\b",
            "\\f",
            "\\n",
            "\\r",
            "\\t",
            "\\u0001",
            "\\u00e9",
            "\\x",
            "\\u12",
            "\\ud800",
            "\\",
            "\"",
            "\n",
            "é",
            "\\\\\\\\\\\"",
            "\\\\\"",
            "\\\\\\n",
        ] {
            for place in 0..40 {
                let plain = "0123456789".repeat(4);
                let (before, behind) = plain.split_at(place);
                let text = format!("{before}{escape}{behind}\"rest\"");
                let text = text.as_bytes();
                assert_eq!(unescaped(text), by_serde(text), "{escape:?} at {place}");
                for end in 0..text.len() {
                    assert_eq!(unescaped(&text[..end]), by_serde(&text[..end]));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_serde_reads(
            parts in prop::collection::vec("[a-z]{0,9}|[\\\\]{1,7}|\"|n|/|é|\\\\u00e[0-9g]", 0..30)
        ) {
            let text = parts.concat();
            let text = text.as_bytes();
            prop_assert_eq!(unescaped(text), by_serde(text));
        }

        #[test]
        fn all_ways_say_the_same(
            parts in prop::collection::vec("[a-z]{0,9}|[\\\\]{1,7}|\"|n|/|é|\\\\u00e[0-9g]", 0..30)
        ) {
            let text = parts.concat();
            let mut slow = Vec::new();
            let read = words(&mut slow, text.as_bytes());
            let mut fast = Vec::new();
            let further = run(&mut fast, text.as_bytes());
            prop_assert!(further + 16 > read);
            prop_assert_eq!(&slow[..read.min(further)], &fast[..read.min(further)]);
        }
    }
}
