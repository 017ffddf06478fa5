//! Bodies behind a coding that no header tells: compressed by their first bytes, or in UTF-16 or
//! UTF-32. What was changed is put behind the same coding again, since its reader expects it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::limits;
use crate::message::content;

/// How a body is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
    /// RFC 8878.
    Zstd,
    /// UTF-16, perhaps with a mark of its order.
    Utf16 {
        /// The higher byte comes first.
        big: bool,
        /// It begins with U+FEFF.
        marked: bool,
    },
    /// UTF-32, in the same ways.
    Utf32 {
        /// The highest byte comes first.
        big: bool,
        /// It begins with U+FEFF.
        marked: bool,
    },
}

impl Wrapping {
    /// How `content` is wrapped, by its first bytes and its type.
    pub(super) fn of(content: &[u8], content_type: &[u8]) -> Option<Self> {
        match content {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, _, _, ..] => Some(Self::Zlib),
            [0xff, 0xfe, 0, 0, ..] => Some(Self::Utf32 { big: false, marked: true }),
            [0, 0, 0xfe, 0xff, ..] => Some(Self::Utf32 { big: true, marked: true }),
            [0, 0, 0, first, 0, 0, ..] if is_text(*first) => {
                Some(Self::Utf32 { big: true, marked: false })
            }
            [first, 0, 0, 0, _, _, 0, 0, ..] if is_text(*first) => {
                Some(Self::Utf32 { big: false, marked: false })
            }
            [0xff, 0xfe, ..] => Some(Self::Utf16 { big: false, marked: true }),
            [0xfe, 0xff, ..] => Some(Self::Utf16 { big: true, marked: true }),
            [0, first, 0, second, ..] if is_text(*first) && is_text(*second) => {
                Some(Self::Utf16 { big: true, marked: false })
            }
            [first, 0, second, 0, ..] if is_text(*first) && is_text(*second) => {
                Some(Self::Utf16 { big: false, marked: false })
            }
            _ => {
                memchr::memmem::find(content_type, b"16")?;
                let charset = content_type.to_ascii_lowercase();
                let named = |name: &[u8]| memchr::memmem::find(&charset, name).is_some();
                // What is called so and is none is read as what it is.
                let is_utf8 =
                    std::str::from_utf8(content).is_ok() && memchr::memchr(0, content).is_none();
                (named(b"utf-16") && !is_utf8 && !has_plain_text(content))
                    .then(|| Self::Utf16 { big: !named(b"utf-16le"), marked: false })
            }
        }
    }

    /// Whether bytes that are missing make the rest unreadable.
    pub(super) const fn needs_all(self) -> bool {
        self.coding().is_some()
    }

    /// The content coding that it is, where it is one.
    pub(super) const fn coding(self) -> Option<&'static [u8]> {
        match self {
            Self::Gzip => Some(b"gzip"),
            Self::Zlib => Some(b"deflate"),
            Self::Zstd => Some(b"zstd"),
            Self::Utf16 { .. } | Self::Utf32 { .. } => None,
        }
    }

    /// What is in it; none where it is not so wrapped after all.
    pub(super) fn undo(self, content: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Utf16 { big, marked } => return from_utf16(content, big, marked),
            Self::Utf32 { big, marked } => return from_utf32(content, big, marked),
            _ => {}
        }
        let coding = self.coding()?;
        let decoded = content::decode(content, [coding].into_iter(), limits::BODY_BYTES).ok()?;
        Some(decoded.into_owned())
    }

    /// The content wrapped again.
    pub(super) fn redo(self, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip => {
                let mut coder = GzEncoder::new(Vec::new(), Compression::default());
                coder.write_all(content).and_then(|()| coder.finish()).unwrap_or_default()
            }
            Self::Zlib => {
                let mut coder = ZlibEncoder::new(Vec::new(), Compression::default());
                coder.write_all(content).and_then(|()| coder.finish()).unwrap_or_default()
            }
            Self::Zstd => zstd::encode_all(content, 3).unwrap_or_default(),
            Self::Utf16 { big, marked } => {
                let text = String::from_utf8_lossy(content);
                let mark = marked.then_some(0xfeff);
                let units = mark.into_iter().chain(text.encode_utf16());
                units
                    .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                    .collect()
            }
            Self::Utf32 { big, marked } => {
                let text = String::from_utf8_lossy(content);
                let units = marked.then_some('\u{feff}').into_iter().chain(text.chars());
                let octets = |c| if big { u32::to_be_bytes(c) } else { u32::to_le_bytes(c) };
                units.map(u32::from).flat_map(octets).collect()
            }
        }
    }
}

const fn is_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte.is_ascii_whitespace()
}

/// Whether more bytes of ASCII follow each other than characters of two bytes have by chance.
fn has_plain_text(content: &[u8]) -> bool {
    const LONG: usize = 16;
    content.split(|byte| !byte.is_ascii_graphic()).any(|run| run.len() >= LONG)
}

fn from_utf16(content: &[u8], big: bool, marked: bool) -> Option<Vec<u8>> {
    let (pairs, rest) = content.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| {
        if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) }
    };
    let units = pairs.iter().skip(usize::from(marked)).map(unit);
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.ok().filter(|_| rest.is_empty()).map(String::into_bytes)
}

fn from_utf32(content: &[u8], big: bool, marked: bool) -> Option<Vec<u8>> {
    let (units, rest) = content.as_chunks::<4>();
    let unit = |unit: &[u8; 4]| {
        char::from_u32(if big { u32::from_be_bytes(*unit) } else { u32::from_le_bytes(*unit) })
    };
    let text: Option<String> = units.iter().skip(usize::from(marked)).map(unit).collect();
    text.filter(|_| rest.is_empty()).map(String::into_bytes)
}

/// Whether a body is neither text nor of a kind that holds pictures, sound or fonts: nobody could
/// look for secrets in it.
pub(super) fn is_opaque(content: &[u8], content_type: &[u8]) -> bool {
    let is_named = |name: &[u8]| memchr::memmem::find(content_type, name).is_some();
    let is_control = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31);
    if is_named(b"json") || is_named(b"text/") || is_named(b"xml") || is_named(b"urlencoded") {
        // A type that says more than is true is found out by its first bytes.
        return content[..content.len().min(64)].iter().any(|byte| is_control(&byte));
    }
    let kind = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    let is_media =
        ["image/", "audio/", "video/", "font/"].iter().any(|media| kind.starts_with(media));
    let sample = &content[..content.len().min(SAMPLE)];
    let is_damaged = || {
        let valid = sample.utf8_chunks().map(|chunk| chunk.valid().len()).sum::<usize>();
        kind.starts_with("application/") && valid * 10 < sample.len() * 9
    };
    if is_media && !kind.contains("svg") {
        return false;
    }
    sample.iter().any(|byte| is_control(&byte)) || is_damaged()
}

/// How much of a body is looked at to tell whether it is text, in bytes.
const SAMPLE: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wrapped_is_wrapped_again() {
        let text = "{\"a\": \"é漢😀\"}";
        for wrapping in [
            Wrapping::Gzip,
            Wrapping::Zlib,
            Wrapping::Zstd,
            Wrapping::Utf16 { big: true, marked: true },
            Wrapping::Utf16 { big: false, marked: true },
            Wrapping::Utf16 { big: true, marked: false },
            Wrapping::Utf16 { big: false, marked: false },
            Wrapping::Utf32 { big: true, marked: true },
            Wrapping::Utf32 { big: false, marked: true },
            Wrapping::Utf32 { big: true, marked: false },
            Wrapping::Utf32 { big: false, marked: false },
        ] {
            let wrapped = wrapping.redo(text.as_bytes());
            assert_eq!(Wrapping::of(&wrapped, b""), Some(wrapping));
            assert_eq!(wrapping.undo(&wrapped).as_deref(), Some(text.as_bytes()), "{wrapping:?}");
        }
        assert_eq!(Wrapping::of(text.as_bytes(), b"application/json"), None);
        let utf16 = b"text/plain; charset=utf-16";
        assert_eq!(
            Wrapping::of(b"N-e\x87", utf16),
            Some(Wrapping::Utf16 { big: true, marked: false })
        );
        assert_eq!(Wrapping::of(text.as_bytes(), utf16), None, "it is called so and is none");
        assert_eq!(Wrapping::of(b"\xff\x01token=Zq7hT2mXw9Lk4RvB1nYs", utf16), None);
    }

    #[test]
    fn what_nobody_can_look_into_is_told_from_text_and_pictures() {
        for (content, kind, expected) in [
            (&b"\x0a\x05hello\x10\x01"[..], "application/grpc", true),
            (b"PK\x03\x04\x14\0", "application/zip", true),
            (b"\x89PNG\r\n\x1a\n\0", "image/png", false),
            (b"plain\ttext\r\n", "application/octet-stream", false),
            ("é漢".as_bytes(), "", false),
            (b"\xe9t\xe9", "text/plain", false),
        ] {
            assert_eq!(is_opaque(content, kind.as_bytes()), expected, "{kind}");
        }
    }
}
