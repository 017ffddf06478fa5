//! Multipart bodies of every subtype (RFC 2046 §5.1, forms: RFC 7578) taken apart.
//!
//! The boundary is new in each message and says nothing. What stands before the first delimiter and
//! behind the last one is no part.

use std::borrow::Cow;
use std::ops::Range;

use super::Headers;
use super::encoding::{base64_bytes, quoted_printable};
use super::media::{MediaType, parameter};

/// Parts of one body that are taken apart; a body with more is read as text or bytes.
const MAX_PARTS: usize = 1_000;
/// Header fields of a part.
const MAX_FIELDS: usize = 100;

/// A part of a body.
#[derive(Debug)]
pub struct BodyPart<'a> {
    /// What a form calls it.
    pub name: Option<String>,
    /// Its header fields.
    pub headers: Headers,
    /// As it is written; see [`Self::decoded`].
    pub content: &'a [u8],
    /// Where that stands in the body, in bytes.
    pub at: Range<usize>,
}

/// The parts between the delimiters; none where the body is not closed by its last one, or its type
/// is no multipart one with a boundary.
pub fn parts<'a>(kind: MediaType<'_>, body: &'a [u8]) -> Option<Vec<BodyPart<'a>>> {
    if !kind.is_multipart() {
        return None;
    }
    let boundary = kind.parameter("boundary").filter(|boundary| !boundary.is_empty())?;
    let delimiter = ["--", &boundary].concat();
    let mut parts = Vec::new();
    // Where the part under way begins.
    let mut begin = None;
    for at in memchr::memmem::find_iter(body, delimiter.as_bytes()) {
        let rest = &body[at + delimiter.len()..];
        let at_line = at == 0 || body[at - 1] == b'\n';
        let last = rest.starts_with(b"--");
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        // A line that goes on with other characters is no delimiter.
        if !at_line || !last && rest.get(blanks) != Some(&b'\n') {
            continue;
        }
        if let Some(begin) = begin {
            if parts.len() == MAX_PARTS {
                return None;
            }
            let whole = &body[begin..at.max(begin)];
            let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
            parts.push(BodyPart::read(whole.strip_suffix(b"\r").unwrap_or(whole), begin));
        }
        if last {
            return Some(parts);
        }
        begin = Some(at + delimiter.len() + blanks + 1);
    }
    None
}

impl<'a> BodyPart<'a> {
    /// Reads a part that begins at byte `begin` of its body.
    fn read(whole: &'a [u8], begin: usize) -> Self {
        let mut headers = Headers::new();
        let mut content = whole;
        while headers.len() < MAX_FIELDS && !content.is_empty() {
            let end = memchr::memchr(b'\n', content).map_or(content.len(), |end| end + 1);
            let (line, rest) = content.split_at(end);
            content = rest;
            let line = line.trim_ascii_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_at(memchr::memchr(b':', line).unwrap_or(line.len()));
            headers.push(name, value.get(1..).unwrap_or_default().trim_ascii());
        }
        let disposition = headers.get("content-disposition").map(String::from_utf8_lossy);
        let name = disposition.and_then(|field| Some(parameter(&field, "name")?.into_owned()));
        let at = begin + whole.len() - content.len()..begin + whole.len();
        Self { name, headers, content, at }
    }

    /// Its type.
    pub fn kind(&self) -> MediaType<'_> {
        MediaType::new(self.headers.get("content-type").unwrap_or_default())
    }

    /// The content with its transfer encoding undone (RFC 2045 §6).
    pub fn decoded(&self) -> Cow<'a, [u8]> {
        let encoding = self.headers.get("content-transfer-encoding").unwrap_or_default();
        if encoding.eq_ignore_ascii_case(b"quoted-printable") {
            return Cow::Owned(quoted_printable(self.content));
        }
        let text =
            encoding.eq_ignore_ascii_case(b"base64").then(|| std::str::from_utf8(self.content));
        match text {
            Some(Ok(text)) => base64_bytes(text).map_or(Cow::Borrowed(self.content), Cow::Owned),
            _ => Cow::Borrowed(self.content),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(kind: &str, body: &'a str) -> Option<Vec<(Option<String>, &'a [u8])>> {
        let parts = parts(MediaType::new(kind.as_bytes()), body.as_bytes())?;
        for part in &parts {
            assert_eq!(&body.as_bytes()[part.at.clone()], part.content);
        }
        Some(parts.into_iter().map(|part| (part.name, part.content)).collect())
    }

    #[test]
    fn every_subtype_is_taken_apart() {
        let form = "preamble\r\n--x y\r\nContent-Disposition: form-data; name=\"a;b\"\r\n\r\n\
            one\r\n--x yz\r\n\
                    --x y  \r\ncontent-disposition: form-data; name=c\n\ntwo\n--x y--\r\nepilogue";
        let expected: Vec<(Option<String>, &[u8])> =
            vec![(Some("a;b".to_owned()), b"one\r\n--x yz"), (Some("c".to_owned()), b"two")];
        for kind in ["form-data", "related", "Mixed; type=\"a; boundary=no\"", "byteranges"] {
            let kind = format!("multipart/{kind}; boundary=\"x y\"");
            assert_eq!(read(&kind, form), Some(expected.clone()), "{kind}");
        }
        assert_eq!(
            read("multipart/mixed; boundary=b", "--b\r\n\r\n\r\n--b--"),
            Some(vec![(None, &b""[..])])
        );
        for (kind, body) in [
            ("multipart/mixed", "--\r\n\r\n--"),
            ("multipart/mixed; boundary=b", "--b\r\n\r\nnot closed"),
            ("text/plain; boundary=b", "--b--"),
        ] {
            assert_eq!(read(kind, body), None, "{kind}");
        }
    }

    #[test]
    fn a_transfer_encoding_is_undone() {
        let body = b"--b\r\nContent-Transfer-Encoding: BASE64\r\n\r\naGVs\r\nbG8=\r\n--b\r\n\
                     Content-Transfer-Encoding: quoted-printable\r\n\r\na=3D1\r\n--b\r\n\
                     Content-Transfer-Encoding: base64\r\n\r\n***\r\n--b--";
        let parts = parts(MediaType::new(b"multipart/mixed; boundary=b"), body).unwrap();
        let found: Vec<_> = parts.iter().map(BodyPart::decoded).collect();
        assert_eq!(found, [&b"hello"[..], b"a=1", b"***"]);
    }
}
