//! A value behind its encoding: what it says, and how to write another of the same length in its
//! place.
//!
//! A secret may be percent-encoded in a target, escaped in a JSON string and plain in a header; it
//! must be recognised in all three and get the same token, and the text around it must not move.

use std::borrow::Cow;
use std::ops::Range;

/// How a value is written where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewEncoding {
    /// As it is.
    Plain,
    /// Percent-encoded (RFC 3986 §2.1).
    Percent,
    /// Percent-encoded with `+` for a space, as forms are.
    Form,
    /// The inside of a JSON string (RFC 8259 §7).
    Json,
    /// The text of markup, or the value of an attribute, with its character references.
    Markup,
    /// A JSON number, or a word where there should be one: what is no number there must be put in
    /// quotes.
    Bare,
}

impl ViewEncoding {
    /// Where the first byte stands that may mean another.
    fn first_escape(self, source: &[u8]) -> Option<usize> {
        match self {
            Self::Plain | Self::Bare => None,
            Self::Percent => memchr::memchr(b'%', source),
            Self::Form => memchr::memchr2(b'%', b'+', source),
            Self::Json => memchr::memchr(b'\\', source),
            Self::Markup => memchr::memchr(b'&', source),
        }
    }
}

/// A decoded value that knows where each of its bytes was written.
pub struct View<'a> {
    source: &'a [u8],
    encoding: ViewEncoding,
    /// The value.
    pub bytes: Cow<'a, [u8]>,
    /// Where each byte begins in the source, and one more for the end; empty where nothing was
    /// encoded. A character that was written as one escape begins where the escape does, with all
    /// of its bytes.
    starts: Vec<usize>,
}

impl<'a> View<'a> {
    /// The value of `source`.
    pub fn new(source: &'a [u8], encoding: ViewEncoding) -> Self {
        let mut view = Self { source, encoding, bytes: Cow::Borrowed(source), starts: Vec::new() };
        if let Some(first) = encoding.first_escape(source) {
            view.decode(first);
        }
        view
    }

    /// Decodes what is written otherwise than it is, first at `next`.
    fn decode(&mut self, mut next: usize) {
        let mut bytes = Vec::with_capacity(self.source.len());
        self.starts.reserve(self.source.len() + 1);
        let mut at = 0;
        while at < self.source.len() {
            // What stands for itself, up to the next escape.
            bytes.extend_from_slice(&self.source[at..next]);
            self.starts.extend(at..next);
            at = next;
            if at == self.source.len() {
                break;
            }
            let (decoded, length) = match self.encoding {
                ViewEncoding::Json => unescaped(&self.source[at..]),
                ViewEncoding::Markup => referred(&self.source[at..]),
                _ => percent_decoded(&self.source[at..], self.encoding == ViewEncoding::Form),
            };
            let mut utf8 = [0; 4];
            let decoded = match decoded {
                DecodedValue::Byte(byte) => {
                    utf8[0] = byte;
                    &utf8[..1]
                }
                DecodedValue::Char(c) => c.encode_utf8(&mut utf8).as_bytes(),
            };
            self.starts.extend(decoded.iter().map(|_| at));
            bytes.extend_from_slice(decoded);
            at += length;
            let rest = self.source.get(at..).unwrap_or_default();
            next = at + self.encoding.first_escape(rest).unwrap_or(rest.len());
        }
        self.starts.push(self.source.len());
        self.bytes = Cow::Owned(bytes);
    }

    /// Where the source has what stands at `range` in the value.
    pub fn source_range(&self, range: &Range<usize>) -> Range<usize> {
        match self.starts[..] {
            [] => range.clone(),
            _ => self.starts[range.start]..self.starts[range.end],
        }
    }

    /// The value as it is written.
    pub const fn source(&self) -> &'a [u8] {
        self.source
    }

    /// Whether it says something else than it is.
    pub const fn is_encoded(&self) -> bool {
        !self.starts.is_empty()
    }

    /// The source with another value, of the same length and the same kinds of characters.
    pub fn rewritten(&self, value: Vec<u8>) -> Vec<u8> {
        assert_eq!(value.len(), self.bytes.len(), "a token has its secret's length");
        if self.starts.is_empty() {
            return value;
        }
        let mut out = Vec::with_capacity(self.source.len());
        let mut at = 0;
        while at < value.len() {
            // All bytes that were written as one.
            let same =
                (at..value.len()).take_while(|&next| self.starts[next] == self.starts[at]).count();
            let source = &self.source[self.starts[at]..self.starts[at + same]];
            let (old, new) = (&self.bytes[at..at + same], &value[at..at + same]);
            at += same;
            if old == new {
                out.extend_from_slice(source);
            } else if source.len() == 1 {
                out.extend_from_slice(new);
            } else if self.encoding == ViewEncoding::Markup {
                refer(new, &mut out);
            } else if source[0] == b'%' {
                percent_encode(new[0], source[1..].iter().any(u8::is_ascii_lowercase), &mut out);
            } else {
                escape(new, &mut out);
            }
        }
        out
    }
}

enum DecodedValue {
    Byte(u8),
    Char(char),
}

fn percent_decoded(text: &[u8], plus: bool) -> (DecodedValue, usize) {
    let hex = |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    match (text[0], hex(1), hex(2)) {
        (b'%', Some(high), Some(low)) => (DecodedValue::Byte((high * 16 + low) as u8), 3),
        (b'+', ..) if plus => (DecodedValue::Byte(b' '), 1),
        (byte, ..) => (DecodedValue::Byte(byte), 1),
    }
}

/// `%XX`
fn percent_encode(byte: u8, lower: bool, out: &mut Vec<u8>) {
    let digits: &[u8; 16] = if lower { b"0123456789abcdef" } else { b"0123456789ABCDEF" };
    out.extend_from_slice(&[b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
}

/// Longest character reference that is read, in bytes.
const LONGEST_REFERENCE: usize = 10;

/// `&quot;`, `&#34;`, `&#x22;`; a reference of another name stays what it is.
fn referred(text: &[u8]) -> (DecodedValue, usize) {
    let reference = || {
        let rest = text.strip_prefix(b"&")?;
        let length = memchr::memchr(b';', &rest[..rest.len().min(LONGEST_REFERENCE)])?;
        let c = match &rest[..length] {
            b"quot" => '"',
            b"amp" => '&',
            b"lt" => '<',
            b"gt" => '>',
            b"apos" => '\'',
            b"nbsp" => '\u{a0}',
            [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
            [b'#', digits @ ..] => number(digits, 10)?,
            _ => return None,
        };
        Some((DecodedValue::Char(c), length + 2))
    };
    reference().unwrap_or((DecodedValue::Byte(text[0]), 1))
}

fn number(digits: &[u8], radix: u32) -> Option<char> {
    let digits = std::str::from_utf8(digits).ok()?;
    char::from_u32(u32::from_str_radix(digits, radix).ok()?)
}

fn refer(character: &[u8], out: &mut Vec<u8>) {
    if character[0].is_ascii_alphanumeric() {
        out.push(character[0]);
        return;
    }
    let c = std::str::from_utf8(character).ok().and_then(|text| text.chars().next());
    let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes());
}

fn unescaped(text: &[u8]) -> (DecodedValue, usize) {
    if text[0] != b'\\' {
        return (DecodedValue::Byte(text[0]), 1);
    }
    let simple = |byte| (DecodedValue::Byte(byte), 2);
    match text.get(1) {
        Some(b'n') => simple(b'\n'),
        Some(b'r') => simple(b'\r'),
        Some(b't') => simple(b'\t'),
        Some(b'b') => simple(8),
        Some(b'f') => simple(12),
        Some(b'u') => {
            let unit = |from: usize| {
                let digits =
                    text.get(from..from + 6).filter(|digits| digits.starts_with(b"\\u"))?;
                u16::from_str_radix(std::str::from_utf8(&digits[2..]).ok()?, 16).ok()
            };
            let units = [unit(0), unit(6)].into_iter().map_while(|unit| unit);
            match char::decode_utf16(units).next() {
                Some(Ok(c)) if c.len_utf16() == 2 => (DecodedValue::Char(c), 12),
                Some(Ok(c)) => (DecodedValue::Char(c), 6),
                // Half a pair, or no digits: stays what it is.
                _ => (DecodedValue::Byte(b'\\'), 1),
            }
        }
        Some(&byte @ (b'"' | b'\\' | b'/')) => simple(byte),
        // No escape at all.
        _ => (DecodedValue::Byte(b'\\'), 1),
    }
}

fn escape(character: &[u8], out: &mut Vec<u8>) {
    let mut units = [0; 2];
    let c = std::str::from_utf8(character)
        .ok()
        .and_then(|text| text.chars().next())
        .unwrap_or(char::REPLACEMENT_CHARACTER);
    for unit in c.encode_utf16(&mut units) {
        out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_written_in_place() {
        for (encoding, source, value, new, written) in [
            (ViewEncoding::Plain, "a%20b", "a%20b", "x%20y", "x%20y"),
            (ViewEncoding::Percent, "a%2fb+c%C3%A9", "a/b+cé", "x/y+zÀ", "x%2fy+z%C3%80"),
            (
                ViewEncoding::Markup,
                "a&quot;b&#x69;&#233; &x; & &",
                "a\"bié &x; & &",
                "x\"yoÀ &y; & &",
                "x&quot;yo&#192; &y; & &",
            ),
            (ViewEncoding::Form, "a+b%zz%", "a b%zz%", "x y%ww%", "x+y%ww%"),
            (
                ViewEncoding::Json,
                r#"a\"b\u00e9\ud83d\ude00\/c\u0041"#,
                "a\"bé😀/cA",
                "x\"yÀ\u{20001}/zB",
                r#"x\"y\u00c0\ud840\udc01\/z\u0042"#,
            ),
            (
                ViewEncoding::Json,
                r"\ud83d \u12 \",
                r"\ud83d \u12 \",
                r"\ud83d \u12 \",
                r"\ud83d \u12 \",
            ),
        ] {
            let view = View::new(source.as_bytes(), encoding);
            assert_eq!(String::from_utf8_lossy(&view.bytes), value, "{source}");
            assert_eq!(
                String::from_utf8_lossy(&view.rewritten(new.as_bytes().to_vec())),
                written,
                "{source}"
            );
            assert_eq!(view.rewritten(value.as_bytes().to_vec()), source.as_bytes());
        }
    }
}
