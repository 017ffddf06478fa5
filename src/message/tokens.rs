//! A text as what its writer put together: values and what stands between them.
//!
//! Dates, clocks, UUIDs, signed values and numbers are one value each; so is a run of letters,
//! digits and what base64 has beside them. Two texts with the same marks between their values say
//! the same but for these values.

use super::{dates, kinds};
use crate::steps;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'t> {
    /// What stands between values.
    Mark(&'t str),
    /// A date, a clock, a UUID, a signed value or a number.
    Value(&'t str),
    /// Letters and digits, with `-`, `_`, `~`, `+`, `/` and escapes (`%2F`) among them and `=` at
    /// the end: one value, or several.
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

/// How many bytes at the start of a text are a symbol of a chunk: one, or an escape of URLs.
fn symbol(rest: &str) -> usize {
    match rest.as_bytes() {
        [b'-' | b'_' | b'+' | b'/' | b'~', ..] => 1,
        [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => 3,
        _ => 0,
    }
}

fn next(rest: &str) -> Option<Token<'_>> {
    let begins = |at: usize, c: char| {
        is_letter(c)
            || symbol(&rest[at..]) > 0
            || c == '$' && kinds::password_hash_at_start(&rest[at..]).is_some()
    };
    let first = rest.chars().next()?;
    if !begins(0, first) {
        let end = rest.char_indices().find(|(at, c)| begins(*at, *c)).map(|(at, _)| at);
        return Some(Token::Mark(&rest[..end.unwrap_or(rest.len())]));
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
    let (mut letters, mut segment) = (false, false);
    let mut at = 0;
    while let Some(c) = rest[at..].chars().next() {
        let begins = is_letter(c) && !letters && at > 0;
        letters = is_letter(c);
        let own =
            || own_value(&rest[at..]).or_else(|| segment.then(|| signed(&rest[at..])).flatten());
        if begins && own().is_some() {
            return at;
        }
        segment = c == '/';
        let symbols = symbol(&rest[at..]);
        if !letters && symbols == 0 {
            return at + padding(&rest[at..], at > 0);
        }
        at += symbols.max(c.len_utf8());
    }
    rest.len()
}

/// How many `=` end a value in base64: they are followed by nothing of it.
fn padding(rest: &str, behind: bool) -> usize {
    let count = rest.bytes().take_while(|byte| *byte == b'=').count();
    let next = rest[count..].chars().next();
    let ends = behind && next.is_none_or(|c| !is_letter(c) && symbol(&rest[count..]) == 0);
    if ends && count <= 2 { count } else { 0 }
}

/// The length of the value at the start of a text.
fn value(rest: &str) -> Option<usize> {
    own_value(rest).or_else(|| signed(rest)).or_else(|| number(rest))
}

/// A value with its signature, three parts with dots between them, at the start of a text.
fn signed(rest: &str) -> Option<usize> {
    let mut dots = 0;
    let mut part = |byte: &u8| {
        dots += usize::from(*byte == b'.');
        dots <= 2 && (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let length = rest.bytes().take_while(|byte| part(byte)).count();
    steps::add(length);
    kinds::is_signed(&rest.as_bytes()[..length]).then_some(length)
}

/// A date, a clock, a UUID, a device's address or a password's hash at the start of a text.
fn own_value(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let ends = |at: usize| !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    if let Some(start) = bytes.get(..36)
        && kinds::uuid(start).is_some()
        && ends(36)
    {
        return Some(36);
    }
    if let Some(length) =
        kinds::hex_pairs_at_start(bytes).or_else(|| kinds::password_hash_at_start(rest))
    {
        return Some(length);
    }
    dates::at_start(rest).map(|moment| moment.length).or_else(|| dates::clock_at_start(rest))
}

/// `12`, `12.50`, `1,299.00`, `12,50`, `10.0.0.1`, where nothing goes on behind it.
fn number(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let digits = |at: usize| {
        bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    // Three digits behind a comma are thousands, one or two at the end are a fraction; other commas
    // stand between numbers.
    let comma = |at: usize| match digits(at) {
        1 | 2 => !matches!(bytes.get(at + digits(at)), Some(b',' | b'.')),
        count => count == 3,
    };
    let mut at = digits(0);
    if at == 0 {
        return None;
    }
    loop {
        match bytes.get(at) {
            Some(b'.') if digits(at + 1) > 0 => at += 1 + digits(at + 1),
            Some(b',') if comma(at + 1) => at += 1 + digits(at + 1),
            _ => break,
        }
    }
    let next = rest[at..].chars().next();
    next.is_none_or(|c| !is_letter(c) && symbol(&rest[at..]) == 0).then_some(at)
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
    fn no_text_costs_more_than_n_log_n() {
        for part in ["あ。", "a-", "é", "x-é/", "a.b-", "nov-"] {
            steps::hold_to_n_log_n(1_000, |n| {
                assert!(tokens(&part.repeat(n)).count() > 0);
            });
        }
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
            ("/orders/g9f%2BllkjQHQ%3D", "(/orders/g9f%2BllkjQHQ%3D)"),
            ("100% of it", "<100>% (of) (it)"),
            ("7,53ab,12.50", "(7),(53ab),<12.50>"),
            ("1,20260101,5", "<1>,<20260101,5>"),
            ("12,50 EUR, 1,299.00", "<12,50> (EUR), <1,299.00>"),
            (
                "ref IjNhZjEi.aSl2mA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE and",
                "(ref) <IjNhZjEi.aSl2mA.kJ8sQx0_vLw2T9bZfNn5rYc1XhE> (and)",
            ),
            ("eth0 3c:22:fb:8e:01:d4 up", "(eth0) <3c:22:fb:8e:01:d4> (up)"),
            (
                "hash $2b$12$KIXQ0Zt1mB5uEJd0bq8l4ekQxS8n0p7y5rR1cWv3uT9aHf2dGjLmO.",
                "(hash) <$2b$12$KIXQ0Zt1mB5uEJd0bq8l4ekQxS8n0p7y5rR1cWv3uT9aHf2dGjLmO>.",
            ),
            ("costs $10 or US$12.50", "(costs) $<10> (or) (US)$<12.50>"),
            ("in 2026-W48-6.", "(in) <2026-W48-6>."),
            ("see www.example.com now", "(see) (www).(example).(com) (now)"),
        ] {
            assert_eq!(of(text), apart, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn tokens_put_together_are_the_text(text in "\\PC{0,60}|[0-9a-f=/+_. :-]{0,60}") {
            proptest::prop_assert_eq!(
                tokens(&text).map(Token::text).collect::<String>(),
                text.as_str()
            );
            proptest::prop_assert_eq!(
                runs(&text).map(Token::text).collect::<String>(),
                text.as_str()
            );
        }
    }
}
