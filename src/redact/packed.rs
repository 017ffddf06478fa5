//! Secrets in documents that are no text: MessagePack, CBOR (RFC 8949), BSON, and what PHP
//! serializes.
//!
//! A document is written as JSON, searched as such, and what was found is put back where it stood:
//! a token has its secret's length, so that no length around it changes.

use std::ops::Range;

use super::scan::{JsonToken, Scanner};
use super::view::{View, ViewEncoding};
use crate::message::packed::{PackedLeaf, PackedText};

/// A document, read.
pub(super) struct PackedDocument<'a> {
    content: &'a [u8],
    text: PackedText,
}

impl<'a> PackedDocument<'a> {
    /// The document that `content` is, by its type and its first octets; none where it is none.
    pub(super) fn of(content: &'a [u8], content_type: &[u8]) -> Option<Self> {
        Some(Self { content, text: PackedText::of(content, content_type)? })
    }

    /// What it says, as JSON.
    pub(super) fn json(&self) -> &[u8] {
        &self.text.json
    }

    /// The document with the values that `json` has in place of its own; none where they are the
    /// same. `octets` says what stands in place of those that are no text, and `fitting` in place
    /// of a value whose new one has another length.
    pub(super) fn with(
        &self,
        json: &[u8],
        mut octets: impl FnMut(&[u8]) -> Option<Vec<u8>>,
        mut fitting: impl FnMut(&[u8], Vec<u8>) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let mut changed = false;
        let mut out = Vec::with_capacity(self.content.len());
        let mut from = 0;
        for ((range, leaf), token) in self.text.leaves.iter().zip(scalars(json)) {
            let old = &self.content[range.clone()];
            let new = match leaf {
                PackedLeaf::Text => View::new(&json[token], ViewEncoding::Json).bytes.into_owned(),
                PackedLeaf::Octets => octets(old).unwrap_or_else(|| old.to_vec()),
                PackedLeaf::Big => number(&json[token], old.len(), false),
                PackedLeaf::Little => number(&json[token], old.len(), true),
                PackedLeaf::Inline => old.to_vec(),
            };
            let new = if new.len() == old.len() { new } else { fitting(old, new)? };
            changed |= new != old;
            out.extend_from_slice(&self.content[from..range.start]);
            out.extend_from_slice(&new);
            from = range.end;
        }
        out.extend_from_slice(&self.content[from..]);
        changed.then_some(out)
    }
}

/// The strings and numbers of a JSON text.
fn scalars(json: &[u8]) -> impl Iterator<Item = Range<usize>> {
    Scanner::new(json).filter_map(|token| match token {
        JsonToken::Text(range) | JsonToken::Number(range) => Some(range),
        _ => None,
    })
}

/// A number in as many octets; of one that needs more, its lowest ones.
fn number(text: &[u8], octets: usize, little: bool) -> Vec<u8> {
    let number = text
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    if little {
        number.to_le_bytes()[..octets.min(8)].to_vec()
    } else {
        number.to_be_bytes()[8 - octets.min(8)..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::RedactRule;
    use super::*;

    const SECRET: &str = "Zq7hT2mXw9Lk4RvB1nYs";

    fn redacted(content: &[u8], kind: &str) -> Vec<u8> {
        let redactor = super::super::Redactor::new(&[RedactRule::Default], b"key");
        redactor.body_of_type(kind.as_bytes(), content)
    }

    fn pack(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn documents_that_are_no_text_are_looked_into() {
        let secret = SECRET.as_bytes();
        let small = |name: &str| [&[0xa0 | name.len() as u8], name.as_bytes()].concat();
        let cbor = |name: &str| [&[0x60 | name.len() as u8], name.as_bytes()].concat();
        let bson = |name: &str, kind: u8, value: &[u8]| {
            [&[kind][..], name.as_bytes(), &[0], value].concat()
        };
        let document = |elements: Vec<u8>| {
            [&(elements.len() as u32 + 5).to_le_bytes()[..], &elements, &[0]].concat()
        };
        let bson_text = [&21u32.to_le_bytes()[..], secret, &[0]].concat();
        for (kind, content) in [
            // {"user": "joe", "password": …}
            (
                "application/msgpack",
                pack(&[
                    b"\x82",
                    &small("user"),
                    &small("joe"),
                    &small("password"),
                    b"\xd9\x14",
                    secret,
                ]),
            ),
            // [1, {"credentials": {"x": …}}], of no type.
            (
                "",
                pack(&[
                    b"\x92\x01\x81",
                    &small("credentials"),
                    b"\xde\x00\x01",
                    &small("x"),
                    b"\xc4\x14",
                    secret,
                ]),
            ),
            // {"name": "api_key", "value": …} behind a tag.
            (
                "application/cbor",
                pack(&[
                    b"\xd9\xd9\xf7\xa2",
                    &cbor("name"),
                    &cbor("api_key"),
                    &cbor("value"),
                    b"\x74",
                    secret,
                ]),
            ),
            // Of unknown length, its text in pieces.
            (
                "application/senml+cbor",
                pack(&[b"\xbf", &cbor("token"), b"\x7f\x74", secret, b"\xff\xff"]),
            ),
            ("application/bson", document(bson("password", 2, &bson_text))),
            (
                "application/octet-stream",
                document(bson("a", 3, &document(bson("session_id", 2, &bson_text)))),
            ),
            (
                "text/plain",
                format!("a:2:{{s:4:\"user\";s:3:\"joe\";s:8:\"password\";s:20:\"{SECRET}\";}}")
                    .into_bytes(),
            ),
            (
                "",
                format!("O:4:\"User\":1:{{s:14:\"\0User\0password\";s:20:\"{SECRET}\";}}")
                    .into_bytes(),
            ),
            ("", format!("n|i:1;token|s:20:\"{SECRET}\";").into_bytes()),
        ] {
            let new = redacted(&content, kind);
            assert_ne!(new, content, "{kind}");
            assert_eq!(new.len(), content.len(), "{kind}");
            assert!(memchr::memmem::find(&new, secret).is_none(), "{kind}");
            let (before, after) = (
                PackedDocument::of(&content, kind.as_bytes()).unwrap(),
                PackedDocument::of(&new, kind.as_bytes()).expect("it can still be read"),
            );
            assert_eq!(before.text.leaves.len(), after.text.leaves.len(), "{kind}");
        }
    }

    #[test]
    fn numbers_stay_numbers_and_other_octets_stay() {
        let content = b"\x82\xa3pin\xcd\x12\x67\xa1a\xcd\x12\x67";
        let new = redacted(content, "application/msgpack");
        assert_eq!(new.len(), content.len());
        assert!(new[6..8] != content[6..8], "a PIN is another one");
        assert_eq!(new[8..], content[8..]);
        for none in
            [&b"\x83\x01"[..], b"a:2:{", b"s:9:\"a\";", b"\xbf\x61", b"\xdf\xff\xff\xff\xff\x01"]
        {
            assert!(PackedDocument::of(none, b"").is_none());
            assert_eq!(redacted(none, ""), none);
        }
        // Nesting without end.
        assert!(PackedDocument::of(&[0x91; 9_000], b"").is_none());
    }
}
