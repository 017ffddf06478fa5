//! Media types (RFC 9110 §8.3), charsets, and the one rule that says in which format a content is
//! read.
//!
//! Labels lie, so that the content has a word too: what begins like JSON is tried as JSON, an XML
//! declaration makes XML whatever the type says. A format is a promise to try; whoever reads the
//! content says whether it holds.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// The value of a `Content-Type` field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaType<'a>(&'a str);

/// How a content is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON value.
    Json,
    /// A JSON value a line.
    JsonLines,
    /// Server-sent events (HTML §9.2).
    Events,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Parts between delimiters (RFC 2046 §5.1).
    Multipart,
    /// XML.
    Xml,
    /// HTML.
    Html,
    /// Lines of text.
    Text,
    /// Anything else.
    Bytes,
}

impl<'a> MediaType<'a> {
    /// Of a field's value; what is no text has no type.
    pub fn new(value: &'a [u8]) -> Self {
        Self(std::str::from_utf8(value).unwrap_or_default())
    }

    /// Type and subtype as they are written, without parameters.
    pub fn name(self) -> &'a str {
        self.0.split(';').next().unwrap_or_default().trim()
    }

    /// As it is written, with its parameters.
    pub fn shown(self) -> &'a str {
        self.0.trim()
    }

    /// Whether there is one.
    pub fn is_given(self) -> bool {
        !self.name().is_empty()
    }

    fn is(self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name().eq_ignore_ascii_case(name))
    }

    fn ends_with(self, suffix: &str) -> bool {
        let name = self.name();
        name.len()
            .checked_sub(suffix.len())
            .and_then(|at| name.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    }

    /// A parameter of the type.
    pub fn parameter(self, name: &str) -> Option<Cow<'a, str>> {
        parameter(self.0, name)
    }

    /// `application/json` and everything that ends in `+json` (RFC 6839 §3.1).
    pub fn is_json(self) -> bool {
        self.is(&["application/json", "text/json", "application/x-json"]) || self.ends_with("+json")
    }

    /// A JSON value a line.
    pub fn is_json_lines(self) -> bool {
        const NAMES: [&str; 7] = [
            "application/json-seq",
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/x-jsonlines",
            "application/json-lines",
            "application/jsonlines",
        ];
        self.is(&NAMES)
    }

    /// XML (RFC 7303 §9).
    pub fn is_xml(self) -> bool {
        self.is(&["text/xml", "application/xml"]) || self.ends_with("+xml")
    }

    /// HTML.
    pub fn is_html(self) -> bool {
        self.is(&["text/html"])
    }

    /// Server-sent events.
    pub fn is_events(self) -> bool {
        self.is(&["text/event-stream"])
    }

    /// A form without files.
    pub fn is_form(self) -> bool {
        self.is(&["application/x-www-form-urlencoded"])
    }

    /// Parts, of any subtype.
    pub fn is_multipart(self) -> bool {
        self.name().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
    }

    /// How `content`, which is in UTF-8, is to be read.
    pub fn format(self, content: &[u8]) -> Format {
        let start = content.strip_prefix(UTF_8_MARK).unwrap_or(content).trim_ascii_start();
        match start.first() {
            _ if self.is_multipart() => Format::Multipart,
            _ if self.is_json_lines() => Format::JsonLines,
            _ if self.is_events() => Format::Events,
            _ if self.is_json() => Format::Json,
            Some(b'{' | b'[') => Format::Json,
            Some(b'<') => self.markup(start),
            _ if self.is_form() || !self.is_given() && looks_like_form(start) => Format::Form,
            _ if memchr::memchr(0, content).is_none() && std::str::from_utf8(content).is_ok() => {
                Format::Text
            }
            _ => Format::Bytes,
        }
    }

    fn markup(self, start: &[u8]) -> Format {
        let begins = |word: &[u8]| {
            start.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word))
        };
        if begins(b"<?xml") {
            Format::Xml
        } else if self.is_html() && !begins(b"<html") && declares_namespace(start) {
            // Interfaces of old answer so.
            Format::Xml
        } else if self.is_html() || begins(b"<!doctype html") || begins(b"<html") {
            if self.is_xml() { Format::Xml } else { Format::Html }
        } else {
            Format::Xml
        }
    }
}

/// Whether the first tag is one of XML: it says in which namespace it is.
fn declares_namespace(start: &[u8]) -> bool {
    /// Longest tag that is looked at, in bytes.
    const LONGEST: usize = 1_024;
    let head = &start[..start.len().min(LONGEST)];
    let tag = &head[..memchr::memchr(b'>', head).unwrap_or(head.len())];
    memchr::memmem::find(tag, b" xmlns").is_some() && !tag[1..].starts_with(b"svg")
}

/// A content without type that can be nothing but a form: one line of names and values.
fn looks_like_form(content: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~*+%&=[]".contains(byte);
    memchr::memchr(b'=', content).is_some_and(|at| at > 0)
        && content.iter().all(allowed)
        && !is_padded(content)
}

/// Whether a content is base64 with its padding, as a token in a part of a form: a form of one name
/// without a value is seldom as long.
fn is_padded(content: &[u8]) -> bool {
    const SHORTEST: usize = 16;
    let text = content.strip_suffix(b"=").map(|text| text.strip_suffix(b"=").unwrap_or(text));
    content.len() >= SHORTEST
        && content.len().is_multiple_of(4)
        && text.is_some_and(|text| {
            text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_+".contains(byte))
        })
}

/// A parameter of a field's value (RFC 9110 §5.6.6): unquoted, escapes undone.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let end = rest.find([';', '=']).unwrap_or(rest.len());
        let key = rest[..end].trim();
        if !rest[end..].starts_with('=') {
            rest = rest.get(end + 1..)?;
            continue;
        }
        let (found, behind) = parameter_value(&rest[end + 1..]);
        if key.eq_ignore_ascii_case(name) {
            return Some(found);
        }
        rest = behind.split_once(';')?.1;
    }
}

/// The value that `text` begins with, and what stands behind it.
fn parameter_value(text: &str) -> (Cow<'_, str>, &str) {
    let text = text.trim_start();
    let Some(inside) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (Cow::Borrowed(text[..end].trim_end()), &text[end..]);
    };
    let mut escaped = false;
    let end = inside.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    let (quoted, behind) = match end {
        Some(end) => (&inside[..end], &inside[end + 1..]),
        None => (inside, ""),
    };
    if !quoted.contains('\\') {
        return (Cow::Borrowed(quoted), behind);
    }
    let mut plain = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    (Cow::Owned(plain), behind)
}

/// The byte order mark of UTF-8.
pub const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The content in UTF-8: as it is where it has no other charset, or one that nobody knows.
pub fn in_utf8<'a>(content: &'a [u8], kind: MediaType<'_>) -> Cow<'a, [u8]> {
    match charset(content, kind) {
        Some(encoding) if encoding != UTF_8 => match encoding.decode(content) {
            (Cow::Borrowed(text), ..) => Cow::Borrowed(text.as_bytes()),
            (Cow::Owned(text), ..) => Cow::Owned(text.into_bytes()),
        },
        _ => Cow::Borrowed(content),
    }
}

/// The charset of a content: what the header says; else what the content says of itself. None
/// where neither says anything that is known.
pub fn charset(content: &[u8], kind: MediaType<'_>) -> Option<&'static Encoding> {
    match kind.parameter("charset") {
        Some(name) => Encoding::for_label(name.as_bytes()),
        None => Encoding::for_bom(content)
            .map(|(encoding, _)| encoding)
            .or_else(|| wide(content))
            // What is written in letters of ASCII is not in UTF-16, whatever it says (HTML
            // §13.2.3.2, XML 1.0 §F.1).
            .or_else(|| {
                own_charset(content, kind)
                    .and_then(Encoding::for_label)
                    .filter(|encoding| encoding.is_ascii_compatible())
            }),
    }
}

/// UTF-16 without a mark: told by the zero beside the first character of JSON or markup (RFC 4627
/// §3, XML 1.0 §F.1).
fn wide(content: &[u8]) -> Option<&'static Encoding> {
    match content.get(..2)? {
        [0, b'<' | b'{' | b'[' | b'"'] if content.len().is_multiple_of(2) => Some(UTF_16BE),
        [b'<' | b'{' | b'[' | b'"', 0] if content.len().is_multiple_of(2) => Some(UTF_16LE),
        _ => None,
    }
}

/// The charset that an XML declaration (XML 1.0 §4.3.3) or a `<meta>` near the start of HTML
/// (§4.2.5.4) names.
fn own_charset<'a>(content: &'a [u8], kind: MediaType<'_>) -> Option<&'a [u8]> {
    /// A page must name it within so many bytes.
    const PROLOG: usize = 1_024;
    let start = &content[..content.len().min(PROLOG)];
    if let Some(declaration) = start.strip_prefix(b"<?xml")
        && !kind.is_html()
    {
        return named(&declaration[..find(declaration, b"?>")?], b"encoding");
    }
    if !kind.is_html() {
        return None;
    }
    let mut rest = start;
    while let Some(at) = find(rest, b"<meta") {
        rest = &rest[at + 5..];
        let tag = &rest[..memchr::memchr(b'>', rest).map_or(rest.len(), |end| end + 1)];
        if let Some(name) = named(tag, b"charset") {
            return Some(name);
        }
    }
    None
}

fn find(text: &[u8], name: &[u8]) -> Option<usize> {
    text.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name))
}

/// What stands behind the name of an attribute and its `=`, up to what ends it.
fn named<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let behind = text[find(text, name)? + name.len()..].trim_ascii_start();
    let rest = behind.strip_prefix(b"=")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
    let end = rest.iter().position(|byte| {
        matches!(byte, b'"' | b'\'' | b';' | b'/' | b'>' | b'?') || byte.is_ascii_whitespace()
    });
    Some(&rest[..end?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_unquoted_whatever_stands_in_them() {
        let kind =
            "multipart/related; type=\"text/xml; x=1\"; start=\"<a\\\"b>\" ;Boundary = b=c; q";
        for (name, value) in [
            ("type", Some("text/xml; x=1")),
            ("start", Some("<a\"b>")),
            ("boundary", Some("b=c")),
            ("q", None),
            ("x", None),
        ] {
            assert_eq!(parameter(kind, name).as_deref(), value, "{name}");
        }
        assert_eq!(parameter("a; b=\"open", "b").as_deref(), Some("open"));
        assert_eq!(parameter("a", "b"), None);
    }

    #[test]
    fn a_format_is_told_by_type_and_content() {
        for (kind, content, format) in [
            ("application/json", "1", Format::Json),
            ("application/problem+JSON; charset=utf-8", "x", Format::Json),
            ("text/plain", " {\"a\":1}", Format::Json),
            ("", "[1]", Format::Json),
            ("", "name=", Format::Form),
            ("", "t7RvenhMxvlGy6IgeQu4DgPTPUHF+YfpI5uPU8ad91w=", Format::Text),
            ("", "t7RvenhMxvlGy6IgeQu4Dg==", Format::Text),
            ("", "t7RvenhMxvlGy6IgeQu4=1&b=", Format::Form),
            ("application/x-ndjson", "{}\n{}", Format::JsonLines),
            ("text/event-stream", "data: {}\n\n", Format::Events),
            ("application/x-www-form-urlencoded", "a=1", Format::Form),
            ("", "a=1&b=%20", Format::Form),
            ("", "a = 1", Format::Text),
            ("text/plain", "a=1", Format::Text),
            ("Multipart/Mixed; boundary=x", "--x", Format::Multipart),
            ("text/html", "<p>x", Format::Html),
            ("text/html", "<?xml version='1.0'?><a/>", Format::Xml),
            ("application/soap+xml", "<a/>", Format::Xml),
            ("application/xhtml+xml", "<html xmlns='u'/>", Format::Xml),
            ("", "<!DOCTYPE html><p>", Format::Html),
            ("text/plain", "<order/>", Format::Xml),
            ("text/html", "plain", Format::Text),
            ("image/png", "\0\u{1}", Format::Bytes),
        ] {
            let found = MediaType::new(kind.as_bytes()).format(content.as_bytes());
            assert_eq!(found, format, "{kind} {content}");
        }
        assert_eq!(MediaType::new(b"").format(b"caf\xe9"), Format::Bytes);
    }

    #[test]
    fn charsets_are_undone() {
        let utf16 = |text: &str, mark: bool| -> Vec<u8> {
            let mark = if mark { "\u{feff}" } else { "" };
            format!("{mark}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
        };
        for (kind, content, text) in [
            ("text/plain; charset=ISO-8859-1", b"caf\xe9".to_vec(), "café"),
            ("text/plain; charset=\"windows-1252\"", b"\x80".to_vec(), "€"),
            ("application/json", utf16("{\"a\":1}", false), "{\"a\":1}"),
            ("text/xml", utf16("<a/>", true), "<a/>"),
            ("text/xml", b"<?xml version='1.0' encoding='latin1'?><a>\xe9</a>".to_vec(), "é</a>"),
            ("text/html", b"<meta charset=latin1><p>\xe9".to_vec(), "é"),
            ("text/plain; charset=none-such", "é".into(), "é"),
        ] {
            let found = in_utf8(&content, MediaType::new(kind.as_bytes()));
            let found = String::from_utf8_lossy(&found).into_owned();
            assert!(found.ends_with(text), "{kind} {found}");
        }
        for (kind, content) in [
            ("", &b"\0x"[..]),
            ("text/html", b"<meta charset=utf-16>"),
            ("text/html", b"<meta charset=utf"),
            ("text/plain", b"<meta charset=latin1>"),
        ] {
            assert_eq!(charset(content, MediaType::new(kind.as_bytes())), None, "{kind}");
        }
    }
}
