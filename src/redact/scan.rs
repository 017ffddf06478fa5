//! A lenient reader of JSON text: the places of keys and scalars, also where the text is cut or
//! damaged.
//!
//! Redaction must find a secret in a body that no parser would accept, and must not change the
//! layout of one that it does; so this yields ranges, never values, and never fails.

use std::ops::Range;

/// A part of a JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonToken {
    /// A member's name, without quotes, escapes kept.
    Key(Range<usize>),
    /// A string, without quotes, escapes kept.
    Text(Range<usize>),
    /// A number.
    Number(Range<usize>),
    /// `true`, `false`, `null`, or a bare word that is not JSON.
    Word(Range<usize>),
    /// `{` or `[`.
    Open(u8),
    /// `}` or `]`.
    Close(u8),
    /// `,`
    Comma,
}

/// Reads tokens from a text.
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// A reader at the start of `text`.
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Whether `text` looks like JSON: its first character that is no white space opens an object,
    /// an array or a string.
    pub fn looks_like_json(text: &[u8]) -> bool {
        text.iter()
            .find(|byte| !byte.is_ascii_whitespace())
            .is_some_and(|byte| matches!(byte, b'{' | b'[' | b'"'))
    }

    /// A reader of a part of `text` in which no string is, for the numbers and words there.
    pub fn between(text: &'a [u8], range: Range<usize>) -> Self {
        let is_bare = |byte: &u8| !ENDS_WORD[*byte as usize];
        let first = text[range.clone()].iter().position(is_bare).unwrap_or(range.len());
        Self { text: &text[..range.end], at: range.start + first }
    }

    /// Whether the string that ends before `at` is a member's name.
    pub fn is_key(text: &[u8], at: usize) -> bool {
        let behind = text.get(at..).unwrap_or_default();
        behind.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
    }

    fn string(&mut self) -> JsonToken {
        let start = self.at + 1;
        let mut end = start;
        // A cut string ends with the text.
        while end < self.text.len() && self.text[end] != b'"' {
            end += if self.text[end] == b'\\' { 2 } else { 1 };
        }
        let end = end.min(self.text.len());
        self.at = (end + 1).min(self.text.len());
        match Self::is_key(self.text, self.at) {
            true => JsonToken::Key(start..end),
            false => JsonToken::Text(start..end),
        }
    }
}

/// Whether a byte ends a number or a bare word.
static ENDS_WORD: [bool; 256] = {
    let mut ends = [false; 256];
    let mut at = 0;
    while at < ends.len() {
        let byte = at as u8;
        ends[at] = byte.is_ascii_whitespace()
            || matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"');
        at += 1;
    }
    ends
};

impl Iterator for Scanner<'_> {
    type Item = JsonToken;

    fn next(&mut self) -> Option<JsonToken> {
        loop {
            let byte = *self.text.get(self.at)?;
            match byte {
                b'"' => return Some(self.string()),
                b'{' | b'[' => {
                    self.at += 1;
                    return Some(JsonToken::Open(byte));
                }
                b'}' | b']' => {
                    self.at += 1;
                    return Some(JsonToken::Close(byte));
                }
                b',' => {
                    self.at += 1;
                    return Some(JsonToken::Comma);
                }
                _ if byte.is_ascii_whitespace() || byte == b':' => self.at += 1,
                _ => {
                    let start = self.at;
                    self.at = self.text[start..]
                        .iter()
                        .position(|&byte| ENDS_WORD[byte as usize])
                        .map_or(self.text.len(), |length| start + length);
                    let numeric = byte.is_ascii_digit()
                        || (byte == b'-'
                            && self.text.get(start + 1).is_some_and(u8::is_ascii_digit));
                    let range = start..self.at;
                    return Some(if numeric {
                        JsonToken::Number(range)
                    } else {
                        JsonToken::Word(range)
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        Scanner::new(text.as_bytes())
            .map(|token| match token {
                JsonToken::Key(range) => format!("key {}", &text[range]),
                JsonToken::Text(range) => format!("text {}", &text[range]),
                JsonToken::Number(range) => format!("number {}", &text[range]),
                JsonToken::Word(range) => format!("word {}", &text[range]),
                JsonToken::Open(byte) | JsonToken::Close(byte) => char::from(byte).to_string(),
                JsonToken::Comma => ",".to_owned(),
            })
            .collect()
    }

    #[test]
    fn whole_and_cut_texts_give_their_parts() {
        assert_eq!(
            shown(r#"{"a" : "x\"y", "b":[-1.5e3,true], "c":{}}"#),
            [
                "{",
                "key a",
                r#"text x\"y"#,
                ",",
                "key b",
                "[",
                "number -1.5e3",
                ",",
                "word true",
                "]",
                ",",
                "key c",
                "{",
                "}",
                "}"
            ]
        );
        assert_eq!(shown(r#"{"a":"unfinis"#), ["{", "key a", "text unfinis"]);
        assert_eq!(shown(r#"["\"#), ["[", r"text \"]);
        assert_eq!(shown(""), [""; 0]);
    }
}
