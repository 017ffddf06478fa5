//! What one segment of a path looks like: a word of the API, or a value, by its shape alone.

use std::borrow::Cow;

use crate::message::kinds;
use crate::message::tokens::{Token, runs, tokens};

/// What a segment of a path looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteSegment {
    /// A plain word: part of the API.
    Word,
    /// Several words or a mixture of letters and digits: an API may name something so, but not
    /// often side by side.
    SlugLike,
    /// Digits only.
    Number,
    /// An identifier by its shape.
    Id,
    /// A calendar date.
    Date,
    /// An e-mail address.
    Email,
}

/// Whether a segment is the full name of a service, as gRPC, Twirp and Connect have it in paths:
/// `shop.v1.Orders`.
pub(super) fn names_service(segment: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let service = segment.rsplit_once('.').map_or("", |(_, name)| name);
    service.starts_with(|c: char| c.is_ascii_uppercase()) && segment.chars().all(is_name)
}

/// A segment without its parameters (RFC 3986 §3.3), as `;jsessionid=…`.
pub(super) fn parameterless(segment: &[u8]) -> &[u8] {
    memchr::memchr(b';', segment).map_or(segment, |at| &segment[..at])
}

/// A segment as a part of a name: UTF-8, without braces, blanks and control characters (these
/// percent-encoded).
pub(super) fn literal(segment: &[u8]) -> Cow<'_, str> {
    let plain = |c: char| !c.is_control() && !matches!(c, '{' | '}' | ' ' | '*');
    match std::str::from_utf8(segment) {
        Ok(text) if text.chars().all(plain) => Cow::Borrowed(text),
        _ => {
            let mut out = String::with_capacity(segment.len() * 3);
            for &byte in segment {
                if byte.is_ascii_graphic() && plain(byte as char) {
                    out.push(byte as char);
                } else {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
            Cow::Owned(out)
        }
    }
}

/// `app.3f9a` and `.js`: an extension has one to five letters and digits, at least one letter.
pub(super) fn split_extension(segment: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'.', segment) {
        Some(at)
            if at > 0
                && (1..=5).contains(&(segment.len() - at - 1))
                && segment[at + 1..].iter().all(u8::is_ascii_alphanumeric)
                && segment[at + 1..].iter().any(u8::is_ascii_alphabetic)
                && !segment.contains(&b'@')
                && !behind_sign(segment) =>
        {
            segment.split_at(at)
        }
        _ => (segment, b""),
    }
}

pub(super) fn extension(key: &str) -> &str {
    let (stem, _) = split_extension(key.as_bytes());
    &key[stem.len()..]
}

/// Fewest letters that may be random.
const SHORTEST_RANDOM: usize = 16;

/// The class of a segment's part before its extension.
pub(super) fn class(stem: &[u8]) -> RouteSegment {
    if stem.is_empty() {
        return RouteSegment::Word;
    }
    // Most segments are plain words, which none of the shapes below has.
    if stem.len() < SHORTEST_RANDOM && stem.iter().all(u8::is_ascii_alphabetic) {
        return RouteSegment::Word;
    }
    if stem.iter().all(u8::is_ascii_digit) {
        return RouteSegment::Number;
    }
    let identifier = kinds::uuid(stem).is_some()
        || stem == b"00000000-0000-0000-0000-000000000000"
        || kinds::ulid(stem)
        || kinds::ksuid(stem)
        || kinds::object_id(stem)
        || kinds::random_hex(stem)
        || kinds::random_token(stem)
        || prefixed_number(stem)
        || prefixed_hex(stem)
        || behind_sign(stem)
        || holds_target(stem)
        || holds_identifier(stem)
        || holds_time(stem);
    if identifier {
        return RouteSegment::Id;
    }
    if stem.len() == 10
        && std::str::from_utf8(stem).ok().and_then(kinds::of_text) == Some(kinds::ValueKind::Date)
    {
        return RouteSegment::Date;
    }
    let at =
        stem.iter().position(|&byte| byte == b'@').or_else(|| memchr::memmem::find(stem, b"%40"));
    if at.is_some_and(|at| at > 0 && stem[at..].contains(&b'.')) {
        return RouteSegment::Email;
    }
    RouteSegment::Word
}

/// `https%3A%2F%2Fx.example%2Fcb%3Fa%3D1`: an URL or pairs of a query, encoded.
fn holds_target(stem: &[u8]) -> bool {
    stem.windows(3).any(|sign| sign.eq_ignore_ascii_case(b"%3d"))
        || stem.windows(9).any(|sign| sign.eq_ignore_ascii_case(b"%3a%2f%2f"))
}

/// `r-f81d4fae-…`, `2026-f81d4fae-…-final`: fixed parts around something that looks random.
fn holds_identifier(stem: &[u8]) -> bool {
    /// Shortest stem that can hold one, in bytes.
    const SHORTEST: usize = 20;
    let Some(text) = std::str::from_utf8(stem).ok().filter(|_| stem.len() >= SHORTEST) else {
        return false;
    };
    tokens(text).any(|token| match token {
        Token::Mark(_) => false,
        Token::Value(part) | Token::Chunk(part) => {
            part.len() >= 16 && kinds::of_text(part).is_some_and(|kind| !kind.is_time())
        }
    })
}

/// `report-1795341600123`, `2026-11-28-totals`: a time with fixed parts around it.
fn holds_time(stem: &[u8]) -> bool {
    /// Fewest characters of a date, and digits of a number that is a time.
    const DATE: usize = 8;
    const DIGITS: usize = 10;
    let digits = stem.iter().filter(|byte| byte.is_ascii_digit()).count();
    let Some(text) = std::str::from_utf8(stem).ok().filter(|_| digits >= DATE) else {
        return false;
    };
    let is_epoch = |text: &str| text.len() >= DIGITS && kinds::of_number(text).is_some();
    let is_time = |token: Token<'_>| match token {
        Token::Mark(_) => false,
        Token::Value(part) => {
            part.len() < stem.len() && kinds::written_time(part).is_some() || is_epoch(part)
        }
        Token::Chunk(chunk) => runs(chunk).any(|run| is_epoch(run.text())),
    };
    tokens(text).any(is_time)
}

/// `!jsVtLhgegXzQwRbfTM:chat.test`, `@ann:chat.test`, `$` and something random: rooms, people and
/// events as Matrix names them, by a sign of their kind.
fn behind_sign(stem: &[u8]) -> bool {
    const SIGNS: [&[u8]; 8] = [b"!", b"$", b"@", b"#", b"%21", b"%24", b"%40", b"%23"];
    let Some(rest) = SIGNS.iter().find_map(|sign| stem.strip_prefix(*sign)) else { return false };
    let colon = |mark: &[u8]| memchr::memmem::find(rest, mark).is_some_and(|at| at > 0);
    colon(b":") || colon(b"%3A") || colon(b"%3a") || kinds::random_token(rest)
}

/// `ord_8231`, `SKU-0042`, `P1001`: one to five letters of one case, perhaps a joiner, at least
/// three digits.
fn prefixed_number(stem: &[u8]) -> bool {
    let letters = stem.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let joiner = usize::from(stem.get(letters).is_some_and(|byte| matches!(byte, b'-' | b'_')));
    let digits = &stem[letters + joiner..];
    (1..=5).contains(&letters)
        && digits.len() >= 3
        && digits.iter().all(u8::is_ascii_digit)
        && (stem[..letters].iter().all(u8::is_ascii_lowercase)
            || stem[..letters].iter().all(u8::is_ascii_uppercase))
}

/// `c-3f2a91c0`, `req_0f3e…`: one to five letters, a joiner, at least eight hexadecimal digits of
/// which one is no letter.
fn prefixed_hex(stem: &[u8]) -> bool {
    let letters = stem.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let digits = stem.get(letters + 1..).unwrap_or_default();
    (1..=5).contains(&letters)
        && matches!(stem.get(letters), Some(b'-' | b'_'))
        && digits.len() >= 8
        && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && digits.iter().any(u8::is_ascii_digit)
}

/// Whether a literal looks like a slug: several joined words, escapes, letters among digits, or
/// long.
pub(super) fn literal_class(key: &str) -> RouteSegment {
    let bytes = split_extension(key.as_bytes()).0;
    let joiners =
        bytes.iter().filter(|byte| matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b',')).count();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    // `v1`, `oauth2`, `s3`: one digit at the end of a word is a name.
    let numbered = digits == 1 && bytes.last().is_some_and(u8::is_ascii_digit) && joiners == 0;
    let slug = joiners >= 2
        || bytes.contains(&b'%')
        || !key.is_ascii()
        || bytes.len() > 24
        || (digits > 0 && letters > 0 && !numbered);
    if slug { RouteSegment::SlugLike } else { RouteSegment::Word }
}
