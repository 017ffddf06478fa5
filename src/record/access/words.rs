//! The words of a log's line: plain ones, quoted texts and bracketed times.

/// A part of a line, with what stood around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogWord {
    Plain(String),
    Quoted(String),
    Bracketed(String),
}

impl LogWord {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Quoted(text) | Self::Bracketed(text) => text,
        }
    }

    pub(super) fn quoted(&self) -> Option<&str> {
        match self {
            Self::Quoted(text) => Some(text),
            _ => None,
        }
    }
}

/// The words of a line, in order.
pub(super) fn words(line: &str) -> Vec<LogWord> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    // Behind the last one no bracket is closed any more, and nobody looks for its end.
    let closed = rest.len() - rest.rfind(']').unwrap_or(0);
    while let Some(first) = rest.chars().next() {
        let word;
        (word, rest) = match first {
            '"' => quoted(&rest[1..]),
            '[' if rest.len() > closed => {
                let (inside, rest) = rest[1..].split_once(']').unwrap_or((&rest[1..], ""));
                (LogWord::Bracketed(inside.to_owned()), rest)
            }
            _ => {
                let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                (LogWord::Plain(word.to_owned()), rest)
            }
        };
        words.push(word);
        rest = rest.trim_start();
    }
    words
}

/// Up to the closing quote, escapes undone: `\"`, `\\`, and bytes as `\x1b`.
fn quoted(text: &str) -> (LogWord, &str) {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => break,
            b'\\' => {
                let hex = after.strip_prefix(b"x").and_then(|hex| hex.get(..2));
                let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
                match (hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()), after.split_first()) {
                    (Some(byte), _) => {
                        bytes.push(byte);
                        rest = &after[3..];
                    }
                    (None, Some((&escaped, more))) => {
                        bytes.push(escaped);
                        rest = more;
                    }
                    (None, None) => {}
                }
            }
            byte => bytes.push(byte),
        }
    }
    let word = LogWord::Quoted(String::from_utf8_lossy(&bytes).into_owned());
    (word, &text[text.len() - rest.len()..])
}
