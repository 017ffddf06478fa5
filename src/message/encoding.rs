//! How a value is written where it stands, undone and done again.
//!
//! A value that is decoded and encoded again says the same; it need not have the same bytes, since
//! most encodings leave a choice (which characters are escaped, and how).

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// How a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    #[default]
    Plain,
    /// Percent-encoded in a path (RFC 3986 §2.1).
    Percent,
    /// Percent-encoded with `+` for a blank, as forms and queries are.
    Form,
    /// The inside of a JSON string (RFC 8259 §7).
    Json,
    /// A JSON value that is no string: a number, `true`, `null`.
    Bare,
    /// Text of markup: `&`, `<` and `>` as references.
    Text,
    /// An attribute of markup, with its quotes.
    Attribute,
    /// Base64 (RFC 4648 §4) or base64url (§5), with or without padding.
    Base64,
}

impl Encoding {
    /// What `raw` says. What cannot be undone, or is no text then, stays as it is.
    pub fn decoded(self, raw: &str) -> Cow<'_, str> {
        match self {
            Self::Percent => percent_decoded(raw, false),
            Self::Form => percent_decoded(raw, true),
            Self::Base64 => base64_text(raw).map_or(Cow::Borrowed(raw), Cow::Owned),
            _ => Cow::Borrowed(raw),
        }
    }

    /// How `text` is written.
    pub fn encoded(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => Cow::Borrowed(text),
            Self::Percent => percent_encoded(text, false),
            Self::Form => percent_encoded(text, true),
            Self::Json => json_escaped(text),
            Self::Bare if is_bare(text) => Cow::Borrowed(text),
            Self::Bare => Cow::Owned(format!("\"{}\"", json_escaped(text))),
            Self::Text => markup_escaped(text),
            Self::Attribute => Cow::Owned(format!("\"{}\"", markup_escaped(text))),
            Self::Base64 => Cow::Owned(base64_of(text.as_bytes(), false)),
        }
    }
}

/// A text as a form or a query has it, where signs without an escape in `raw` have none either: a
/// query may say them so (RFC 3986 §3.4), and not each service takes the escape for the sign.
pub(super) fn form_like(raw: &str, text: &str) -> String {
    let mut out = Encoding::Form.encoded(text).into_owned();
    for sign in ":/?@!$'()*,;=".chars().filter(|sign| raw.contains(*sign)) {
        out = out.replace(&format!("%{:02X}", u32::from(sign)), sign.encode_utf8(&mut [0; 4]));
    }
    out
}

/// A text as a segment of a path has it, where signs that `raw` escapes are escaped too, though
/// they could stand for themselves (RFC 3986 §3.3): what was signed is what was written.
pub(super) fn segment_like(raw: &str, text: &str) -> String {
    let mut out = Encoding::Percent.encoded(text).into_owned();
    if raw.contains('%') {
        for sign in "!$&'()*+,;=:@".chars().filter(|sign| !raw.contains(*sign)) {
            let escape = format!("%{:02X}", u32::from(sign));
            let small = escape.to_ascii_lowercase();
            if let Some(own) = [escape, small].iter().find(|own| raw.contains(own.as_str())) {
                out = out.replace(sign, own);
            }
        }
    }
    out
}

/// Bytes in hexadecimal, in small letters.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Whether a text is a JSON value without quotes.
fn is_bare(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text)
        .is_ok_and(|value| !value.is_string() && !value.is_array() && !value.is_object())
}

fn percent_decoded(raw: &str, form: bool) -> Cow<'_, str> {
    let special = |byte: &u8| *byte == b'%' || form && *byte == b'+';
    if !raw.bytes().any(|byte| special(&byte)) {
        return Cow::Borrowed(raw);
    }
    // Two texts that are not UTF-8 must not look alike.
    String::from_utf8(percent_bytes(raw, form)).map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// The bytes that a percent-encoded text stands for; `form`: a plus is a blank.
pub fn percent_bytes(raw: &str, form: bool) -> Vec<u8> {
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(hex_byte);
        out.push(match escape {
            Some(byte) => byte,
            None if form && bytes[at] == b'+' => b' ',
            None => bytes[at],
        });
        at += if escape.is_some() { 3 } else { 1 };
    }
    out
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| (digit as char).to_digit(16);
    Some((value(digits[0])? * 16 + value(digits[1])?) as u8)
}

fn percent_encoded(text: &str, form: bool) -> Cow<'_, str> {
    // Of a path the delimiters that stand for themselves in a segment (RFC 3986 §3.3).
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || !form && b"!$&'()*+,;=:@".contains(&byte)
    };
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            byte if plain(byte) => out.push(byte as char),
            b' ' if form => out.push('+'),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    Cow::Owned(out)
}

fn json_escaped(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn markup_escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT.with_encode_padding(false));

/// The bytes that base64 or base64url stands for, line ends left out.
pub fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let text: Cow<'_, str> = if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        Cow::Owned(text.split_ascii_whitespace().collect())
    } else {
        Cow::Borrowed(text)
    };
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text.as_bytes()).ok()
}

/// The text that base64 stands for; none where it is no text that people or machines read.
pub fn base64_text(text: &str) -> Option<String> {
    let bytes = base64_bytes(text)?;
    let readable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    String::from_utf8(bytes).ok().filter(|text| text.chars().all(readable))
}

/// Base64 with padding, or base64url without.
pub fn base64_of(bytes: &[u8], for_url: bool) -> String {
    if for_url { URL_SAFE.encode(bytes) } else { STANDARD.encode(bytes) }
}

/// What quoted-printable (RFC 2045 §6.7) stands for.
pub fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let soft =
            if rest.starts_with(b"=\r\n") { 3 } else { usize::from(rest.starts_with(b"=\n")) * 2 };
        let escape = rest.get(1..3).filter(|_| rest[0] == b'=').and_then(hex_byte);
        match (soft, escape) {
            (1.., _) => at += soft,
            (0, Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (0, None) => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_encoding_is_undone_and_done() {
        for (encoding, raw, text) in [
            (Encoding::Percent, "a%20b+c%2F", "a b+c/"),
            (Encoding::Form, "a%20b+c%2F", "a b c/"),
            (Encoding::Form, "100%", "100%"),
            (Encoding::Form, "%ff%zz", "%ff%zz"),
            (Encoding::Base64, "eyJhIjoxfQ==", "{\"a\":1}"),
            (Encoding::Base64, "eyJhIjoxfQ", "{\"a\":1}"),
        ] {
            assert_eq!(encoding.decoded(raw), text, "{raw}");
        }
        for (encoding, text, raw) in [
            (Encoding::Percent, "a b/c:d", "a%20b%2Fc:d"),
            (Encoding::Form, "a b&c=é", "a+b%26c%3D%C3%A9"),
            (Encoding::Json, "a\"\n\u{1}", "a\\\"\\n\\u0001"),
            (Encoding::Bare, "12.5", "12.5"),
            (Encoding::Bare, "x-1", "\"x-1\""),
            (Encoding::Text, "a<b&c", "a&lt;b&amp;c"),
            (Encoding::Attribute, "say \"x\"", "\"say &quot;x&quot;\""),
        ] {
            assert_eq!(encoding.encoded(text), raw, "{text}");
        }
        assert_eq!(base64_text("AAEC"), None);
        assert_eq!(base64_text("aGVs\r\nbG8="), Some("hello".to_owned()));
        assert_eq!(quoted_printable(b"a=3Db=\r\nc=\nd=x"), b"a=bcd=x");
    }

    #[test]
    fn a_segment_is_escaped_as_the_one_before_it_was() {
        for (raw, text, written) in [
            ("s%3Aab.c%2B", "s:xy.z+/", "s%3Axy.z%2B%2F"),
            ("s%3aab", "s:xy", "s%3axy"),
            ("s:ab", "s:xy", "s:xy"),
            ("a:b%3Ac", "x:y:z", "x:y:z"),
            ("ab", "x:y@z", "x:y@z"),
        ] {
            assert_eq!(segment_like(raw, text), written, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn a_segment_says_the_same_however_it_is_escaped(raw in "[%3Aa:+2B]{0,12}", text in "\\PC{0,20}") {
            let segment = segment_like(&raw, &text);
            prop_assert_eq!(Encoding::Percent.decoded(&segment), &text[..]);
        }

        #[test]
        fn what_is_encoded_says_the_same(text in "\\PC{0,20}") {
            for encoding in [Encoding::Percent, Encoding::Form] {
                let encoded = encoding.encoded(&text);
                prop_assert_eq!(encoding.decoded(&encoded), &text[..]);
            }
            let json = format!("\"{}\"", Encoding::Json.encoded(&text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).ok(), Some(text));
        }
    }
}
