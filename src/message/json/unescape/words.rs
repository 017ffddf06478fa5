//! Undoes escapes with nothing that not every processor has, and what the other way shares with
//! this one.

use crate::message::json::escape::special_in_json;

/// What each letter behind a backslash says; 0 where it is no escape of two characters.
pub(super) const SAID: [u8; 256] = {
    let mut table = [0; 256];
    let pairs = [*b"\"\"", *b"\\\\", *b"//", *b"b\x08", *b"f\x0c", *b"n\n", *b"r\r", *b"t\t"];
    let mut at = 0;
    while at < pairs.len() {
        table[pairs[at][0] as usize] = pairs[at][1];
        at += 1;
    }
    table
};

/// What a letter behind a backslash says; none of one that is no escape of two characters.
pub(in crate::message::json) fn said(letter: u8) -> Option<u8> {
    Some(SAID[letter as usize]).filter(|said| *said != 0)
}

/// Appends what the start of a string's rest says, up to the first escape, the end, or the last few
/// bytes of `text`; how many bytes that were.
pub(super) fn words(out: &mut Vec<u8>, text: &[u8]) -> usize {
    let mut at = 0;
    // Eight bytes are copied before it is known how many of them are wanted.
    while let Some(word) = text[at..].first_chunk::<8>() {
        let special = special_in_json(u64::from_le_bytes(*word));
        out.extend_from_slice(word);
        if special != 0 {
            let plain = (special.trailing_zeros() / 8) as usize;
            out.truncate(out.len() - 8 + plain);
            return at + plain;
        }
        at += 8;
    }
    at
}
