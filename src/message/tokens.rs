//! A text as what its writer put together: values and what stands between them.
//!
//! Dates, clocks, UUIDs and numbers are one value each; so is a run of letters, digits and what
//! base64 has beside them. Two texts with the same marks between their values say the same but for
//! these values.

use super::{dates, kinds};

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'t> {
    /// What stands between values.
    Mark(&'t str),
    /// A date, a clock, a UUID or a number.
    Value(&'t str),
    /// Letters and digits, with `-`, `_`, `+` and `/` among them and `=` at the end: one value, or
    /// several.
    Chunk(&'t str),
}

/// The tokens of a text, in order; put together they are the text.
pub fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let token = next(rest)?;
        at += token.text().len();
        Some(token)
    })
}

/// The runs of letters and digits of a chunk, and the symbols between them.
pub fn runs(chunk: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = chunk;
    std::iter::from_fn(move || {
        let first = is_letter(rest.chars().next()?);
        let end = rest.find(|c| is_letter(c) != first).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        rest = behind;
        Some(if first { Token::Chunk(part) } else { Token::Mark(part) })
    })
}

impl<'t> Token<'t> {
    /// Its text.
    pub const fn text(self) -> &'t str {
        match self {
            Self::Mark(text) | Self::Value(text) | Self::Chunk(text) => text,
        }
    }
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric()
}

const fn is_symbol(c: char) -> bool {
    matches!(c, '-' | '_' | '+' | '/')
}

fn next(rest: &str) -> Option<Token<'_>> {
    let first = rest.chars().next()?;
    if !is_letter(first) && !is_symbol(first) {
        let end = rest.find(|c| is_letter(c) || is_symbol(c)).unwrap_or(rest.len());
        return Some(Token::Mark(&rest[..end]));
    }
    if let Some(length) = value(rest) {
        return Some(Token::Value(&rest[..length]));
    }
    let chunk = &rest[..chunk(rest)];
    Some(match chunk.contains(is_letter) {
        true => Token::Chunk(chunk),
        false => Token::Mark(chunk),
    })
}

/// How long a chunk is: up to where a value of its own begins.
fn chunk(rest: &str) -> usize {
    let mut letters = false;
    for (at, c) in rest.char_indices() {
        let begins = is_letter(c) && !letters && at > 0;
        letters = is_letter(c);
        if begins && own_value(&rest[at..]).is_some() {
            return at;
        }
        if !letters && !is_symbol(c) {
            return at + padding(&rest[at..], at > 0);
        }
    }
    rest.len()
}

/// How many `=` end a value in base64: they are followed by nothing of it.
fn padding(rest: &str, behind: bool) -> usize {
    let count = rest.bytes().take_while(|byte| *byte == b'=').count();
    let next = rest[count..].chars().next();
    let ends = behind && next.is_none_or(|c| !is_letter(c) && !is_symbol(c));
    if ends && count <= 2 { count } else { 0 }
}

/// The length of the value at the start of a text.
fn value(rest: &str) -> Option<usize> {
    own_value(rest).or_else(|| number(rest))
}

/// A date, a clock or a UUID at the start of a text.
fn own_value(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let ends = |at: usize| !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    if let Some(start) = bytes.get(..36)
        && kinds::uuid(start).is_some()
        && ends(36)
    {
        return Some(36);
    }
    dates::at_start(rest).map(|moment| moment.length).or_else(|| dates::clock_at_start(rest))
}

/// `12`, `12.50`, `1,299.00`, `10.0.0.1`, where nothing goes on behind it.
fn number(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut at = 0;
    loop {
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        at += digits;
        let more = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        match bytes.get(at) {
            Some(b'.' | b',') if more => at += 1,
            _ => break,
        }
    }
    let next = rest[at..].chars().next();
    next.is_none_or(|c| !is_letter(c) && !is_symbol(c)).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let shown = |token| match token {
            Token::Mark(text) => text.to_owned(),
            Token::Value(text) => format!("<{text}>"),
            Token::Chunk(text) => format!("({text})"),
        };
        tokens(text).map(shown).collect()
    }

    #[test]
    fn texts_are_taken_apart_where_values_begin_and_end() {
        for (text, apart) in [
            ("", ""),
            ("total 12.50 EUR", "(total) <12.50> (EUR)"),
            ("made 2026-11-28T10:00:00.5Z by x", "(made) <2026-11-28T10:00:00.5Z> (by) (x)"),
            (
                "urn:uuid:6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
                "(urn):(uuid):<6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11>",
            ),
            (
                "r-6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11.json",
                "(r-)<6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11>.(json)",
            ),
            ("/static/app-3f2a91c0.js", "(/static/app-3f2a91c0).(js)"),
            ("nonce-kX1v+/yqX7n2Q==;", "(nonce-kX1v+/yqX7n2Q==);"),
            ("sid=abc&t=12", "(sid)=(abc)&(t)=<12>"),
            ("a - b", "(a) - (b)"),
            ("at 6:40 p.m.", "(at) <6:40 p.m.>"),
            ("27144119-ab", "(27144119-ab)"),
            ("10.0.0.1:8080", "<10.0.0.1>:<8080>"),
            ("größe 5", "(größe) <5>"),
        ] {
            assert_eq!(of(text), apart, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn tokens_put_together_are_the_text(text in "\\PC{0,60}|[0-9a-f=/+_. :-]{0,60}") {
            proptest::prop_assert_eq!(tokens(&text).map(Token::text).collect::<String>(), text.as_str());
            proptest::prop_assert_eq!(runs(&text).map(Token::text).collect::<String>(), text.as_str());
        }
    }
}
