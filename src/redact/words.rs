//! What the looks for names in a text share: names, blanks, quotes, and where a value ends.

use std::ops::Range;

/// Longest name, in bytes.
pub(super) const LONGEST_NAME: usize = 64;
/// Most blanks on either side of `=` or `:`.
pub(super) const MOST_BLANKS: usize = 8;
/// Bytes of a value that are looked at.
pub(super) const LONGEST_LOOK: usize = 512;

/// Whether a name may hold it.
pub(super) const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b'%')
        // Letters of other languages.
        || byte >= 0x80
}

/// Whether it stands between words of a line.
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Where the blanks end that stand from `at` on.
pub(super) fn behind_blanks(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take(MOST_BLANKS).take_while(|&&byte| is_blank(byte)).count()
}

/// The name that ends at `end`.
pub(super) fn name_around(text: &[u8], end: usize) -> Range<usize> {
    let head = &text[end.saturating_sub(LONGEST_NAME)..end];
    end - head.iter().rev().take_while(|&&byte| is_of_name(byte)).count()..end
}

/// How many bytes there are before one that ends a value.
pub(super) fn ends(text: &[u8], end: impl Fn(u8) -> bool) -> usize {
    let length = text.iter().position(|&byte| end(byte)).unwrap_or(text.len());
    crate::steps::add(length);
    length
}

/// What stands in quotes at `from`, which may be escaped ones; to the end where they are not
/// closed.
pub(super) fn quoted(text: &[u8], from: usize) -> Option<Range<usize>> {
    let escaped = text.get(from) == Some(&b'\\');
    let first = from + usize::from(escaped);
    let quote = *text.get(first).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
    // A block string of GraphQL, a text of Python or TOML in three quotes.
    let three = [quote; 3];
    if !escaped && quote != b'`' && text[first..].starts_with(&three) {
        let end = memchr::memmem::find(&text[first + 3..], &three);
        return Some(first + 3..end.map_or(text.len(), |length| first + 3 + length));
    }
    let mut at = first + 1;
    while at < text.len() {
        match text[at] {
            b'\\' if escaped && text.get(at + 1) == Some(&quote) => break,
            b'\\' if !escaped => at += 1,
            byte if byte == quote => break,
            _ => {}
        }
        at += 1;
    }
    Some(first + 1..at.min(text.len()))
}

/// The word that begins there, without a point at its end; of a long one its start, which tells
/// what all of it is.
pub(super) fn word_at(text: &[u8], at: usize) -> &[u8] {
    let word = &text[at..text.len().min(at + LONGEST_LOOK)];
    let word = &word[..ends(word, |byte| byte.is_ascii_whitespace())];
    word.strip_suffix(b".").unwrap_or(word)
}
